"""What has come of the records of an input log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ACCEPTED = "accepted"
DUPLICATE = "duplicate"
MALFORMED = "malformed"
TOO_FAR_FUTURE = "too_far_future"


@dataclass(frozen=True, slots=True)
class Account:
    """Counts since the log was first read.

    consumed: records delivered; one delivered again counts again.
    verdicts: how many of them had each verdict.
    late: accepted ones that came more than the head slack behind the greatest event time accepted before them in
        their partition.
    newest_us: that greatest event time, per partition.
    """

    consumed: int = 0
    verdicts: Mapping[str, int] = field(default_factory=dict)
    late: int = 0
    newest_us: Mapping[int, int] = field(default_factory=dict)

    def count(self, verdict: str) -> int:
        """Records with this verdict."""
        return self.verdicts.get(verdict, 0)

    @property
    def on_time(self) -> int:
        """Accepted events that were not late."""
        return self.count(ACCEPTED) - self.late
