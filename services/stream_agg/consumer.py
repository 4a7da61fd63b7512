"""Kafka in: the facts of topics, reading by position, commits with their notes, dead letters."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Mapping

from services.stream_agg.domain.letters import KeptRecord
from services.stream_agg.domain.notes import Note, read_note, write_note
from services.stream_agg.domain.opening import PartitionFacts, TopicFacts
from services.stream_agg.ports import LogReader
from skewless.bus import Bus, BusError, Committed, Part, Reader

_AT_ONCE = 1_000
_SILENCE_S = 10.0


class KafkaTopics:
    """`Topics` of a Kafka broker."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def facts(self, topic: str, group: str) -> tuple[TopicFacts, list[PartitionFacts]] | None:
        found = self._bus.topic(topic)
        if found is None:
            return None
        numbers = range(found.partitions)
        starts, ends = self._bus.starts(topic, numbers), self._bus.ends(topic, numbers)
        committed = self._bus.committed(group, topic, numbers)
        partitions = []
        for number in numbers:
            done = committed.get(number)
            partitions.append(
                PartitionFacts(
                    number,
                    starts[number],
                    ends[number],
                    done.next_offset if done else None,
                    read_note(done.note) if done else None,
                )
            )
        return TopicFacts(found.name, found.id, found.partitions, found.cleanup_policy), partitions

    def starts(self, topic: str) -> dict[int, int]:
        found = self._bus.topic(topic)
        return self._bus.starts(topic, range(found.partitions)) if found else {}

    def ends(self, topic: str) -> dict[int, int]:
        found = self._bus.topic(topic)
        return self._bus.ends(topic, range(found.partitions)) if found else {}

    def read(self, topic: str, positions: Mapping[int, int]) -> LogReader:
        return self._bus.reader(topic, positions)

    def commit(self, group: str, topic: str, offsets: Mapping[int, tuple[int, Note]]) -> None:
        self._bus.commit(
            group, topic, {p: Committed(offset, write_note(note)) for p, (offset, note) in offsets.items()}
        )


class KafkaKeptRecords:
    """`KeptRecords` of a Kafka broker."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def read(self, topic: str, after: Mapping[int, int]) -> Generator[KeptRecord, None, None]:
        found = self._bus.topic(topic)
        if found is None:
            return
        numbers = range(found.partitions)
        starts, ends = self._bus.starts(topic, numbers), self._bus.ends(topic, numbers)
        positions = {p: max(start, after.get(p, start)) for p, start in starts.items()}
        positions = {p: at for p, at in positions.items() if at < ends[p]}
        if positions:
            with self._bus.reader(topic, positions) as reader:
                yield from _by_time(_Merge(self._bus.address, reader, positions, ends))


class _Merge:
    """What has been read of each partition and not handed out, up to the ends."""

    def __init__(self, address: str, reader: Reader, positions: Mapping[int, int], ends: Mapping[int, int]) -> None:
        self._address = address
        self._reader = reader
        self._positions = dict(positions)
        self._ends = ends
        self.heads: dict[int, deque[KeptRecord]] = {partition: deque() for partition in positions}

    def whole(self) -> bool:
        """Whether the next record of every partition that has one is there."""
        return all(self.heads[p] or at >= self._ends[p] for p, at in self._positions.items())

    def fill(self) -> None:
        """Reads on. Raises BusError when nothing comes."""
        until = time.monotonic() + _SILENCE_S
        while time.monotonic() < until:
            taken = self._reader.read(max_records=_AT_ONCE, wait_s=0.2)
            for part in taken.parts:
                self._keep(part)
            for partition, end in taken.ends.items():
                self._positions[partition] = max(end, self._positions[partition])
            if taken.parts or taken.ends:
                return
        raise BusError(self._address, f"reading {self._reader.topic}", f"nothing came in {_SILENCE_S:g} s")

    def _keep(self, part: Part) -> None:
        columns = zip(part.offsets, part.times_us, part.keys, part.values, part.headers, strict=True)
        end = self._ends[part.partition]
        self.heads[part.partition] += [KeptRecord(part.partition, *cells) for cells in columns if cells[0] < end]
        self._positions[part.partition] = part.offsets[-1] + 1


def _by_time(merge: _Merge) -> Generator[KeptRecord, None, None]:
    while True:
        while not merge.whole():
            merge.fill()
        heads = [records for records in merge.heads.values() if records]
        if not heads:
            return
        yield min(heads, key=lambda records: (records[0].time_us, records[0].partition)).popleft()
