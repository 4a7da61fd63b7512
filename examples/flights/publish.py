"""The producer's side: flights as JSON records in Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from examples.flights.data import Event
from examples.shared.publish import Publisher

TOPICS: Mapping[str, str] = {
    "departures": "flights.departures",
    "arrivals": "flights.arrivals",
    "weather_reports": "flights.weather",
}
"""The topic of each source."""

SOURCES: Mapping[str, str] = {
    "departures": "departures",
    "arrivals": "arrivals",
    "weather": "weather_reports",
}
"""The source that each stream is defined as."""

KEYS: Mapping[str, str] = {"departures": "tailnum", "arrivals": "tailnum", "weather": "origin"}
"""The column that is each stream's record key."""


def publish(publisher: Publisher, stream: str, events: Iterable[Event]) -> None:
    """Queues events for sending. A record without a key (an unknown tail number) goes to any partition."""
    column = KEYS[stream]
    for event in events:
        key = event[column]
        value = json.dumps(event, separators=(",", ":")).encode()
        publisher.send(SOURCES[stream], value, key=None if key is None else str(key))
