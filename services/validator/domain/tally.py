"""What is counted about the replays of a project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.validator.domain.outcome import Difference
from services.validator.domain.profile import FeatureProfile

MOST_EXAMPLES: Final = 100


@dataclass
class Tally:
    """Counts of vectors (rows of requests) since the service started.

    left_out: not replayed because only a share is.
    given_up: undecided for too long.
    not_replayed: of requests with a value of a Python function that was not computed again.
    """

    seen: int = 0
    left_out: int = 0
    replayed: int = 0
    mismatches: int = 0
    given_up: int = 0
    not_replayed: int = 0
    examples: list[Difference] = field(default_factory=list)

    def compared(self, rows: int, different: int, differences: Sequence[Difference]) -> None:
        """So many vectors were decided, so many of them are different."""
        self.replayed += rows
        self.mismatches += different
        self.examples += differences[: MOST_EXAMPLES - len(self.examples)]


@dataclass(frozen=True)
class Report:
    """A project at an instant: ``seen = left_out + replayed + not_replayed + pending + given_up``.

    oldest_pending_s: how long the oldest undecided vector has been waiting, in seconds; 0 without any.
    """

    project: str
    seen: int
    left_out: int
    replayed: int
    mismatches: int
    given_up: int
    pending: int
    oldest_pending_s: float
    examples: Sequence[Difference]
    profiles: Sequence[FeatureProfile]
    not_replayed: int = 0

    @property
    def consistency(self) -> float | None:
        """Share of replayed vectors that are equal, 0 to 1; None while none is replayed."""
        return 1.0 - self.mismatches / self.replayed if self.replayed else None
