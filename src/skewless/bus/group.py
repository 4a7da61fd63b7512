"""The offsets of one group, asked for and committed without being a member of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from skewless.bus.errors import BusError, code_of, text_of


@dataclass(frozen=True, slots=True)
class Committed:
    """How far a group has come in a partition, and what it noted beside it."""

    next_offset: int
    note: str = ""
    """At most 4,096 bytes of UTF-8 with usual broker settings."""


class Group:
    """A client of the group's coordinator. Safe to use from several threads.

    The client's own waiting for a commit knows no end, so commits are sent and then waited for here.
    """

    def __init__(self, config: Mapping[str, Any], address: str, name: str, timeout_s: float) -> None:
        self._config = config
        self._address = address
        self._name = name
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._client: Consumer | None = None
        self._answers: list[tuple[KafkaError | None, list[TopicPartition]]] = []

    def committed(self, topic: str, partitions: Iterable[int]) -> dict[int, Committed]:
        """What was committed; a partition without a commit is absent. Raises BusError."""
        places = [TopicPartition(topic, partition) for partition in partitions]
        doing = f"asking for the offsets that {self._name} committed for {topic}"
        with self._lock:
            try:
                found = self._connected().committed(places, timeout=self._timeout_s)
            except KafkaException as error:
                if code_of(error) == KafkaError.GROUP_ID_NOT_FOUND:
                    return {}
                raise self._failed(doing, text_of(error)) from error
        kept: dict[int, Committed] = {}
        for place in found:
            if place.error is not None:
                raise BusError(self._address, doing, place.error)
            if place.offset != OFFSET_INVALID:
                kept[place.partition] = Committed(place.offset, place.metadata or "")
        return kept

    def commit(self, topic: str, offsets: Mapping[int, Committed]) -> None:
        """Commits. Raises BusError; it may have been done nevertheless, or be done later."""
        places = [TopicPartition(topic, p, done.next_offset, done.note) for p, done in offsets.items()]
        doing = f"committing offsets of {self._name} for {topic}"
        with self._lock:
            client = self._connected()
            self._answers.clear()
            try:
                client.commit(offsets=places, asynchronous=True)
            except KafkaException as error:
                raise self._failed(doing, text_of(error)) from error
            deadline = time.monotonic() + self._timeout_s
            while not self._answers:
                client.poll(0.01)
                if time.monotonic() > deadline and not self._answers:
                    raise self._failed(doing, f"no answer in {self._timeout_s:g} s")
            refused, answered = self._answers[0]
        wrong = refused or next((place.error for place in answered if place.error is not None), None)
        if wrong is not None:
            raise BusError(self._address, doing, wrong)

    def _connected(self) -> Consumer:
        if self._client is None:
            answers: list[tuple[KafkaError | None, list[TopicPartition]]] = []
            self._answers = answers
            self._client = Consumer(
                {
                    **self._config,
                    "group.id": self._name,
                    "enable.auto.commit": False,
                    "on_commit": lambda error, places: answers.append((error, places)),
                }
            )
        return self._client

    def _failed(self, doing: str, detail: str) -> BusError:
        """Gives the client up, with what it has not answered, and says so."""
        client, self._client = self._client, None
        if client is not None:
            threading.Thread(target=client.close, name="bus-close", daemon=True).start()
        return BusError(self._address, doing, detail)
