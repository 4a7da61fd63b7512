"""What the offline service said about a batch, and what follows for each request of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from skewless.errors import Reason, SkewlessError


class Outcome(enum.Enum):
    """What came of one request."""

    EQUAL = enum.auto()
    """Every value that could be compared is equal, bit by bit."""
    DIFFERENT = enum.auto()
    """At least one differs."""
    NOT_YET_LOGGED = enum.auto()
    """The event log has not reached what the answer knew."""
    NOT_ANSWERED = enum.auto()
    """No value was served that could be compared."""
    NOT_REPLAYED = enum.auto()
    """A Python function was not called again; whatever else could be compared is equal."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what was served."""

    request_id: str
    row: int
    feature: str

    def __str__(self) -> str:
        return f"{self.request_id} {self.row} {self.feature}"


@dataclass(frozen=True)
class Answer:
    """What was learned about a batch, also when the call failed on the way.

    outcomes: by request id; absent for requests about which nothing was said.
    differences: some of them; their number is bounded by the offline service.
    different: vectors (rows) that differ, of requests with an outcome.
    failure: why the call ended early; None if it did not.
    """

    outcomes: Mapping[str, Outcome]
    differences: Sequence[Difference] = field(default=())
    different: int = 0
    failure: SkewlessError | None = None


class Decision(enum.Enum):
    """What happens to a request of a batch."""

    COUNT = enum.auto()
    """It is decided: equal, different, or nothing to compare."""
    WAIT = enum.auto()
    """A log has not reached it: ask again, later each time."""
    POSTPONE = enum.auto()
    """The offline service cannot be asked now: ask again when it can; the request is not to blame."""
    NARROW = enum.auto()
    """The batch was refused or took too long: ask in smaller ones, so that a request at fault ends up alone."""


def decide(outcome: Outcome | None, failure: SkewlessError | None) -> Decision:
    """What follows for a request; ``outcome`` is None if the answer says nothing about it."""
    match outcome:
        case Outcome.EQUAL | Outcome.DIFFERENT | Outcome.NOT_ANSWERED | Outcome.NOT_REPLAYED:
            return Decision.COUNT
        case Outcome.NOT_YET_LOGGED:
            return Decision.WAIT
    if failure is None or failure.reason is Reason.UNKNOWN_REQUEST_ID:
        return Decision.WAIT  # the served log has not reached it
    if failure.retry and failure.reason is not Reason.TIMED_OUT:
        return Decision.POSTPONE
    return Decision.NARROW
