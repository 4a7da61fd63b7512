"""Duplicates by source position, and which offsets may be committed."""

from hypothesis import given
from hypothesis import strategies as st

from services.stream_agg.domain.commits import Trail
from services.stream_agg.domain.letters import LetterPosition
from services.stream_agg.domain.sources import UNKNOWN, SourceVector, read_position, write_position


def test_a_repeated_source_record_is_a_duplicate_and_a_later_one_is_not() -> None:
    vector = SourceVector()
    assert vector.fresh([(0, 5), (0, 6), (0, 5), (1, 5), (0, 6), (0, 9)]) == [True, True, False, True, False, True]
    assert vector.snapshot() == {0: 10, 1: 6}


def test_a_record_of_unknown_source_position_is_never_a_duplicate() -> None:
    assert SourceVector().fresh([UNKNOWN, UNKNOWN]) == [True, True]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), max_size=40), st.integers(0, 40))
def test_a_vector_taken_on_from_a_note_decides_as_if_it_had_never_stopped(
    positions: list[tuple[int, int]], cut: int
) -> None:
    whole = SourceVector().fresh(positions)
    first = SourceVector()
    head = first.fresh(positions[:cut])
    assert head + SourceVector(first.snapshot()).fresh(positions[cut:]) == whole


@given(st.integers(0, 2**40), st.integers(0, 2**20), st.integers(0, 2**60))
def test_positions_come_back(epoch: int, partition: int, offset: int) -> None:
    assert read_position(write_position(epoch, partition, offset)) == (partition, offset)


def test_a_header_that_is_no_position_is_unknown() -> None:
    for text in (None, b"", b"1/2", b"1/2/3/4", b"a/b/c", b"1/-2/3", b"1//3"):
        assert read_position(text) == UNKNOWN


def test_a_header_beyond_what_a_log_can_number_is_unknown() -> None:
    """Nobody who writes into a re-keyed log can stop its reader with a number that no column holds."""
    assert read_position(b"9223372036854775807/2147483647/9223372036854775807") == (2**31 - 1, 2**63 - 1)
    for text in (b"9223372036854775808/0/0", b"1/2147483648/0", b"1/0/9223372036854775808", b"1/0/" + 5_000 * b"1"):
        assert read_position(text) == UNKNOWN
        assert LetterPosition.read(text) is None


def test_only_what_is_both_durable_and_logged_is_committed() -> None:
    trail: Trail[str] = Trail()
    for offset, note in ((10, "a"), (20, "b"), (30, "c")):
        trail.add(offset, note)
    assert trail.commit(durable=5, logged=30) is None
    assert trail.commit(durable=30, logged=25) == (20, "b")
    assert trail.commit(durable=30, logged=29) is None
    assert trail.commit(durable=30, logged=99) == (30, "c")
    assert trail.commit(durable=30, logged=99) is None
