"""What is noted beside a committed offset: enough to go on as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

LIMIT_BYTES = 4_096
"""Brokers refuse longer notes."""


@dataclass(frozen=True, slots=True)
class Note:
    """The state of a log partition at a committed offset.

    origin: the offset at which the log was first read.
    topic_id, partitions: of the topic then; another one now is another log.
    vector: of a re-keyed log, per source partition the offset above which a source record is new;
        None: not noted, to be recomputed from the log.
    event_time_us: the greatest event time seen; None: none yet.
    """

    origin: int
    topic_id: str
    partitions: int
    vector: Mapping[int, int] | None = field(default_factory=dict)
    event_time_us: int | None = None


def write_note(note: Note) -> str:
    """The note as text. A vector that makes it too long is left out."""
    document: dict[str, object] = {"o": note.origin, "i": note.topic_id, "n": note.partitions}
    if note.event_time_us is not None:
        document["t"] = note.event_time_us
    short = json.dumps(document, separators=(",", ":"))
    if note.vector is None:
        return short
    document["v"] = {str(partition): offset for partition, offset in sorted(note.vector.items())}
    text = json.dumps(document, separators=(",", ":"))
    return text if len(text) <= LIMIT_BYTES else short


def read_note(text: str) -> Note | None:
    """The note in this text; None if it is none."""
    try:
        document = json.loads(text)
        vector = document.get("v")
        return Note(
            int(document["o"]),
            str(document["i"]),
            int(document["n"]),
            None if vector is None else {int(key): int(value) for key, value in vector.items()},
            document.get("t"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
