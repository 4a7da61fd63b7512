"""Between the answer and the event log: what was served is never computed from a log that lacks its records."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
import redis

import skewless as sk
from skewless.bus import Bus
from skewless.client import Store
from skewless.errors import InvalidArgumentError, NotReadyError, UnknownFeatureServiceError, UnknownRequestIdError
from skewless.local import LocalMesh
from skewless.types import Status

SERVICE = "model@1.0.0"
NAME = "spending:n_1h"

user = sk.Entity("user")
payments = sk.StreamSource(
    "payments",
    topic="shop.payments",
    record_key=["user"],
    event_time="event_time",
    columns={"event_time": "timestamp", "user": "string", "amount": "float64"},
)
spending = sk.StreamFeatureView(
    "spending",
    entity=user,
    source=payments,
    features=[sk.count("n", windows=["1h"]), sk.sum("paid", "amount", windows=["1h"])],
)
scaled = sk.OnDemandFeatureView(
    "scaled", request=sk.RequestSource({"factor": "float64"}), inputs=[spending["paid_1h"]],
    features={"scaled": "paid_1h * factor"},
)  # fmt: skip
project = sk.Project("shop", sk.FeatureService("model", features=[spending, scaled]))


@dataclass
class Shop:
    mesh: LocalMesh
    store: Store
    bus: Bus
    sent: int = 0

    def pay(self, *amounts: float) -> None:
        with self.bus.sender() as sender:
            for amount in amounts:
                row = {"event_time": time.time_ns() // 1_000 - 1_000, "user": "ann", "amount": amount}
                sender.send("shop.payments", json.dumps(row).encode(), key=b"ann", partition=0)
            assert sender.flush(10)
        self.sent += len(amounts)
        self.wait(logged=False)

    def wait(self, *, logged: bool) -> None:
        self.store.stream_status(wait_for=[("payments", 0, self.sent)], wait_for_log=logged, timeout_s=30)

    def ask(self, at: dt.datetime | None = None) -> Any:
        return self.store.get_online_features(SERVICE, {"user": "ann"}, request={"factor": 2.0}, request_time=at)

    def frame(self, **columns: pa.Array) -> pa.Table:
        now = pa.array([time.time_ns() // 1_000], pa.timestamp("us", tz="UTC"))
        whole = {"user": pa.array(["ann"]), "factor": pa.array([2.0]), "request_time": now, **columns}
        return self.store.get_historical_features(pa.table(whole), SERVICE, with_statuses=True)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Event logs are committed only when somebody waits for them."""
    services = ("registry", "stream_agg", "online", "offline")
    environ = {"SKEWLESS_COMMIT_MS": "3600000", "SKEWLESS_SERVED_COMMIT_MS": "50"}
    with LocalMesh(tmp_path_factory.mktemp("mesh"), services, environ=environ) as mesh:
        bus = Bus(mesh.addresses["broker"])
        bus.ensure_topic("shop.payments")
        addresses: dict[str, Any] = {name: mesh.addresses[name] for name in services}
        with Store("shop", **addresses) as store:
            store.apply(project)
            found = Shop(mesh, store, bus)
            deadline = time.monotonic() + 30
            while not _served(found):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield found


def _served(shop: Shop) -> bool:
    try:
        return bool(shop.ask().statuses[NAME] == (Status.PRESENT,))
    except (NotReadyError, UnknownFeatureServiceError):  # the catalogue is on its way
        return False


def _in_served_log(shop: Shop, request_id: str) -> Any:
    deadline = time.monotonic() + 30
    while True:
        try:
            return shop.store.replay(request_id)
        except UnknownRequestIdError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_before_the_first_commit_and_before_the_next(shop: Shop) -> None:
    for n in (1, 2):  # first there is no table at all, then one that lacks the newest records
        shop.pay(1.0, 2.5)
        answer = shop.ask()
        assert answer.values[NAME] == (2 * n,)
        asked = pa.table({"request_id": [answer.request_id]})
        assert _in_served_log(shop, answer.request_id).outcomes == {answer.request_id: "NOT_YET_LOGGED"}
        with pytest.raises(NotReadyError, match=answer.request_id):
            shop.store.get_historical_features(asked, SERVICE, knowledge="as_served")
        with pytest.raises(NotReadyError, match=answer.request_id):
            shop.store.explain(answer.request_id, NAME)
        shop.wait(logged=True)
        assert shop.store.replay(answer.request_id).outcomes == {answer.request_id: "EQUAL"}
        frame = shop.store.get_historical_features(asked, SERVICE, knowledge="as_served")
        assert {name: tuple(frame[name].to_pylist()) for name in answer.values} == answer.values
        assert shop.store.explain(answer.request_id, NAME).event_count == 2 * n


