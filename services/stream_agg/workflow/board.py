"""Where every log is, for whoever asks; and waiting until it is somewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.stream_agg.domain.account import Account
from skewless.errors import InvalidArgumentError, Violation
from skewless.telemetry.measures import Histogram
from skewless.telemetry.metrics import FRESHNESS_S


@dataclass
class LogState:
    """The account of one input log. Changed only inside `Board.change`.

    views: the storage name of each view that reads it, with the versions it goes by.
    visible: per view and partition, everything below is readable online.
    rekeyed: per source partition, everything below is in the re-keyed log; not used by direct logs.
    sent: per partition of a re-keyed log, the offset behind what the re-keyer has put there.
    reading: per partition, the next record to be read; below what is visible while the log is read again.
    uncounted: records that were read again and are not in the account yet.
    account: of the records that are in the event log.
    cycles, failures: commits of everything read so far, and sessions that ended by a failure.
    freshness: per view that the store has whole, how long after their append records were readable, in seconds.
    """

    project: str
    log: str
    source: str
    topic: str
    direct: bool
    epoch: int
    views: dict[str, tuple[str, ...]] = field(default_factory=dict)
    partitions: int = 0
    visible: dict[str, dict[int, int]] = field(default_factory=dict)
    logged: dict[int, int] = field(default_factory=dict)
    committed: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    event_times: dict[int, int] = field(default_factory=dict)
    rekeyed: dict[int, int] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    reading: dict[int, int] = field(default_factory=dict)
    uncounted: int = 0
    account: Account = field(default_factory=Account)
    late: int = 0
    below_horizon: int = 0
    dead_letters: int = 0
    cycles: int = 0
    failures: int = 0
    freshness: dict[str, Histogram] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    """What has stopped (the log, its re-keyer, a view) and why."""

    def age(self, views: Iterable[str], now_us: int, times_us: Sequence[Sequence[int]]) -> None:
        """Records that were appended at these times are readable in these views now."""
        for view in views:
            histogram = self.freshness.setdefault(view, Histogram(FRESHNESS_S))
            for times in times_us:
                histogram.add_ages(now_us, times)

    def tell_letters(self, count: int) -> None:
        """So many refused records more lie in the dead letters."""
        self.dead_letters += count

    def tell_cycle(self) -> None:
        """One commit more went well."""
        self.cycles += 1

    def next_offset(self, partition: int) -> int:
        """Everything below is readable in every view."""
        return min((self.visible.get(view, {}).get(partition, 0) for view in self.views), default=0)

    def reason(self) -> str:
        """Why it does not run; empty while it does."""
        return "; ".join(f"{what}: {why}" for what, why in sorted(self.stopped.items()))


_HURRY_S = 0.05
"""How often the event logs are hurried while somebody waits for them."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """Every record of a source partition below an offset."""

    project: str
    source: str
    partition: int
    next_offset: int


class Board:
    """The accounts of all logs. Threads change it, calls read it or sleep until it says what they wait for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._logs: dict[tuple[str, str], LogState] = {}
        self._hurries: list[Callable[[], None]] = []

    def heed(self, hurry: Callable[[], None]) -> Callable[[], None]:
        """Has ``hurry`` called while somebody waits for the event logs; the function returned ends it.

        hurry: must be quick and must not ask this board for anything.
        """
        with self._changed:
            self._hurries.append(hurry)

        def end() -> None:
            with self._changed:
                self._hurries.remove(hurry)

        return end

    def open(self, state: LogState) -> None:
        """A log is now kept account of."""
        with self._changed:
            self._logs[state.project, state.log] = state
            self._changed.notify_all()

    def change(self, project: str, log: str, change: Callable[[LogState], object]) -> None:
        """Applies a change and wakes those who wait."""
        with self._changed:
            change(self._logs[project, log])
            self._changed.notify_all()

    def read(self, project: str, look: Callable[[LogState], None]) -> None:
        """Shows each log of the project (empty: of all), ordered by (project, log); keep nothing of it."""
        with self._changed:
            for key in sorted(self._logs):
                if project in {"", key[0]}:
                    look(self._logs[key])

    def wait(self, awaited: Sequence[Awaited], *, logged: bool, until: Callable[[], float]) -> str:
        """Sleeps until everything awaited is readable online, and in the event logs if ``logged``.

        until: the seconds left; negative when the caller has gone.
        Raises InvalidArgumentError for a partition that a source does not have.
        Returns an empty text, or after the time what is still missing.
        """
        targets: dict[tuple[Awaited, str], Mapping[int, int]] = {}
        with self._changed:
            while missing := self._missing(awaited, targets, logged=False):
                left = until()
                if left <= 0:
                    return missing
                self._changed.wait(min(left, 1.0))
            while logged and (missing := self._missing(awaited, targets, logged=True)):
                left = until()
                if left <= 0:
                    return missing
                for hurry in self._hurries:
                    hurry()
                self._changed.wait(min(left, _HURRY_S))
        return ""

    def _missing(
        self,
        awaited: Sequence[Awaited],
        targets: dict[tuple[Awaited, str], Mapping[int, int]],
        *,
        logged: bool,
    ) -> str:
        for place, item in enumerate(awaited):
            readers = [s for s in self._logs.values() if (s.project, s.source) == (item.project, item.source)]
            if not readers:
                return f"no view reads the source {item.source!r} of project {item.project!r} yet"
            for state in readers:
                # The re-keyed log has partitions of its own; none are known before the topic was looked at.
                there = range(state.partitions) if state.direct else state.rekeyed
                if there and item.partition not in there:
                    message = f"{state.topic} has the partitions 0 to {max(there)}, not {item.partition}"
                    raise InvalidArgumentError(
                        [Violation(f"wait_for[{place}].partition", message, "NO_SUCH_PARTITION")]
                    )
                if text := _missing_in(state, item, targets, logged=logged):
                    return text + (f" ({state.reason()})" if state.stopped else "")
        return ""


def _missing_in(
    state: LogState,
    item: Awaited,
    targets: dict[tuple[Awaited, str], Mapping[int, int]],
    *,
    logged: bool,
) -> str:
    if state.direct:
        target: Mapping[int, int] = {item.partition: item.next_offset}
    elif (item, state.log) in targets:
        target = targets[item, state.log]
    elif (done := state.rekeyed.get(item.partition, -1)) < item.next_offset:
        return f"{state.log}: source partition {item.partition} is re-keyed up to {done} of {item.next_offset}"
    else:  # what the source records became lies below what the re-keyer has sent by now
        target = targets[item, state.log] = dict(state.sent)
    for partition, offset in target.items():
        reached = state.next_offset(partition)
        if reached < offset:
            return f"{state.log}/{partition} is readable up to {reached} of {offset}"
        if (reading := state.reading.get(partition, reached)) < offset:
            return f"{state.log}/{partition} is read again up to {reading} of {offset}"
        if logged and state.uncounted:
            return f"{state.log}: {state.uncounted} records that were read again are not in the account yet"
        if logged and state.logged.get(partition, 0) < offset:
            return f"{state.log}/{partition} is logged up to {state.logged.get(partition, 0)} of {offset}"
    return ""


def deadline(seconds: float) -> Callable[[], float]:
    """The seconds left of a time that begins now."""
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()
