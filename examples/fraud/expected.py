"""What the product must count for the records of a run, from the law alone (``docs/semantics.md``, V and H).

A record is late when it comes behind the fold horizon of its key's state. That horizon is, after each record of the
key, the greatest event time seen in the partition so far less the view's ``head_slack``, and never goes back.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
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

    counts: records by outcome: "malformed", "too_far_future", "on_time", "late".
    faults: records by what is wrong with them.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[Fault] = field(default_factory=Counter)
    _greatest: dict[tuple[str, int], int] = field(default_factory=dict)
    _horizons: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(lambda: -(2**63)))

    def take(self, record: Record, partition: int) -> None:
        """Counts a record that is the next one of its partition."""
        if record.fault is not None:
            self.faults[record.fault] += 1
        if record.fault is Fault.AHEAD:
            self.counts["too_far_future"] += 1
        elif record.fault is not None:
            self.counts["malformed"] += 1
        else:
            self._fold(record, partition)

    def _fold(self, record: Record, partition: int) -> None:
        place, owner, at_us = (record.source, partition), (record.source, record.key), record.event_time_us
        greatest = self._greatest[place] = max(at_us, self._greatest.get(place, at_us))
        self.counts["late" if at_us < self._horizons[owner] else "on_time"] += 1
        self._horizons[owner] = max(self._horizons[owner], greatest - HEAD_SLACK_US)
