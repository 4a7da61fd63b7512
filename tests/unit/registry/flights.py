"""A small project that the registry's tests plan, apply and break."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import skewless
from skewless.definitions.resource import Definition, Version, canonical


def project(
    *,
    windows: tuple[str, ...] = ("1h", "24h"),
    version: str = "1.0.0",
    description: str = "",
    expression: str = "now - usual",
    name: str = "flights",
) -> skewless.Project:
    """Departures by origin, an on-demand deviation, a batch view over the log, and a service of all three."""
    origin = skewless.Entity("origin")
    departures = skewless.StreamSource(
        "departures",
        topic="flights.departures",
        columns={
            "event_time": "timestamp",
            "origin": "string",
            "tailnum": "string",
            "dep_delay": "float64",
        },
        event_time="event_time",
        record_key=["tailnum"],
    )
    by_origin = skewless.StreamFeatureView(
        "origin_departures",
        version=version,
        entity=origin,
        source=departures,
        features=[
            skewless.count("departures", windows=windows),
            skewless.avg("delay", "dep_delay", windows={"delay_now": "1h", "delay_usual": "7d"}),
        ],
        description=description,
    )
    deviation = skewless.OnDemandFeatureView(
        "deviation",
        inputs={"now": by_origin["delay_now"], "usual": by_origin["delay_usual"]},
        features={"deviation": expression},
    )
    delays = skewless.BatchSource(
        "delays",
        query="SELECT origin, avg(dep_delay) AS delay, $as_of AS at FROM departures GROUP BY origin",
        inputs=[departures],
        columns={"origin": "string", "delay": "float64", "at": "timestamp"},
        event_time="at",
    )
    weekly = skewless.BatchFeatureView("weekly", entity=origin, source=delays, features=["delay"], ttl="30d")
    model = skewless.FeatureService("model", features=[by_origin, deviation["deviation"], weekly["delay"]])
    return skewless.Project(name, model)


def definitions(**options: Any) -> list[Definition]:
    """The definitions of `project`: origin, delays, departures, origin_departures, weekly, deviation, model."""
    return project(**options).definitions()


def changed(definition: Definition, change: Callable[[dict[str, Any]], object], **words: Any) -> Definition:
    """The definition with its document changed in place, canonical again."""
    document = json.loads(definition.meaning_json)
    change(document)
    if "version" in words:
        words["version"] = Version.parse(words["version"])
    return replace(definition, meaning_json=canonical(document), **words)


def by_name(found: list[Definition]) -> dict[str, Definition]:
    return {definition.name: definition for definition in found}
