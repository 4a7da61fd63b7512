"""SQL text to the JSON form: what it gives, what it refuses, and where it says so."""

import json
import subprocess
import sys

import pytest

from skewless import kernel
from skewless.definitions.expressions import MAX_DEPTH, MAX_TEXT_BYTES, Document, translate


def col(name: str) -> Document:
    return {"op": "col", "name": name}


def lit(kind: str, value: object) -> Document:
    return {"op": "lit", "type": kind, "value": value}


def call(name: str, *args: Document) -> Document:
    return {"op": "call", "fn": name, "args": list(args)}


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("a + b * c", call("add", col("a"), call("mul", col("b"), col("c")))),
        ("a - b - c", call("sub", call("sub", col("a"), col("b")), col("c"))),
        ("-a", call("neg", col("a"))),
        ("- -1", call("neg", lit("int64", "-1"))),
        ("1.0", lit("float64", 1.0)),
        ("007", lit("int64", "7")),
        ("-0.0", lit("float64", 0.0)),
        ("'it''s'", lit("string", "it's")),
        ('"case"', col("case")),
        ("TRUE", lit("bool", True)),
        ("null", lit("null", None)),
        ("not a and b", call("and", call("not", col("a")), col("b"))),
        ("a and b and c", call("and", col("a"), col("b"), col("c"))),
        ("(a and b) and c", call("and", call("and", col("a"), col("b")), col("c"))),
        ("a is not null", call("not", call("is_null", col("a")))),
        ("a in (1)", call("eq", col("a"), lit("int64", "1"))),
        ("cast(null as double precision)", lit("float64", None)),
        ("cast(a as bigint)", call("to_int", col("a"))),
        ("Request_Time()", {"op": "request_time"}),
        ("POW(a, 2)", call("pow", col("a"), lit("int64", "2"))),
        ("timestamp '1970-01-01 00:00:01.5+00:00'", lit("timestamp", "1500000")),
        ("case when a then 1 end", call("case", col("a"), lit("int64", "1"), lit("null", None))),
    ],
)
def test_a_text_gives_its_document(text: str, document: Document) -> None:
    found = translate(text)
    assert found.faults == ()
    assert found.document == document


@pytest.mark.parametrize(
    ("text", "line", "column", "reason", "words"),
    [
        ("", 1, 1, "SYNTAX", "the end is not expected here"),
        ("a +\n  select b", 2, 10, "SYNTAX", "b is not expected here"),
        ("a == b", 1, 3, "SYNTAX", "allowed are column names"),
        ("a < b < c", 1, 7, "SYNTAX", "comparisons do not chain"),
        ("(a + b", 1, 7, "SYNTAX", "line 1, column 1 is not closed"),
        ("t.a", 1, 2, "UNSUPPORTED", "without its table"),
        ("a::double", 1, 2, "SYNTAX", "allowed are"),
        ("a || b", 1, 3, "SYNTAX", "allowed are"),
        ("now()", 1, 1, "UNKNOWN_FUNCTION", "request_time"),
        ("cast(a as text)", 1, 11, "UNSUPPORTED", "allowed are DOUBLE and BIGINT"),
        ("a in (b)", 1, 7, "UNSUPPORTED", "IN takes literals only"),
        ("a in (null)", 1, 7, "UNSUPPORTED", "not NULL"),
        ("a is true", 1, 6, "SYNTAX", "NULL or NOT NULL"),
        ("9223372036854775808", 1, 1, "INVALID_LITERAL", "does not fit 64 bits"),
        ("9" * 5000, 1, 1, "INVALID_LITERAL", "does not fit 64 bits"),
        ("1e999", 1, 1, "INVALID_LITERAL", "beyond the largest float64"),
        ("timestamp '2024-05-01T00:00:00'", 1, 11, "INVALID_LITERAL", "has no zone"),
        ("timestamp '2024-05-01T00:00:00.0000001Z'", 1, 11, "INVALID_LITERAL", "six digits"),
        ("timestamp '2024-02-30T00:00:00Z'", 1, 11, "INVALID_LITERAL", "is no timestamp"),
        ("'open", 1, 1, "SYNTAX", "not expected here"),
        ("request_time(a)", 1, 1, "WRONG_ARGUMENT_COUNT", "takes no arguments"),
        ("(" * 5000, 1, MAX_DEPTH + 1, "EXPRESSION_TOO_DEEP", "nested more than"),
        ("+".join("a" * 100), 1, 2 * MAX_DEPTH, "EXPRESSION_TOO_DEEP", "calls nest more than"),
        ("-" * 3000 + "a", 1, 2941, "EXPRESSION_TOO_DEEP", "calls nest more than"),
        ("a" * (MAX_TEXT_BYTES + 1), 1, 1, "EXPRESSION_TOO_LARGE", "longer than 10240 bytes"),
        ("a in (" + ",".join("1" * 2000) + ")", 1, 1, "EXPRESSION_TOO_LARGE", "more than 2000"),
    ],
)
def test_what_is_not_allowed_is_refused_in_its_place(
    text: str, line: int, column: int, reason: str, words: str
) -> None:
    found = translate(text)
    assert found.document is None
    (fault,) = found.faults
    assert (fault.line, fault.column, fault.reason) == (line, column, reason), fault
    assert words in fault.message


def test_all_faults_are_told_at_once() -> None:
    found = translate("foo(a) + cast(b as date) > 1e999 and c in (d)")
    assert [fault.reason for fault in found.faults] == [
        "UNKNOWN_FUNCTION",
        "UNSUPPORTED",
        "INVALID_LITERAL",
        "UNSUPPORTED",
    ]


def test_a_fault_that_the_kernel_finds_leads_back_to_the_text() -> None:
    found = translate("a > 0 and\n  length_of = 'x'")
    with pytest.raises(kernel.DefinitionError) as refused:
        kernel.check_expression(json.dumps(found.document).encode(), {"a": "int64"})
    ((path, reason, _),) = refused.value.faults
    assert reason == "UNKNOWN_COLUMN"
    assert found.place(path) == (2, 3)


def test_what_the_text_allows_in_depth_the_kernel_allows_too() -> None:
    deepest = translate("+".join("a" * MAX_DEPTH))
    assert kernel.check_expression(json.dumps(deepest.document).encode(), {"a": "int64"}) == "int64"


def test_nested_lists_do_not_explode() -> None:
    text = "a"
    for _ in range(8):
        text = f"({text}) in ({','.join('1' * 100)})"
    (fault,) = translate(text).faults
    assert fault.reason == "EXPRESSION_TOO_LARGE"


def test_reading_an_expression_loads_no_parser_of_others() -> None:
    code = "import sys, skewless.definitions.expressions; sys.exit('sqlglot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
