"""The kernel's table of aggregations, and everyone else who says something about them."""

import inspect
import json
from typing import Any

import pytest

import skewless
from skewless import kernel
from tests.oracle.aggregates import DEFAULT_BOUNDS, Aggregation, aggregate
from tests.oracle.cells import Status
from tests.roads.cases import result_type
from tests.roads.meaning import canonical
from tests.test_spec import PLAN_BASE, clauses
from tools.aggregations_page import INPUTS, KINDS, PAGE, case_counts, is_refused, page

LAWS = kernel.aggregations()
BY_LAW = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
_CALENDAR = {"kind": "calendar", "unit": "day", "zone": "UTC", "tzdata": kernel.TZDATA_VERSION}
WINDOWS: dict[str, dict[str, Any]] = {
    "sliding": {},
    "tumbling": {"window": {"kind": "tumbling", "previous": False}},
    "previous": {"window": {"kind": "tumbling", "previous": True}},
    "lag": {"window": {"kind": "lag", "lag_us": 7_200_000_000}},
    "lifetime": {"window_us": None, "hop_us": None, "window": {"kind": "lifetime"}},
    "exact": {"hop_us": 0, "window": {"kind": "exact", "bound": 7}},
    "calendar": {"window_us": None, "hop_us": 86_400_000_000, "window": {**_CALENDAR, "previous": False}},
    "previous_calendar": {"window_us": None, "hop_us": 86_400_000_000, "window": {**_CALENDAR, "previous": True}},
}
DECIMAL = "decimal(6,2)"
COLUMNS = {"int64": "i", "float64": "x", "bool": "b", "decimal": "d", "string": "s", "timestamp": "t"}


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make aggregations-page`"


def results_of(law: kernel.Aggregation) -> dict[str | None, str]:
    """The type of the result by that of the column; one decimal for all of them."""
    of_decimal = law.result(DECIMAL)
    return dict(law.results) | ({} if of_decimal is None else {"decimal": of_decimal})


@BY_LAW
def test_every_input_has_a_case(law: kernel.Aggregation) -> None:
    counted = case_counts()
    missing = [
        (kind, column)
        for kind in KINDS
        for column in results_of(law)
        if counted[kind, law.name, column] == 0 and not is_refused(law, kind)
    ]
    assert missing == [], "add it to tests/spec/windows/every_aggregation*.yaml"


@BY_LAW
def test_the_kernel_refuses_it_over_the_kinds_that_the_page_says(law: kernel.Aggregation) -> None:
    column, result = law.results[0]
    for kind, window in WINDOWS.items():
        document = json.loads(meaning(law, column, result))
        document["features"][0].update(window)
        reasons = [reason for _, reason, _ in kernel.check_meaning(canonical(document))]
        assert reasons == (["NO_DECLARED_WIDTH"] if is_refused(law, kind) else []), kind


@BY_LAW
def test_its_clauses_are_in_the_law(law: kernel.Aggregation) -> None:
    assert set(law.clause.split(", ")) <= set(clauses())


@BY_LAW
def test_the_kernel_takes_the_inputs_of_the_table_and_no_other(law: kernel.Aggregation) -> None:
    results = results_of(law)
    for column in INPUTS:
        reasons = [reason for _, reason, _ in kernel.check_meaning(meaning(law, column, results.get(column, "int64")))]
        assert reasons == ([] if column in results else ["TYPE_MISMATCH"]), column
        if column in results:
            other = "bool" if results[column] != "bool" else "int64"
            faults = kernel.check_meaning(meaning(law, column, other))
            assert [reason for _, reason, _ in faults] == ["TYPE_MISMATCH"], column


@BY_LAW
def test_a_bound_is_declared_exactly_where_the_table_has_one(law: kernel.Aggregation) -> None:
    column, result = law.results[0]
    if law.bounds is None:
        reasons = [reason for _, reason, _ in kernel.check_meaning(meaning(law, column, result, bound=5))]
        assert reasons == ["UNEXPECTED_BOUND"]
        return
    _, greatest = law.bounds
    for bound in (0, greatest + 1):
        faults = kernel.check_meaning(meaning(law, column, result, bound=bound))
        assert [reason for _, reason, _ in faults] == ["OUT_OF_RANGE"]


@BY_LAW
def test_the_oracle_gives_the_types_and_empty_values_of_the_table(law: kernel.Aggregation) -> None:
    for column, result in results_of(law).items():
        kind = DECIMAL if column == "decimal" else column
        what = Aggregation(law.name, None if kind is None else "c", kind, width=1, where=lambda _row: True)
        assert result_type(what) == result
        cell = aggregate(what, [], 0)
        empty = {"0": 0, "null": None, "an empty list": [], "a list of zeros": [0]}[law.over_nothing]
        assert cell.value == empty
        assert cell.status is (Status.NULL if empty is None else Status.PRESENT)


@BY_LAW
def test_the_definitions_in_python_have_it(law: kernel.Aggregation) -> None:
    make = getattr(skewless, law.name, None) or getattr(skewless, f"{law.name}_")
    parameters = inspect.signature(make).parameters
    assert ("column" in parameters) is any(column is not None for column, _ in law.results)
    if "column" in parameters:
        optional = parameters["column"].default is None
        assert optional is any(column is None for column, _ in law.results)
    assert ("where" in parameters) is law.has_condition
    assert ("n" in parameters) is law.has_number
    assert ("edges" in parameters) is law.has_edges
    assert ("bound" in parameters) is (law.bounds is not None)
    if law.bounds is not None:
        assert parameters["bound"].default == law.bounds[0] == DEFAULT_BOUNDS[law.name]


def meaning(law: kernel.Aggregation, column: str | None, result: str, bound: int | None = None) -> bytes:
    """A view of one feature of this aggregation."""
    document: dict[str, Any] = json.loads(json.dumps(PLAN_BASE))
    document["source"]["columns"] += [
        {"name": "i", "type": "int64", "nullable": True},
        {"name": "t", "type": "timestamp", "nullable": True},
        {"name": "d", "type": "decimal(6,2)", "nullable": True},
    ]
    document["features"] = [
        {
            "name": "f",
            "agg": law.name,
            "column": None if column is None else COLUMNS[column],
            "window_us": 3_600_000_000,
            "hop_us": 60_000_000,
            "bound": bound if bound is not None or law.bounds is None else law.bounds[0],
            "type": result,
        }
    ]
    if law.has_condition:
        document["features"][0]["where"] = {"op": "col", "name": "b"}
    if law.name == "quantile":
        document["features"][0] |= {"q_millionths": 500_000, "accuracy_millionths": 10_000, "bins": 48}
    if law.has_number:
        document["features"][0]["n"] = 3
    if law.has_edges:
        document["features"][0]["edges"] = {"int64": ["0"], "decimal": ["0.50"]}.get(column or "", [0.5])
    return canonical(document)
