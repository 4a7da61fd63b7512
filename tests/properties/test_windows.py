"""Window views: the kernel gives the definition's value however the log was cut, repeated or interrupted."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from skewless import kernel
from tests.oracle.grid import HOUR
from tests.properties.strategies import closed, reordered, stream_cases, window_specs
from tests.roads import kernel as roads
from tests.roads import oracle
from tests.roads.cases import StreamCase, TableCase
from tests.roads.kernel import EPOCH, FoldRoad, FrameRoad, Store, flush, fold
from tests.roads.meaning import stream_meaning
from tests.roads.oracle import OracleRoad
from tests.roads.registry import Answers, agrees

ORACLE, FRAME = OracleRoad(), FrameRoad()


def fits(case: StreamCase) -> bool:
    """Whether the view's largest state is one that any view may have; a fault of another kind is raised."""
    try:
        kernel.StreamView(stream_meaning(case))
    except kernel.DefinitionError as error:
        if "STATE_TOO_LARGE" not in str(error):
            raise
        return False
    return True


CASES = stream_cases(window_specs()).filter(fits)


def assert_agree(case: StreamCase | TableCase, got: Answers, wanted: Answers, lawful: Sequence[bool]) -> None:
    """Every cell equal bit for bit, event time included, or lawfully refused."""
    for read, ours, theirs, may in zip(case.reads, got, wanted, lawful, strict=True):
        for name, cell in theirs.items():
            equal = agrees(ours[name], cell, lawful=may)
            refused = ours[name].status != cell.status
            same_time = refused or ours[name].event_time == cell.event_time
            assert equal, f"{name} at {read}: kernel {ours[name]}, definition {cell}"
            assert same_time, f"{name} at {read}: kernel {ours[name]}, definition {cell}"


@given(CASES)
def test_a_frame_gives_the_definition(case: StreamCase) -> None:
    assert_agree(case, FRAME.answers(case), ORACLE.answers(case), [False] * len(case.reads))


@given(CASES, st.sampled_from([1, 2, 3, 7, None]))
def test_a_folded_state_gives_the_definition_or_refuses_lawfully(case: StreamCase, batch: int | None) -> None:
    road = FoldRoad("fold", batch)
    lawful = [road.may_refuse(case, read) for read in case.reads]
    assert_agree(case, road.answers(case), ORACLE.answers(case), lawful)


@given(CASES)
def test_the_events_behind_a_value_are_those_of_its_window(case: StreamCase) -> None:
    for read in case.reads:
        for name in case.spec.types:
            assert roads.rests_on(case, read, name) == oracle.rests_on(case, read, name)


@given(CASES, st.data())
def test_values_do_not_depend_on_arrival_order(case: StreamCase, data: st.DataObject) -> None:
    case = replace(case, reads=tuple(replace(read, known=None) for read in case.reads))
    other = reordered(case, data.draw(st.permutations(range(len(case.records)))))
    wanted = ORACLE.answers(case)
    assert_agree(case, ORACLE.answers(other), wanted, [False] * len(case.reads))
    assert_agree(case, FRAME.answers(other), wanted, [False] * len(case.reads))
    road = FoldRoad("fold", 3)
    assert_agree(case, road.answers(other), wanted, [road.may_refuse(other, r) for r in case.reads])


@given(CASES, st.data())
def test_any_split_into_batches_gives_the_same_bytes(case: StreamCase, data: st.DataObject) -> None:
    """O3: however a writer came to its offset."""
    case = closed(case)
    whole = referred(case, written(case, []))
    cuts = data.draw(st.lists(st.integers(1, len(case.records) - 2), unique=True, max_size=6))
    assert referred(case, written(case, sorted(cuts))) == whole


@given(CASES, st.data())
def test_a_crash_and_a_replay_give_the_same_bytes(case: StreamCase, data: st.DataObject) -> None:
    """O3: two writers, of which one lost its memory on the way."""
    case = closed(case, later=2 * HOUR)
    view = kernel.StreamView(stream_meaning(case))
    store: Store = {}
    committed, position = 0, 0
    offsets = [r.position.offset for r in case.records]
    for run in range(1, data.draw(st.integers(2, 4)) + 1):
        state = view.open_partition(EPOCH, 0, run)
        position = committed
        stops = data.draw(st.lists(st.integers(position, len(offsets) - 2), max_size=3).map(sorted))
        for stop in stops:
            if stop > position:
                records = case.records[position:stop]
                fold(state, store, case, records, max(r.append_time for r in records))
                position = stop
            if position and data.draw(st.booleans()):
                # Part of the states is written and the offset is not committed, or all and it is.
                partly = data.draw(st.booleans())
                flush(state, store, offsets[position - 1] + 1, limit=1 if partly else None)
                committed = committed if partly else position
    state = view.open_partition(EPOCH, 0, 9)
    rest = case.records[committed:]
    if rest:
        fold(state, store, case, rest, max(r.append_time for r in case.records))
        flush(state, store, offsets[-1] + 1)
    assert referred(case, store) == referred(case, written(case, []))


@given(CASES)
def test_what_is_served_is_what_a_frame_gives(case: StreamCase) -> None:
    """Online and offline directly, without the oracle between them."""
    road = FoldRoad("fold", None)
    lawful = [road.may_refuse(case, read) for read in case.reads]
    assert_agree(case, road.answers(case), FRAME.answers(case), lawful)


@given(CASES, st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_any_partitioning_gives_the_same_values(case: StreamCase, places: list[int]) -> None:
    """A key's events all lie in one partition (E3); which one, and who shares it, is in no value."""
    case = replace(case, reads=tuple(replace(read, known=None) for read in case.reads))
    keys = sorted({record.key or "" for record in case.records})
    place = {key: places[at % len(places)] for at, key in enumerate(keys)}
    moved = tuple(replace(r, position=replace(r.position, partition=place[r.key or ""])) for r in case.records)
    other = replace(case, records=moved)
    wanted = ORACLE.answers(case)
    assert_agree(case, ORACLE.answers(other), wanted, [False] * len(case.reads))
    assert_agree(case, FRAME.answers(other), wanted, [False] * len(case.reads))


def written(case: StreamCase, cuts: Sequence[int]) -> Store:
    """What the store holds after the log was folded in the batches between the cuts, a flush after each."""
    view = kernel.StreamView(stream_meaning(case))
    state = view.open_partition(EPOCH, 0, 1)
    store: Store = {}
    edges = [0, *cuts, len(case.records)]
    wall = max(r.append_time for r in case.records)
    for start, stop in pairwise(edges):
        records = case.records[start:stop]
        fold(state, store, case, records, wall)
        flush(state, store, records[-1].position.offset + 1)
    return store


def referred(case: StreamCase, store: Store) -> Store:
    """The states without the incarnation of their writer, and without a body that their head does not refer to."""
    view = kernel.StreamView(stream_meaning(case))
    states: Store = {}
    for key, (head, body) in store.items():
        try:
            view.read(head, None, 0)
        except kernel.StateError:
            states[key] = (head[:21] + head[29:], body)
        else:
            states[key] = (head[:21] + head[29:], None)
    return states
