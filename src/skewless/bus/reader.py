"""Reading partitions by position: records come in columns, one set per partition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from skewless.bus.errors import BusError, PositionLostError

_LOST: Final = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 (the client's names of its own errors begin so)
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
_END: Final = KafkaError._PARTITION_EOF  # noqa: SLF001


@dataclass(slots=True)
class Part:
    """Records of one partition in offset order; the columns have the same length."""

    partition: int
    offsets: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    times_us: list[int] = field(default_factory=list)
    """The records' timestamps in microseconds."""
    headers: list[dict[str, bytes]] = field(default_factory=list)
    """By name; of a repeated name the last."""

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(slots=True)
class Read:
    """What one call brought."""

    parts: list[Part]
    """Partitions with records, by number."""
    ends: dict[int, int]
    """Partitions whose end was reached, and the offset of the record that will come next there.

    It may lie above the last record's offset + 1, where the log holds marks that are not records.
    """

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)


class Reader:
    """Reads the partitions of one topic from given offsets on; made by `Bus.reader`. For one thread.

    When the broker is away `read` brings nothing, and goes on where it was when it is back.
    """

    def __init__(self, config: Mapping[str, Any], address: str, topic: str, positions: Mapping[int, int]) -> None:
        self.topic = topic
        self._address = address
        self._consumer = Consumer(
            {
                **config,
                "group.id": "skewless",  # the client wants one; nothing is committed under it
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 100,
                "fetch.error.backoff.ms": 100,
                "queued.max.messages.kbytes": 65_536,
            }
        )
        places = [TopicPartition(topic, partition, offset) for partition, offset in positions.items()]
        self._consumer.assign(places)

    def read(self, *, max_records: int, wait_s: float) -> Read:
        """What came within ``wait_s`` seconds, at once when there are ``max_records``.

        Raises PositionLostError when the log does not have the position, BusError for what the client
        cannot mend by itself.
        """
        parts: dict[int, Part] = {}
        ends: dict[int, int] = {}
        for message in self._consumer.consume(max_records, wait_s):
            error = message.error()
            if error is None:
                _add(parts, message)
            elif error.code() == _END:
                ends[_whole(message.partition())] = _whole(message.offset())
            elif error.code() in _LOST:
                raise PositionLostError(
                    address=self._address,
                    topic=self.topic,
                    partition=_whole(message.partition()),
                    detail=error.str(),
                )
            elif not error.retriable() and error.code() > 0:
                raise BusError(self._address, f"reading {self.topic}", error)
        return Read([parts[partition] for partition in sorted(parts)], ends)

    def close(self) -> None:
        """Lets go of the connections."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _add(parts: dict[int, Part], message: Message) -> None:
    partition = _whole(message.partition())
    part = parts.get(partition)
    if part is None:
        part = parts[partition] = Part(partition)
    part.offsets.append(_whole(message.offset()))
    part.keys.append(message.key())
    part.values.append(message.value())
    part.times_us.append(message.timestamp()[1] * 1_000)
    headers: Any = message.headers()
    part.headers.append({name: _bytes(value) for name, value in headers} if headers else {})


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


def _whole(value: int | None) -> int:
    assert value is not None  # noqa: S101 (a consumed message has its place)
    return value
