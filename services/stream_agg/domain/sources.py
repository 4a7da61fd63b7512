"""Positions in sources, and which re-keyed records are repetitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SOURCE_HEADER = "skewless-source"
"""Header of re-keyed records: ``epoch/partition/offset`` of the source record."""

Position = tuple[int, int]
"""(partition, offset) of a record in its source."""

UNKNOWN: Position = (-1, -1)
"""The position of a record in a re-keyed log that the re-keyer has not written."""


def write_position(epoch: int, partition: int, offset: int) -> bytes:
    return f"{epoch}/{partition}/{offset}".encode()


def read_position(text: bytes | None) -> Position:
    """The source position in the header, or UNKNOWN."""
    parts = (text or b"").split(b"/")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return UNKNOWN
    return int(parts[1]), int(parts[2])


class SourceVector:
    """Per source partition, the offset above which a record is new in one partition of a re-keyed log."""

    def __init__(self, seen: Mapping[int, int] | None = None) -> None:
        self._next = dict(seen or {})

    def fresh(self, positions: Sequence[Position]) -> list[bool]:
        """Whether each record, in log order, is new; takes note of it. An UNKNOWN one is always new."""
        answers = []
        for partition, offset in positions:
            if partition < 0:
                answers.append(True)
                continue
            is_new = offset >= self._next.get(partition, 0)
            if is_new:
                self._next[partition] = offset + 1
            answers.append(is_new)
        return answers

    def snapshot(self) -> dict[int, int]:
        """A copy, for a note."""
        return dict(self._next)
