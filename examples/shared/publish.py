"""The producer's side: records in Kafka, as any team would publish them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from skewless.bus import Bus

PARTITIONS = 2
"""As many as this machine is presumed to have cores."""


@dataclass
class Publisher:
    """Publishes records in order and knows where each of them came to lie.

    topics: the topic of each source; missing ones are created.
    ends: per (source, partition) the offset behind the last record that the broker has acknowledged.
    published: records acknowledged.
    """

    bus: Bus
    topics: Mapping[str, str]
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    published: int = 0

    def __post_init__(self) -> None:
        self._sources = {topic: source for source, topic in self.topics.items()}
        for topic in self.topics.values():
            self.bus.ensure_topic(topic, partitions=PARTITIONS)
        self._sender = self.bus.sender(on_sent=self._sent)

    def send(self, source: str, value: bytes | None, *, key: str | None, partition: int | None = None) -> None:
        """Queues a record. Its key chooses the partition if none is named; without a key it goes to any."""
        encoded = None if key is None else key.encode()
        self._sender.send(self.topics[source], value, key=encoded, partition=partition)

    def flush(self) -> None:
        """Waits until the broker has acknowledged everything."""
        if not self._sender.flush(60):
            raise TimeoutError(f"the broker at {self.bus.address} did not take all records within 60 s")

    def positions(self) -> list[tuple[str, int, int]]:
        """(source, partition, next offset) of everything that was acknowledged."""
        return [(source, partition, end) for (source, partition), end in self.ends.items()]

    def _sent(self, topic: str, partition: int, offset: int) -> None:
        place = (self._sources[topic], partition)
        self.ends[place] = max(self.ends.get(place, 0), offset + 1)
        self.published += 1
