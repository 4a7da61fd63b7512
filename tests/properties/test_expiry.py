"""A state that has expired is missed by nobody: from then on it would have answered as no state does."""

from hypothesis import assume, given
from hypothesis import strategies as st

from skewless import kernel
from tests.oracle.cells import Status
from tests.oracle.grid import DAY
from tests.properties.strategies import stream_cases, window_specs
from tests.properties.test_windows import fits
from tests.roads.cases import StreamCase, WindowSpec
from tests.roads.kernel import EPOCH, Store, decode, fold
from tests.roads.meaning import stream_meaning

CASES = stream_cases(window_specs()).filter(fits)


def flushed(case: StreamCase) -> list[tuple[str, bytes, bytes | None, int | None]]:
    """The states of one writer after the whole log, each with its expiry in Unix milliseconds."""
    state = kernel.StreamView(stream_meaning(case)).open_partition(EPOCH, 0, 1)
    store: Store = {}
    records = [record for record in case.records if record.position.partition == 0]
    assume(records)
    fold(state, store, case, records, max(record.append_time for record in records))
    return state.flush(records[-1].position.offset + 1)


@given(CASES, st.lists(st.integers(0, 800 * DAY), min_size=1, max_size=4))
def test_an_expired_state_would_have_answered_as_none(case: StreamCase, later: list[int]) -> None:
    """R7: at every time from its expiry on that it can answer; a view with a lifetime window has no expiry."""
    view = kernel.StreamView(stream_meaning(case))
    assert isinstance(case.spec, WindowSpec)
    for_ever = any(feature.shape.kind == "lifetime" for feature in case.spec.features)
    for _entity, head, body, expire_at_ms in flushed(case):
        assert (expire_at_ms is None) == for_ever
        if expire_at_ms is not None:
            for at in (expire_at_ms * 1_000, *(expire_at_ms * 1_000 + more for more in later)):
                found = view.read(head, body, at)
                if all(status != Status.NOT_ANSWERABLE for _, status, _ in found):
                    assert found == view.read(None, None, at)


@given(CASES)
def test_a_state_lives_while_an_event_of_it_may_be_seen(case: StreamCase) -> None:
    """R7: not before its newest event has left the widest window."""
    assert isinstance(case.spec, WindowSpec)
    batch = decode(case, [record for record in case.records if record.position.partition == 0])
    newest: dict[str, int] = {}
    for entity, verdict, time in zip(
        batch.column("entity_id").to_pylist(),
        batch.column("verdict").to_pylist(),
        batch.column("event_time_us").to_pylist(),
        strict=True,
    ):
        if entity is not None and verdict == "accepted":
            newest[entity] = max(time, newest.get(entity, time))
    widest = max(feature.width or 0 for feature in case.spec.features)
    for entity, _head, _body, expire_at_ms in flushed(case):
        # Where a filter keeps nothing of a key, its state has no event that it could be kept for.
        if expire_at_ms is not None and case.keep is None:
            assert expire_at_ms * 1_000 > newest[entity] + widest
