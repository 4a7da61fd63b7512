"""Every case of tests/spec/ by every road, and a proof of every clause of the law."""

import ast
import json
import re
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from skewless import kernel
from tests.oracle import grid, keys
from tests.oracle.aggregates import Aggregation
from tests.oracle.cells import same_value
from tests.oracle.protobuf import judge_protobuf
from tests.oracle.verdicts import Column, Verdict, judge
from tests.oracle.windows import WindowFeature
from tests.roads import kernel as roads
from tests.roads import oracle
from tests.roads.cases import (
    KEY_COLUMN,
    SPEC,
    TIME_COLUMN,
    Case,
    PlainCase,
    StreamCase,
    VerdictCase,
    WindowSpec,
    cases,
    clauses_with_cases,
    duration,
    files,
    instant,
    load,
)
from tests.roads.kernel import FoldRoad, FrameRoad, decode_one
from tests.roads.meaning import canonical, patched, stream_meaning
from tests.roads.oracle import OracleRoad
from tests.roads.registry import Road, disagreements

LAW = SPEC.parents[1] / "docs" / "semantics.md"

ROADS: tuple[Road, ...] = (
    OracleRoad(),
    FrameRoad(),
    FoldRoad("fold-whole", None),
    FoldRoad("fold-one-by-one", 1),
    FoldRoad("fold-by-three", 3),
)
VALUES = cases("window", "latest_stream", "latest_table")


@pytest.mark.parametrize("road", ROADS, ids=lambda road: road.name)
@pytest.mark.parametrize("case", VALUES, ids=lambda case: case.id)
def test_case(case: Case, road: Road) -> None:
    if case.kind not in road.kinds:
        pytest.skip(f"{road.name} does not take {case.kind}")
    assert disagreements(road, case) == []


@pytest.mark.parametrize("road", ROADS, ids=lambda road: road.name)
@pytest.mark.parametrize(
    "case",
    [c for c in VALUES if isinstance(c.body, StreamCase) and c.body.any_order],
    ids=lambda case: case.id,
)
def test_case_in_other_orders(case: Case, road: Road) -> None:
    """O1: the same events at other positions of the log give the same values."""
    for reordered in other_orders(case):
        assert disagreements(road, reordered) == []


def other_orders(case: Case) -> list[Case]:
    """The case with its records in other orders; all of them when they are few."""
    body = case.body
    assert isinstance(body, StreamCase)
    records = body.records
    few = len(records) <= 4
    orders = list(permutations(records)) if few else [records[::-1], records[1::2] + records[::2]]
    moved = []
    for order in orders[:12]:
        # The log is appended to in its own order: nobody is judged by another's append time.
        log = tuple(replace(record, position=old.position) for record, old in zip(order, records, strict=True))
        moved.append(replace(case, body=replace(body, records=log)))
    return moved


@pytest.mark.parametrize("case", cases("window"), ids=lambda case: case.id)
def test_lineage(case: Case) -> None:
    body = case.body
    assert isinstance(body, StreamCase)
    for read in body.reads:
        for name, offsets in read.rests_on.items():
            assert oracle.rests_on(body, read, name) == offsets
            assert roads.rests_on(body, read, name) == offsets


@pytest.mark.parametrize("case", cases("verdict"), ids=lambda case: case.id)
def test_verdict(case: Case) -> None:
    body = case.body
    assert isinstance(body, VerdictCase)
    got = judge_with_key(body)
    assert got.verdict == body.verdict
    if body.verdict == "accepted":
        assert got.row is not None
        assert {name: got.row[name] for name in body.row} == body.row
        assert got.t == body.event_time


@pytest.mark.parametrize("case", cases("verdict"), ids=lambda case: case.id)
def test_verdict_of_the_kernel(case: Case) -> None:
    body = case.body
    assert isinstance(body, VerdictCase)
    got = decode_one(body)
    assert got["verdict"] == body.verdict
    assert (got["reason"] is None) == (body.verdict == "accepted")
    if body.verdict == "accepted":
        assert got["event_time_us"] == body.event_time
        for name, cell in body.row.items():
            assert same_value(got[f"c_{name}"], cell), name


def judge_with_key(body: VerdictCase) -> Verdict:
    """The oracle's verdict, with V4 where the log is keyed by the entity itself."""
    columns = [Column(KEY_COLUMN, "string"), *body.columns]
    if body.fields is None:
        verdict = judge(body.payload, body.append_time, columns, TIME_COLUMN, body.tolerance)
    else:
        columns.append(Column(TIME_COLUMN, "timestamp", nullable=False))
        record = (body.payload, body.append_time, columns, TIME_COLUMN)
        verdict = judge_protobuf(*record, fields=body.fields, tolerance=body.tolerance)
    if body.operation is not None:
        verdict = body.operation.judged(verdict)
    if body.direct and verdict.row is not None:
        own = verdict.row[KEY_COLUMN]
        assert isinstance(own, str)
        if own.encode() != body.record_key:
            return Verdict("malformed")
    return verdict


