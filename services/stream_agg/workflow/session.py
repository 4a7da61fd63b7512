"""One input log: read, fold, write, and keep account, from wherever it was left.

A *session* goes from opening to the first failure. It begins with the facts (the broker's, the event log's,
the store's) and what the domain decides on them; no state survives it in memory. So a lost connection to the
store, a restart and a first start are one case.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from services.stream_agg.domain.notes import Note
from services.stream_agg.domain.opening import (
    BUILDING,
    Begin,
    Rebuild,
    Stop,
    TopicFacts,
    open_log,
    open_view,
)
from services.stream_agg.domain.sources import SOURCE_HEADER, SourceVector, read_position
from services.stream_agg.ports import (
    Letter,
    Progress,
    Records,
    States,
    StatesLostError,
)
from services.stream_agg.workflow.board import LogState
from services.stream_agg.workflow.catch_up import CatchUp
from services.stream_agg.workflow.commit import Committer
from services.stream_agg.workflow.fold import Decoded, LogFold, ViewFold, storage_name
from services.stream_agg.workflow.ledger import Ledger
from services.stream_agg.workflow.rereading import Rereader, fresh
from services.stream_agg.workflow.rows import letters
from services.stream_agg.workflow.task import Task
from skewless.errors import SkewlessError
from skewless.lake import EPOCH
from skewless.telemetry import names, spans

log = logging.getLogger(__name__)

_IDLE_S = 0.25
_OUTSIDE = 1_000
_CHECK_S = 1.0
"""How often the sentinels are looked at while no state is loaded."""


class LogStoppedError(SkewlessError):
    """The log must not be read on before an operator has decided."""


class LogAbsentError(SkewlessError):
    """The topic does not exist yet."""

    retry = True


class Session:
    """From one opening of the log to its end."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._log = task.log
        self._outside = task.outside
        self._limits = task.limits
        self._run_id = secrets.randbits(63)
        self._check_at = 0.0
        self._known: set[str] = set()
        self._catching_up: list[CatchUp] = []
        self._again = False
        self._incomplete: dict[str, Mapping[int, int]] = {}
        """Views without a sentinel that are folded here, and the positions at which they get it."""

    def run(self) -> None:
        """Opens the log and works until told to stop. Raises what ends the session."""
        topic, begins = self._open()
        states = self._outside.store.connect()
        reader: Rereader | None = None
        committer: Committer | None = None
        finish = False
        try:
            begins = [self._with_vector(begin) for begin in begins]
            self._topic = topic
            self._begins = {begin.partition: begin for begin in begins}
            self._fold = LogFold(self._log, [], begins, self._limits.cache_bytes)
            self._tell_opening(begins)
            self._take_up_views(states)
            committer = self._committer(begins)
            committer.start()
            reader = Rereader(self._outside.topics, self._log.name, self._fold.positions)
            self._task.change(lambda state: state.stopped.pop("log", None))
            self._loop(reader, states, committer)
            finish = True
        finally:
            for other in self._catching_up:
                other.stop()
            if reader is not None:
                reader.close()
            if committer is not None:
                committer.stop(finish=finish)
            states.close()

    def _open(self) -> tuple[TopicFacts, list[Begin]]:
        found = self._outside.topics.facts(self._log.name, self._task.group)
        if found is None:
            who = "create it" if self._log.direct else "its re-keyer makes it"
            raise LogAbsentError(f"the topic {self._log.name} does not exist yet: {who}")
        topic, partitions = found
        logged = self._outside.events(self._log).logged(topic.partitions)
        decided = open_log(topic, [replace(facts, logged=logged.get(facts.partition)) for facts in partitions])
        if isinstance(decided, Stop):
            raise LogStoppedError(decided.reason)
        return topic, list(decided)

    def _with_vector(self, begin: Begin) -> Begin:
        """Recomputes the vector from the log where it was not noted."""
        if self._log.direct or begin.vector is not None:
            return begin
        vector = SourceVector()
        with_end = {begin.partition: begin.start}
        reader = self._outside.topics.read(self._log.name, with_end)
        reached = begin.start
        try:
            while reached < begin.position and not self._task.stop.is_set():
                taken = reader.read(max_records=_OUTSIDE, wait_s=_IDLE_S)
                for part in taken.parts:
                    headers = [
                        h for h, offset in zip(part.headers, part.offsets, strict=True) if offset < begin.position
                    ]
                    vector.fresh([read_position(h.get(SOURCE_HEADER)) for h in headers])
                    reached = part.offsets[-1] + 1
                reached = max(reached, taken.ends.get(begin.partition, 0))
        finally:
            reader.close()
        return replace(begin, vector=vector.snapshot())

    def _tell_opening(self, begins: Sequence[Begin]) -> None:
        def tell(state: LogState) -> None:
            state.partitions = len(begins)
            state.visible, state.reading, state.uncounted = {}, {}, 0
            state.ends = {begin.partition: begin.end for begin in begins}
            state.logged = {begin.partition: begin.logged for begin in begins}
            state.committed = {begin.partition: begin.position for begin in begins}
            state.event_times = dict(self._fold.event_times)

        self._task.change(tell)

    def _committer(self, begins: Sequence[Begin]) -> Committer:
        events = self._outside.events(self._log)
        account = events.account(len(begins))
        self._task.change(lambda state: setattr(state, "account", account))
        return Committer(
            self._log,
            self._task.group,
            begins,
            topics=self._outside.topics,
            events=events,
            ledger=Ledger(account, min(view.head_slack_us for view in self._log.views)),
            progress=self._outside.progress,
            dead_letters=self._outside.dead_letters if self._task.speaks_for_source else None,
            states=self._outside.store.connect(),
            board=self._outside.board,
            interval_s=self._limits.commit_s,
            rows=self._limits.commit_rows,
        )

    def _take_up_views(self, states: States) -> None:
        """Begins with the views that are wanted and not known yet, each as the store's sentinel tells."""
        for view in self._task.wanted.without(self._known):
            name = storage_name(view)
            self._known.add(name)
            sentinel = states.sentinel(view.sentinel_key)
            decided = open_view(sentinel, view.meaning_hash, list(self._begins.values()))
            if view.source.document != self._log.source.document:
                decided = Stop(f"it declares the source {self._log.source.name} unlike the log's other views")
            if isinstance(decided, Stop):
                self._stop_view(name, decided.reason)
                continue
            if sentinel is None:
                states.set_sentinel(view.sentinel_key, BUILDING, where_absent=True)
            fold = ViewFold(view, self._run_id)
            at_start = all(self._fold.positions[begin.partition] <= begin.start for begin in self._begins.values())
            if isinstance(decided, Rebuild) and not at_start:
                self._catch_up(fold)
                continue
            self._fold.views.append(fold)
            if isinstance(decided, Rebuild):
                self._incomplete[name] = self._outside.topics.ends(self._log.name)
            self._show({name: self._fold.positions})

    def _stop_view(self, name: str, reason: str) -> None:
        log.error("view %s is not folded: %s", name, reason)
        self._task.change(lambda state: state.stopped.update({name: reason}))

    def _catch_up(self, fold: ViewFold) -> None:
        log.info("view %s is built from the start of %s", fold.name, self._log.name)
        starts = [
            replace(begin, position=begin.start, vector={}, event_time_us=None) for begin in self._begins.values()
        ]
        other = CatchUp(
            self._log,
            fold,
            starts,
            store=self._outside.store,
            topics=self._outside.topics,
            clock=self._outside.clock,
            flush_records=self._limits.flush_records,
            cache_bytes=self._limits.cache_bytes,
        )
        self._catching_up.append(other)
        other.start()

    def _adopt(self, states: States) -> None:
        """Takes views over that have been built elsewhere up to where this session stands."""
        for other in list(self._catching_up):
            if not other.near(self._fold.positions):
                continue
            if not other.finish(self._fold.positions, self._task.stop):
                return
            self._catching_up.remove(other)
            self._fold.views.append(other.fold)
            self._incomplete[other.fold.name] = dict(self._fold.positions)
            self._show({other.fold.name: self._fold.positions})
        self._complete(states)

    def _complete(self, states: States) -> None:
        """Says of views whose states are all there that they are."""
        for fold in self._fold.views:
            goal = self._incomplete.get(fold.name)
            if goal is not None and all(self._fold.positions[p] >= at for p, at in goal.items()):
                states.set_sentinel(fold.view.sentinel_key, fold.view.meaning_hash.hex().encode())
                del self._incomplete[fold.name]

    def _check_sentinels(self, states: States) -> None:
        """Raises StatesLostError if the store has forgotten a view. Cached states would hide it."""
        now = time.monotonic()
        if now < self._check_at:
            return
        self._check_at = now + _CHECK_S
        for fold in self._fold.views:
            if not states.holds(fold.view.sentinel_key):
                raise StatesLostError(view=fold.name)

    def _loop(self, reader: Rereader, states: States, committer: Committer) -> None:
        """Reads, folds, writes. After silence the next record is taken alone, so that it does not wait."""
        clock, limits, idle = self._outside.clock, self._limits, False
        while not self._task.stop.is_set():
            self._task.errands.do(reader)
            self._tell_again(reader.positions, 0)  # who moved it has told so; the way back may be one read
            taken = reader.read(
                max_records=1 if idle else limits.flush_records, wait_s=_IDLE_S if idle else limits.flush_s
            )
            idle = not taken.parts
            if committer.failure is not None:
                raise committer.failure
            refused: list[Letter] = []
            parts, again = fresh(taken.parts, self._fold.positions)
            with self._span(parts):
                decoded = [self._take(part, states, clock.now_us(), refused) for part in parts]
                passed = self._fold.passed(taken.ends)
                touched = {part.partition for part in parts} | set(passed)
                self._tell_again(reader.positions, again)
                if touched or again:
                    self._fold.flush(touched, states)
                    self._complete(states)  # before anybody is told that the records are readable
            if touched or again:
                self._account(touched, taken.ends, decoded, refused, committer, again=again)
            self._check_sentinels(states)
            self._take_up_views(states)
            self._adopt(states)

    def _span(self, parts: Sequence[Records]) -> spans.Active:
        if not spans.enabled():
            return spans.OFF
        attributes: dict[str, spans.Attribute] = {
            names.PROJECT: self._log.project,
            names.VIEWS: [fold.view.ref for fold in self._fold.views],
            names.MEANINGS: [fold.view.meaning_hash.hex() for fold in self._fold.views],
            names.OFFSETS: [f"{part.partition}:{part.offsets[0]}-{part.offsets[-1]}" for part in parts],
        }
        return spans.consumed(names.FOLD, self._log.name, [part.headers for part in parts], attributes)

    def _take(
        self,
        part: Records,
        states: States,
        wall_us: int,
        refused: list[Letter],
    ) -> Decoded:
        decoded = self._fold.take(part, states, wall_us)
        if self._task.speaks_for_source:
            refused += letters(self._log, decoded, self._begins[part.partition].logged)
        return decoded

    def _account(
        self,
        touched: set[int],
        ends: Mapping[int, int],
        decoded: Sequence[Decoded],
        refused: Sequence[Letter],
        committer: Committer,
        *,
        again: int,
    ) -> None:
        fold, now = self._fold, self._outside.clock.now_us()
        positions = {partition: fold.positions[partition] for partition in touched}
        steps = [(partition, at, self._note(partition)) for partition, at in positions.items()]
        progress = [
            Progress(view.name, self._log.name, EPOCH, partition, at, now)
            for view in fold.views
            for partition, at in positions.items()
        ]
        seen = {partition: max(at, self._begins[partition].logged) for partition, at in positions.items()}
        committer.add(decoded, refused, seen, steps, progress, again=again)
        times = [part.records.times_us for part in decoded]
        whole = {view.name for view in fold.views if view.name not in self._incomplete}
        self._show({view.name: positions for view in fold.views}, ends, lambda state: state.age(whole, now, times))

    def _tell_again(self, reading: Mapping[int, int], again: int) -> None:
        """Tells how far the log is being read again, if it is."""
        before, self._again = self._again, any(at < self._fold.positions[p] for p, at in reading.items())
        if not (before or self._again or again):
            return

        def tell(state: LogState) -> None:
            state.reading = dict(reading) if self._again else {}
            state.uncounted += again

        self._task.change(tell)

    def _note(self, partition: int) -> Note:
        begin = self._begins[partition]
        return Note(
            begin.origin,
            self._topic.id,
            self._topic.partitions,
            self._fold.vectors[partition].snapshot(),
            self._fold.event_times.get(partition),
        )

    def _show(
        self,
        views: Mapping[str, Mapping[int, int]],
        ends: Mapping[int, int] | None = None,
        more: Callable[[LogState], object] = lambda _: None,
    ) -> None:
        fold = self._fold
        late, below, fold.late, fold.below_horizon = fold.late, fold.below_horizon, 0, 0

        def show(state: LogState) -> None:
            for name, positions in views.items():
                state.visible.setdefault(name, {}).update(positions)
                for partition, at in positions.items():
                    state.ends[partition] = max(at, state.ends.get(partition, 0))
            state.ends.update(ends or {})
            state.event_times.update(fold.event_times)
            state.late += late
            state.below_horizon += below
            more(state)

        self._task.change(show)
