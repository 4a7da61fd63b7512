"""Where a log is begun, and when it is rather stopped."""

from dataclasses import replace

import pytest

from services.stream_agg.domain.notes import Note, read_note, write_note
from services.stream_agg.domain.opening import (
    BUILDING,
    Begin,
    GoOn,
    PartitionFacts,
    Rebuild,
    Stop,
    TopicFacts,
    open_log,
    open_view,
)

TOPIC = TopicFacts("t", "id-1", 4, "delete")
NOTE = Note(origin=0, topic_id="id-1", partitions=4, vector={2: 9}, event_time_us=77)
FACTS = PartitionFacts(0, start=0, end=100, committed=40, note=NOTE, logged=50)
HASH = bytes(range(32))


def begin(facts: PartitionFacts, topic: TopicFacts = TOPIC) -> Begin:
    decided = open_log(topic, [facts])
    assert not isinstance(decided, Stop), decided
    return decided[0]


def stop(facts: PartitionFacts, topic: TopicFacts = TOPIC) -> str:
    decided = open_log(topic, [replace(FACTS, partition=1), facts])
    assert isinstance(decided, Stop)
    return decided.reason


def test_a_committed_log_is_resumed_with_what_was_noted() -> None:
    found = begin(FACTS)
    assert (found.position, found.logged, found.vector, found.event_time_us) == (40, 50, {2: 9}, 77)


def test_a_new_log_begins_at_its_start_with_an_empty_vector() -> None:
    found = begin(PartitionFacts(0, start=7, end=9))
    assert (found.position, found.origin, found.logged, found.vector) == (7, 7, 7, {})


def test_a_log_that_was_logged_but_never_committed_is_folded_again_and_not_logged_again() -> None:
    found = begin(PartitionFacts(0, start=0, end=100, logged=60))
    assert (found.position, found.logged) == (0, 60)


def test_an_unreadable_note_leaves_the_vector_to_be_recomputed() -> None:
    assert begin(replace(FACTS, note=None)).vector is None
    assert begin(replace(FACTS, note=replace(NOTE, vector=None))).vector is None


@pytest.mark.parametrize(
    ("facts", "topic", "words"),
    [
        (replace(FACTS, end=39, logged=None), TOPIC, "ends at 39, below the committed offset 40"),
        (replace(FACTS, end=45), TOPIC, "ends at 45, below the logged offset 50"),
        (replace(FACTS, start=41), TOPIC, "begins at 41, its records from 40 on were removed"),
        (PartitionFacts(0, start=61, end=90, logged=60), TOPIC, "its records from 60 on were removed"),
        (FACTS, replace(TOPIC, id="id-2"), "removed and made again"),
        (FACTS, replace(TOPIC, partitions=8), "had 4 partitions and has 8 now"),
        (FACTS, replace(TOPIC, cleanup_policy="compact,delete"), "cleanup.policy=compact,delete"),
    ],
)
def test_a_position_that_the_log_does_not_have_stops_it(facts: PartitionFacts, topic: TopicFacts, words: str) -> None:
    """E6: the source stops."""
    assert words in stop(facts, topic)


def test_a_view_goes_on_when_the_store_says_it_is_complete() -> None:
    assert open_view(HASH.hex().encode(), HASH, [begin(FACTS)]) == GoOn()


def test_a_view_whose_mark_is_missing_is_rebuilt() -> None:
    assert open_view(None, HASH, [begin(FACTS)]) == Rebuild()
    assert open_view(BUILDING, HASH, [begin(FACTS)]) == Rebuild()


def test_a_view_is_not_rebuilt_from_a_log_that_has_lost_its_head() -> None:
    decided = open_view(None, HASH, [begin(replace(FACTS, start=10))])
    assert isinstance(decided, Stop)
    assert "begins at 10 instead of 0" in decided.reason


def test_states_of_another_meaning_stop_a_view() -> None:
    assert isinstance(open_view(b"ff" * 32, HASH, [begin(FACTS)]), Stop)


def test_notes_come_back() -> None:
    assert read_note(write_note(NOTE)) == NOTE
    assert read_note(write_note(replace(NOTE, event_time_us=None, vector={}))) == replace(
        NOTE, event_time_us=None, vector={}
    )


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"o":1}', "1"])
def test_what_is_no_note_is_none(text: str) -> None:
    assert read_note(text) is None


def test_a_vector_that_is_too_long_is_left_out() -> None:
    text = write_note(replace(NOTE, vector={n: 10**12 + n for n in range(1_000)}))
    assert len(text) < 4_096
    found = read_note(text)
    assert found is not None
    assert found.vector is None
