"""The requests that wait to be replayed: bounded, each with its due instant, handed out in batches of one project.

add -> waiting -> take -> in flight -> done | again | narrow | postpone -> waiting ...
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from services.validator.domain.positions import Mark
from skewless.clock import Backoff
from skewless.served import ServedVector

_UNLOGGED: Final = Backoff(1.0, 30.0)
_REFUSED: Final = Backoff(1.0, 600.0)


@dataclass(frozen=True, slots=True)
class Rules:
    """How requests are replayed.

    batch: requests in one batch at most.
    capacity: undecided requests held at most.
    settle_s: seconds before the first try.
    give_up_s: seconds after which an undecided request is given up.
    unlogged, refused: waits of requests that a log has not reached, and of requests that are refused.
    """

    batch: int = 500
    capacity: int = 100_000
    settle_s: float = 2.0
    give_up_s: float = 86_400.0
    unlogged: Backoff = _UNLOGGED
    refused: Backoff = _REFUSED


@dataclass(slots=True)
class Waiting:
    """A request that is not decided.

    rows: its vectors.
    since: when it came.
    widest: the greatest batch it may be part of.
    marks: its places in the served log; more than one if it was read more than once.
    failures: how often a log had not reached it, or it was refused alone.
    """

    project: str
    request_id: str
    rows: int
    served_at_us: int
    since: float
    widest: int
    marks: list[Mark] = field(default_factory=list)
    failures: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.project, self.request_id


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests of one project that are replayed together; at least one.

    full: whether others may be due that found no place in it.
    """

    project: str
    requests: tuple[Waiting, ...]
    full: bool

    @property
    def request_ids(self) -> list[str]:
        return [request.request_id for request in self.requests]

    @property
    def served_from_us(self) -> int:
        """The instant of the earliest answer."""
        return min(request.served_at_us for request in self.requests)

    @property
    def served_until_us(self) -> int:
        """Just after the latest answer."""
        return max(request.served_at_us for request in self.requests) + 1


class ReplayQueue:
    """Undecided requests, waiting or in flight."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._held: dict[tuple[str, str], Waiting] = {}
        self._due: dict[str, list[tuple[float, int, Waiting]]] = {}
        self._order = itertools.count()
        self._rows: Counter[str] = Counter()

    @property
    def room(self) -> int:
        """How many more requests it takes."""
        return self._rules.capacity - len(self._held)

    def pending(self, project: str) -> int:
        """Undecided vectors of a project."""
        return self._rows[project]

    def oldest(self, project: str) -> float | None:
        """Since when the oldest undecided request of a project waits; None: there is none."""
        return next((request.since for request in self._held.values() if request.project == project), None)

    def add(self, vector: ServedVector, mark: Mark, now: float) -> bool:
        """Takes a request in, with its place. False: it waits already. Raises OverflowError without room."""
        held = self._held.get((vector.project, vector.request_id))
        if held is not None:
            held.marks.append(mark)
            return False
        if self.room <= 0:
            raise OverflowError(f"the queue of {self._rules.capacity} undecided requests is full")
        request = Waiting(
            vector.project, vector.request_id, vector.rows, vector.served_at_us, now, self._rules.batch, [mark]
        )
        self._held[request.key] = request
        self._rows[request.project] += request.rows
        self._push(request, now + self._rules.settle_s)
        return True

    def take(self, now: float) -> Batch | None:
        """The requests that are due longest, of one project; None: none is due."""
        heads = {project: heap[0] for project, heap in self._due.items() if heap[0][0] <= now}
        if not heads:
            return None
        project = min(heads, key=lambda name: heads[name][:2])
        heap = self._due[project]
        taken: list[Waiting] = []
        widest = self._rules.batch
        while heap and heap[0][0] <= now and len(taken) < min(widest, heap[0][2].widest):
            request = heapq.heappop(heap)[2]
            widest = min(widest, request.widest)
            taken.append(request)
        full = bool(heap) and heap[0][0] <= now
        if not heap:
            del self._due[project]
        return Batch(project, tuple(taken), full)

    def done(self, request: Waiting) -> None:
        """The request is decided or given up."""
        for mark in request.marks:
            mark.decide()
        del self._held[request.key]
        self._rows[request.project] -= request.rows

    def again(self, request: Waiting, now: float) -> bool:
        """A log has not reached the request. False: it has waited too long; it is still held."""
        request.failures += 1
        return self._later(request, now, self._rules.unlogged.after(request.failures))

    def narrow(self, request: Waiting, size: int, now: float) -> bool:
        """A batch of this size with the request was refused. False: it has waited too long; it is still held."""
        if size > 1:
            request.widest = size // 2
            return self._later(request, now, 0.0)
        request.failures += 1
        return self._later(request, now, self._rules.refused.after(request.failures))

    def postpone(self, request: Waiting, now: float) -> None:
        """The batch could not be asked about."""
        self._push(request, now)

    def _later(self, request: Waiting, now: float, wait: float) -> bool:
        if now - request.since >= self._rules.give_up_s:
            return False
        self._push(request, now + wait)
        return True

    def _push(self, request: Waiting, due: float) -> None:
        heapq.heappush(self._due.setdefault(request.project, []), (due, next(self._order), request))
