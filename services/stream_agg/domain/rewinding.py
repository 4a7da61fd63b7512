"""Where a reader is moved to when a source is read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from skewless.errors import Violation


@dataclass(frozen=True, slots=True)
class Rewind:
    """What was asked for.

    partition: only this one; None: each. records: so many offsets before the next record to be read; None: from
    ``to_offset`` on.
    """

    partition: int | None
    records: int | None
    to_offset: int


@dataclass(frozen=True, slots=True)
class Rewound:
    """A reader of a source partition that was moved: the next record it would have read, and the one it reads now."""

    log: str
    partition: int
    from_offset: int
    to_offset: int


def targets(
    asked: Rewind, topic: str, log: str, positions: Mapping[int, int], starts: Mapping[int, int]
) -> tuple[dict[int, int], list[Violation]]:
    """The offset to go on at, per partition, and what is wrong with what was asked.

    positions: where the reader that feeds ``log`` stands; starts: the first offset that the topic still has.
    """
    if asked.partition is not None and asked.partition not in positions:
        message = f"{topic} has the partitions 0 to {len(positions) - 1}, not {asked.partition}"
        return {}, [Violation("partition", message, "NO_SUCH_PARTITION")]
    found: dict[int, int] = {}
    wrong: list[Violation] = []
    for partition in sorted(positions) if asked.partition is None else [asked.partition]:
        at, start = positions[partition], starts[partition]
        place = f"partition {partition} of {topic}, read for {log} up to {at},"
        if asked.records is not None:
            found[partition] = at - asked.records
            if found[partition] < start:
                most = max(0, at - start)
                message = f"{place} begins at {start}: ask for at most {most}, or for one partition at a time"
                wrong.append(Violation("records", message, "BEYOND_THE_START"))
            continue
        found[partition] = asked.to_offset
        if asked.to_offset < start:
            message = f"{place} begins at {start}: what lay below was removed; ask for {start} or more"
            wrong.append(Violation("to_offset", message, "BEYOND_THE_START"))
        elif asked.to_offset > at:
            message = f"{place} cannot be read again from {asked.to_offset}: ask for {at} or less"
            wrong.append(Violation("to_offset", message, "AHEAD"))
    return found, wrong
