"""For which T a folded state owes an answer (docs/semantics.md, chapter H).

How far a writer moves its horizons is its own choice within bounds, so two things are certain: from some T
on it must answer (`must_answer_from`), and whatever it answers must be the definition's value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.oracle.events import Event
from tests.oracle.grid import DEFAULT_ORIGIN, floor_to_hop


@dataclass(frozen=True)
class Slacks:
    """Declared per view; microseconds and a count."""

    head_slack: int = 2_000_000
    head_max: int = 256


def clock(accepted: Sequence[Event], wall: int) -> int | None:
    """H3: None before the first event of the partition."""
    return min(wall, max(e.t for e in accepted)) if accepted else None


def must_answer_from(
    slacks: Slacks,
    accepted: Sequence[Event],
    key: str,
    wall: int,
    *,
    finest_hop: int,
    origin: int = DEFAULT_ORIGIN,
) -> int | None:
    """The earliest T that the state of the key surely answers; None: any T (no state, H10).

    `accepted` are all folded events of the log partition. H4: up to clock - head_slack the writer may go
    freely. Beyond that it may go only to keep the head list short, and then not past the hop after the
    newest event of the key.
    """
    own = [e.t for e in accepted if e.key == key]
    now = clock(accepted, wall)
    if not own or now is None:
        return None
    free = now - slacks.head_slack
    held_apart = [t for t in own if t >= floor_to_hop(free, finest_hop, origin) - finest_hop]
    if len(held_apart) <= slacks.head_max:
        return free
    return max(free, floor_to_hop(max(own), finest_hop, origin) + finest_hop)
