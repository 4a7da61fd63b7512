"""What the workflow asks of the outside."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.stream_agg.domain.account import Account
from services.stream_agg.domain.letters import KeptRecord, LetterPosition
from services.stream_agg.domain.notes import Note
from services.stream_agg.domain.opening import PartitionFacts, TopicFacts
from skewless.errors import Fault, SkewlessError


class Records(Protocol):
    """Records of one partition in offset order; the columns have the same length."""

    partition: int
    offsets: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    times_us: list[int]
    headers: list[dict[str, bytes]]

    def __len__(self) -> int: ...


class Taken(Protocol):
    """What one read brought."""

    @property
    def parts(self) -> Sequence[Records]:
        """Partitions with records, by number."""

    @property
    def ends(self) -> Mapping[int, int]:
        """Partitions whose end was reached, and the offset of the record to come there."""


class LogReader(Protocol):
    """Reads a log from given positions on; a position that the log does not have raises PositionLostError."""

    def read(self, *, max_records: int, wait_s: float) -> Taken: ...

    def close(self) -> None: ...


class Topics(Protocol):
    """The broker, for reading. Its failures are DependencyUnavailableErrors that name the address."""

    def facts(self, topic: str, group: str) -> tuple[TopicFacts, list[PartitionFacts]] | None:
        """What is known of a topic and of the group's commits in it; None if there is no such topic."""

    def starts(self, topic: str) -> dict[int, int]:
        """The first offset that is still there, per partition."""

    def ends(self, topic: str) -> dict[int, int]:
        """The offset of the record to come, per partition."""

    def read(self, topic: str, positions: Mapping[int, int]) -> LogReader: ...

    def commit(self, group: str, topic: str, offsets: Mapping[int, tuple[int, Note]]) -> None: ...


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that was refused, with the words that say why."""

    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


class DeadLetters(Protocol):
    """Takes records that were refused."""

    def send(self, letters: Iterable[Letter]) -> None:
        """Queues them; an unreachable broker does not lose them."""

    def flush(self, timeout_s: float) -> bool:
        """Whether all are stored."""


class KeptRecords(Protocol):
    """Reads the topics of dead letters."""

    def read(self, topic: str, after: Mapping[int, int]) -> Generator[KeptRecord, None, None]:
        """What the topic has now, in the order of its times, from these offsets on (absent: from its start).

        Close it when it is not read to its end. A topic that is not there has nothing.
        """


class LetterSender(Protocol):
    """Sends dead letters to their source."""

    def replay(self, topic: str, letter: KeptRecord, position: LetterPosition) -> None:
        """Queues the letter's record for its source topic."""

    def note(self, headers: Mapping[str, bytes]) -> None:
        """Queues the record that says that it was replayed."""

    def flush(self) -> None:
        """Returns when all are stored."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RekeyedRecord:
    """A record on its way into a re-keyed log.

    source: its position in the source, as a header's value. context: its trace context, as headers.
    """

    partition: int
    key: bytes | None
    value: bytes | None
    source: bytes
    time_us: int
    context: Mapping[str, bytes]


class RekeyedLog(Protocol):
    """Writes one re-keyed log, in order; nothing behind a refused record is stored."""

    partitions: int

    def send(self, records: Sequence[RekeyedRecord]) -> None:
        """Queues records."""

    def flush(self, timeout_s: float) -> bool:
        """Whether all records are stored. Raises if one was refused."""

    def ends(self) -> Mapping[int, int]:
        """Per partition, the offset behind the last record that this writer has stored."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StateWrite:
    """One state to be written: head and, if it has changed, body."""

    key: str
    head: bytes
    body: bytes | None
    expire_at_ms: int | None


class StatesLostError(SkewlessError):
    """The store answers but has forgotten a view: what it lacks must not be taken for an empty state."""

    fault = Fault.EXTERNAL
    retry = True

    def __init__(self, *, view: str) -> None:
        super().__init__(
            f"the store has lost the sentinel of {view}, so states are missing: they are built again from the log",
            metadata={"view": view},
        )


class WrongPartitionError(SkewlessError):
    """A state was written from another partition of the same log: keys have moved between partitions."""

    fault = Fault.EXTERNAL


Found = tuple[bytes | None, bytes | None]
"""Head and body of a state, as far as they are there."""


class States(Protocol):
    """One connection to the online store. It never reconnects by itself: every failure is a SkewlessError."""

    def load(self, sentinel: str, heads: Sequence[str]) -> list[Found] | None:
        """The states at these keys; None if the view's sentinel is missing where one of them lies.

        Sentinel and states are of one answer: a state that is absent beside a sentinel is an empty one.
        """

    def write(self, writes: Sequence[StateWrite]) -> list[bool]:
        """Writes each unless the store knows as much already (False). One round trip in all.

        Raises WrongPartitionError.
        """

    def barrier(self) -> None:
        """Returns when everything that any connection had written before is as durable as the store allows."""

    def sentinel(self, key: str) -> bytes | None:
        """A view's sentinel; None if it is missing anywhere in the store."""

    def holds(self, key: str) -> bool:
        """False if a view's sentinel is missing, as far as a look of a millisecond can tell."""

    def set_sentinel(self, key: str, value: bytes, *, where_absent: bool = False) -> None:
        """Sets it everywhere, or where there is none."""

    def close(self) -> None: ...


class Store(Protocol):
    """The online store."""

    def connect(self) -> States:
        """A new connection to a store that is fit for states. Raises SkewlessError."""


class EventLog(Protocol):
    """The event log of one input log."""

    def logged(self, partitions: int) -> dict[int, int]:
        """Per partition, the offset below which every row is there; a partition without rows is absent."""

    def account(self, partitions: int) -> Account:
        """What was appended last."""

    def append(self, rows: Any, logged: Mapping[int, int], account: Account) -> None:
        """Appends an Arrow table of rows (None: none), these offsets, and the account with them, in one commit."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A view has made everything below an offset readable."""

    view: str
    log: str
    epoch: int
    partition: int
    next_offset: int
    visible_at_us: int


class ProgressLog(Protocol):
    """Remembers when which position became readable."""

    def append(self, project: str, rows: Sequence[Progress]) -> None: ...
