"""Answers of the online service that are kept by the client, for requests about the same instant."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from skewless.api.online.v1 import online_service_pb2 as online_pb
from skewless.api.types.v1 import value_pb2
from skewless.client import _asking
from skewless.client.results import OnlineFeatures
from skewless.errors import InvalidArgumentError, Violation
from skewless.types import Status

_LASTING: Final = frozenset(
    {Status.PRESENT, Status.NULL, Status.NOT_FOUND, Status.OUTSIDE_TTL, Status.PARTIAL, Status.OVERFLOW}
    | {Status.OVER_BOUND}
)
"""What is said of known events alone. The others say how the service is, which passes."""


@dataclass(frozen=True)
class CacheCounts:
    """What a cache did since it was made.

    hits, misses: requests answered from it, and those that were sent although it may keep their answers.
    bypassed: requests without a request time. expired, evicted, invalidated: answers that were dropped, by reason.
    entries, bytes: what is kept now.
    """

    hits: int
    misses: int
    bypassed: int
    expired: int
    evicted: int
    invalidated: int
    entries: int
    bytes: int


class AnswerCache:
    """Keeps answers, so that the same request about the same instant is not sent again.

    max_age_s: how old an answer may be, since it was asked for.
    max_bytes: how much is kept, as it came over the wire; beyond, what was used longest ago is dropped.

    A request is the same if it asks for the same features, in the same versions, of the same rows, with the same
    request fields and the same ``request_time``. One without ``request_time`` is about another instant each time, and
    always sent. What was defined under a version never changes, and a value at an instant changes only when an event or
    row about the time before it is written. So an answer from here is what the service would say, bit by bit, unless
    such a write came since, or the state expired: that is not seen before ``max_age_s``, or `invalidate`. Answers with
    a status that passes (``UNAVAILABLE``, ``REBUILDING``, ``NOT_ANSWERABLE``, ``NOT_COMPUTED``, ``FUNCTION_FAILED``)
    are not kept.

    An answer from here has the ``request_id`` of the one that was sent, and is not logged again. Stores of several
    projects may share a cache; those whose API keys have different rights should not. Safe to use from several threads.
    """

    def __init__(self, *, max_age_s: float, max_bytes: int = 64 << 20) -> None:
        self._max_age_s = _asking.seconds(max_age_s, "max_age_s")
        self._max_bytes = _asking.whole(max_bytes, "max_bytes", least=1, most=_asking.INT64_MAX)
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._bytes = 0
        self._invalidations = 0
        self._counts = dict.fromkeys(("hits", "misses", "bypassed", "expired", "evicted", "invalidated"), 0)

    def invalidate(self, *, project: str | None = None, entities: Mapping[str, object] | None = None) -> int:
        """Drops answers now; also those that are on their way are not kept. Gives how many were dropped.

        project: only of this one. entities: only those with a row of this entity, by its key columns, such as
        ``{"user": "ada"}``; of a column with several values, with a row of any of them.
        """
        wanted = None if entities is None else _asking.columns(entities, "entities")
        if wanted is not None and len(rows := {len(column.values) for column in wanted.values()}) != 1:
            says = f"must be one column or several of one length, got lengths {sorted(rows)}"
            raise InvalidArgumentError([Violation("entities", says, "LENGTHS")])
        of = None if project is None else _asking.text(project, "project")
        with self._lock:
            self._invalidations += 1
            gone = [key for key, entry in self._entries.items() if entry.is_about(of, wanted)]
            for key in gone:
                self._drop(key)
            self._counts["invalidated"] += len(gone)
            return len(gone)

    def counts(self) -> CacheCounts:
        """What it did, and what it keeps."""
        with self._lock:
            return CacheCounts(**self._counts, entries=len(self._entries), bytes=self._bytes)

    def find(self, request: online_pb.GetOnlineFeaturesRequest) -> tuple[OnlineFeatures | None, Keep]:
        """For clients: the answer to a request if it is kept, and what takes note of the one that is asked for else."""
        if not request.HasField("request_time_us"):
            with self._lock:
                self._counts["bypassed"] += 1
            return None, _forget
        key, now = _key(request), time.monotonic()
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and now - entry.asked_at >= self._max_age_s:
                self._drop(key)
                self._counts["expired"] += 1
                entry = None
            if entry is not None:
                self._entries.move_to_end(key)
                self._counts["hits"] += 1
                return _copy(entry.answer), _forget
            self._counts["misses"] += 1
            began = self._invalidations

        def keep(answer: OnlineFeatures, size: int) -> None:
            if all(_LASTING.issuperset(statuses) for statuses in answer.statuses.values()):
                self._keep(key, _Entry(request, _copy(answer), now, len(key) + size), began)

        return None, keep

    def _keep(self, key: bytes, entry: _Entry, began: int) -> None:
        with self._lock:
            if self._invalidations != began or entry.size > self._max_bytes:
                return
            if key in self._entries:  # two have asked at once
                self._drop(key)
            self._entries[key] = entry
            self._bytes += entry.size
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._entries)))
                self._counts["evicted"] += 1

    def _drop(self, key: bytes) -> None:
        self._bytes -= self._entries.pop(key).size


Keep = Callable[[OnlineFeatures, int], None]
"""Takes the answer, and how large it was."""


@dataclass(frozen=True, slots=True)
class _Entry:
    request: online_pb.GetOnlineFeaturesRequest
    answer: OnlineFeatures
    asked_at: float
    size: int

    def is_about(self, project: str | None, entities: Mapping[str, value_pb2.ValueColumn] | None) -> bool:
        if project is not None and self.request.project != project:
            return False
        if entities is None:
            return True
        here = self.request.entities
        if not entities.keys() <= here.keys():
            return False
        wanted = set(_rows([entities[name] for name in entities]))
        return not wanted.isdisjoint(_rows([here[name] for name in entities]))


def _rows(columns: list[value_pb2.ValueColumn]) -> Iterator[tuple[bytes, ...]]:
    for cells in zip(*(column.values for column in columns), strict=True):
        yield tuple(cell.SerializeToString() for cell in cells)


def _key(request: online_pb.GetOnlineFeaturesRequest) -> bytes:
    """All of a request but the revision that it waits for."""
    same = online_pb.GetOnlineFeaturesRequest()
    same.CopyFrom(request)
    same.min_revision = 0
    return same.SerializeToString(deterministic=True)


def _copy(answer: OnlineFeatures) -> OnlineFeatures:
    """One of its own for each caller, who may change what is in it."""
    lists = {
        name: tuple(list(cell) if isinstance(cell, list) else cell for cell in column)
        for name, column in answer.values.items()
        if any(isinstance(cell, list) for cell in column)
    }
    return replace(
        answer,
        values={**answer.values, **lists},
        statuses=dict(answer.statuses),
        event_times_us=dict(answer.event_times_us),
        failures=dict(answer.failures),
    )


def _forget(answer: OnlineFeatures, size: int) -> None:
    """Keeps nothing."""
