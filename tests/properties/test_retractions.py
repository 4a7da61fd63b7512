"""Windows over insertions and retractions: the kernel gives the definition's value, whatever came first."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from skewless import kernel
from tests.oracle.events import Position
from tests.oracle.grid import DAY, SECOND
from tests.oracle.verdicts import Column, Operation
from tests.properties.strategies import (
    AGGREGATIONS,
    BASES,
    COLUMNS,
    KEYS,
    SCALES,
    latest_specs,
    reads,
    reordered,
    rows,
    times,
    window_specs,
)
from tests.properties.test_windows import ORACLE, assert_agree, fits
from tests.roads.cases import Record, StreamCase, WindowSpec, payload_of
from tests.roads.kernel import EPOCH, FoldRoad, FrameRoad, Store, flush, fold
from tests.roads.meaning import stream_meaning

FRAME = FrameRoad()
OPERATION = Operation("op", ["+"], ["-"])
SUBTRACTABLE = {"count", "count_where", "sum", "avg", "rate", "histogram"}
SUBTRACTABLE |= {"variance", "stddev", "variance_pop", "stddev_pop"}
CAN = tuple(what for what in AGGREGATIONS if what.agg in SUBTRACTABLE)


@st.composite
def logs(draw: st.DrawFn) -> tuple[Record, ...]:
    """Insertions, most of them taken back sooner or later or before, and some retractions of nothing."""
    base, scale = draw(st.sampled_from(BASES)), draw(st.sampled_from(SCALES))
    sent: list[tuple[str, int, dict[str, Any]]] = []
    for _ in range(draw(st.integers(1, 12))):
        key, at, row = draw(st.sampled_from(["k1", "k1", *KEYS])), base + draw(times(scale)), draw(rows)
        sent += [(key, at, {"op": op, **row}) for op in draw(st.sampled_from(["+", "+", "+-", "+-", "++-", "-"]))]
    sent = draw(st.permutations(sent))
    wall = base - 8 * DAY
    records = []
    for offset, (key, at, row) in enumerate(sent):
        wall = max(wall, at - draw(st.sampled_from([0, 0, SECOND, 6 * SECOND])))
        records.append(Record(Position(1, 0, offset), key, payload_of(key, at, row), wall))
    return tuple(records)


@st.composite
def cases(draw: st.DrawFn, specs: st.SearchStrategy[Any]) -> StreamCase:
    """A view over a source with retractions, its log, and reads."""
    records = draw(logs())
    return StreamCase(
        columns=(*COLUMNS, Column("op", "string", nullable=False)),
        spec=draw(specs),
        records=records,
        arrivals=tuple(r.position.offset for r in records),
        reads=tuple(draw(st.lists(reads(records), min_size=1, max_size=6))),
        operation=OPERATION,
    )


WINDOWS = cases(window_specs(CAN, exact=False)).filter(fits)
LATEST = cases(latest_specs())


@given(WINDOWS)
def test_a_frame_gives_the_definition(case: StreamCase) -> None:
    """R12: event times too."""
    assert_agree(case, FRAME.answers(case), ORACLE.answers(case), [False] * len(case.reads))


@given(WINDOWS, st.sampled_from([1, 2, 3, 7, None]))
def test_a_folded_state_gives_the_definition_or_refuses_lawfully(case: StreamCase, batch: int | None) -> None:
    """R12: event times too."""
    road = FoldRoad("fold", batch)
    lawful = [road.may_refuse(case, read) for read in case.reads]
    assert_agree(case, road.answers(case), ORACLE.answers(case), lawful)
    assert_agree(case, road.answers(case), FRAME.answers(case), lawful)


@given(WINDOWS, st.data())
def test_values_do_not_depend_on_arrival_order(case: StreamCase, data: st.DataObject) -> None:
    case = replace(case, reads=tuple(replace(read, known=None) for read in case.reads))
    other = reordered(case, data.draw(st.permutations(range(len(case.records)))))
    wanted = ORACLE.answers(case)
    assert_agree(case, ORACLE.answers(other), wanted, [False] * len(case.reads))
    assert_agree(case, FRAME.answers(other), wanted, [False] * len(case.reads))
    road = FoldRoad("fold", 3)
    assert_agree(case, road.answers(other), wanted, [road.may_refuse(other, r) for r in case.reads])


@given(LATEST, st.sampled_from([1, 3, None]))
def test_latest_values_are_those_of_the_definition(case: StreamCase, batch: int | None) -> None:
    wanted = ORACLE.answers(case)
    assert_agree(case, FRAME.answers(case), wanted, [False] * len(case.reads))
    road = FoldRoad("fold", batch)
    assert_agree(case, road.answers(case), wanted, [road.may_refuse(case, r) for r in case.reads])


@given(WINDOWS, st.lists(st.tuples(times(SECOND), rows), max_size=8), st.data())
def test_what_is_taken_back_leaves_the_bytes_of_neither(
    case: StreamCase, added: Sequence[tuple[int, dict[str, Any]]], data: st.DataObject
) -> None:
    """R13: insertions with their retractions, at any places of the log, change no byte of a state."""
    spec = case.spec
    assert isinstance(spec, WindowSpec)
    # What lies in the head list raises no horizon here: those depend on what was kept apart on the way.
    case = replace(case, spec=replace(spec, head_max=256))
    base = min(_time(r) for r in case.records)
    pairs = [("k1", base + at, {"op": op, **row}) for at, row in added for op in "+-"]
    extra = [Record(Position(1, 0, 0), key, payload_of(key, at, row), 0) for key, at, row in pairs]
    mixed = data.draw(st.permutations([*case.records, *extra]))
    end = max(_time(r) for r in (*case.records, *extra)) + DAY
    assert bytes_of(case, mixed, end) == bytes_of(case, data.draw(st.permutations(case.records)), end)


def _time(record: Record) -> int:
    at = record.payload.split(b'"event_time": ')[1].split(b",")[0].split(b"}")[0]
    return int(at)


def bytes_of(case: StreamCase, records: Sequence[Record], end: int) -> Store:
    """The states after these records and one at the end that moves all horizons, at one position."""
    closing = [Record(Position(1, 0, 0), key, payload_of(key, end, {"op": "+"}), end) for key in KEYS]
    last = [*records, *closing]
    # Both logs end at the same offset, and every record is appended at the end.
    first = 1000 - len(last)
    placed = [replace(r, position=Position(1, 0, first + n), append_time=end) for n, r in enumerate(last)]
    view = kernel.StreamView(stream_meaning(case))
    state = view.open_partition(EPOCH, 0, 1)
    store: Store = {}
    for record in placed:
        fold(state, store, case, [record], end)
    flush(state, store, 1000)
    return store
