"""Records that take back others through the real mesh: served and historical values are the oracle's."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import skewless as sk
from skewless.bus import Bus
from skewless.client import Store
from skewless.local import BROKER, LocalMesh
from tests.oracle.aggregates import Aggregation
from tests.oracle.cells import Cell, Status, same_value
from tests.oracle.events import Event, Known, Nothing, Position
from tests.oracle.grid import default_hop
from tests.oracle.windows import Ask, WindowFeature, window_values

HOUR = 3_600_000_000
START = 1_372_636_800_000_000  # 2013-07-01T00:00Z
TOPIC = "bank.transfers"
PARTITIONS = 4
ACCOUNTS = [f"account {n}" for n in range(6)]

account = sk.Entity("account", keys={"account": "string"})
transfers = sk.StreamSource(
    "transfers",
    topic=TOPIC,
    record_key=["account"],
    event_time="event_time",
    columns={"op": "string not null", "event_time": "timestamp", "account": "string", "amount": "float64"},
    operation=sk.Operation("op", inserts=["+I", "+U"], retracts=["-U", "-D"]),
)
moved = sk.StreamFeatureView(
    "moved",
    entity=account,
    source=transfers,
    features=[
        sk.count("n", windows=["1h"]),
        sk.sum("paid", "amount", windows=["1h"]),
        sk.avg("mean", "amount", windows=["1h"]),
        sk.stddev("spread", "amount", windows=["1h"]),
    ],
)
newest = sk.LatestFeatureView("newest", entity=account, source=transfers, features=["amount"])
SERVICE = "bank@1.0.0"
project = sk.Project("bank", sk.FeatureService("bank", features=[moved, newest]))
WHAT = tuple(
    WindowFeature(f"{name}_1h", aggregation, HOUR, default_hop(HOUR) or 0)
    for name, aggregation in (
        ("n", Aggregation("count")),
        ("paid", Aggregation("sum", "amount", "float64")),
        ("mean", Aggregation("avg", "amount", "float64")),
        ("spread", Aggregation("stddev", "amount", "float64")),
    )
)


class Transfers:
    """Insertions and retractions from a seed; a retraction may come before what it takes back, or without it."""

    def __init__(self, bus: Bus, seed: int) -> None:
        self._bus = bus
        self._random = random.Random(seed)  # noqa: S311 (a test's choice, to be repeated)
        self.events: list[Event] = []
        self.ends = dict.fromkeys(range(PARTITIONS), 0)

    def send(self, count: int) -> None:
        rnd = self._random
        records: list[tuple[str, str, int, float | None]] = []
        for _ in range(count):
            what = (rnd.choice(ACCOUNTS), START + rnd.randrange(2 * HOUR), rnd.choice([0.1, 0.2, 1e6, -3.5, None]))
            records.append(("+I", *what))
            if rnd.random() < 0.4:
                records.append((rnd.choice(["-U", "-D"]), *what))
        records.append(("-D", ACCOUNTS[0], START + HOUR, 7.0))
        rnd.shuffle(records)
        with self._bus.sender() as sender:
            for op, own, t, amount in records:
                partition = ACCOUNTS.index(own) % PARTITIONS
                row: dict[str, str | int | float | None] = {"op": op, "account": own, "event_time": t, "amount": amount}
                sender.send(TOPIC, json.dumps(row).encode(), key=own.encode(), partition=partition)
                place = Position(1, partition, self.ends[partition])
                self.events.append(Event(own, t, place, row, op.startswith("-")))
                self.ends[partition] += 1
            assert sender.flush(30)

    def settle(self, store: Store) -> None:
        positions = [("transfers", partition, end) for partition, end in self.ends.items()]
        store.stream_status(wait_for=positions, wait_for_log=True, timeout_s=60)

    def cells(self, own: str, at: int) -> list[Cell]:
        partition = ACCOUNTS.index(own) % PARTITIONS
        seen = [event for event in self.events if event.key == own]
        known = Known(1, partition, self.ends[partition]) if seen else Nothing()
        return window_values(WHAT, self.events, [Ask(own, at, known)], signed=True)[0]

    def expected(self, own: str, at: int) -> dict[str, Cell]:
        expected = {f"moved:{f.name}": cell for f, cell in zip(WHAT, self.cells(own, at), strict=True)}
        return {**expected, "newest:amount": self.latest(own, at)}

    def latest(self, own: str, at: int) -> Cell:
        """R14: the newest record at or before the time; none where that one takes back."""
        seen = [event for event in self.events if event.key == own and event.t < at]
        found = max(seen, key=lambda event: (event.t, event.position), default=None)
        if found is None or found.retracts:
            return Cell(None, Status.NOT_FOUND)
        value = found.row["amount"]
        return Cell(value, Status.NULL if value is None else Status.PRESENT)


@pytest.mark.timeout(200)
def test_what_is_taken_back_is_gone_from_served_and_historical_values(tmp_path: Path) -> None:
    services = ("registry", "stream_agg", "online", "offline")
    with LocalMesh(tmp_path, services, environ={"SKEWLESS_COMMIT_MS": "100"}) as mesh:
        bus = Bus(mesh.addresses[BROKER])
        bus.ensure_topic(TOPIC)
        addresses: dict[str, Any] = {name: mesh.addresses[name] for name in services}
        with Store("bank", **addresses) as store:
            store.apply(project)
            transfers_sent = Transfers(bus, 5)
            transfers_sent.send(150)
            transfers_sent.settle(store)
            mesh.kill("stream_agg")
            mesh.restart("stream_agg")
            transfers_sent.send(150)
            transfers_sent.settle(store)
            assert sum(event.retracts for event in transfers_sent.events) > 80
            assert_served(store, transfers_sent, START + 2 * HOUR + 1)
            for at in (START + HOUR, START + HOUR + 1_234_567, START + 2 * HOUR + 1):
                assert_historical(store, transfers_sent, at)


def assert_served(store: Store, sent: Transfers, at: int) -> None:
    served = store.get_online_features(SERVICE, {"account": ACCOUNTS}, request_time=at)
    for row, own in enumerate(ACCOUNTS):
        for name, cell in sent.expected(own, at).items():
            value, status = served.values[name][row], int(served.statuses[name][row])
            assert (status, value) == (int(cell.status), cell.value), (name, own, at)
            assert not isinstance(value, dt.datetime)
            assert same_value(value, cell.value), (name, own, at)


def assert_historical(store: Store, sent: Transfers, at: int) -> None:
    frame = pa.table({"account": ACCOUNTS, "request_time": pa.array([at] * len(ACCOUNTS), pa.timestamp("us", "UTC"))})
    history = store.get_historical_features(frame, SERVICE, with_statuses=True)
    for row, own in enumerate(ACCOUNTS):
        for name, cell in sent.expected(own, at).items():
            assert history[f"{name}__status"][row].as_py() == int(cell.status), (name, own, at)
            assert same_value(history[name][row].as_py(), cell.value), (name, own, at)
