"""The producer's side: flights as JSON records in Kafka, as any team would publish them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from examples.flights.data import Event
from skewless.bus import Bus

TOPICS: Mapping[str, str] = {
    "departures": "flights.departures",
    "arrivals": "flights.arrivals",
    "weather": "flights.weather",
}
"""The topic of each stream."""

KEYS: Mapping[str, str] = {"departures": "tailnum", "arrivals": "tailnum", "weather": "origin"}
"""The column that is each stream's record key."""


PARTITIONS = 2
"""As many as this machine is presumed to have cores."""


@dataclass
class Publisher:
    """Publishes events in order and knows where each of them came to lie.

    ends: per (stream, partition) the offset behind the last record that the broker has acknowledged.
    published: records acknowledged.
    """

    bus: Bus
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    published: int = 0

    def __post_init__(self) -> None:
        self._streams = {topic: stream for stream, topic in TOPICS.items()}
        for topic in TOPICS.values():
            self.bus.ensure_topic(topic, partitions=PARTITIONS)
        self._sender = self.bus.sender(on_sent=self._sent)

    def publish(self, stream: str, events: Iterable[Event]) -> None:
        """Queues events for sending. A record without a key (an unknown tail number) goes to any partition."""
        column = KEYS[stream]
        for event in events:
            key = event[column]
            value = json.dumps(event, separators=(",", ":")).encode()
            self._sender.send(TOPICS[stream], value, key=None if key is None else str(key).encode())

    def flush(self) -> None:
        """Waits until the broker has acknowledged everything."""
        if not self._sender.flush(60):
            raise TimeoutError(f"the broker at {self.bus.address} did not take all records within 60 s")

    def _sent(self, topic: str, partition: int, offset: int) -> None:
        place = (self._streams[topic], partition)
        self.ends[place] = max(self.ends.get(place, 0), offset + 1)
        self.published += 1
