"""The demonstration: a year of flights through the mesh, served, replayed, trained on and explained.

1. `write_tables` writes the static tables; definitions are planned and applied (in ``__main__``).
2. `serve_year` publishes the year in steps; before some steps vectors are asked for over gRPC.
3. `replay` has every served vector computed again at its own knowledge: none may differ.
4. `learn` trains on the values that were served, tests on the last quarter and logs the predictions.
5. `explain` takes one served value apart, down to its events.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from rich.progress import Progress

from examples.flights import definitions, train
from examples.flights.data import Event, Flights
from examples.flights.publish import TOPICS, Publisher
from examples.flights.year import publish_step, step_count, steps
from skewless.client import Store
from skewless.client.results import Replay
from skewless.errors import UnknownFeatureError, UnknownRequestIdError
from skewless.types import from_micros

SEED = 20_130_101
SERVED_STEPS = 1_600
BATCH_VIEWS = ("plane@1.0.0", "airport@1.0.0")
WEEKLY_VIEW = "route_history@1.0.0"
EXPLAINED = "origin_departures:dep_delay_1h"
LEAST_VECTORS = 20_000
"""A run that served fewer vectors has not shown enough."""
MODEL = "arrival_delay_gbdt@2013-09"
SETTINGS = {
    "SKEWLESS_COMMIT_MS": "5000",
    "SKEWLESS_FLUSH_MS": "3",
    "SKEWLESS_REPLAY_SHARE": "0.1",
    "SKEWLESS_REPLAY_INTERVAL_MS": "60000",
}
"""A year in minutes: states are written sooner, since the run waits for them; commits are larger and rarer; and the
validator replays a sample on the way, since the run itself replays every vector at its end."""
SOURCES: Mapping[str, str] = {
    "departures": "departures",
    "arrivals": "arrivals",
    "weather": "weather_reports",
}
"""The source that each stream is defined as."""


@dataclass
class Asked:
    """What was asked, a row per vector: the request and the flight's label."""

    request_ids: list[str] = field(default_factory=list)
    labels: list[bool | None] = field(default_factory=list)
    keys: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in FRAME_KEYS})
    latencies_ms: list[float] = field(default_factory=list)

    def frame(self) -> pa.Table:
        """The frame that training starts from."""
        columns: dict[str, Any] = {
            "request_id": pa.array(self.request_ids, pa.string()),
            "label": pa.array(self.labels, pa.bool_()),
        }
        columns |= {name: pa.array(cells, FRAME_KEYS[name]) for name, cells in self.keys.items()}
        return pa.table(columns)


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


def load_tables(store: Store) -> None:
    """Brings the static tables online, as soon as the offline service has heard of their views."""
    deadline = time.monotonic() + 30
    for view in BATCH_VIEWS:
        while True:
            try:
                store.materialize(view)
                break
            except UnknownFeatureError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def serve_year(store: Store, publisher: Publisher, flights: Flights, progress: Progress) -> Asked:
    """Publishes the year and asks for vectors on the way."""
    asked = Asked()
    task = progress.add_task("a year through the mesh", total=step_count(flights))
    for number, step in enumerate(steps(flights, seed=SEED, served_steps=SERVED_STEPS)):
        publish_step(flights, step, publisher.publish)
        if step.week_ends:
            absorb(store, publisher, logged=True)
            store.materialize(WEEKLY_VIEW, as_of=step.end_us)
        if step.asked:
            absorb(store, publisher)
            for flight in step.asked:
                _ask(store, flight, asked)
        progress.update(task, completed=number + 1)
    absorb(store, publisher, logged=True)
    return asked


def absorb(store: Store, publisher: Publisher, *, logged: bool = False) -> None:
    """Waits until everything published is readable online; with ``logged``, in the event log as well."""
    publisher.flush()
    positions = [(SOURCES[stream], partition, end) for (stream, partition), end in publisher.ends.items()]
    store.stream_status(wait_for=positions, wait_for_log=logged, timeout_s=120)


