"""History through the real mesh: batch runs, frames at both kinds of knowledge, replay and explanation."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from deltalake import DeltaTable

import skewless as sk
from skewless.bus import Bus
from skewless.client import AsyncStore, Store
from skewless.errors import (
    EntityMismatchError,
    InvalidArgumentError,
    SkewlessError,
    UnknownFeatureError,
    UnknownFeatureServiceError,
    UnknownRequestIdError,
)
from skewless.lake import Lake
from skewless.local import LocalMesh
from skewless.types import Status

HOUR = 3_600_000_000
START = 1_372_636_800_000_000  # 2013-07-01T00:00Z

user = sk.Entity("user", keys={"user_id": "string"})
payments = sk.StreamSource(
    "payments",
    topic="shop.payments",
    record_key=["user_id"],
    event_time="event_time",
    columns={"event_time": "timestamp", "user_id": "string", "amount": "float64", "merchant": "string"},
)
profiles = sk.BatchSource(
    "profiles", path="profiles.parquet", columns={"user_id": "string not null", "home": "string", "limit": "float64"}
)
totals = sk.BatchSource(
    "totals",
    query="SELECT user_id, $as_of AS at_time, sum(amount) AS spent FROM payments WHERE user_id IS NOT NULL "
    "GROUP BY user_id",
    inputs=[payments],
    event_time="at_time",
    columns={"user_id": "string not null", "at_time": "timestamp not null", "spent": "float64"},
)
spending = sk.StreamFeatureView(
    "spending",
    entity=user,
    source=payments,
    features=[
        sk.count("payments", windows=["1h", "24h"]),
        sk.avg("amount", "amount", windows=["1h", "24h"]),
        sk.last("merchant", "merchant", windows=["24h"]),
    ],
)
profile = sk.BatchFeatureView("profile", entity=user, source=profiles, features=["home", "limit"])
spent = sk.BatchFeatureView("spent", entity=user, source=totals, features=["spent"])
ratio = sk.OnDemandFeatureView(
    "ratio",
    request=sk.RequestSource({"amount_now": "float64"}),
    inputs={"usual": spending["amount_24h"], "most": profile["limit"]},
    features={"to_usual": "amount_now / usual", "over_limit": "amount_now > most"},
)
SERVICE = "risk@1.0.0"
project = sk.Project("shop", sk.FeatureService("risk", features=[spending, profile, spent, ratio]))


@dataclass
class Shop:
    """A mesh with payments in it and some answers served."""

    mesh: LocalMesh
    store: Store
    bus: Bus
    ends: dict[int, int] = field(default_factory=dict)

    def pay(self, *events: tuple[str, int, float | None, str]) -> None:
        """Publishes (user, event time, amount, merchant) and waits until they are absorbed and logged."""

        def sent(_topic: str, partition: int, offset: int) -> None:
            self.ends[partition] = offset + 1

        with self.bus.sender(on_sent=sent) as sender:
            for user_id, event_time, amount, merchant in events:
                payload = {"user_id": user_id, "event_time": event_time, "amount": amount, "merchant": merchant}
                sender.send("shop.payments", json.dumps(payload).encode(), key=user_id.encode())
            assert sender.flush(10)
        positions = [("payments", partition, end) for partition, end in self.ends.items()]
        self.store.stream_status(wait_for=positions, wait_for_log=True, timeout_s=30)

    def is_known(self) -> bool:
        """Whether the online service trusts every view: their writers have each said so, in no order."""
        statuses = self.ask("ann", START + 2 * HOUR).statuses
        return all(status is not Status.REBUILDING for cells in statuses.values() for status in cells)

    def ask(self, user_id: str, at: int, amount_now: float | None = 10.0) -> Any:
        return self.store.get_online_features(
            SERVICE, {"user_id": user_id}, request={"amount_now": amount_now}, request_time=at
        )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("shop")
    sources = directory / "sources"
    sources.mkdir()
    rows = {"user_id": ["ann", "bob"], "home": ["Oslo", None], "limit": [100.0, 50.0]}
    pa.parquet.write_table(pa.table(rows), sources / "profiles.parquet")
    services = ("registry", "stream_agg", "online", "offline")
    with LocalMesh(directory / "mesh", services, environ={"SKEWLESS_SOURCES": str(sources)}) as mesh:
        bus = Bus(mesh.addresses["broker"])
        bus.ensure_topic("shop.payments")
        addresses: dict[str, Any] = {name: mesh.addresses[name] for name in services}
        with Store("shop", **addresses) as store:
            store.apply(project, reason="test")
            found = Shop(mesh, store, bus)
            found.pay(
                ("ann", START, 10.0, "baker"),
                ("ann", START + HOUR, 30.0, "grocer"),
                ("bob", START + HOUR, 5.0, "baker"),
            )
            until(found.is_known)
            yield found


def until(done: Any, timeout_s: float = 30) -> None:
    """Waits until ``done`` holds; errors that may pass count as not yet."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if done():
                return
        except SkewlessError as error:
            if not error.retry or time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def replayed(shop: Shop, ids: list[str]) -> dict[str, str]:
    """The outcome of each id, once the served log has all of them and the event log what they knew."""
    found: dict[str, str] = {}

    def logged() -> bool:
        found.update(shop.store.replay(ids).outcomes)
        return "NOT_YET_LOGGED" not in found.values()

    until(logged)
    return found


