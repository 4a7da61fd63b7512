"""What a session works on: its log, the views wanted of it, the parts outside, and how much is done at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from services.stream_agg.ports import DeadLetters, EventLog, ProgressLog, Store, Topics
from services.stream_agg.workflow.board import Board, LogState
from services.stream_agg.workflow.fold import storage_name
from services.stream_agg.workflow.rereading import Errands
from skewless.clock import Clock
from skewless.definitions.catalog import InputLog
from skewless.definitions.meanings import StreamView


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done at once.

    flush_s: how long records gather; flush_records: at most so many; commit_s, commit_rows: as for
    `Committer`; cache_bytes: cached states per view and partition.
    """

    flush_s: float
    flush_records: int
    commit_s: float
    commit_rows: int
    cache_bytes: int


@dataclass(frozen=True, slots=True)
class Outside:
    """The parts outside that every log uses."""

    topics: Topics
    store: Store
    events: Callable[[InputLog], EventLog]
    progress: ProgressLog
    dead_letters: DeadLetters
    clock: Clock
    board: Board


class Wanted:
    """Which views a log is to be folded into; it only grows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._views: dict[str, StreamView] = {}

    def add(self, views: Sequence[StreamView]) -> None:
        """Of versions that share their states the last one stands for all."""
        with self._lock:
            self._views.update({storage_name(view): view for view in views})

    def without(self, known: Collection[str]) -> list[StreamView]:
        """Those whose storage names are not among these."""
        with self._lock:
            return [view for name, view in self._views.items() if name not in known]


@dataclass(frozen=True, slots=True)
class Task:
    """What a session works on.

    group: under which offsets are committed.
    speaks_for_source: whether refused records of the source are sent to the dead letters by this log.
    """

    log: InputLog
    group: str
    speaks_for_source: bool
    outside: Outside
    limits: Limits
    wanted: Wanted
    errands: Errands
    stop: threading.Event

    def change(self, change: Callable[[LogState], object]) -> None:
        """Changes the log's account."""
        self.outside.board.change(self.log.project, self.log.name, change)
