"""Which columns of its events a view reads: all that the offline service loads of an event log."""

from typing import Any

import pytest

import skewless
from skewless import kernel
from skewless.definitions.meanings import LatestView, WindowView
from skewless.definitions.reading import read

COLUMNS = {"event_time": "timestamp", "origin": "string", "delay": "float64", "n": "int64"}
SOURCE = skewless.StreamSource("departures", topic="departures", columns=COLUMNS, event_time="event_time")
CHANGES = skewless.StreamSource(
    "changes",
    topic="changes",
    columns={**COLUMNS, "op": "string not null"},
    event_time="event_time",
    operation=skewless.Operation("op", inserts=["+"], retracts=["-"]),
)
ORIGIN = skewless.Entity("origin")


def columns(view: Any) -> list[str]:
    made = read(skewless.Project("flights", view).definitions()[-1])
    assert isinstance(made, WindowView | LatestView)
    return kernel.StreamView(made.meaning_json).columns


@pytest.mark.parametrize(
    ("features", "members", "wanted"),
    [
        ([skewless.count("c", windows="1h")], {}, []),
        ([skewless.sum("s", "n", windows="1h"), skewless.last("l", "delay", windows="1h")], {}, ["c_delay", "c_n"]),
        ([skewless.sum("s", "n", windows="1h")], {"filter": "delay > 0"}, ["c_delay", "c_n"]),
        ([skewless.count_where("w", "delay > 0", windows="1h")], {}, ["c_delay"]),
    ],
    ids=["nothing", "columns", "filter", "condition"],
)
def test_those_of_features_filters_and_conditions(
    features: list[Any], members: dict[str, Any], wanted: list[str]
) -> None:
    view = skewless.StreamFeatureView("v", entity=ORIGIN, source=SOURCE, features=features, **members)
    assert columns(view) == wanted


def test_the_one_that_tells_retractions() -> None:
    counted = skewless.count("c", windows="1h")
    assert columns(skewless.StreamFeatureView("v", entity=ORIGIN, source=CHANGES, features=[counted])) == ["c_op"]
    assert columns(skewless.LatestFeatureView("v", entity=ORIGIN, source=CHANGES, features=["n"])) == ["c_n", "c_op"]
