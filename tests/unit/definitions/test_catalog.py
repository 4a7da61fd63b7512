"""The catalogue finds what is defined, and says what is known when it does not."""

from typing import Any

import pytest

from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import WindowView
from skewless.definitions.resource import Definition, Kind, Version, canonical
from skewless.errors import InvalidDefinitionError, UnknownFeatureError, UnknownFeatureServiceError

ORIGIN = {"name": "origin", "keys": [{"name": "origin", "type": "string"}]}


def source(record_key: list[str]) -> dict[str, Any]:
    return {
        "kind": "stream",
        "name": "departures",
        "topic": "flights.departures",
        "payload": "json",
        "record_key": record_key,
        "columns": [
            {"name": "event_time", "type": "timestamp", "nullable": False},
            {"name": "origin", "type": "string", "nullable": True},
        ],
        "event_time": "event_time",
        "future_tolerance_us": 5_000_000,
    }


def window_view(version: str = "1.0.0", *, width: int = 3_600_000_000, key: str = "tailnum") -> Definition:
    meaning = {
        "format": 1,
        "semantics": 1,
        "kind": "window_view",
        "project": "flights",
        "name": "departures_of_origin",
        "entity": ORIGIN,
        "source": source([key]),
        "filter": None,
        "origin_us": 345_600_000_000,
        "head_slack_us": 2_000_000,
        "back_slack_us": 300_000_000,
        "head_max": 256,
        "state_limit_bytes": 65_536,
        "features": [
            {
                "name": "departures",
                "agg": "count",
                "column": None,
                "window_us": width,
                "hop_us": 60_000_000,
                "bound": None,
                "type": "int64",
            }
        ],
    }
    return Definition("flights", Kind.WINDOW_VIEW, "departures_of_origin", Version.parse(version), canonical(meaning))


def test_a_view_is_found_by_name_by_reference_and_by_hash() -> None:
    old, new = window_view("1.9.0"), window_view("1.10.0", width=7_200_000_000)
    catalog = Catalog([new, old], revision=7)
    assert catalog.revision == 7
    assert [view.ref for view in catalog.views("flights")] == [
        "departures_of_origin@1.9.0",
        "departures_of_origin@1.10.0",
    ]
    newest = catalog.view("flights", "departures_of_origin")
    assert isinstance(newest, WindowView)
    assert newest.version == (1, 10, 0)
    assert newest.sentinel_key == "skewless:sentinel:flights:departures_of_origin:v1.10"
    assert catalog.view_ref("flights", "departures_of_origin@1.9.0").meaning_json == old.meaning_json
    assert catalog.view_by_hash(old.meaning_hash) is catalog.view("flights", "departures_of_origin", "1.9.0")
    assert catalog.view_by_hash(old.meaning_hash[:16]) is catalog.view_by_hash(old.meaning_hash)
    assert catalog.view_by_hash(b"\0" * 32) is None
    view, feature = catalog.feature("flights", "departures_of_origin@1.10.0:departures")
    assert view is newest
    assert feature is newest.features[0]


def test_of_versions_that_share_a_meaning_the_hash_finds_the_newest() -> None:
    catalog = Catalog([window_view("1.0.1"), window_view("1.0.0")])
    view = catalog.view_by_hash(window_view().meaning_hash)
    assert view is not None
    assert view.version == (1, 0, 1)


def test_what_is_unknown_is_named_with_what_is_known() -> None:
    catalog = Catalog([window_view()])
    with pytest.raises(UnknownFeatureError, match=r"no view 'departures_of_origin@2.0.0'; known: dep"):
        catalog.view("flights", "departures_of_origin", "2.0.0")
    with pytest.raises(UnknownFeatureError, match=r"known: departures_of_origin@1.0.0:departures"):
        catalog.feature("flights", "departures_of_origin@1.0.0:arrivals")
    with pytest.raises(UnknownFeatureServiceError, match="no feature service 'model'; none is known"):
        catalog.service("flights", "model")


def test_a_view_keyed_like_its_records_reads_the_topic_itself() -> None:
    catalog = Catalog([window_view(key="origin")])
    (log,) = catalog.input_logs()
    assert (log.name, log.direct) == ("flights.departures", True)
    assert catalog.event_log("flights", "departures") is log


def test_a_view_keyed_otherwise_reads_a_rekeyed_topic_shared_by_its_versions() -> None:
    catalog = Catalog([window_view("1.0.0"), window_view("2.0.0", width=7_200_000_000)])
    (log,) = catalog.input_logs("flights")
    assert (log.name, log.direct) == ("skewless.rekeyed.flights.origin.departures", False)
    assert log.views == catalog.stream_views()
    assert [catalog.input_log(view) for view in log.views] == [log, log]
    assert [key.name for key in log.keys] == ["origin"]
    assert hash(log) == hash(catalog.input_logs()[0])


def test_a_document_that_lacks_a_member_says_which() -> None:
    meaning = canonical({"format": 1, "kind": "window_view", "project": "flights", "name": "v"})
    with pytest.raises(InvalidDefinitionError, match="the member 'source' is missing"):
        Catalog([Definition("flights", Kind.WINDOW_VIEW, "v", Version(1, 0, 0), meaning)])
