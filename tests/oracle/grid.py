"""Hops and flooring (docs/semantics.md, chapter T). Instants and widths in microseconds."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

DEFAULT_ORIGIN = 4 * DAY  # T4: 1970-01-05
HOPS = (SECOND, 10 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY)  # T5


def floor_to_hop(t: int, hop: int, origin: int = DEFAULT_ORIGIN) -> int:
    """T3: the latest instant of the grid that is not after `t`."""
    distance = t - origin
    # By counting whole hops, not by the sign rules of a division operator.
    cells = distance // hop if distance >= 0 else -((-distance + hop - 1) // hop)
    return origin + cells * hop


def default_hop(width: int) -> int | None:
    """T5: the greatest hop that divides the width and is at most a 48th of it; None if no hop is."""
    fitting = [hop for hop in HOPS if width > 0 and width % hop == 0 and 48 * hop <= width]
    return max(fitting) if fitting else None
