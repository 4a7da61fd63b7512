"""Positions in sources, and which re-keyed records are repetitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

SOURCE_HEADER = "skewless-source"
"""Header of re-keyed records: ``epoch/partition/offset`` of the source record."""

Position = tuple[int, int]
"""(partition, offset) of a record in its source."""

UNKNOWN: Position = (-1, -1)
"""The position of a record in a re-keyed log that the re-keyer has not written."""

# What Kafka can number.
_MAX_PARTITION: Final = 2**31 - 1
_MAX_OFFSET: Final = 2**63 - 1
_DIGITS: Final = len(str(_MAX_OFFSET))


def write_position(epoch: int, partition: int, offset: int) -> bytes:
    return f"{epoch}/{partition}/{offset}".encode()


def parse_position(text: bytes | None) -> tuple[int, int, int] | None:
    """Epoch, partition and offset of what `write_position` wrote; None for any other text, and without one."""
    parts = (text or b"").split(b"/")
    if len(parts) != 3 or not all(part.isdigit() and len(part) <= _DIGITS for part in parts):
        return None
    epoch, partition, offset = map(int, parts)
    if partition > _MAX_PARTITION or max(epoch, offset) > _MAX_OFFSET:
        return None
    return epoch, partition, offset


def read_position(text: bytes | None) -> Position:
    """The source position in the header, or UNKNOWN."""
    found = parse_position(text)
    return UNKNOWN if found is None else found[1:]


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
