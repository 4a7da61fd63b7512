"""Kafka out: re-keyed logs and dead letters."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

from services.stream_agg.domain.letters import REPLAYED_FROM, REPLAYED_TOPIC, TOPIC, KeptRecord, LetterPosition
from services.stream_agg.domain.sources import SOURCE_HEADER
from services.stream_agg.ports import Letter, RekeyedRecord
from skewless.bus import Bus, BusError, Sender

_STORED_S = 10.0


class KafkaRekeyedLog:
    """`RekeyedLog` as a topic; it is made with the first writer. Its records keep the times they are given.

    partitions: how many it gets when it is made.
    """

    def __init__(self, bus: Bus, topic: str, partitions: int) -> None:
        bus.ensure_topic(topic, partitions=partitions, append_time=False)
        found = bus.topic(topic)
        assert found is not None  # noqa: S101 (it was just made)
        self.partitions = found.partitions
        self._topic = topic
        self._ends: dict[int, int] = {}
        self._sender: Sender = bus.sender(on_sent=self._stored)

    def send(self, records: Sequence[RekeyedRecord]) -> None:
        last = {record.partition: place for place, record in enumerate(records)}
        for place, record in enumerate(records):
            self._sender.send(
                self._topic,
                record.value,
                key=record.key,
                partition=record.partition,
                headers={SOURCE_HEADER: record.source, **record.context},
                time_us=record.time_us,
                told=last[record.partition] == place,
            )

    def flush(self, timeout_s: float) -> bool:
        return self._sender.flush(timeout_s)

    def ends(self) -> Mapping[int, int]:
        return dict(self._ends)

    def close(self) -> None:
        self._sender.close()

    def _stored(self, _topic: str, partition: int, offset: int) -> None:
        self._ends[partition] = max(offset + 1, self._ends.get(partition, 0))


class KafkaDeadLetters:
    """`DeadLetters` as the topic ``skewless.dead-letter``, made when the first letter is sent."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._lock = threading.Lock()
        self._sender: Sender | None = None

    def send(self, letters: Iterable[Letter]) -> None:
        with self._lock:
            if self._sender is None:
                self._bus.ensure_topic(TOPIC)
                self._sender = self._bus.sender()
            for letter in letters:
                self._sender.send(TOPIC, letter.value, key=letter.key, headers=letter.headers)

    def flush(self, timeout_s: float) -> bool:
        with self._lock:
            return self._sender is None or self._sender.flush(timeout_s)

    def close(self) -> None:
        """Lets go of the connection."""
        with self._lock:
            if self._sender is not None:
                self._sender.close()
                self._sender = None


class KafkaLetterSender:
    """`LetterSender`; the record of what was replayed is a topic, made when it is first needed."""

    def __init__(self, bus: Bus) -> None:
        bus.ensure_topic(REPLAYED_TOPIC)
        self._sender: Sender = bus.sender()
        self._address = bus.address

    def replay(self, topic: str, letter: KeptRecord, position: LetterPosition) -> None:
        self._sender.send(
            topic,
            letter.value,
            key=letter.key,
            partition=position.partition,
            headers={REPLAYED_FROM: str(position).encode()},
        )

    def note(self, headers: Mapping[str, bytes]) -> None:
        self._sender.send(REPLAYED_TOPIC, None, headers=headers)

    def flush(self) -> None:
        if not self._sender.flush(_STORED_S):
            raise BusError(self._address, "replaying dead letters", f"not stored within {_STORED_S:g} s")

    def close(self) -> None:
        """Lets go of the connection."""
        self._sender.close()
