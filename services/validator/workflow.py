"""From the served log to the report.

    take      a record read -> profile; queue, unless it is not chosen
    replay    what is due -> the offline service -> counted, or back into the queue
    report    the counts and the profile of a project

`take` and `replay` are called from two threads, `report` from any.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.validator.domain.outcome import Answer, Decision, Outcome, decide
from services.validator.domain.positions import Positions, Start
from services.validator.domain.profile import Profiles
from services.validator.domain.queue import Batch, ReplayQueue, Rules, Waiting
from services.validator.domain.sampling import chosen
from services.validator.domain.tally import Report, Tally
from services.validator.ports import Offline
from skewless.clock import AWAY, Clock
from skewless.errors import SkewlessError
from skewless.served import Prediction, ServedVector
from skewless.telemetry import names
from skewless.telemetry.spans import span

log = logging.getLogger(__name__)

_MOST_NAMED: Final = 5


@dataclass(frozen=True)
class LogState:
    """How the reading of the served log goes, since the service started.

    malformed: records that are none.
    dropped: records that the topic dropped before they were read.
    unread: records that the topic had and this service had not read yet, when the broker was last asked.
    unprofiled: values that found no place in the profile.
    """

    malformed: int
    dropped: int
    unread: int
    unprofiled: int


class Validation:
    """Replays served vectors and keeps their profile, in memory.

    share: of the requests that are replayed, 0 to 1.
    interval_s: pause between calls while batches are not full.
    profile_features: features profiled at most.
    """

    def __init__(
        self,
        offline: Offline,
        clock: Clock,
        rules: Rules,
        *,
        share: float = 1.0,
        interval_s: float = 1.0,
        profile_features: int = 10_000,
    ) -> None:
        self._offline = offline
        self._clock = clock
        self._rules = rules
        self._share = share
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._positions = Positions()
        self._queue = ReplayQueue(rules)
        self._profiles = Profiles(profile_features)
        self._tallies: defaultdict[str, Tally] = defaultdict(Tally)
        self._away = 0
        self._malformed = 0
        self._dropped = 0
        self._unread = 0

    # --- In: the served log -------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more records may be read now."""
        with self._lock:
            return self._queue.room

    def following(self) -> Mapping[int, int]:
        """By partition that was started, the offset to be read next."""
        with self._lock:
            return self._positions.following()

    def resume(self) -> Mapping[int, int]:
        """By partition, where a restart must read from: below it everything is decided."""
        with self._lock:
            return self._positions.resume()

    def start(self, starts: Mapping[int, Start]) -> None:
        """Reading begins or goes on at these offsets."""
        with self._lock:
            following = self._positions.following()
            for partition, start in starts.items():
                if following.get(partition) != start.offset:
                    self._positions.start(partition, start.offset)
                self._dropped += start.skipped

    def reach(self, ends: Mapping[int, int]) -> None:
        """By partition, the offset that the next record will have."""
        with self._lock:
            following = self._positions.following()
            self._unread = sum(max(0, end - following.get(partition, 0)) for partition, end in ends.items())

    def take(self, partition: int, offset: int, record: ServedVector | Prediction | None) -> None:
        """One record of the served log; None: its bytes are none. There must be `room`."""
        with self._lock:
            mark = self._positions.read(partition, offset)
            if not isinstance(record, ServedVector):
                self._malformed += record is None
                mark.decide()
                return
            wanted = record.rows > 0 and chosen(record.request_id, self._share)
            if wanted and not self._queue.add(record, mark, self._clock.monotonic()):
                return  # the same record once more, and still undecided
            tally = self._tallies[record.project]
            tally.seen += record.rows
            if not wanted:
                tally.left_out += record.rows
                mark.decide()
            self._profiles.add(record)

    # --- Replay -------------------------------------------------------------------------------------------------

    def replay_until(self, stop: threading.Event) -> None:
        """Replays until it is told to stop."""
        while not stop.is_set():
            stop.wait(self.replay())

    def replay(self) -> float:
        """Replays one batch, if one is due; gives the seconds to wait before the next."""
        with self._lock:
            batch = self._queue.take(self._clock.monotonic())
        if batch is None:
            return self._interval_s
        with span(names.REPLAY, {names.PROJECT: batch.project, names.REQUESTS: len(batch.requests)}) as replaying:
            answer = self._offline.replay(batch)
            if answer.failure is not None:
                replaying.fail(type(answer.failure).__name__, str(answer.failure))
        with self._lock:
            postponed = self._settle(batch, answer, self._clock.monotonic())
        if postponed:
            self._away += 1
            wait = AWAY.after(self._away)
            log.warning("replays wait %.1f s for the offline service at %s: %s", wait, self._offline.address,
                        answer.failure)  # fmt: skip
            return wait
        self._away = 0
        return 0.0 if batch.full else self._interval_s

    def _settle(self, batch: Batch, answer: Answer, now: float) -> bool:
        """Carries out what the answer means; whether requests are left for when the service is back."""
        decided = unreplayed = postponed = narrowed = 0
        given_up: list[Waiting] = []
        for request in batch.requests:
            match decide(answer.outcomes.get(request.request_id), answer.failure):
                case Decision.COUNT:
                    self._queue.done(request)
                    is_replayed = answer.outcomes[request.request_id] is not Outcome.NOT_REPLAYED
                    decided += request.rows * is_replayed
                    unreplayed += request.rows * (not is_replayed)
                case Decision.POSTPONE:
                    self._queue.postpone(request, now)
                    postponed += 1
                case Decision.WAIT:
                    if not self._queue.again(request, now):
                        given_up.append(request)
                case Decision.NARROW:
                    narrowed += 1
                    if not self._queue.narrow(request, len(batch.requests), now):
                        given_up.append(request)
        tally = self._tallies[batch.project]
        tally.compared(decided, answer.different, answer.differences)
        tally.not_replayed += unreplayed
        tally.given_up += self._give_up(batch.project, given_up)
        if answer.different:
            log.error("%d vector(s) of %s are not what was served, among them %s", answer.different, batch.project,
                      ", ".join(map(str, answer.differences[:_MOST_NAMED])))  # fmt: skip
        if narrowed and answer.failure is not None:
            self._refused(batch, narrowed, answer.failure)
        return postponed > 0

    def _give_up(self, project: str, requests: Sequence[Waiting]) -> int:
        """Lets go of requests; gives their vectors."""
        if requests:
            named = ", ".join(request.request_id for request in requests[:_MOST_NAMED])
            log.error("%d request(s) of %s are given up, undecided for %g s: %s",
                      len(requests), project, self._rules.give_up_s, named)  # fmt: skip
        for request in requests:
            self._queue.done(request)
        return sum(request.rows for request in requests)

    def _refused(self, batch: Batch, count: int, failure: SkewlessError) -> None:
        log.warning("the offline service at %s did not replay %d request(s) of %s, first %s; asking again in parts: %s",
                    self._offline.address, count, batch.project, batch.request_ids[0], failure)  # fmt: skip

    # --- Out ----------------------------------------------------------------------------------------------------

    def report(self, project: str) -> Report:
        """The project as it stands now; zeros for one of which nothing was seen."""
        with self._lock:
            return self._report(project)

    def reports(self) -> Sequence[Report]:
        """All projects of which something was seen, by name."""
        with self._lock:
            return [self._report(project) for project in sorted(self._tallies)]

    def log_state(self) -> LogState:
        """How the reading of the served log goes."""
        with self._lock:
            return LogState(self._malformed, self._dropped, self._unread, self._profiles.left_out)

    def _report(self, project: str) -> Report:
        tally = self._tallies.get(project, Tally())
        oldest = self._queue.oldest(project)
        return Report(
            project=project,
            seen=tally.seen,
            left_out=tally.left_out,
            replayed=tally.replayed,
            mismatches=tally.mismatches,
            given_up=tally.given_up,
            not_replayed=tally.not_replayed,
            pending=self._queue.pending(project),
            oldest_pending_s=0.0 if oldest is None else self._clock.monotonic() - oldest,
            examples=tuple(tally.examples),
            profiles=self._profiles.of(project),
        )
