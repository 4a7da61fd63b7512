"""Where to begin in a log, and with a view: resume, rebuild, or stop and say why.

A position that the log does not have is never replaced by another one: that would skip records or count
them twice without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.stream_agg.domain.notes import Note

NEW_EPOCH = "open a new epoch of the source"


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What the broker says of the topic."""

    name: str
    id: str
    partitions: int
    cleanup_policy: str


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """What is known of one partition when it is opened.

    start: the first offset that the log still has; end: the offset of the record to come.
    committed: below it states are durable and rows logged; None: never committed.
    note: what was noted beside it; None: nothing readable.
    logged: below it every row is in the event log; None: none is, or the log has no event log.
    """

    partition: int
    start: int
    end: int
    committed: int | None = None
    note: Note | None = None
    logged: int | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """Read the partition from ``position`` on.

    vector: as in `Note`, at ``position``; None: recompute it from the log's start up to ``position``.
    """

    partition: int
    position: int
    origin: int
    end: int
    start: int
    logged: int
    vector: Mapping[int, int] | None
    event_time_us: int | None


@dataclass(frozen=True, slots=True)
class Stop:
    """Do not read; an operator has to decide."""

    reason: str


def open_log(topic: TopicFacts, partitions: Sequence[PartitionFacts]) -> tuple[Begin, ...] | Stop:
    """Where to begin in each partition of a log."""
    if "compact" in topic.cleanup_policy:
        return Stop(
            f"{topic.name} has cleanup.policy={topic.cleanup_policy}, which removes records in the middle of the "
            "log; set it to delete"
        )
    begins: list[Begin] = []
    for facts in partitions:
        decided = _open_partition(topic, facts)
        if isinstance(decided, Stop):
            return decided
        begins.append(decided)
    return tuple(begins)


def _open_partition(topic: TopicFacts, facts: PartitionFacts) -> Begin | Stop:
    place = f"{topic.name}/{facts.partition}"
    note = facts.note
    if note is not None and note.topic_id and topic.id and note.topic_id != topic.id:
        return Stop(f"{topic.name} was removed and made again (id {note.topic_id}, now {topic.id}): {NEW_EPOCH}")
    if note is not None and note.partitions != topic.partitions:
        return Stop(f"{topic.name} had {note.partitions} partitions and has {topic.partitions} now: {NEW_EPOCH}")
    for what, position in (("committed", facts.committed), ("logged", facts.logged)):
        if position is not None and position > facts.end:
            return Stop(f"{place} ends at {facts.end}, below the {what} offset {position}: {NEW_EPOCH}")
    known = facts.committed if facts.committed is not None else facts.logged
    if known is not None and known < facts.start:
        return Stop(
            f"{place} begins at {facts.start}, its records from {known} on were removed before they were read: "
            f"{NEW_EPOCH}"
        )
    fresh = facts.committed is None
    position = facts.start if facts.committed is None else facts.committed
    return Begin(
        partition=facts.partition,
        position=position,
        origin=facts.start if note is None else note.origin,
        end=facts.end,
        start=facts.start,
        logged=facts.logged if facts.logged is not None else position,
        vector={} if fresh else (note.vector if note else None),
        event_time_us=note.event_time_us if note and not fresh else None,
    )


@dataclass(frozen=True, slots=True)
class GoOn:
    """The store has the view's states up to the committed offsets."""


@dataclass(frozen=True, slots=True)
class Rebuild:
    """The store may lack states: read the log again from its start, then say that the view is complete."""


BUILDING = b"building"
"""The sentinel of a view whose states are being built. Without any, the store has lost what it had of the view."""


def open_view(sentinel: bytes | None, meaning_hash: bytes, begins: Sequence[Begin]) -> GoOn | Rebuild | Stop:
    """What to do with a view, by the mark that its states are complete (its meaning hash in hexadecimal)."""
    if sentinel is not None and sentinel != BUILDING:
        if sentinel != meaning_hash.hex().encode():
            return Stop(
                f"the store holds states of another meaning ({sentinel.decode(errors='replace')[:16]}...) under this "
                f"view's keys; ours is {meaning_hash.hex()[:16]}...: apply the view as another version"
            )
        return GoOn()
    for begin in begins:
        if begin.start > begin.origin:
            return Stop(
                f"the store has lost the view's states, and partition {begin.partition} of its log begins at "
                f"{begin.start} instead of {begin.origin}: too late to rebuild them from the log"
            )
    return Rebuild()
