"""The beginnings of local hours, days, weeks and months (docs/semantics.md, W15 to W18), by looking at the clock."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache

from tests.oracle.expressions import zone_of
from tests.oracle.grid import HOUR, MINUTE, SECOND, floor_to_hop

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def calendar_edges(unit: str, zone: str, request_time: int, hop: int, origin: int) -> tuple[int, int]:
    """Where the window that is open began, and the one before."""
    begins = {floor_to_hop(begin, hop, origin) for begin in _near(unit, zone, request_time)}  # W17
    begun = sorted(begin for begin in begins if begin <= request_time)
    return begun[-1], begun[-2]


def _near(unit: str, zone: str, at: int) -> Iterator[int]:
    if unit == "hour":
        yield from _hours(zone, at)
        return
    first = _first(unit, _local(zone, at).date())
    for _ in range(3):
        first = _first(unit, first - timedelta(days=1))
    for _ in range(6):
        yield _begin(zone, first)
        first = _first(unit, first + timedelta(days={"day": 1, "week": 7, "month": 31}[unit]))


def _first(unit: str, day: date) -> date:
    """The first day of the week or month."""
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def _hours(zone: str, at: int) -> Iterator[int]:
    """When the clock shows a full hour, in the hours around an instant."""
    around = range(at - 8 * HOUR, at + 2 * HOUR, 5 * MINUTE)
    for offset in {_offset(zone, t) for t in around}:
        shown = floor_to_hop(at - 8 * HOUR, HOUR, -offset)
        while shown < at + 2 * HOUR:
            if _offset(zone, shown) == offset:
                yield shown
            shown += HOUR


@cache
def _begin(zone: str, first: date) -> int:
    """The first instant at which the clock shows this date or a later one."""
    midnight = (datetime(first.year, first.month, first.day, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    at = midnight - 30 * HOUR
    while _local(zone, at).date() < first:
        at += 5 * MINUTE
    while _local(zone, at - SECOND).date() >= first:
        at -= SECOND
    return at


def _local(zone: str, at: int) -> datetime:
    return (EPOCH + timedelta(microseconds=at)).astimezone(zone_of(zone))


@cache
def _offset(zone: str, at: int) -> int:
    offset = _local(zone, at).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)