def test_a_batch_view_says_what_it_knows_before_and_after_its_runs(shop: Shop) -> None:
    before = shop.ask("ann", START + 2 * HOUR)
    assert before.statuses["profile:home"][0] is Status.NOT_FOUND
    run = shop.store.materialize("profile@1.0.0")
    assert (run.run_seq, run.rows_read, run.rows_written, run.entities_online) == (1, 2, 2, 2)
    ann, bob, eve = (shop.ask(name, START + 2 * HOUR) for name in ("ann", "bob", "eve"))
    assert ann.values["profile:home"] == ("Oslo",)
    assert ann.values["ratio:over_limit"] == (False,)
    assert bob.statuses["profile:home"][0] is Status.NULL
    assert eve.statuses["profile:home"][0] is Status.NOT_FOUND
    outcomes = replayed(shop, [answer.request_id for answer in (before, ann, bob, eve)])
    assert set(outcomes.values()) == {"EQUAL"}


def test_a_query_reads_the_event_log_as_of_the_run(shop: Shop) -> None:
    shop.store.materialize("spent@1.0.0", as_of=START + HOUR)
    early = shop.ask("ann", START + 2 * HOUR)
    shop.store.materialize("spent@1.0.0", as_of=START + 2 * HOUR)
    late = shop.ask("ann", START + 3 * HOUR)
    assert (early.values["spent:spent"], late.values["spent:spent"]) == ((10.0,), (40.0,))
    assert set(replayed(shop, [early.request_id, late.request_id]).values()) == {"EQUAL"}


def test_frames_know_what_was_served_or_what_is_true(shop: Shop) -> None:
    at = START + 10 * HOUR
    answer = shop.ask("cid", at)
    shop.pay(("cid", at - HOUR, 7.0, "tailor"))
    frame = pa.table(
        {
            "request_id": [answer.request_id],
            "label": [True],
            "request_time": pa.array([at], pa.timestamp("us", tz="UTC")),
            "user_id": ["cid"],
            "amount_now": [10.0],
        }
    )
    until(lambda: shop.store.replay([answer.request_id]).replayed == 1)
    served = shop.store.get_historical_features(frame, SERVICE, knowledge="as_served", with_statuses=True)
    truth = shop.store.get_historical_features(frame, SERVICE, with_statuses=True)
    assert served["spending:payments_24h"].to_pylist() == [0]
    assert truth["spending:payments_24h"].to_pylist() == [1]
    assert truth["ratio:to_usual"].to_pylist() == [10.0 / 7.0]
    assert served["ratio:to_usual__status"].to_pylist() == [int(Status.NULL)]
    assert served.column_names[:5] == frame.column_names


