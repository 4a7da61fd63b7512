"""The facts that the flights example builds on, and the rules that place an arrival in time."""

import hashlib
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from examples.flights import data
from examples.flights.data import DAY, HOUR, MINUTE, Flights, LocalClock, Stream

NEW_YORK = ZoneInfo("America/New_York")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def flights() -> Flights:
    return data.load()


@pytest.fixture(scope="module")
def source() -> pa.Table:
    """The rows of the CSV, with their row number."""
    rows = data._read_csv(data.data_directory() / "flights.csv.zip")
    return rows.append_column("flight_id", pa.array(range(rows.num_rows)))


def streams(flights: Flights) -> list[Stream]:
    return [flights.schedule, flights.departures, flights.arrivals, flights.weather]


def at(instant_us: int, zone: ZoneInfo) -> datetime:
    return (EPOCH + timedelta(microseconds=instant_us)).astimezone(zone)


def us(*date: int) -> int:
    return (datetime(*date, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)  # type: ignore[arg-type,misc]


def clock_time(moment: datetime) -> int:
    return moment.hour * 100 + moment.minute


# --- Facts --------------------------------------------------------------------------------------------------


def test_every_flight_is_counted_where_it_belongs(flights: Flights) -> None:
    every = 336_776
    assert len(flights.schedule) == every
    assert len(flights.departures) == every - 8_255
    assert len(flights.arrivals) == every - 8_713
    label = flights.schedule.table["label"]
    assert label.null_count == 9_430
    assert pc.sum(label).as_py() == 77_630
    assert flights.arrivals.table["arr_delay"].null_count == 9_430 - 8_713
    assert flights.arrivals.table["arr_delay"].is_null() == flights.arrivals.table["air_time"].is_null()


def test_tail_numbers_without_a_plane_are_missing_or_unlisted(flights: Flights) -> None:
    tails = flights.schedule.table["tailnum"]
    listed = pc.is_in(tails, value_set=flights.planes["tailnum"])
    assert len(tails) - pc.sum(listed).as_py() == 52_606
    assert tails.null_count == 2_512
    unlisted = pc.unique(tails.filter(pc.invert(listed)).drop_null())
    assert len(unlisted) == 721


def test_planes_and_airports_have_one_row_each(flights: Flights) -> None:
    for table, key, rows in ((flights.planes, "tailnum", 3_322), (flights.airports, "faa", 1_458)):
        assert table.num_rows == rows
        assert table[key].to_pylist() == sorted(set(table[key].to_pylist()))
    nulls = {name: flights.planes[name].null_count for name in flights.planes.column_names}
    assert nulls | {"year": 0} == dict.fromkeys(nulls, 0)
    assert nulls["year"] == 70
    assert flights.airports["tzone"].null_count == 3


def test_the_destinations_without_an_airport_are_those_with_a_zone_of_their_own(flights: Flights) -> None:
    missing = set(flights.schedule.table["dest"].to_pylist()) - set(flights.airports["faa"].to_pylist())
    assert missing == set(data.UNLISTED_ZONES)


def test_weather_has_one_row_for_each_origin_and_hour(flights: Flights) -> None:
    table = flights.weather.table
    keys = list(zip(table["event_time"].cast("int64").to_pylist(), table["origin"].to_pylist(), strict=True))
    assert keys == sorted(set(keys))
    assert len(keys) == 26_115
    assert flights.repeated_weather == 0
    assert all(hour % HOUR == 0 for hour, _ in keys)


# --- Instants -----------------------------------------------------------------------------------------------


def test_departures_show_the_clock_times_of_the_source(flights: Flights, source: pa.Table) -> None:
    shown = dict(zip(source["flight_id"].to_pylist(), source["dep_time"].to_pylist(), strict=True))
    planned = source["sched_dep_time"].to_pylist()
    for event in list(flights.departures.events())[::7]:
        flight = event["flight_id"]
        assert isinstance(event["event_time"], int)
        assert isinstance(event["scheduled"], int)
        assert clock_time(at(event["event_time"], NEW_YORK)) == shown[flight] % 2400
        assert clock_time(at(event["scheduled"], NEW_YORK)) == planned[flight]
        assert isinstance(event["dep_delay"], float)
        assert event["event_time"] - event["scheduled"] == event["dep_delay"] * MINUTE


def test_time_on_the_ground_is_between_five_minutes_and_four_hours(flights: Flights) -> None:
    """The proof of zones and dates: a wrong zone is off by an hour, a wrong date by a day."""
    columns = ["flight_id", "event_time", "air_time"]
    departed = flights.departures.table.select(["flight_id", "event_time"]).rename_columns(["flight_id", "departed"])
    rows = flights.arrivals.table.select(columns).join(departed, "flight_id")
    elapsed = pc.subtract(rows["event_time"].cast("int64"), rows["departed"].cast("int64"))
    on_ground = pc.subtract(pc.divide(elapsed.cast("float64"), MINUTE), rows["air_time"])
    outside = pc.or_(pc.less(on_ground, 0), pc.greater(on_ground, 6 * 60))
    assert pc.sum(outside).as_py() == 0, "of 327,346 flights with an air time"
    assert pc.min_max(on_ground).as_py() == {"min": 5, "max": 235}
    # Diverted flights have no air time; they arrive within a day.
    assert pc.min_max(elapsed).as_py() == {"min": 33 * MINUTE, "max": 1_225 * MINUTE}


def test_arrivals_follow_the_rule_read_row_by_row(flights: Flights, source: pa.Table) -> None:
    """The rule of the docstring once more, with ``datetime``, for one row in nine and the nights of change."""
    zone_of = dict(zip(flights.airports["faa"].to_pylist(), flights.airports["tzone"].to_pylist(), strict=True))
    zone_of |= data.UNLISTED_ZONES
    departed = {event["flight_id"]: event["event_time"] for event in flights.departures.events()}
    clock = source["arr_time"].to_pylist()
    changes = [(us(2013, 3, 9, 12), us(2013, 3, 11)), (us(2013, 11, 2, 12), us(2013, 11, 4))]
    near_changes = [event for span in changes for event in flights.arrivals.events_between(*span)]
    checked = [*list(flights.arrivals.events())[::9], *near_changes]
    assert len(near_changes) > 1_500
    for event in checked:
        flight, arrived = event["flight_id"], event["event_time"]
        assert isinstance(flight, int)
        assert isinstance(arrived, int)
        zone = ZoneInfo(zone_of[event["dest"]])
        left = departed[flight]
        assert isinstance(left, int)
        midnight = at(left, zone).replace(hour=0, minute=0, fold=0)
        today = midnight.replace(hour=clock[flight] // 100 % 24, minute=clock[flight] % 100)
        choices = [today, today.replace(fold=1), today + timedelta(days=1)]
        instants = [(choice.astimezone(UTC) - EPOCH) // timedelta(microseconds=1) for choice in choices]
        assert arrived == next(instant for instant in instants if instant >= left), event


@pytest.mark.parametrize("zone", ["America/New_York", "America/Phoenix", "Pacific/Honolulu", "Europe/London"])
def test_a_clock_agrees_with_zoneinfo(zone: str) -> None:
    """Also in the hours that a clock skips or shows twice."""
    info = ZoneInfo(zone)
    first, last = us(2013, 1, 1), us(2014, 1, 1)
    clock = LocalClock.of(zone, first - 2 * DAY, last + 2 * DAY)
    instants = np.arange(first, last, 30 * MINUTE)
    local = [at(int(instant), info).replace(tzinfo=UTC) for instant in instants]
    assert clock.local(instants).tolist() == [(moment - EPOCH) // timedelta(microseconds=1) for moment in local]
    for second in (False, True):
        shown = [(EPOCH + timedelta(microseconds=int(i))).replace(tzinfo=info, fold=int(second)) for i in instants]
        expected = [(moment.astimezone(UTC) - EPOCH) // timedelta(microseconds=1) for moment in shown]
        assert clock.instant(instants, second=second).tolist() == expected


# --- Streams ------------------------------------------------------------------------------------------------


def test_streams_are_in_order_and_sliced_without_gap_or_overlap(flights: Flights) -> None:
    for stream in streams(flights):
        times = stream.table["event_time"].cast("int64").to_numpy()
        assert (np.diff(times) >= 0).all()
        start, end = us(2013, 7, 1), us(2013, 7, 2)
        whole = list(stream.events_between(start, end))
        steps = [list(stream.events_between(at, at + 15 * MINUTE)) for at in range(start, end, 15 * MINUTE)]
        assert [event for step in steps for event in step] == whole
        assert len(whole) == stream.count_between(start, end) == ((times >= start) & (times < end)).sum()
        assert list(stream.events_between(end, start)) == []
        assert stream.count_between(stream.first_us, stream.last_us) < len(stream)


def test_ties_are_in_the_order_of_the_source(flights: Flights) -> None:
    for stream in streams(flights)[:3]:
        keys = zip(
            stream.table["event_time"].cast("int64").to_pylist(), stream.table["flight_id"].to_pylist(), strict=True
        )
        listed = list(keys)
        assert listed == sorted(set(listed))


def test_events_are_json_with_integer_instants(flights: Flights) -> None:
    first = {stream.name: next(stream.events()) for stream in streams(flights)}
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert first["departures"] == {
        "flight_id": 0,
        "event_time": us(2013, 1, 1, 10, 17),
        "scheduled": us(2013, 1, 1, 10, 15),
        "tailnum": "N14228",
        "carrier": "UA",
        "origin": "EWR",
        "dest": "IAH",
        "flight": 1545,
        "dep_delay": 2.0,
        "distance": 1400,
    }
    assert first["arrivals"]["arr_delay"] == -4.0
    assert first["schedule"]["label"] is False
    assert first["weather"]["wind_gust"] is None


def test_the_same_bytes_give_the_same_rows(flights: Flights) -> None:
    def digest(table: pa.Table) -> str:
        sink = pa.BufferOutputStream()
        pyarrow.csv.write_csv(data._with_integer_instants(table), sink)
        return hashlib.sha256(sink.getvalue()).hexdigest()[:16]

    tables = {stream.name: stream.table for stream in streams(flights)}
    tables |= {"planes": flights.planes, "airports": flights.airports}
    assert {name: digest(table) for name, table in tables.items()} == {
        "schedule": "fd899db1c4ae50ab",
        "departures": "94c4da9cacc7abbe",
        "arrivals": "dcbdf126f77544ec",
        "weather": "493a5f62224f6ae6",
        "planes": "aeb5a71e112f3f48",
        "airports": "6b40851dc536c550",
    }


# --- Small sources ------------------------------------------------------------------------------------------


def small_source(directory: Path, flights: str = "", weather: str = "") -> Path:
    (directory / "planes.csv").write_text("tailnum,year,type,manufacturer,model,engines,seats,speed,engine\n")
    (directory / "airports.csv").write_text(
        "faa,name,lat,lon,alt,tz,dst,tzone\nBOS,Logan,42.3,-71.0,19,-5,A,America/New_York\n"
    )
    (directory / "weather.csv").write_text(
        "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour\n"
        + weather
    )
    with zipfile.ZipFile(directory / "flights.csv.zip", "w") as archive:
        archive.writestr(
            "flights.csv",
            "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,"
            "tailnum,origin,dest,air_time,distance,hour,minute,time_hour\n" + flights,
        )
    return directory


@pytest.mark.parametrize(
    ("scheduled", "delay", "shown", "arrived"),
    [
        pytest.param("2013-01-02T01:00:00Z", 0, 2100, (2013, 1, 2, 2), id="the-same-day"),
        pytest.param("2013-01-02T04:00:00Z", 0, 2400, (2013, 1, 2, 5), id="midnight"),
        pytest.param("2013-01-02T04:00:00Z", 0, 10, (2013, 1, 2, 5, 10), id="after-midnight"),
        pytest.param("2013-01-02T04:00:00Z", 90, 100, (2013, 1, 2, 6), id="departed-after-midnight"),
        pytest.param("2013-03-10T06:00:00Z", 0, 230, (2013, 3, 10, 7, 30), id="a-time-that-the-clock-skips"),
        pytest.param("2013-11-03T04:00:00Z", 0, 130, (2013, 11, 3, 5, 30), id="an-hour-shown-twice-is-the-first"),
        pytest.param("2013-11-03T05:00:00Z", 45, 130, (2013, 11, 3, 6, 30), id="unless-that-is-before-departure"),
    ],
)
def test_an_arrival_is_the_next_time_the_clock_shows_it(
    tmp_path: Path, scheduled: str, delay: int, shown: int, arrived: tuple[int, ...]
) -> None:
    row = f"2013,1,1,1,1,{delay},{shown},1,NA,B6,1,NA,JFK,BOS,NA,187,1,0,{scheduled}\n"
    loaded = data.load(small_source(tmp_path, flights=row))
    assert [event["event_time"] for event in loaded.arrivals.events()] == [us(*arrived)]


def test_a_repeated_hour_of_weather_keeps_the_first_row_and_is_counted(tmp_path: Path) -> None:
    rows = "".join(
        f"{origin},2013,1,1,1,{temp},NA,1,NA,1,NA,0,NA,1,2013-01-01T06:00:00Z\n"
        for origin, temp in (("LGA", 1.5), ("EWR", 2.5), ("LGA", 3.5))
    )
    flight = "2013,1,1,NA,1,NA,NA,1,NA,B6,1,NA,JFK,BOS,NA,187,1,0,2013-01-02T01:00:00Z\n"
    loaded = data.load(small_source(tmp_path, flights=flight, weather=rows))
    assert [(event["origin"], event["temp"]) for event in loaded.weather.events()] == [("EWR", 2.5), ("LGA", 1.5)]
    assert loaded.repeated_weather == 1


def test_the_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "PACKAGE", "nycflights-missing")
    with pytest.raises(RuntimeError, match=r"nycflights-missing.*make setup"):
        data.data_directory()
