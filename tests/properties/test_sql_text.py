"""Texts of expressions, whatever they say: read, or refused with declared reasons at places inside the text."""

import json
from collections.abc import Sequence

import yaml
from hypothesis import given
from hypothesis import strategies as st

from skewless import kernel
from skewless.definitions.expressions import translate
from tests.roads.expressions import SPEC

REASONS = {
    *("EXPRESSION_TOO_LARGE", "EXPRESSION_TOO_DEEP", "SYNTAX", "UNSUPPORTED"),
    *("UNKNOWN_FUNCTION", "WRONG_ARGUMENT_COUNT", "INVALID_LITERAL"),
}
TYPES = {"a": "int64", "b": "float64", "c": "bool", "s": "string", "t": "timestamp"}
WRITTEN: Sequence[str] = [
    case["sql"]
    for path in sorted(SPEC.glob("*.yaml"))
    for case in yaml.safe_load(path.read_text())["cases"]
    if "sql" in case
]
PIECES = (
    "(",
    ")",
    "-",
    "NOT ",
    "CASE ",
    " END",
    " OR a",
    "'",
    '"',
    ".",
    "e",
    "0",
    "\n",
    "\r",
    "é",
    "\0",
    "::",
    "f(",
    ",",
)
REPEATED = (
    *("({}", "-{}", "- {}", "NOT {}", "abs({}", "coalesce({}, ", "CASE WHEN {}", "CAST({}", "{} + 1", "{} OR c"),
    *("{} IS NULL", "{} IN (1, ", "{} BETWEEN 1 AND ", "'{}", "1{}", "{},", "+{}"),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A text that is fine, cut, doubled and sown with pieces of others."""
    text = draw(st.sampled_from(WRITTEN))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        inserted = draw(
            st.sampled_from(PIECES)
            | st.characters()
            | st.sampled_from(WRITTEN).map(lambda other: other[: len(other) // 2])
            | st.just(text[start:end] * 2)
        )
        text = text[:start] + inserted + text[end:]
    return text


@st.composite
def nested(draw: st.DrawFn) -> str:
    """One form within itself, far beyond every limit."""
    form = draw(st.sampled_from(REPEATED))
    before, after = form.split("{}")
    times = draw(st.sampled_from([1, 30, 59, 60, 61, 200, 3000]))
    inner = draw(st.sampled_from(["a", "", "(a", "'x'"]))
    return before * times + inner + after * times + draw(st.sampled_from(["", ")" * times, " END" * times, "1)"]))


def judge(text: str) -> None:
    found = translate(text)
    assert (found.document is None) == bool(found.faults)
    lines = text.split("\n")
    for fault in found.faults:
        assert fault.reason in REASONS
        assert fault.message
        assert 1 <= fault.line <= len(lines)
        assert 1 <= fault.column <= len(lines[fault.line - 1]) + 1
    if found.document is None:
        return
    for line, column in found.places.values():
        assert 1 <= column <= len(lines[line - 1])
    try:
        kind = kernel.check_expression(json.dumps(found.document).encode(), TYPES)
    except kernel.DefinitionError as error:
        # What the text says may mean nothing; that it is well-formed is the parser's word.
        for path, reason, _message in error.faults:
            assert reason != "MALFORMED_EXPRESSION", text
            assert found.place(path)[0] >= 1
    else:
        assert kind in {*TYPES.values()}


@given(st.text() | st.text(st.characters(), max_size=300))
def test_any_text(text: str) -> None:
    judge(text)


@given(mutated())
def test_texts_that_were_fine(text: str) -> None:
    judge(text)


@given(nested())
def test_forms_within_themselves(text: str) -> None:
    judge(text)
