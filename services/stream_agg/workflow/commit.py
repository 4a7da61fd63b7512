"""Keeping account behind the folding: event-log rows, durable states, committed offsets, progress.

A cycle: dead letters stored -> rows and their offsets committed to the event log -> states durable ->
offsets committed to the broker -> progress rows. In this order nothing is ever said to be done that a
crash could still undo.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

from services.stream_agg.domain.commits import Trail
from services.stream_agg.domain.notes import Note
from services.stream_agg.domain.opening import Begin
from services.stream_agg.ports import (
    DeadLetters,
    EventLog,
    Letter,
    Progress,
    ProgressLog,
    States,
    Topics,
)
from services.stream_agg.workflow.board import Board, LogState
from services.stream_agg.workflow.fold import Decoded
from services.stream_agg.workflow.ledger import Ledger
from services.stream_agg.workflow.rows import event_rows
from skewless.definitions.catalog import InputLog
from skewless.errors import DependencyUnavailableError
from skewless.telemetry import names, spans

log = logging.getLogger(__name__)

_WAITING_ROWS = 4
"""The folding waits when so many times ``commit_rows`` are not committed yet."""


class Committer:
    """The accountant of one log: a thread that runs a cycle now and then.

    group: under which offsets are committed.
    interval_s, rows: a cycle comes after so long or so many rows.
    """

    def __init__(
        self,
        input_log: InputLog,
        group: str,
        begins: Sequence[Begin],
        *,
        topics: Topics,
        events: EventLog,
        progress: ProgressLog,
        dead_letters: DeadLetters | None,
        states: States,
        board: Board,
        ledger: Ledger,
        interval_s: float,
        rows: int,
    ) -> None:
        self._log = input_log
        self._group = group
        self._topics = topics
        self._events = events
        self._progress = progress
        self._dead_letters = dead_letters
        self._states = states
        self._board = board
        self._ledger = ledger
        self._again = 0
        self._interval_s = interval_s
        self._limit = rows
        self._wake = threading.Condition()
        self._stop = False
        self._hurried = False
        self._unheed: Callable[[], None] | None = None
        self._decoded: list[Decoded] = []
        self._letters: list[Letter] = []
        self._count = 0
        self._seen = {begin.partition: begin.logged for begin in begins}
        self._visible = {begin.partition: begin.position for begin in begins}
        self._steps: list[tuple[int, int, Note]] = []
        self._moved: list[Progress] = []
        self._trails: dict[int, Trail[Note]] = {begin.partition: Trail() for begin in begins}
        self._pending: dict[int, tuple[int, Note]] = {}
        self._logged = dict(self._seen)
        self.failure: BaseException | None = None
        """Why it has ended by itself; None while it runs."""
        self._thread = threading.Thread(target=self._run, name=f"commit-{input_log.name}", daemon=True)

    def start(self) -> None:
        self._unheed = self._board.heed(self.hurry)
        self._thread.start()

    def hurry(self) -> None:
        """The next cycle comes at once: somebody waits for the event log."""
        with self._wake:
            self._hurried = True
            self._wake.notify_all()

    def stop(self, *, finish: bool) -> None:
        """Ends the thread; with ``finish`` after a last cycle."""
        if self._unheed is not None:
            self._unheed()
        with self._wake:
            self._stop = True
            if not finish:
                self._decoded, self._letters, self._steps, self._moved, self._count = [], [], [], [], 0
                self._again = 0
            self._wake.notify_all()
        self._thread.join()
        self._states.close()

    def add(
        self,
        decoded: Sequence[Decoded],
        letters: Sequence[Letter],
        seen: Mapping[int, int],
        steps: Sequence[tuple[int, int, Note]],
        progress: Sequence[Progress],
        *,
        again: int,
    ) -> None:
        """Takes over what was folded and written; waits when too much is waiting.

        seen: per partition, below it every row has been handed over. steps: (partition, next offset, note)
        of written states. again: records that were delivered although they had been before.
        """
        with self._wake:
            self._wake.wait_for(lambda: self._count < _WAITING_ROWS * self._limit or self._over())
            self._decoded += decoded
            self._letters += letters
            self._count += sum(len(part.records) for part in decoded)
            self._seen.update({p: max(at, self._seen.get(p, 0)) for p, at in seen.items()})
            self._steps += steps
            self._moved += progress
            self._again += again
            if self._count >= self._limit:
                self._wake.notify_all()

    def _due(self) -> bool:
        return self._stop or self._hurried or self._count >= self._limit

    def _over(self) -> bool:
        return self._stop or self.failure is not None

    def _run(self) -> None:
        try:
            while True:
                with self._wake:
                    self._wake.wait_for(self._due, self._interval_s)
                    ending, self._hurried = self._stop, False
                self._cycle()
                if ending:
                    return
        except BaseException as error:  # noqa: BLE001 (handed to the worker, which decides)
            with self._wake:
                self.failure = error
                self._wake.notify_all()

    def _cycle(self) -> None:
        with self._wake:
            decoded, self._decoded = self._decoded, []
            letters, self._letters = self._letters, []
            steps, self._steps = self._steps, []
            moved, self._moved = self._moved, []
            again, self._again = self._again, 0
            seen = dict(self._seen)
            self._count = 0
            self._wake.notify_all()
        if not steps and not self._pending and not again and seen == self._logged:
            return
        headers = [part.records.headers for part in decoded]
        with spans.consumed(names.ACCOUNT, self._log.name, headers, {names.PROJECT: self._log.project}):
            if letters and self._dead_letters is not None:
                self._dead_letters.send(letters)
                while not self._dead_letters.flush(1.0):
                    with self._wake:
                        if self._stop:
                            return  # the rows are not logged, so they come again
                self._change(lambda state: state.tell_letters(len(letters)))
            self._log_rows(decoded, seen, again)
            if steps:
                self._states.barrier()
            self._commit(steps)
            if moved:
                self._progress.append(self._log.project, _thinned(moved))
            self._change(LogState.tell_cycle)

    def _log_rows(self, decoded: Sequence[Decoded], seen: Mapping[int, int], again: int) -> None:
        if seen == self._logged and not again:
            return
        rows = event_rows(decoded, self._logged)
        account = self._ledger.add(rows, delivered=again + self._new(decoded), again=again)
        if rows is not None or again:
            self._events.append(rows, {p: at for p, at in seen.items() if at > self._logged.get(p, 0)}, account)
        self._logged = dict(seen)

        def note(state: LogState) -> None:
            state.logged.update(seen)
            state.account = account
            state.uncounted -= again

        self._change(note)

    def _new(self, decoded: Sequence[Decoded]) -> int:
        """How many records are not in the event log yet."""
        logged = self._logged
        return sum(
            len(part.records) - bisect_left(part.records.offsets, logged.get(part.records.partition, 0))
            for part in decoded
        )

    def _commit(self, steps: Sequence[tuple[int, int, Note]]) -> None:
        for partition, next_offset, note in steps:
            self._trails[partition].add(next_offset, note)
            self._visible[partition] = next_offset
        for partition, trail in self._trails.items():
            found = trail.commit(durable=self._visible[partition], logged=self._logged.get(partition, 0))
            if found is not None:
                self._pending[partition] = found
        if not self._pending:
            return
        try:
            self._topics.commit(self._group, self._log.name, self._pending)
        except DependencyUnavailableError as error:
            log.warning("%s: offsets are committed later: %s", self._log.name, error)
            return
        done, self._pending = self._pending, {}
        self._change(lambda state: state.committed.update({p: at for p, (at, _) in done.items()}))

    def _change(self, change: Callable[[LogState], object]) -> None:
        self._board.change(self._log.project, self._log.name, change)


def _thinned(moved: Sequence[Progress]) -> list[Progress]:
    """Of each view and partition the first step in every tenth of a second, and the last one."""
    kept: dict[tuple[str, int, int], Progress] = {}
    for row in moved:
        kept.setdefault((row.view, row.partition, row.visible_at_us // 100_000), row)
    last = {(row.view, row.partition): row for row in moved}
    return list(dict.fromkeys((*kept.values(), *last.values())))
