"""What every feature of the fraud example must be, from its records alone: the oracle over its definitions."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from examples.fraud import definitions, demo
from examples.fraud.expected import partition_of
from examples.fraud.generator import Record, Traffic
from examples.fraud.people import DAY
from examples.shared.publish import PARTITIONS
from tests.oracle.aggregates import Aggregation
from tests.oracle.cells import Cell, Status, same_value
from tests.oracle.events import Event, Everything, Position
from tests.oracle.expressions import APPROXIMATE, evaluate, uses
from tests.oracle.windows import Ask, WindowFeature, window_values

DOCUMENTS: Mapping[str, Any] = {one.name: json.loads(one.meaning_json) for one in definitions.project.definitions()}


def placed(records: Sequence[Record], source: str) -> Iterator[tuple[tuple[int, int], Record]]:
    """The records of a source with their partitions and offsets."""
    ends = Counter[int]()
    for record in records:
        if record.source == source:
            partition = partition_of(record.key, PARTITIONS)
            yield (partition, ends[partition]), record
            ends[partition] += 1


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
