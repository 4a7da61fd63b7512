"""Expressions: the cases by every road, the table of functions, and what the door refuses."""

import json
from importlib import import_module

import pyarrow as pa
import pytest

from skewless import kernel
from skewless.definitions.expressions import FUNCTIONS
from tests.oracle.expressions import evaluate, uses
from tests.roads.expressions import ExpressionCase, by_kernel, cases, ir_of, near

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_kernel_gives_what_the_case_says(case: ExpressionCase) -> None:
    found = by_kernel(case.ir, case.types, case.rows, [case.request_time] * len(case.rows))
    for row, cell, expected in zip(case.rows, found, case.expect, strict=True):
        assert near(cell, expected, ulps=case.ulps, within=case.within_km), (row, cell, expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_oracle_gives_what_the_case_says(case: ExpressionCase) -> None:
    for row, expected in zip(case.rows, case.expect, strict=True):
        cell = evaluate(case.ir, case.types, row, case.request_time)
        assert near(cell, expected, ulps=case.ulps, within=case.within_km), (row, cell, expected)


def test_every_function_has_a_case_and_a_case_for_null() -> None:
    with_value, with_null = set[str](), set[str]()
    for case in CASES:
        used = uses(case.ir)
        with_value |= used
        if any(value is None for row in case.rows for value in row.values()):
            with_null |= used
    assert with_value == set(kernel.EXPRESSION_FUNCTIONS)
    assert with_null == set(kernel.EXPRESSION_FUNCTIONS)


def test_sql_knows_the_functions_of_the_kernel() -> None:
    assert set(kernel.EXPRESSION_FUNCTIONS) == FUNCTIONS


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


def test_the_zone_data_of_the_oracle_are_of_the_kernels_release() -> None:
    assert import_module("tzdata").IANA_VERSION == kernel.TZDATA_VERSION


def test_a_checked_expression_tells_its_type() -> None:
    document = json.dumps(ir_of("coalesce(a, 0) > 1.5")).encode()
    assert kernel.check_expression(document, {"a": "int64"}) == "bool"


def test_all_faults_come_at_once() -> None:
    document = json.dumps(ir_of("nope + 1 > hour(a, 'Mars/Olympus')")).encode()
    with pytest.raises(kernel.DefinitionError) as refused:
        kernel.check_expression(document, {"a": "timestamp"})
    assert [(path, reason) for path, reason, _ in refused.value.faults] == [
        ("$.args[0].args[0].name", "UNKNOWN_COLUMN"),
        ("$.args[1].args[1]", "UNKNOWN_ZONE"),
    ]


def test_rows_of_another_type_are_refused_by_name() -> None:
    document = json.dumps(ir_of("a + 1")).encode()
    batch = pa.record_batch({"a": pa.array(["x"])})
    with pytest.raises(kernel.InputError, match='column "a" must be int64, and is Utf8'):
        kernel.evaluate_expression(document, {"a": "int64"}, batch, [0])
    with pytest.raises(kernel.InputError, match='the batch lacks the column "b"'):
        kernel.evaluate_expression(json.dumps(ir_of("b")).encode(), {"b": "int64"}, batch, [0])
    with pytest.raises(kernel.InputError, match="2 request times for 1 rows"):
        kernel.evaluate_expression(document, {"a": "int64"}, batch, [0, 0])


def test_a_naive_timestamp_column_is_refused_with_advice() -> None:
    document = json.dumps(ir_of("hour(a, 'UTC')")).encode()
    naive = pa.record_batch({"a": pa.array([0], pa.timestamp("us"))})
    with pytest.raises(kernel.InputError, match="timestamp\\[us\\] with a zone"):
        kernel.evaluate_expression(document, {"a": "timestamp"}, naive, [0])
    zoned = pa.record_batch({"a": pa.array([3_600_000_000], pa.timestamp("us", tz="UTC"))})
    result = kernel.evaluate_expression(document, {"a": "timestamp"}, zoned, [0])
    assert pa.record_batch(result)["value"].to_pylist() == [1]


def test_what_is_no_arrow_batch_is_refused() -> None:
    with pytest.raises(kernel.InputError, match="__arrow_c_array__"):
        kernel.evaluate_expression(
            json.dumps(ir_of("a")).encode(),
            {"a": "int64"},
            {"a": [1]},  # type: ignore[arg-type]
            [0],
        )