def test_the_client_of_asyncio_gets_the_same_history(shop: Shop) -> None:
    times = [START + n * HOUR for n in range(1, 6)]
    answers = [shop.ask("ann", at) for at in times]
    assert set(replayed(shop, [answer.request_id for answer in answers]).values()) == {"EQUAL"}
    frame = pa.table(
        {
            "request_time": pa.array(times, pa.timestamp("us", tz="UTC")),
            "user_id": ["ann"] * len(times),
            "amount_now": [10.0] * len(times),
        }
    )
    addresses: dict[str, Any] = {name: shop.mesh.addresses[name] for name in ("registry", "online", "offline")}
    progress: list[int] = []

    async def run() -> tuple[list[Any], Any, Any]:
        async with AsyncStore("shop", **addresses) as store:
            frames = await asyncio.gather(
                *(store.get_historical_features(frame.slice(n, 1), SERVICE) for n in range(len(times)))
            )
            replay = await store.replay(
                [answer.request_id for answer in answers], on_progress=lambda so_far: progress.append(so_far.replayed)
            )
            with pytest.raises(UnknownFeatureServiceError):
                await store.get_historical_features(frame, "none@1.0.0")
            return frames, replay, await store.explain(answers[0].request_id, "spending:amount_24h")

    frames, replay, explained = asyncio.run(run())
    assert pa.concat_tables(frames).equals(shop.store.get_historical_features(frame, SERVICE))
    assert (replay.replayed, replay.equal, replay.done) == (len(times), len(times), True)
    assert progress[-1] == len(times)
    assert explained == shop.store.explain(answers[0].request_id, "spending:amount_24h")


def test_a_value_is_explained_down_to_its_records(shop: Shop) -> None:
    answer = shop.ask("ann", START + 2 * HOUR)
    shop.store.log_prediction(answer.request_id, "risk@7", [0.25])
    until(lambda: shop.store.explain(answer.request_id, "spending:amount_24h").predictions)
    found = shop.store.explain(answer.request_id, "spending:amount_24h")
    assert (found.value, found.replayed, found.entity, found.event_count) == (20.0, 20.0, "user_id=ann", 2)
    assert [json.loads(event.payload)["amount"] for event in found.events] == [30.0, 10.0]
    assert found.predictions[0][:2] == ("risk@7", 0.25)
    derived = shop.store.explain(answer.request_id, "ratio:to_usual")
    assert {item.name: item.event_count for item in derived.inputs} == {"usual": 2, "most": 1, "amount_now": 0}


def test_bad_requests_say_what_is_wrong(shop: Shop) -> None:
    instants = pa.array([START], pa.timestamp("us", tz="UTC"))
    whole = pa.table({"request_time": instants, "user_id": ["ann"], "amount_now": [1.0]})
    ask = shop.store.get_historical_features
    with pytest.raises(UnknownFeatureServiceError, match=r"risk@1\.0\.0"):
        ask(whole, "nothing@1.0.0")
    with pytest.raises((InvalidArgumentError, EntityMismatchError), match="user_id"):
        ask(whole.drop(["user_id"]), SERVICE)
    with pytest.raises(InvalidArgumentError, match="amount_now"):
        ask(whole.set_column(2, "amount_now", pa.array([float("nan")])), SERVICE)
    with pytest.raises(InvalidArgumentError, match="expected float64, got string"):
        ask(whole.set_column(2, "amount_now", pa.array(["1.0"])), SERVICE)
    with pytest.raises(InvalidArgumentError, match="of type float64"):
        ask(whole.drop(["amount_now"]), SERVICE)
    with pytest.raises(UnknownRequestIdError):
        ask(pa.table({"request_id": ["01ARZ3NDEKTSV4RRFFQ69G5FAV"]}), SERVICE, knowledge="as_served")
    with pytest.raises(UnknownRequestIdError):
        shop.store.explain("01ARZ3NDEKTSV4RRFFQ69G5FAV", "spending:amount_24h")
    with pytest.raises(UnknownFeatureError, match="known"):
        shop.store.materialize("nothing@1.0.0")
    with pytest.raises(InvalidArgumentError, match="stream"):
        shop.store.materialize("spending@1.0.0")


