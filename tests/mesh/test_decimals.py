"""Decimals the whole road: sent as text and as numbers, served, kept, computed again, and through a query."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import skewless as sk
from skewless.bus import Bus
from skewless.client import Store
from skewless.errors import UnknownRequestIdError
from skewless.local import BROKER, LocalMesh
from skewless.types import Status, from_micros

HOUR = 3_600_000_000
START = 1_372_636_800_000_000  # 2013-07-01T00:00Z
TOPIC = "till.sales"

till = sk.Entity("till", keys={"till": "string"})
sales = sk.StreamSource(
    "sales",
    topic=TOPIC,
    record_key=["till"],
    event_time="event_time",
    columns={"event_time": "timestamp", "till": "string", "paid": "decimal(18,2)"},
)
sums = sk.BatchSource(
    "sums",
    query="SELECT till, $as_of AS at_time, sum(paid) AS paid FROM sales GROUP BY till",
    inputs=[sales],
    event_time="at_time",
    columns={"till": "string not null", "at_time": "timestamp not null", "paid": "decimal(18,2)"},
)
taken = sk.StreamFeatureView(
    "taken",
    entity=till,
    source=sales,
    features=[
        sk.sum("paid", "paid", windows=["1h"]),
        sk.avg("mean", "paid", windows=["1h"]),
        sk.max("most", "paid", windows=["1h"]),
        sk.last_n("last", "paid", n=2, windows=["1h"]),
        sk.histogram("sizes", "paid", edges=[Decimal("0.15"), 1], windows=["1h"]),
    ],
)
newest = sk.LatestFeatureView("newest", entity=till, source=sales, features=["paid"])
total = sk.BatchFeatureView("total", entity=till, source=sums, features=["paid"])
SERVICE = "tills@1.0.0"
project = sk.Project("till", sk.FeatureService("tills", features=[taken, newest, total]))
SALES: list[tuple[str, int, Any]] = [
    ("a", START, "0.10"),
    ("a", START + 1, 0.2),
    ("a", START + 2, "-9999999999999999.99"),
    ("a", START + 3, "9999999999999999.99"),
    ("b", START, 7),
    ("b", START + 1, "7.005"),
]
EXPECTED: dict[str, list[Any]] = {
    "taken:paid_1h": [Decimal("0.30"), Decimal("7.00")],
    "taken:mean_1h": [0.075, 7.0],
    "taken:most_1h": [Decimal("9999999999999999.99"), Decimal("7.00")],
    "taken:last_1h": [[Decimal("9999999999999999.99"), Decimal("-9999999999999999.99")], [Decimal("7.00")]],
    "taken:sizes_1h": [[2, 1, 1], [0, 0, 1]],
    "newest:paid": [Decimal("9999999999999999.99"), Decimal("7.00")],
    "total:paid": [Decimal("0.30"), Decimal("7.00")],
}


@pytest.mark.timeout(200)
def test_decimals_keep_every_digit(tmp_path: Path) -> None:
    services = ("registry", "stream_agg", "online", "offline")
    with LocalMesh(tmp_path, services, environ={"SKEWLESS_COMMIT_MS": "100"}) as mesh:
        bus = Bus(mesh.addresses[BROKER])
        bus.ensure_topic(TOPIC)
        addresses: dict[str, Any] = {name: mesh.addresses[name] for name in services}
        with Store("till", **addresses) as store:
            store.apply(project)
            settle(store, bus)
            store.materialize("total@1.0.0", as_of=from_micros(START + HOUR // 2))
            at = START + HOUR // 2 + 1
            served = store.get_online_features(SERVICE, {"till": ["a", "b"]}, request_time=at)
            assert {name: list(cells) for name, cells in served.values.items()} == EXPECTED
            assert all(status is Status.PRESENT for cells in served.statuses.values() for status in cells)
            assert str(served.values["taken:paid_1h"][1]) == "7.00"
            frame = pa.table({"till": ["a", "b"], "request_time": pa.array([at, at], pa.timestamp("us", "UTC"))})
            history = store.get_historical_features(frame, SERVICE)
            assert {name: history[name].to_pylist() for name in EXPECTED} == EXPECTED
            assert history.schema.field("taken:paid_1h").type == pa.decimal128(18, 2)
            assert_replayed(store, served.request_id)


def settle(store: Store, bus: Bus) -> None:
    """Everything sent is absorbed and logged; the last sale has too many digits and is no event."""
    ends: dict[int, int] = {}

    def sent(_topic: str, partition: int, offset: int) -> None:
        ends[partition] = offset + 1

    with bus.sender(on_sent=sent) as sender:
        for own, t, paid in SALES:
            sender.send(TOPIC, json.dumps({"till": own, "event_time": t, "paid": paid}).encode(), key=own.encode())
        assert sender.flush(10)
    positions = [("sales", partition, end) for partition, end in ends.items()]
    logs = store.stream_status(wait_for=positions, wait_for_log=True, timeout_s=60)
    assert sum(log.records["malformed"] for log in logs) == 1


def assert_replayed(store: Store, request_id: str) -> None:
    """The answer is in the served log a little after it was given."""
    deadline = time.monotonic() + 60
    outcome = ""
    while outcome in {"", "NOT_YET_LOGGED"}:
        assert time.monotonic() < deadline
        try:
            outcome = store.replay([request_id]).outcomes[request_id]
        except UnknownRequestIdError:
            time.sleep(0.2)
    assert outcome == "EQUAL"
