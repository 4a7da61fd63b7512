"""Which columns of an event log a view needs."""

from typing import Any

import pytest

import skewless
from services.offline.domain.features import event_columns
from skewless.definitions.meanings import WindowView
from skewless.definitions.reading import read

COLUMNS = {"event_time": "timestamp", "origin": "string", "delay": "float64", "n": "int64"}
SOURCE = skewless.StreamSource("departures", topic="departures", columns=COLUMNS, event_time="event_time")


@pytest.mark.parametrize(
    ("features", "members", "wanted"),
    [
        ([skewless.count("c", windows="1h")], {}, []),
        ([skewless.sum("s", "n", windows="1h"), skewless.last("l", "delay", windows="1h")], {}, ["delay", "n"]),
        ([skewless.sum("s", "n", windows="1h")], {"filter": "delay > 0"}, list(COLUMNS)),
        ([skewless.count_where("w", "delay > 0", windows="1h")], {}, list(COLUMNS)),
    ],
    ids=["nothing", "columns", "filter", "condition"],
)
def test_columns_that_are_read_and_all_where_a_condition_may_read_any(
    features: list[Any], members: dict[str, Any], wanted: list[str]
) -> None:
    entity = skewless.Entity("origin")
    view = skewless.StreamFeatureView("v", entity=entity, source=SOURCE, features=features, **members)
    made = read(skewless.Project("flights", view).definitions()[-1])
    assert isinstance(made, WindowView)
    assert event_columns(made) == wanted
