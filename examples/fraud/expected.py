"""What the product must count for the records of a run, from the law alone (``docs/stream.md``, Status).

A record is late when its event time lies more than the views' ``head_slack`` behind the greatest event time that was
accepted before it in its partition.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field

from examples.fraud.generator import Fault, Record

HEAD_SLACK_US = 2_000_000
"""The default of views."""


def partition_of(key: str, partitions: int) -> int:
    """Where a record with this key goes: the CRC-32 of the key, as Kafka clients in C choose by themselves."""
    return zlib.crc32(key.encode()) % partitions


@dataclass
class Expected:
    """The account of the records taken so far, over all source topics.

    counts: records by outcome: "malformed", "too_far_future", "on_time", "late"; and "duplicate", those given again.
    faults: records by what is wrong with them.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[Fault] = field(default_factory=Counter)
    _newest: dict[tuple[str, int], int] = field(default_factory=dict)
    _taken: Counter[tuple[str, int]] = field(default_factory=Counter)

    def take(self, record: Record, partition: int) -> None:
        """Counts a record that is the next one of its partition."""
        self._taken[record.source, partition] += 1
        if record.fault is not None:
            self.faults[record.fault] += 1
        if record.fault is Fault.AHEAD:
            self.counts["too_far_future"] += 1
        elif record.fault is not None:
            self.counts["malformed"] += 1
        else:
            place, at_us = (record.source, partition), record.event_time_us
            newest = self._newest.get(place, at_us)
            self.counts["late" if newest - at_us > HEAD_SLACK_US else "on_time"] += 1
            self._newest[place] = max(newest, at_us)

    def redelivered(self, source: str, records: int) -> None:
        """Takes note that the last ``records`` of each partition of a source, or all it has, are delivered again."""
        self.counts["duplicate"] += sum(min(records, had) for (of, _), had in self._taken.items() if of == source)
