"""Writes ``docs/aggregations.md``: every aggregation as the kernel declares it, and how many cases prove it.

python -m tools.aggregations_page
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from skewless import kernel
from tests.roads.cases import StreamCase, WindowSpec, cases

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "aggregations.md"
INPUTS: Final = (None, "int64", "float64", "bool", "decimal", "string", "timestamp")
"""What an aggregation may be asked to take; None: no column."""

_HEAD: Final = """\
# Aggregations

<!-- Written by `make aggregations-page` from the kernel's own table and the cases in tests/spec/. -->

What each means is chapter A of [semantics.md](semantics.md). All of them merge in any order, and none of them depends
on the order in which events came. **Retraction** says whether an event can be taken out again without a trace: over a
source with retractions (R9) only those that say yes are taken, and the others refused by name. **No value** is the
status that says so although there are events.
"""

_CASES: Final = """\
## Cases

How many cases of `tests/spec/` look at the value, by the kind of the window and the type of the column. A dash: the
aggregation takes no such input, and a definition that asks for it is refused with what it does take. *No width*: a
rate divides by the declared width, and is refused where there is none (`NO_DECLARED_WIDTH`).
"""

KINDS: Final = {
    "sliding": "W1",
    "tumbling": "W9",
    "previous": "W12",
    "lag": "W13",
    "lifetime": "W10",
    "exact": "W11",
    "calendar": "W15",
    "previous_calendar": "W18",
}
"""The kinds of windows, each with its clause."""
KIND_WORDS: Final = {
    "tumbling": "open tumbling",
    "previous": "last full tumbling",
    "lag": "lagged",
    "previous_calendar": "last full calendar",
}
WITHOUT_WIDTH: Final = {"lifetime", "calendar", "previous_calendar"}
"""The kinds that have no declared width."""


def page() -> str:
    """The whole page."""
    laws = kernel.aggregations()
    counted = case_counts()
    parts = [_HEAD, _table(_LAW_COLUMNS, (_law_row(law) for law in laws)), _CASES]
    for kind, clause in KINDS.items():
        header = [f"Over {KIND_WORDS.get(kind, kind)} windows ({clause})", *(name or "no column" for name in INPUTS)]
        parts.append(_table(header, ([f"`{law.name}`", *_counts(law, kind, counted)] for law in laws)))
    return "\n".join(parts)


def case_counts() -> Counter[tuple[str, str, str | None]]:
    """How many cases look at a value of (kind of window, aggregation, type of its column)."""
    found: Counter[tuple[str, str, str | None]] = Counter()
    for case in cases("window"):
        if not isinstance(case.body, StreamCase) or not isinstance(case.body.spec, WindowSpec):
            continue
        looked_at = {name for read in case.body.reads for name in read.expect}
        features = [feature for feature in case.body.spec.features if feature.name in looked_at]
        found.update({(feature.shape.kind, feature.what.agg, _input(feature.what.column_type)) for feature in features})
    return found


def _input(column: str | None) -> str | None:
    """Decimals of all digits stand in one column."""
    return "decimal" if column is not None and column.startswith("decimal(") else column


def is_refused(law: kernel.Aggregation, kind: str) -> bool:
    """Whether there is no such aggregation over windows of a kind, whatever its input."""
    return law.name == "rate" and kind in WITHOUT_WIDTH


_LAW_COLUMNS: Final = ("Aggregation", "Clause", "Takes", "Gives", "Keeps", "Retraction", "Over nothing", "No value")


def _law_row(law: kernel.Aggregation) -> list[str]:
    return [
        f"`{law.name}`",
        law.clause,
        law.takes,
        _gives(law),
        law.keeps,
        "yes" if law.subtractable else "no",
        law.over_nothing,
        _limit(law),
    ]


def _gives(law: kernel.Aggregation) -> str:
    results = {result for _, result in law.results}
    if len(results) == 1:
        return f"`{results.pop()}`" if "list" in next(iter(results)) else results.pop()
    return (
        "a list of the column's type" if all(result.startswith("list") for result in results) else "the column's type"
    )


def _limit(law: kernel.Aggregation) -> str:
    if law.bounds is not None:
        default, greatest = law.bounds
        return f"`OVER_BOUND` above the bound (default {default:,}, at most {greatest:,})"
    return "`OVERFLOW` outside int64" if law.limit_status is not None else ""


def _counts(law: kernel.Aggregation, kind: str, counted: Counter[tuple[str, str, str | None]]) -> list[str]:
    taken = {column for column, _ in law.results} | ({"decimal"} if law.result("decimal(18,0)") else set())
    if is_refused(law, kind):
        return ["*no width*" if column in taken else "-" for column in INPUTS]
    return [str(counted[kind, law.name, column]) if column in taken else "-" for column in INPUTS]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
