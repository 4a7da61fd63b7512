"""The windows of aggregates: a length of time slides, everything else is made by a function here.

    windows=["1h", tumbling("1d"), lifetime(), exact("10m", bound=500)]

A mapping names the features itself; otherwise the kind goes into the name: ``spent_tumbling_1d``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from skewless import kernel
from skewless.definitions import durations
from skewless.definitions.building import STAND_IN_US, Build
from skewless.definitions.durations import Duration


class Window(ABC):
    """Where a window begins and ends for a request at a time."""

    @abstractmethod
    def members(self, build: Build, hop: Duration | None) -> dict[str, Any]:
        """``window_us``, ``hop_us`` and, unless it slides, ``window`` of a feature's document."""

    @abstractmethod
    def suffix(self) -> str:
        """What it adds to the name of its feature."""


Windows: TypeAlias = Duration | Window | Sequence[Duration | Window] | Mapping[str, Duration | Window]


@dataclass(frozen=True)
class Sliding(Window):
    """The length of time before the request."""

    width: object

    def members(self, build: Build, hop: Duration | None) -> dict[str, Any]:
        window = build.length(self.width)
        return {"window_us": window, "hop_us": _hop(build, window, hop)}

    def suffix(self) -> str:
        return _length(self.width)


@dataclass(frozen=True)
class Tumbling(Window):
    """A bucket of the grid of its width: the one that is open, or the last full one."""

    width: Duration
    previous: bool

    def members(self, build: Build, hop: Duration | None) -> dict[str, Any]:
        window = build.length(self.width)
        return {
            "window_us": window,
            "hop_us": _hop(build, window, hop, least_hops=1),
            "window": {"kind": "tumbling", "previous": self.previous},
        }

    def suffix(self) -> str:
        return f"{'previous' if self.previous else 'tumbling'}_{_length(self.width)}"


@dataclass(frozen=True)
class Lag(Window):
    """A length of time that ended some time before the request."""

    width: Duration
    by: Duration

    def members(self, build: Build, hop: Duration | None) -> dict[str, Any]:
        window = build.length(self.width)
        lag = build.length(self.by)
        return {
            "window_us": window,
            "hop_us": _hop(build, window, hop, lag=lag),
            "window": {"kind": "lag", "lag_us": lag},
        }

    def suffix(self) -> str:
        return f"{_length(self.width)}_lag_{_length(self.by)}"


@dataclass(frozen=True)
class Lifetime(Window):
    """All that ever happened."""

    def members(self, build: Build, hop: Duration | None) -> dict[str, Any]:
        _no_hop(build, hop, "a lifetime window")
        return {"window_us": None, "hop_us": None, "window": {"kind": "lifetime"}}

    def suffix(self) -> str:
        return "lifetime"


@dataclass(frozen=True)
class Exact(Window):
    """The length of time before the request, to the microsecond."""

    width: Duration
    bound: int

    def members(self, build: Build, hop: Duration | None) -> dict[str, Any]:
        _no_hop(build, hop, "an exact window")
        return {
            "window_us": build.length(self.width),
            "hop_us": 0,
            "window": {"kind": "exact", "bound": self.bound},
        }

    def suffix(self) -> str:
        return f"exact_{_length(self.width)}"


@dataclass(frozen=True)
class Calendar(Window):
    """A local hour, day, week or month: the one that is open, or the last full one."""

    unit: str
    zone: str
    previous: bool

    def members(self, build: Build, hop: Duration | None) -> dict[str, Any]:
        # A unit or zone that there is not is told by the kernel, with its place.
        found = kernel.calendar_hop(self.unit, self.zone)
        return {
            "window_us": None,
            "hop_us": build.length(hop) if hop is not None else found or STAND_IN_US,
            "window": {
                "kind": "calendar",
                "unit": self.unit,
                "zone": self.zone,
                "tzdata": kernel.TZDATA_VERSION,
                "previous": self.previous,
            },
        }

    def suffix(self) -> str:
        return f"{'previous' if self.previous else 'calendar'}_{self.unit}"


def tumbling(width: Duration, *, previous: bool = False) -> Window:
    """The bucket that is open at the request time: buckets of ``width`` follow one another from the view's origin.

    previous: the last full bucket instead, which changes only when a new one opens.
    """
    return Tumbling(width, previous)


def lag(width: Duration, *, by: Duration) -> Window:
    """A window that slides ``by`` behind the request, both edges on the hop: ``lag("7d", by="7d")`` is the week before
    the last seven days."""
    return Lag(width, by)


def calendar(unit: Literal["hour", "day", "week", "month"], zone: str, *, previous: bool = False) -> Window:
    """The local hour, day, week (from Monday) or month that is open at the request time, by the clock of an IANA zone.

    previous: the last full one instead. The release of the zone data belongs to the meaning.
    """
    return Calendar(unit, zone, previous)


def lifetime() -> Window:
    """Every event before the request time. Its states never expire."""
    return Lifetime()


def exact(width: Duration, *, bound: int) -> Window:
    """The time before the request with both edges exact, where the others step by hops.

    Events are kept one by one, at most ``bound`` of them: with more in the window the status is OVER_BOUND.
    """
    return Exact(width, bound)


def listed(windows: object) -> Any:
    """Windows as a sequence or mapping; one window alone is a list of itself."""
    return [windows] if isinstance(windows, str | Window) else windows


def window_of(item: object) -> Window:
    """The window itself, or the one that slides over a length of time."""
    return item if isinstance(item, Window) else Sliding(item)


def _hop(build: Build, window: int, hop: Duration | None, *, lag: int = 0, least_hops: int = 48) -> int:
    if hop is not None:
        return build.length(hop)
    if window <= 0:
        return STAND_IN_US  # that there is no such window is fault enough
    found = kernel.default_hop(window, lag, least_hops)
    if found is None:
        most = "" if least_hops == 1 else f", which would be a {least_hops}th of it or less"
        build.fault(
            f"a window of {durations.text(window)} has no default hop{most}: "
            "give hop=, one of 1s, 10s, 1m, 5m, 15m, 1h, 6h, 1d that divides the window, and its lag if it has one",
            "NO_DEFAULT_HOP",
        )
        return STAND_IN_US
    return found


def _no_hop(build: Build, hop: Duration | None, what: str) -> None:
    if hop is not None:
        build.fault(
            f"{what} has no hop: leave hop= out, or give the windows with a hop an aggregate of their own",
            "UNEXPECTED_HOP",
        )


def _length(width: object) -> str:
    """A length as written in names; empty if it is none."""
    try:
        micros = durations.micros(width)
    except ValueError:
        return ""
    return width if isinstance(width, str) else durations.text(abs(micros))