@pytest.mark.parametrize("case", cases("hop"), ids=lambda case: case.id)
def test_hop(case: Case) -> None:
    body = case.body
    assert isinstance(body, PlainCase)
    given = body.given
    if "width" in given:
        wanted = None if body.refused else duration(body.expect)
        assert grid.default_hop(duration(given["width"])) == wanted
        assert kernel.default_hop(duration(given["width"])) == wanted
        return
    origin = instant(given["origin"]) if "origin" in given else grid.DEFAULT_ORIGIN
    at, hop = instant(given["at"]), duration(given["hop"])
    assert grid.floor_to_hop(at, hop, origin) == instant(body.expect)
    assert kernel.floor_to_hop(at, hop, origin) == instant(body.expect)


@pytest.mark.parametrize("case", cases("entity_id"), ids=lambda case: case.id)
def test_entity_id(case: Case) -> None:
    body = case.body
    assert isinstance(body, PlainCase)
    if body.refused:
        with pytest.raises(ValueError, match="96"):
            keys.entity_id(body.given["parts"])
        with pytest.raises(kernel.KernelError, match="96"):
            kernel.entity_id(body.given["parts"])
        return
    assert keys.entity_id(body.given["parts"]) == body.expect
    assert kernel.entity_id(body.given["parts"]) == body.expect


@pytest.mark.parametrize("case", cases("state_key"), ids=lambda case: case.id)
def test_state_key(case: Case) -> None:
    body = case.body
    assert isinstance(body, PlainCase)
    given = body.given
    parts = (given["project"], given["entity"], given["id"], given["view"], given["version"])
    assert keys.state_key(*parts) == body.expect
    assert kernel.state_key(*parts) == body.expect


@pytest.mark.parametrize("case", cases("partition"), ids=lambda case: case.id)
def test_partition(case: Case) -> None:
    body = case.body
    assert isinstance(body, PlainCase)
    assert keys.partition_of(body.given["id"], body.given["partitions"]) == body.expect
    assert kernel.partition_of(body.given["id"], body.given["partitions"]) == body.expect


@pytest.mark.parametrize("case", cases("plan"), ids=lambda case: case.id)
def test_plan(case: Case) -> None:
    body = case.body
    assert isinstance(body, PlainCase)
    if "bytes" in body.given:
        meaning = body.given["bytes"].encode()
    else:
        meaning = canonical(patched(PLAN_BASE, body.given.get("set", {}), body.given.get("remove", [])))
    faults = kernel.check_meaning(meaning)
    assert sorted(reason for _path, reason, _message in faults) == sorted(body.given["reasons"])
    if faults:
        with pytest.raises(kernel.KernelError):
            kernel.StreamView(meaning)


PLAN_BASE: dict[str, Any] = json.loads(
    stream_meaning(
        StreamCase(
            columns=(Column("x", "float64"), Column("s", "string"), Column("b", "bool")),
            spec=WindowSpec(
                (
                    WindowFeature("n", Aggregation("count"), grid.HOUR, grid.MINUTE),
                    WindowFeature("s", Aggregation("sum", "x", "float64"), grid.HOUR, grid.MINUTE),
                ),
                {"n": "int64", "s": "float64"},
            ),
            records=(),
            arrivals=(),
            reads=(),
        )
    )
)


def clauses() -> list[str]:
    """The marks of the clauses in docs/semantics.md, in order."""
    return re.findall(r"^\*\*([A-Z]\d+)\*\*", LAW.read_text(), flags=re.MULTILINE)


def test_clauses_are_unique() -> None:
    marks = clauses()
    assert len(marks) == len(set(marks))
    assert len(marks) > 50


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(SPEC).as_posix())
def test_each_case_names_one_clause_and_has_its_own_name(path: Path) -> None:
    known = set(clauses())
    written = load(path)["cases"]
    assert written
    names = [case["name"] for case in written]
    assert len(names) == len(set(names))
    assert [case["clause"] for case in written if case["clause"] not in known] == []


def proved_by() -> dict[str, list[str]]:
    """The tests that prove a clause which no case as data can: it takes a store, a log, or two writers."""
    proved: dict[str, list[str]] = json.loads((SPEC / "proved_by.json").read_text())["proved_by"]
    return proved


@pytest.mark.parametrize("mark", proved_by())
def test_a_clause_that_tests_prove_is_named_by_each_of_them(mark: str) -> None:
    assert mark in clauses()
    assert mark not in clauses_with_cases(), "a case proves it: take it out of proved_by.json"
    assert proved_by()[mark]
    for test in proved_by()[mark]:
        path, name = test.split("::")
        body = ast.parse((SPEC.parents[1] / path).read_text()).body
        (found,) = (node for node in body if isinstance(node, ast.FunctionDef) and node.name == name)
        told = (ast.get_docstring(found) or "").partition(":")[0]
        assert mark in told.split(", "), f"{test} does not begin with its clause"


def test_every_clause_is_proved() -> None:
    proved = {*clauses_with_cases(), *proved_by()}
    assert [mark for mark in clauses() if mark not in proved] == []
