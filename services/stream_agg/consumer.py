"""Kafka in: the facts of topics, reading by position, commits with their notes."""

from __future__ import annotations

from collections.abc import Mapping

from services.stream_agg.domain.notes import Note, read_note, write_note
from services.stream_agg.domain.opening import PartitionFacts, TopicFacts
from services.stream_agg.ports import LogReader
from skewless.bus import Bus, Committed


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

    def ends(self, topic: str) -> dict[int, int]:
        found = self._bus.topic(topic)
        return self._bus.ends(topic, range(found.partitions)) if found else {}

    def read(self, topic: str, positions: Mapping[int, int]) -> LogReader:
        return self._bus.reader(topic, positions)

    def commit(self, group: str, topic: str, offsets: Mapping[int, tuple[int, Note]]) -> None:
        self._bus.commit(
            group, topic, {p: Committed(offset, write_note(note)) for p, (offset, note) in offsets.items()}
        )
