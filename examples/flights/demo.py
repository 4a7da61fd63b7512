"""The demonstration: a year of flights through the mesh, served, replayed, trained on and explained.

1. `write_tables` writes the static tables; definitions are planned and applied (in ``__main__``).
2. `serve_year` publishes the year in steps; before some steps vectors are asked for over gRPC.
3. The rest is common to all examples, in `examples.shared`: every served vector is computed again at its own
   knowledge, and none may differ; a model is trained on the values that were served and tested on the last quarter;
   one served value is taken apart, down to its events.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet
from rich.progress import Progress

from examples.flights import definitions
from examples.flights.data import Event, Flights
from examples.flights.publish import TOPICS, publish
from examples.flights.year import publish_step, step_count, steps
from examples.shared.asking import Asked, absorb, run
from examples.shared.publish import Publisher
from skewless.client import Store
from skewless.types import from_micros

SEED = 20_130_101
SERVED_STEPS = 1_600
BATCH_VIEWS = ("plane@1.0.0", "airport@1.0.0")
WEEKLY_VIEW = "route_history@1.0.0"
EXPLAINED = "origin_departures:dep_delay_1h"
LEAST_VECTORS = 20_000
"""A run that served fewer vectors has not shown enough."""
MODEL = "arrival_delay_gbdt@2013-09"
SPLIT_US = 1_380_585_600_000_000
"""2013-10-01T00:00Z: vectors before it train the model, vectors from it on test it."""
FRAME_KEYS: Mapping[str, pa.DataType] = {
    "origin": pa.string(),
    "carrier": pa.string(),
    "tailnum": pa.string(),
    "dest": pa.string(),
    "request_time": pa.timestamp("us", tz="UTC"),
    "scheduled": pa.timestamp("us", tz="UTC"),
    "distance": pa.int64(),
}
ENTITY_KEYS = ("origin", "carrier", "tailnum", "dest")
UNKNOWN_TAIL = "unknown"
"""The tail number asked for where the schedule has none: an aircraft that nothing is known of."""


def write_tables(flights: Flights, directory: Path) -> None:
    """The static tables where the batch sources look for them."""
    directory.mkdir(parents=True, exist_ok=True)
    planes = flights.planes.select(["tailnum", "year", "manufacturer", "engines", "seats"])
    pa.parquet.write_table(planes, directory / "planes.parquet")
    airports = flights.airports.select(["faa", "lat", "lon", "alt"]).rename_columns(["dest", "lat", "lon", "alt"])
    pa.parquet.write_table(airports, directory / "airports.parquet")


def serve_year(store: Store, publisher: Publisher, flights: Flights, progress: Progress) -> Asked:
    """Publishes the year and asks for vectors on the way."""
    asked = Asked(FRAME_KEYS)
    task = progress.add_task("a year through the mesh", total=step_count(flights))
    for number, step in enumerate(steps(flights, seed=SEED, served_steps=SERVED_STEPS)):
        publish_step(flights, step, partial(publish, publisher))
        if step.week_ends:
            absorb(store, publisher, logged=True)
            run(store, WEEKLY_VIEW, as_of_us=step.end_us)
        if step.asked:
            absorb(store, publisher)
            for flight in step.asked:
                ask(store, flight, asked)
        progress.update(task, completed=number + 1)
    absorb(store, publisher, logged=True)
    return asked


def ask(store: Store, flight: Event, asked: Asked) -> None:
    """Asks for the vector of a flight, at the time at which it is scheduled to leave."""
    keys = {name: flight[name] for name in ENTITY_KEYS}
    keys["tailnum"] = keys["tailnum"] or UNKNOWN_TAIL
    scheduled_us = cast("int", flight["event_time"])
    asked.ask(
        store,
        definitions.SERVICE,
        keys,
        request={"scheduled": from_micros(scheduled_us), "distance": flight["distance"]},
        request_time_us=scheduled_us,
        label=cast("bool | None", flight["label"]),
    )


def records(store: Store) -> dict[str, int]:
    """How many records the aggregator took, by what became of them, over the topics themselves."""
    direct = [log for log in store.stream_status() if log.log in TOPICS.values()]
    return {
        "late": sum(log.late for log in direct),
        "malformed": sum(log.records.get("malformed", 0) for log in direct),
    }
