"""Building a view from the start of its log beside the running session, until it stands where the session does.

The session goes on meanwhile: the other views of the log are not delayed. When the new view is near, the session
waits for it at its own position and takes it over.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from services.stream_agg.domain.opening import Begin
from services.stream_agg.ports import Records, States, Store, Topics
from services.stream_agg.workflow.fold import LogFold, ViewFold
from services.stream_agg.workflow.rereading import cut_records
from skewless.clock import Clock
from skewless.definitions.catalog import InputLog

_NEAR = 10_000
"""Records behind the session at which it may wait for the rest."""
_WAIT_S = 0.1


class CatchUp:
    """A thread that folds one view from the log's start."""

    def __init__(
        self,
        input_log: InputLog,
        fold: ViewFold,
        starts: Sequence[Begin],
        *,
        store: Store,
        topics: Topics,
        clock: Clock,
        flush_records: int,
        cache_bytes: int,
    ) -> None:
        self.fold = fold
        self._log = input_log
        self._work = LogFold(input_log, [fold], starts, cache_bytes)
        self._store = store
        self._topics = topics
        self._clock = clock
        self._flush_records = flush_records
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._at = dict(self._work.positions)
        self._limit = dict(self._work.positions)
        """Where the session stands; never passed."""
        self._ending = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"catch-up-{fold.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; what is written stays and is passed over the next time."""
        self._stop.set()
        self._thread.join()

    def near(self, positions: Mapping[int, int]) -> bool:
        """Whether little is missing up to the session's positions. Raises what has ended the thread."""
        with self._lock:
            self._limit = dict(positions)
            if self._failure is not None:
                raise self._failure
            return sum(max(0, at - self._at[partition]) for partition, at in positions.items()) <= _NEAR

    def finish(self, positions: Mapping[int, int], stopping: threading.Event) -> bool:
        """Waits until the view stands exactly at these positions, the session's; then the thread ends.

        False if it was given up because ``stopping`` was set. Raises what has ended the thread.
        """
        with self._lock:
            self._limit = dict(positions)
            self._ending = True
        while self._thread.is_alive():
            self._thread.join(_WAIT_S)
            if stopping.is_set():
                self._stop.set()
        if self._failure is not None:
            raise self._failure
        return self._work.positions == positions

    def _run(self) -> None:
        try:
            self._build()
        except BaseException as error:  # noqa: BLE001 (handed to the session)
            with self._lock:
                self._failure = error

    def _build(self) -> None:
        states = self._store.connect()
        reader = self._topics.read(self._log.name, self._work.positions)
        reached = dict(self._work.positions)
        ahead: list[Records] = []  # read already, at or above the session's positions
        try:
            while not self._stop.is_set():
                with self._lock:
                    limit, ending = dict(self._limit), self._ending
                if ending and limit == self._work.positions:
                    return
                if not ahead or any(reached[partition] < at for partition, at in limit.items()):
                    taken = reader.read(max_records=self._flush_records, wait_s=_WAIT_S)
                    ahead += taken.parts
                    for part in taken.parts:
                        reached[part.partition] = part.offsets[-1] + 1
                    for partition, end in taken.ends.items():
                        reached[partition] = max(end, reached[partition])
                else:  # level with the session
                    self._stop.wait(_WAIT_S / 10)
                ahead = self._fold_below(limit, ahead, states)
                self._work.passed({p: min(at, limit[p]) for p, at in reached.items()})
                self._work.flush(list(limit), states)
                with self._lock:
                    self._at = dict(self._work.positions)
        finally:
            reader.close()
            states.close()

    def _fold_below(self, limit: Mapping[int, int], parts: Sequence[Records], states: States) -> list[Records]:
        """Folds what lies below the limit; gives the rest."""
        rest: list[Records] = []
        for part in parts:
            cut = bisect_left(part.offsets, limit[part.partition])
            if cut:
                self._work.take(cut_records(part, 0, cut), states, self._clock.now_us())
            if cut < len(part):
                rest.append(cut_records(part, cut, len(part)))
        return rest
