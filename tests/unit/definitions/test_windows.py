"""Windows that do not slide, as users write them, and from when on they need events."""

import json

import pytest

import skewless
from skewless import kernel
from skewless.definitions.aggregates import Aggregate
from skewless.definitions.durations import Duration
from skewless.definitions.windows import Window
from skewless.errors import InvalidDefinitionError

US = 1_000_000
HOUR, DAY = 3_600 * US, 86_400 * US


def project(*features: Aggregate) -> skewless.Project:
    source = skewless.StreamSource(
        "events", topic="events", columns={"at": "timestamp", "user": "string"}, event_time="at", record_key=["user"]
    )
    view = skewless.StreamFeatureView("spending", entity=skewless.Entity("user"), source=source, features=features)
    return skewless.Project("shop", view)


def meaning(*features: Aggregate) -> bytes:
    return next(d.meaning_json for d in project(*features).definitions() if d.name == "spending")


def test_each_kind_has_its_name_its_hop_and_its_member() -> None:
    windows: list[Duration | Window] = [
        "1h",
        skewless.tumbling("36h"),
        skewless.tumbling("7d", previous=True),
        skewless.lag("7d", by="90m"),
        skewless.lifetime(),
        skewless.exact("10m", bound=50),
        skewless.calendar("day", "Europe/Berlin"),
        skewless.calendar("hour", "Asia/Kolkata", previous=True),
        skewless.calendar("month", "UTC"),
    ]
    calendar = {"kind": "calendar", "tzdata": kernel.TZDATA_VERSION}
    features = json.loads(meaning(skewless.count("n", windows=windows)))["features"]
    assert [(f["name"], f["window_us"], f["hop_us"], f.get("window")) for f in features] == [
        ("n_1h", HOUR, 60 * US, None),
        ("n_tumbling_36h", 36 * HOUR, 6 * HOUR, {"kind": "tumbling", "previous": False}),
        ("n_previous_7d", 7 * DAY, DAY, {"kind": "tumbling", "previous": True}),
        ("n_7d_lag_90m", 7 * DAY, 900 * US, {"kind": "lag", "lag_us": 5_400 * US}),
        ("n_lifetime", None, None, {"kind": "lifetime"}),
        ("n_exact_10m", 600 * US, 0, {"kind": "exact", "bound": 50}),
        ("n_calendar_day", None, HOUR, {**calendar, "unit": "day", "zone": "Europe/Berlin", "previous": False}),
        ("n_previous_hour", None, 900 * US, {**calendar, "unit": "hour", "zone": "Asia/Kolkata", "previous": True}),
        ("n_calendar_month", None, DAY, {**calendar, "unit": "month", "zone": "UTC", "previous": False}),
    ]


def test_one_window_stands_for_itself_and_a_mapping_names_it() -> None:
    features = (
        skewless.count("n", windows=skewless.lifetime()),
        skewless.count("n", windows={"all": skewless.lifetime()}),
    )
    assert [f["name"] for f in json.loads(meaning(*features))["features"]] == ["n_lifetime", "all"]


@pytest.mark.parametrize(
    ("feature", "reason"),
    [
        (skewless.count("n", windows=skewless.lifetime(), hop="1h"), "UNEXPECTED_HOP"),
        (skewless.count("n", windows=skewless.exact("1h", bound=5), hop="1m"), "UNEXPECTED_HOP"),
        (skewless.rate("n", windows=skewless.lifetime()), "NO_DECLARED_WIDTH"),
        (skewless.count("n", windows=skewless.lag("1h", by="1s"), hop="1m"), "LAG_NOT_DIVISIBLE"),
        (skewless.count("n", windows=skewless.lag("1h", by="1500ms")), "NO_DEFAULT_HOP"),
        (skewless.count("n", windows=skewless.tumbling("soon")), "MALFORMED_DURATION"),
        (skewless.count("n", windows=skewless.exact("1h", bound=0)), "OUT_OF_RANGE"),
        (skewless.count("n", windows=skewless.calendar("day", "Europe/Atlantis")), "UNKNOWN_ZONE"),
        (skewless.count("n", windows=skewless.calendar("year", "UTC")), "UNKNOWN_UNIT"),  # type: ignore[arg-type]
        (skewless.count("n", windows=skewless.calendar("day", "Asia/Kolkata"), hop="1h"), "HOP_NOT_ON_CALENDAR"),
        (skewless.rate("n", windows=skewless.calendar("day", "UTC")), "NO_DECLARED_WIDTH"),
    ],
)
def test_what_cannot_be_is_told(feature: Aggregate, reason: str) -> None:
    with pytest.raises(InvalidDefinitionError) as caught:
        project(feature).definitions()
    assert reason in {violation.reason for violation in caught.value.violations}


@pytest.mark.parametrize(
    ("windows", "needed"),
    [
        (["1h"], 99 * HOUR),
        (skewless.tumbling("1d"), 4 * DAY),
        (skewless.tumbling("1d", previous=True), 3 * DAY),
        (skewless.lag("1d", by="1d"), 52 * HOUR),
        ([skewless.exact("90s", bound=5), "1h"], 99 * HOUR),
        (["1h", skewless.lifetime()], None),
        (skewless.calendar("day", "America/New_York"), 3 * DAY + 5 * HOUR),
        (skewless.calendar("day", "America/New_York", previous=True), 2 * DAY + 5 * HOUR),
        (skewless.calendar("month", "UTC"), 0),
    ],
)
def test_offline_reads_events_from_the_earliest_edge_on(windows: object, needed: int | None) -> None:
    view = kernel.StreamView(meaning(skewless.count("n", windows=windows)))  # type: ignore[arg-type]
    assert view.earliest_needed(100 * HOUR) == needed
