"""The fraud example in small: every record is counted as it was made, and what was served is what the oracle says."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from examples.fraud import definitions, demo, generator
from examples.fraud.days import Run
from examples.fraud.expected import partition_of
from examples.fraud.generator import Record, Scenario, Traffic
from examples.fraud.people import DAY
from examples.shared import asking, program
from examples.shared.publish import PARTITIONS, Publisher
from skewless.bus import Bus
from skewless.client import Store
from skewless.lake import Lake
from skewless.local import BROKER, LocalMesh
from tests.oracle.aggregates import Aggregation
from tests.oracle.cells import Cell, Status, same_value
from tests.oracle.events import Event, Everything, Position
from tests.oracle.expressions import APPROXIMATE, evaluate, uses
from tests.oracle.windows import Ask, WindowFeature, window_values

SCENARIO = Scenario(seed=7, users=12, merchants=20, days=6, rate=3, sprees=4.0, offline=0.1, malformed=0.05, ahead=0.01)
RUN = Run(SCENARIO, served_steps=50, rewinds=2, rewound_by=(20, 100))
SETTINGS = {"SKEWLESS_COMMIT_MS": "200", "SKEWLESS_SERVED_COMMIT_MS": "200", "SKEWLESS_FLUSH_MS": "3"}
DOCUMENTS: Mapping[str, Any] = {one.name: json.loads(one.meaning_json) for one in definitions.project.definitions()}


@dataclass
class Known:
    """What the mesh knew at each vector.

    records: how many records had been published.
    night: the end of the last day before, and how many records had been published then; None: no night yet.
    """

    records: list[int] = field(default_factory=list)
    night: list[tuple[int, int] | None] = field(default_factory=list)


@contextmanager
def world(directory: Path, traffic: Traffic) -> Iterator[tuple[LocalMesh, Store, Publisher]]:
    """A mesh with the example applied and its profiles online."""
    demo.write_tables(traffic, directory / "sources")
    environ = {**SETTINGS, "SKEWLESS_SOURCES": str(directory / "sources")}
    mesh = LocalMesh(directory / "mesh", environ=environ)
    with mesh, program.open_store(mesh, definitions.PROJECT) as store:
        store.apply(definitions.project)
        publisher = Publisher(Bus(mesh.addresses[BROKER]), demo.TOPICS)
        asking.load_tables(store, [demo.PROFILE_VIEW])
        yield mesh, store, publisher


def drive(store: Store, publisher: Publisher, traffic: Traffic, journal: demo.Journal) -> Known:
    """The whole run."""
    known, published, night = Known(), 0, None
    for step in demo.serve(store, publisher, RUN, traffic, journal):
        published += len(step.records)
        night = (step.end_us, published) if step.day_ends else night
        known.records += [published] * len(step.asked)
        known.night += [night] * len(step.asked)
    return known


def assert_counted(report: Mapping[str, int], publisher: Publisher, journal: demo.Journal, traffic: Traffic) -> None:
    """The product's counts add up, and are those of the generator."""
    assert publisher.published == len(traffic.records)
    assert demo.contradictions({**report, "events": publisher.published}, journal.expected) == []
    for outcome in ("duplicate", "on_time", "late", "malformed", "too_far_future"):
        assert report[outcome] > 0, f"nothing was {outcome}: the scenario shows too little"


def assert_logged_once(mesh: LocalMesh, traffic: Traffic) -> None:
    """The event logs of the topics have each position once, with the verdict that its fault deserves."""
    for source, topic in demo.TOPICS.items():
        table = Lake(str(mesh.lake)).events(definitions.PROJECT, topic).read(["partition", "offset", "verdict"])
        assert table is not None
        rows = [(row["partition"], row["offset"], row["verdict"]) for row in table.to_pylist()]
        wanted = [(*place, verdict(record)) for place, record in placed(traffic.records, source)]
        assert Counter(rows) == Counter(wanted)


def verdict(record: Record) -> str:
    if record.fault is generator.Fault.AHEAD:
        return "too_far_future"
    return "accepted" if record.fault is None else "malformed"


def placed(records: Sequence[Record], source: str) -> Iterator[tuple[tuple[int, int], Record]]:
    """The records of a source with their partitions and offsets."""
    ends = Counter[int]()
    for record in records:
        if record.source == source:
            partition = partition_of(record.key, PARTITIONS)
            yield (partition, ends[partition]), record
            ends[partition] += 1


# --- Values ---------------------------------------------------------------------------------------------------