def _ask(store: Store, flight: Event, asked: Asked) -> None:
    keys = {name: flight[name] for name in ENTITY_KEYS}
    keys["tailnum"] = keys["tailnum"] or UNKNOWN_TAIL
    scheduled_us = cast("int", flight["event_time"])
    begun = time.perf_counter()
    answer = store.get_online_features(
        definitions.SERVICE,
        keys,
        request={"scheduled": from_micros(scheduled_us), "distance": flight["distance"]},
        request_time=scheduled_us,
    )
    asked.latencies_ms.append((time.perf_counter() - begun) * 1_000)
    asked.request_ids.append(answer.request_id)
    asked.labels.append(cast("bool | None", flight["label"]))
    cells = {**keys, "request_time": scheduled_us, "scheduled": scheduled_us, "distance": flight["distance"]}
    for name, cell in cells.items():
        asked.keys[name].append(cell)


def replay(store: Store, asked: Asked, progress: Progress) -> Replay:
    """Has every served vector computed again, as soon as the served log has the last ones."""
    task = progress.add_task("replaying what was served", total=len(asked.request_ids))
    deadline = time.monotonic() + 60
    while True:
        try:
            store.replay(asked.request_ids[-100:])
            break
        except UnknownRequestIdError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    return store.replay(on_progress=lambda so_far: progress.update(task, completed=so_far.replayed))


def learn(store: Store, asked: Asked, progress: Progress) -> tuple[train.Model, float, dict[str, int]]:
    """The model, how long its training took in all, and the rows per feature that event-time truth would change."""
    task = progress.add_task("training on the values that were served", total=4)
    begun = time.perf_counter()
    frame = asked.frame()
    served = store.get_historical_features(frame, definitions.SERVICE, knowledge="as_served", with_statuses=True)
    progress.advance(task)
    features = [name for name in served.schema.names if ":" in name and not name.endswith("__status")]
    model = train.train(served, train.numeric(served, features), seed=SEED)
    seconds = time.perf_counter() - begun
    progress.advance(task)
    rows = train.tested(served)
    for request_id, score in zip(rows["request_id"].to_pylist(), model.scores, strict=True):
        store.log_prediction(request_id, MODEL, [score])
    progress.advance(task)
    truth = store.get_historical_features(frame, definitions.SERVICE, with_statuses=True)
    progress.advance(task)
    return model, seconds, skewed(served, truth, features)


def skewed(served: pa.Table, truth: pa.Table, features: list[str]) -> dict[str, int]:
    """Per feature, the rows whose value or status differs; only features with any."""
    counts: dict[str, int] = {}
    for name in features:
        differs = pc.not_equal(served[f"{name}__status"], truth[f"{name}__status"])
        values = pc.fill_null(pc.not_equal(served[name], truth[name]), fill_value=False)
        count = pc.sum(pc.or_(differs, values)).as_py()
        if count:
            counts[name] = count
    return counts


def explain(store: Store, asked: Asked) -> dict[str, Any]:
    """One served value, the last of the year, taken apart."""
    found = store.explain(asked.request_ids[-1], EXPLAINED, max_events=1_000)
    return {
        "feature": EXPLAINED,
        "entity": found.entity,
        "request_time": from_micros(found.request_time_us).isoformat(),
        "value": found.value,
        "events": [
            {"event_time": from_micros(event.event_time_us).isoformat(), "log": event.log,
             "partition": event.partition, "offset": event.offset, "payload": json.loads(event.payload)}
            for event in found.events
        ],
    }  # fmt: skip


def records(store: Store) -> dict[str, int]:
    """How many records the aggregator took, by what became of them, over the topics themselves."""
    direct = [log for log in store.stream_status() if log.log in TOPICS.values()]
    return {
        "late": sum(log.late for log in direct),
        "malformed": sum(log.records.get("malformed", 0) for log in direct),
    }
