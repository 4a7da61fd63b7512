"""Sending in order: each record is stored once per partition and session, or everything after it is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from skewless.bus.errors import BusError
from skewless.telemetry.spans import outgoing

_POLL_EVERY: Final = 64
"""Each look at what has been stored hands the interpreter to another thread."""


class Sender:
    """An idempotent producer that waits for all replicas; made by `Bus.sender`. For one thread.

    A record waits as long as the broker is away; none is given up for its age. The first that is refused
    ends the sender: every later call raises, and nothing that came after it in its partition is stored.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        address: str,
        on_sent: Callable[[str, int, int], None] | None,
        linger_ms: float,
    ) -> None:
        self._address = address
        self._on_sent = on_sent
        self._failure: str | None = None
        self._unpolled = 0
        self._complain: Callable[[KafkaError], None] = config["error_cb"]
        self._producer = Producer(
            {
                **config,
                "enable.idempotence": True,
                "enable.gapless.guarantee": True,
                "acks": "all",
                "message.timeout.ms": 0,
                "linger.ms": linger_ms,
                "error_cb": self._erred,
                "queue.buffering.max.messages": 200_000,
            }
        )

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Mapping[str, bytes] | None = None,
        time_us: int | None = None,
        told: bool = True,
    ) -> None:
        """Queues a record; waits while the queue is full.

        partition: by the hash of the key if not given.
        headers: with the current trace context, if it is sampled and they have none.
        time_us: its timestamp in microseconds (kept to the millisecond); now if not given.
        told: whether ``on_sent`` hears of this record. Each call costs more than the sending; where many go to one
            partition it is enough to hear of the last, since none is stored before those ahead of it.
        Raises BusError if an earlier record was refused.
        """
        headers = outgoing(headers)
        arguments: dict[str, Any] = {"key": key, "headers": list(headers.items()) if headers else None}
        if told:
            arguments["on_delivery"] = self._delivered
        if partition is not None:
            arguments["partition"] = partition
        if time_us is not None:
            arguments["timestamp"] = time_us // 1_000
        while True:
            self._raise_failure()
            try:
                self._producer.produce(topic, value, **arguments)
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                self._failure = f"sending to {topic}: {error}"
            else:
                self._unpolled += 1
                if self._unpolled == _POLL_EVERY:
                    self._unpolled = 0
                    self._producer.poll(0)
                return

    def send_all(self, topic: str, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Queues records of a key and a value each, as `send` does one by one, in less time. ``on_sent`` hears of the
        last at most: a refused record is a gap, which ends the sender by itself.

        Raises BusError if a record was refused.
        """
        self._raise_failure()
        produce = self._producer.produce
        for key, value in records[:-1]:
            try:
                produce(topic, value, key)
            except (BufferError, KafkaException):
                self.send(topic, value, key=key, told=False)
        for key, value in records[-1:]:
            self.send(topic, value, key=key)
        self.poll()

    def flush(self, timeout_s: float) -> bool:
        """Waits until all queued records are stored; False if some still wait at the end of the time.

        Raises BusError if one was refused.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left = self._producer.flush(max(0.0, min(0.2, deadline - time.monotonic())))
            self._raise_failure()
            if left == 0:
                return True
            if time.monotonic() >= deadline:
                return False

    def poll(self) -> None:
        """Takes note of what has been stored meanwhile. Raises BusError if a record was refused."""
        self._producer.poll(0)
        self._raise_failure()

    def close(self) -> None:
        """Drops what still waits. Call `flush` before."""
        self._producer.purge()
        self._producer.flush(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = self._failure or f"{message.topic()}/{message.partition()} did not take a record: {error}"
        elif self._on_sent is not None:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if topic is not None and partition is not None and offset is not None:
                self._on_sent(topic, partition, offset)

    def _erred(self, error: KafkaError) -> None:
        """A gap in what was sent is fatal for the client; other errors it mends by itself."""
        self._complain(error)
        if error.fatal():
            self._failure = self._failure or f"a record was not taken: {error}"

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise BusError(self._address, "sending", self._failure)