class Oracle:
    """What each feature must be, from the records alone."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def window(self, view: str, entity: str, request_time: int, known: int) -> dict[str, Cell]:
        """The features of a window view, knowing so many records."""
        document = DOCUMENTS[view]
        key, source = document["entity"]["keys"][0]["name"], document["source"]["name"]
        types = {column["name"]: column["type"] for column in document["source"]["columns"]}
        events = [
            Event(str(record.event[key]), record.event_time_us, Position(1, *place), record.event)
            for place, record in placed(self._traffic.records[:known], source)
            if record.fault is None
        ]
        features = [
            WindowFeature(
                one["name"],
                Aggregation(one["agg"], one["column"], types.get(one["column"]), one["bound"]),
                one["window_us"],
                one["hop_us"],
            )
            for one in document["features"]
        ]
        cells = window_values(features, events, [Ask(entity, request_time, Everything())])[0]
        return {f"{view}:{feature.name}": cell for feature, cell in zip(features, cells, strict=True)}

    def profile(self, user_id: str) -> dict[str, object]:
        """The row that was written for a user."""
        user = next(user for user in self._traffic.users if user.user_id == user_id)
        return {
            "profile:opened_at": user.opened_us,
            "profile:home_country": user.city.country,
            "profile:home_lat": user.lat,
            "profile:home_lon": user.lon,
            "profile:typical_amount": round(40 * user.level, 2),
        }

    def risk(self, merchant_id: str, night: tuple[int, int] | None) -> dict[str, float]:
        """The row of a merchant's last night; empty if there is none."""
        if night is None:
            return {}
        as_of_us, known = night
        rows = {
            source: [
                record.event
                for record in self._traffic.records[:known]
                if record.source == source
                and record.fault is None
                and record.event["merchant_id"] == merchant_id
                and as_of_us - 30 * DAY <= record.event_time_us < as_of_us
            ]
            for source in demo.TOPICS
        }
        paid, disputed = rows["transactions"], len(rows["chargebacks"])
        if not paid:
            return {}
        return {
            "merchant_risk:payments": len(paid),
            "merchant_risk:disputed": disputed,
            "merchant_risk:mean_amount": sum(float(event["amount"]) for event in paid) / len(paid),
            "merchant_risk:absent_share": sum(not event["card_present"] for event in paid) / len(paid),
            "merchant_risk:risk": (disputed + 0.3) / (len(paid) + 30),
        }


def served_rows(store: Store, frame: pa.Table) -> list[dict[str, Any]]:
    """What was served, a row per row of the frame, instants as microseconds."""
    table = store.get_historical_features(frame, definitions.SERVICE, knowledge="as_served", with_statuses=True)
    columns = {
        name: column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for name, column in zip(table.schema.names, table.columns, strict=True)
    }
    rows: list[dict[str, Any]] = pa.table(columns).to_pylist()
    return rows


def assert_as_the_oracle_says(
    row: Mapping[str, Any], oracle: Oracle, known: int, night: tuple[int, int] | None
) -> None:
    """Every feature of a vector: windows bit for bit, tables, and expressions over what was served beside them."""
    at_us, user_id, merchant_id = row["request_time"], row["user_id"], row["merchant_id"]
    windows = {"spending": user_id, "whereabouts": user_id, "takings": merchant_id, "disputes": merchant_id}
    for view, entity in windows.items():
        for name, cell in oracle.window(view, entity, at_us, known).items():
            assert (row[f"{name}__status"], row[name]) == (int(cell.status), cell.value), (name, entity, at_us)
            assert same_value(row[name], cell.value), (name, entity, at_us)
    assert {name: row[name] for name in row if name in oracle.profile(user_id)} == oracle.profile(user_id)
    risk = oracle.risk(merchant_id, night)
    for feature in DOCUMENTS["merchant_risk"]["features"]:
        name = f"merchant_risk:{feature['name']}"
        if risk:
            assert math.isclose(row[name], risk[name], rel_tol=1e-12), (name, merchant_id, night)
        else:
            assert row[f"{name}__status"] == Status.NOT_FOUND
    for view in ("payment", "behaviour"):
        assert_evaluated(row, view)


def assert_evaluated(row: Mapping[str, Any], view: str) -> None:
    document = DOCUMENTS[view]
    fields = {one["name"]: (one["name"], one["type"]) for one in document["request"]}
    fields |= {one["name"]: (f"{one['view']}:{one['feature']}", one["type"]) for one in document["inputs"]}
    cells = {name: row[column] for name, (column, _) in fields.items()}
    types = {name: kind for name, (_, kind) in fields.items()}
    for feature in document["features"]:
        name, cell = f"{view}:{feature['name']}", evaluate(feature["expr"], types, cells, row["request_time"])
        assert row[f"{name}__status"] == int(cell.status), (name, cells)
        if uses(feature["expr"]) & APPROXIMATE and cell.value is not None:
            assert isinstance(cell.value, float)
            assert math.isclose(row[name], cell.value, rel_tol=1e-9), (name, cells)
        else:
            assert same_value(row[name], cell.value), (name, cells)


@pytest.mark.timeout(180)
def test_the_account_adds_up_and_what_was_served_is_what_the_oracle_says(tmp_path: Path) -> None:
    traffic, journal = generator.make(SCENARIO), demo.Journal()
    with world(tmp_path, traffic) as (mesh, store, publisher):
        known = drive(store, publisher, traffic, journal)
        assert_counted(demo.account(store), publisher, journal, traffic)
        assert_logged_once(mesh, traffic)

        asked = len(journal.asked.request_ids)
        assert asked >= RUN.served_steps
        with program.progress_bars() as progress:
            replay = asking.replay(store, journal.asked, progress)
        assert (replay.equal, replay.different, replay.not_answered) == (asked, 0, 0)

        rows, oracle = served_rows(store, journal.asked.frame()), Oracle(traffic)
        chosen = random.Random(3).sample(range(asked), 40)  # noqa: S311 (a choice to be repeated)
        for index in chosen:
            assert_as_the_oracle_says(rows[index], oracle, known.records[index], known.night[index])
        explained = asking.explain(store, demo.last_theft(journal.asked), demo.EXPLAINED, demo.payment)
        assert explained["value"] == pytest.approx(sum(event["payload"]["amount"] for event in explained["events"]))
