"""The compiled half of `skewless_kernel`. Times are microseconds, instants since 1970 in UTC."""

from typing import Final

__all__ = ["SEMANTICS_REVISION", "__build__", "default_hop", "floor_to_hop"]

SEMANTICS_REVISION: Final[int]
"""The revision of the meaning that this kernel implements; part of every definition's hash."""

__build__: Final[str]
"""SHA-256 over the sources this extension was built from, in hexadecimal."""

def floor_to_hop(t: int, hop: int, origin: int = 345_600_000_000) -> int:
    """The latest instant ``origin + n * hop`` that is not after ``t``.

    The default origin is Monday, 1970-01-05T00:00Z.

    Raises ValueError if the hop is not positive or the answer does not fit 64 bits.
    """

def default_hop(width: int) -> int | None:
    """The hop of a window of this width when its definition names none, or None."""
