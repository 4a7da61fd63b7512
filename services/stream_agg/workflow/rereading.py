"""Reading a log, and again from an earlier place when somebody asks for it.

The thread that reads is the only one that touches its reader. Others hand it `Errands`, which it runs between
two reads.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from typing import Any, TypeVar

from services.stream_agg.ports import LogReader, Records, Taken, Topics
from skewless.errors import TimedOutError

T = TypeVar("T")

_LOOK_S = 0.5


class Rereader:
    """A `LogReader` that can be moved. For one thread.

    positions: the next record to be handed over, per partition.
    """

    def __init__(self, topics: Topics, topic: str, positions: Mapping[int, int]) -> None:
        self.positions = dict(positions)
        self._topics = topics
        self._topic = topic
        self._reader: LogReader = topics.read(topic, positions)

    def read(self, *, max_records: int, wait_s: float) -> Taken:
        taken = self._reader.read(max_records=max_records, wait_s=wait_s)
        for part in taken.parts:
            self.positions[part.partition] = part.offsets[-1] + 1
        for partition, end in taken.ends.items():
            self.positions[partition] = max(end, self.positions.get(partition, end))
        return taken

    def move(self, positions: Mapping[int, int]) -> dict[int, int]:
        """Goes on at these offsets in these partitions; gives the offsets at which it stood."""
        stood = {partition: self.positions[partition] for partition in positions}
        moved = self.positions | dict(positions)
        reader = self._topics.read(self._topic, moved)
        self._reader.close()
        self._reader, self.positions = reader, moved
        return stood

    def close(self) -> None:
        self._reader.close()


class Errands:
    """What others want done with a reader. They outlive it: what no reader has taken waits for the next one."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Future[Any], Callable[[Rereader], Any]]] = deque()

    def run(self, errand: Callable[[Rereader], T], *, until: Callable[[], float]) -> T:
        """Has the reader's thread do it, and gives what came of it, or raises it.

        until: the seconds left; after them the errand is taken back and TimedOutError raised.
        """
        future: Future[T] = Future()
        self._waiting.append((future, errand))
        while True:
            left = until()
            try:
                return future.result(max(0.0, min(left, _LOOK_S)))
            except NotYet:
                if left <= 0 and future.cancel():
                    raise TimedOutError(what="the reader's answer") from None

    def do(self, reader: Rereader) -> None:
        """Does what waits. Called by the reader's thread."""
        while self._waiting:
            future, errand = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(errand(reader))
            except Exception as error:  # noqa: BLE001 (handed to whoever asked)
                future.set_exception(error)


def fresh(parts: Sequence[Records], positions: Mapping[int, int]) -> tuple[Sequence[Records], int]:
    """What lies at and above these positions, and how many records lie below."""
    if all(part.offsets[0] >= positions[part.partition] for part in parts):
        return parts, 0
    kept: list[Records] = []
    below = 0
    for part in parts:
        cut = bisect_left(part.offsets, positions[part.partition])
        below += cut
        if cut < len(part):
            kept.append(cut_records(part, cut, len(part)))
    return kept, below


@dataclass(slots=True)
class _Cut:
    partition: int
    offsets: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    times_us: list[int]
    headers: list[dict[str, bytes]]

    def __len__(self) -> int:
        return len(self.offsets)


def cut_records(part: Records, begin: int, end: int) -> Records:
    """The records from index ``begin`` to before ``end``."""
    return _Cut(
        part.partition,
        part.offsets[begin:end],
        part.keys[begin:end],
        part.values[begin:end],
        part.times_us[begin:end],
        part.headers[begin:end],
    )