def test_the_first_and_the_last_instant_are_replayed(shop: Shop) -> None:
    instants = (dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC))
    ids = [shop.ask(instant).request_id for instant in instants]
    shop.wait(logged=True)
    for request_id, outcome in zip(ids, ("NOT_ANSWERED", "EQUAL"), strict=True):
        assert _in_served_log(shop, request_id).different == 0
        assert shop.store.replay(request_id).outcomes == {request_id: outcome}
    for instant in instants:
        at = pa.array([instant], pa.timestamp("us", tz="UTC"))
        assert shop.frame(request_time=at)[NAME].to_pylist() == [0]


def test_frames_that_cannot_be(shop: Shop) -> None:
    request_id = shop.ask().request_id
    _in_served_log(shop, request_id)
    for columns, words in (
        ({"request_time": pa.array([2**63 - 1], pa.timestamp("us", tz="UTC"))}, "years 1 to 9999"),
        ({"request_time": pa.array([-(2**63)], pa.timestamp("us", tz="UTC"))}, "years 1 to 9999"),
        ({"user": pa.array([7])}, r"frame\.user: expected string, got int64"),
        ({"user": pa.array([b"ann"])}, r"frame\.user: expected string, got binary"),
        ({"factor": pa.array([True])}, r"frame\.factor: expected float64, got bool"),
        ({NAME: pa.array([1])}, f"{NAME}: the answer brings a column of this name"),
        ({f"{NAME}__status": pa.array([1])}, f"{NAME}__status: the answer brings a column of this name"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            shop.frame(**columns)
    for columns, words in (
        ({"request_id": pa.array([7])}, r"frame\.request_id: expected string, got int64"),
        ({"request_id": pa.array([None], pa.string())}, r"1 row\(s\) name no served request"),
        ({"request_id": pa.array([request_id]), "row": pa.array([1])}, f"row 1 of {request_id} was not served"),
        ({"request_id": pa.array([request_id]), "row": pa.array(["0"])}, r"frame\.row: expected int64, got string"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            shop.store.get_historical_features(pa.table(columns), SERVICE, knowledge="as_served")


def test_frames_without_numbers_or_rows(shop: Shop) -> None:
    shop.pay(1.0)
    assert shop.frame(factor=pa.array([None], pa.float64()))["scaled:scaled"].to_pylist() == [None]
    assert shop.frame(user=pa.array(["ann"]).dictionary_encode())[f"{NAME}__status"].to_pylist() == [1]
    empty = {
        "user": pa.array([], pa.string()),
        "factor": pa.array([], pa.float64()),
        "request_time": pa.array([], pa.timestamp("us", tz="UTC")),
    }
    assert shop.frame(**empty).num_rows == 0


def test_a_store_that_forgets_is_found_out(shop: Shop) -> None:
    shop.pay(1.0)
    shop.mesh.restart("stream_agg")  # it has no state in memory now
    with redis.Redis.from_url(shop.mesh.store_url) as store:
        store.flushall()
    lost = shop.ask()
    assert lost.statuses[NAME] == (Status.REBUILDING,)
    shop.pay(1.0)
    deadline = time.monotonic() + 30
    while (answer := shop.ask()).statuses[NAME] != (Status.PRESENT,):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer.values[NAME] == (shop.sent,)
    shop.wait(logged=True)
    assert _in_served_log(shop, answer.request_id).outcomes == {answer.request_id: "EQUAL"}
    asked = pa.table({"request_id": [lost.request_id, answer.request_id]})
    frame = shop.store.get_historical_features(asked, SERVICE, knowledge="as_served", with_statuses=True)
    assert frame[NAME].to_pylist() == [None, shop.sent]
    assert frame[f"{NAME}__status"].to_pylist() == [Status.REBUILDING, Status.PRESENT]
    assert frame["scaled:scaled"].to_pylist() == [None, answer.values["scaled:scaled"][0]]


def test_runs_at_no_instant(shop: Shop) -> None:
    with pytest.raises(InvalidArgumentError, match=r"as_of_us: 9223372036854775807 is no instant"):
        shop.store.materialize("spending@1.0.0", as_of=2**63 - 1)