def test_a_log_that_was_tampered_with_is_found_out(shop: Shop) -> None:
    shop.pay(("dan", START, 1.0, "baker"))
    answer = shop.ask("dan", START + HOUR)
    assert replayed(shop, [answer.request_id]) == {answer.request_id: "EQUAL"}
    table = Lake(str(shop.mesh.lake)).events("shop", "shop.payments")
    columns = [field.name for field in DeltaTable(table.uri).schema().fields]
    found = table.read(columns, where=[("entity_id", "=", "s.dan")])
    assert found is not None
    forged = found.set_column(columns.index("c_amount"), "c_amount", pa.array([1.0 + 2**-51]))
    below = found["offset"][0].as_py() - 1
    table.append(forged.set_column(columns.index("offset"), "offset", pa.array([below])), {})
    report = shop.store.replay([answer.request_id])
    assert report.outcomes == {answer.request_id: "DIFFERENT"}
    assert {d.feature for d in report.differences} >= {"spending:payments_24h", "spending:amount_24h"}


def test_the_served_log_has_each_answer_once_after_a_crash(shop: Shop) -> None:
    answers = [shop.ask("ann", START + 2 * HOUR).request_id for _ in range(50)]
    shop.mesh.kill("offline")
    answers += [shop.ask("ann", START + 2 * HOUR).request_id for _ in range(50)]
    shop.mesh.restart("offline")
    until(lambda: set(replayed(shop, answers)) == set(answers))
    served = logged_ids(shop.mesh.lake)
    assert len(served) == len(set(served))


def logged_ids(root: Path) -> list[str]:
    """The request ids of all answers in the served log, as often as they stand there."""

    rows = Lake(str(root)).served("shop").read(["request_id", "kind"])
    assert rows is not None
    return [row["request_id"] for row in rows.to_pylist() if row["kind"] == "vector"]


LATE = [
    # (minutes, amount), of one user, in the order of arrival: what is late, what is below the horizon of the 1 h
    # window, and at which minute which payments_1h, amount_1h and payments_24h are served afterwards
    ([(0, 10.0), (600, 30.0)], 0, 0, 601, (1, 30.0, 2)),
    ([(570, 6.0)], 1, 0, 601, (2, 18.0, 3)),
    ([(541, 12.0)], 1, 0, 601, (3, 16.0, 4)),
    ([(120, 99.0)], 1, 0, 601, (3, 16.0, 5)),
    ([(602, 2.0)], 0, 0, 603, (3, 38 / 3, 6)),
]


def test_a_late_event_is_folded_and_counted_and_served_as_it_is_replayed(shop: Shop) -> None:
    """Horizons follow the events: at minute 600 everything before it is folded, so what comes then is late.

    The last test of this world: its log has moved on by many days.
    """
    start = START + 40 * 24 * HOUR
    answers, ids = [], []
    for events, late, below, minute, _ in LATE:
        before = shop.store.stream_status()[0]
        for at, amount in events:
            shop.pay(("dora", start + at * HOUR // 60, amount, "baker"))
        after = shop.store.stream_status()[0]
        assert (after.late - before.late, after.below_horizon - before.below_horizon) == (late, below), events
        answer = shop.ask("dora", start + minute * HOUR // 60)
        names = ("spending:payments_1h", "spending:amount_1h", "spending:payments_24h")
        answers.append(tuple(answer.values[name][0] for name in names))
        ids.append(answer.request_id)
    assert answers == [expected for *_, expected in LATE]
    assert set(replayed(shop, ids).values()) == {"EQUAL"}
