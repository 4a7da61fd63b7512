"""A broker by its address: topics, offsets, and the making of readers and senders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # these are its documented names
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from skewless.bus.errors import BusError, BusSetUpError, code_of, complaints, text_of
from skewless.bus.group import Committed, Group
from skewless.bus.reader import Reader
from skewless.bus.sender import Sender
from skewless.settings import BrokerSettings

PARTITIONS: Final = 4
"""How many partitions a topic gets that the product makes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Topic:
    """What the broker says of a topic."""

    name: str
    id: str
    """Another one after the topic was removed and made again. Empty if the broker gives none."""
    partitions: int
    cleanup_policy: str
    """``delete``, ``compact`` or both with a comma."""
    append_time: bool
    """Whether the broker stamps records with the time of their arrival; else their senders do."""


class Bus:
    """One broker (or a cluster, by any of its members). Safe to use from several threads.

    address: ``host:port``, several with commas. Nothing is connected before it is needed.
    timeout_s: how long a question to the broker may take, in seconds.
    security: options of the Kafka client for TLS and SASL; see `Bus.of`. Raises BusSetUpError if they are of no use.
    """

    def __init__(self, address: str, *, timeout_s: float = 10.0, security: Mapping[str, str] | None = None) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._config: dict[str, Any] = {
            "bootstrap.servers": address,
            "client.id": "skewless",
            "enable.metrics.push": False,
            "log_level": 2,  # the client's lower reports come through `complaints`
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 2_000,
            "socket.keepalive.enable": True,
            "error_cb": complaints(address),
            **(security or {}),
        }
        try:
            self._admin = AdminClient(self._config)
        except KafkaException as error:
            raise BusSetUpError(address, text_of(error)) from error
        self._lock = threading.Lock()
        self._groups: dict[str, Group] = {}

    @classmethod
    def of(cls, settings: BrokerSettings, *, timeout_s: float = 10.0) -> Bus:
        """The broker that a service is told of."""
        protocol = settings.broker_protocol.upper()
        security = {"security.protocol": protocol}
        if settings.broker_ca_file is not None:
            security["ssl.ca.location"] = str(settings.broker_ca_file)
        if protocol.startswith("SASL"):
            security |= {
                "sasl.mechanism": settings.broker_mechanism.upper(),
                "sasl.username": settings.broker_username.reveal(),
                "sasl.password": settings.broker_password.reveal(),
            }
        return cls(settings.broker, timeout_s=timeout_s, security=security)

    def ask(self) -> None:
        """Returns if the broker answers. Raises BusError."""
        answer = self._admin.describe_cluster(request_timeout=self._timeout_s)
        self._wait(answer, "asking for the cluster")

    def topic(self, name: str) -> Topic | None:
        """The facts about a topic; None if there is none of this name. Raises BusError."""
        doing = f"describing the topic {name}"
        described = self._admin.describe_topics(TopicCollection([name]), request_timeout=self._timeout_s)[name]
        try:
            found = described.result(self._timeout_s + 1)
        except KafkaException as error:
            if code_of(error) == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise BusError(self.address, doing, text_of(error)) from error
        resource = ConfigResource(ResourceType.TOPIC, name)
        config = self._wait(self._admin.describe_configs([resource], request_timeout=self._timeout_s)[resource], doing)
        return Topic(
            name,
            str(found.topic_id or ""),
            len(found.partitions),
            config["cleanup.policy"].value,
            config["message.timestamp.type"].value == "LogAppendTime",
        )

    def ensure_topic(self, name: str, *, partitions: int = PARTITIONS, append_time: bool = True) -> None:
        """Makes the topic unless it is there. An existing one is left as it is. Raises BusError.

        append_time: the broker stamps records when they arrive; else their senders do.
        """
        stamped = "LogAppendTime" if append_time else "CreateTime"
        wanted = NewTopic(
            name,
            partitions,
            config={"message.timestamp.type": stamped, "cleanup.policy": "delete"},
        )
        made = self._admin.create_topics([wanted], request_timeout=self._timeout_s)[name]
        try:
            made.result(self._timeout_s + 1)
        except KafkaException as error:
            if code_of(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BusError(self.address, f"making the topic {name}", text_of(error)) from error

    def starts(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The first offset that each partition still has. Raises BusError."""
        return self._offsets(topic, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The offset that the next record of each partition will have. Raises BusError."""
        return self._offsets(topic, partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def _offsets(self, topic: str, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
        asked = {TopicPartition(topic, partition): spec for partition in partitions}
        answers = self._admin.list_offsets(asked, request_timeout=self._timeout_s)
        doing = f"asking for offsets of {topic}"
        return {place.partition: self._wait(answer, doing).offset for place, answer in answers.items()}

    def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, Committed]:
        """What the group committed; a partition without a commit is absent. Raises BusError."""
        return self._group(group).committed(topic, partitions)

    def commit(self, group: str, topic: str, offsets: Mapping[int, Committed]) -> None:
        """Commits for a group that has no members.

        Raises BusError; it may have been done nevertheless, or be done when the broker is back.
        """
        if offsets:
            self._group(group).commit(topic, offsets)

    def _group(self, name: str) -> Group:
        with self._lock:
            found = self._groups.get(name)
            if found is None:
                found = self._groups[name] = Group(self._config, self.address, name, self._timeout_s)
            return found

    def reader(self, topic: str, positions: Mapping[int, int]) -> Reader:
        """Reads the topic's partitions from these offsets on."""
        return Reader(self._config, self.address, topic, positions)

    def sender(self, *, on_sent: Callable[[str, int, int], None] | None = None, linger_ms: float = 2) -> Sender:
        """Sends in order and never gives up by itself.

        on_sent: called with topic, partition and offset of each stored record, from `Sender.flush` and
            `Sender.send`.
        linger_ms: how long a record waits for company, in ms.
        """
        return Sender(self._config, self.address, on_sent, linger_ms)

    def _wait(self, answer: Future[T], doing: str) -> T:
        try:
            return answer.result(self._timeout_s + 1)
        except (KafkaException, TimeoutError) as error:
            raise BusError(self.address, doing, text_of(error)) from error
