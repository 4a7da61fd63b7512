"""Killing the aggregator in the middle of a stream: at the end as if nothing had happened.

Checked are the event logs, which must hold each position exactly once, and the served values, which must equal
the oracle's over everything that was sent.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

import skewless
from skewless.bus import Bus
from skewless.client import Store
from skewless.errors import SkewlessError
from skewless.lake import Lake
from skewless.local import BROKER, STORE, LocalMesh
from skewless.types import from_micros
from tests.mesh import world
from tests.oracle.cells import Cell, same_value

DIRECT = world.TOPIC
REKEYED = f"skewless.rekeyed.{world.PROJECT}.shop.{world.SOURCE}"
PROJECT = skewless.Project(world.PROJECT, world.BY_USER, world.BY_SHOP, world.SERVICE)


def start(mesh: LocalMesh) -> tuple[Bus, Store]:
    bus = Bus(mesh.addresses[BROKER])
    bus.ensure_topic(world.TOPIC)
    store = Store(
        world.PROJECT,
        registry=mesh.addresses["registry"],
        stream_agg=mesh.addresses["stream_agg"],
        online=mesh.addresses.get("online"),
        offline=mesh.addresses.get("offline"),
        validator=mesh.addresses.get("validator"),
    )
    store.apply(PROJECT)
    return bus, store


def events(mesh: LocalMesh, log: str) -> pa.Table:
    columns = ["partition", "offset", "source_partition", "source_offset", "verdict", "entity_id", "c_amount"]
    table = Lake(str(mesh.lake)).events(world.PROJECT, log).read(columns)
    assert table is not None
    return table


def assert_logged_once(mesh: LocalMesh, payments: world.Payments) -> None:
    """The direct log has exactly the positions sent; the re-keyed one each source position once, not a duplicate."""
    sent = {(partition, offset) for partition, end in payments.ends().items() for offset in range(end)}
    direct = events(mesh, DIRECT)
    places = Counter(zip(direct["partition"].to_pylist(), direct["offset"].to_pylist(), strict=True))
    assert places == dict.fromkeys(sent, 1)
    assert Counter(direct["verdict"].to_pylist())["accepted"] == len(payments.events())

    rekeyed = events(mesh, REKEYED)
    own = Counter(zip(rekeyed["partition"].to_pylist(), rekeyed["offset"].to_pylist(), strict=True))
    assert set(own.values()) == {1}
    rows = zip(
        rekeyed["source_partition"].to_pylist(),
        rekeyed["source_offset"].to_pylist(),
        rekeyed["verdict"].to_pylist(),
        strict=True,
    )
    assert Counter((p, o) for p, o, verdict in rows if verdict != "duplicate") == dict.fromkeys(sent, 1)


def assert_served_as_the_oracle_says(store: Store, payments: world.Payments) -> None:
    """Every feature of every user and shop, bit for bit, at one request time."""
    sent, request_time = payments.events(), time.time_ns() // 1_000 + 1_000_000
    by_user = {user: world.by_user(sent, user, request_time) for user in world.USERS}
    by_shop = {shop: world.by_shop(sent, shop, request_time) for shop in world.SHOPS}
    assert_equal(store, "by_user", "user", by_user, request_time)
    assert_equal(store, "by_shop", "shop", by_shop, request_time)


def assert_equal(
    store: Store, view: str, key: str, expected: Mapping[str, list[Cell]] | Mapping[int, list[Cell]], at: int
) -> None:
    names = [feature.name for feature in world.WHAT]
    answer = store.get_online_features(
        [f"{view}@1.0.0:{name}" for name in names], entities={key: list(expected)}, request_time=from_micros(at)
    )
    for row, (entity, cells) in enumerate(expected.items()):
        for name, cell in zip(names, cells, strict=True):
            value = answer.values[f"{view}:{name}"][row]
            assert not isinstance(value, dt.datetime)
            status = int(answer.statuses[f"{view}:{name}"][row])
            assert (status, value) == (int(cell.status), cell.value), (view, entity, name)
            assert same_value(value, cell.value), (view, entity, name)


def wait_for_progress(store: Store) -> None:
    """Until every log has committed something since the aggregator started."""
    first: dict[str, int] = {}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(SkewlessError):
            committed = {log.log: sum(p.committed_offset for p in log.partitions) for log in store.stream_status()}
            first = first or (committed if len(committed) == 2 and all(committed.values()) else {})
            if first and all(committed[log] > at for log, at in first.items()):
                return
        time.sleep(0.02)
    raise AssertionError("the aggregator does not get on")


def settle(store: Store, payments: world.Payments) -> None:
    store.stream_status(wait_for=payments.positions(), wait_for_log=True, timeout_s=60)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 6))])
def test_a_killed_aggregator_loses_nothing_and_counts_nothing_twice(tmp_path: Path, seed: int) -> None:
    """R5: wherever it was in its commits."""
    rnd = random.Random(seed)  # noqa: S311 (a choice to be repeated)
    environ = {"SKEWLESS_COMMIT_MS": "150"}
    with LocalMesh(tmp_path, services=("registry", "online", "stream_agg"), environ=environ) as mesh:
        bus, store = start(mesh)
        payments = world.Payments(bus, seed)
        done = threading.Event()

        def produce() -> None:
            while not done.is_set():
                payments.send(rnd.randrange(20, 200))
                time.sleep(0.05)

        producer = threading.Thread(target=produce)
        producer.start()
        try:
            for _ in range(3):
                wait_for_progress(store)
                time.sleep(rnd.uniform(0, 0.4))
                mesh.kill("stream_agg")
                mesh.restart("stream_agg")
        finally:
            done.set()
            producer.join()
        settle(store, payments)
        assert len(payments.sent) > 1_000
        assert_logged_once(mesh, payments)
        assert_served_as_the_oracle_says(store, payments)
        store.close()


def test_a_store_or_broker_that_goes_away_for_a_while_loses_nothing(tmp_path: Path) -> None:
    environ = {"SKEWLESS_COMMIT_MS": "150"}
    with LocalMesh(tmp_path, services=("registry", "online", "stream_agg"), environ=environ) as mesh:
        bus, store = start(mesh)
        payments = world.Payments(bus, 7)
        payments.send(500)
        settle(store, payments)
        mesh.kill(STORE)
        payments.send(500)
        time.sleep(0.5)
        assert mesh.addresses[STORE] in store.stream_status()[0].stopped
        mesh.restart(STORE)
        settle(store, payments)
        mesh.kill(BROKER)
        time.sleep(0.5)
        mesh.restart(BROKER)
        payments.send(500)
        mesh.kill("registry")
        settle(store, payments)
        assert_logged_once(mesh, payments)
        assert_served_as_the_oracle_says(store, payments)
        store.close()


def test_a_store_that_has_lost_everything_is_rebuilt_from_the_log(tmp_path: Path) -> None:
    environ = {"SKEWLESS_COMMIT_MS": "150"}
    with LocalMesh(tmp_path, services=("registry", "online", "stream_agg"), environ=environ) as mesh:
        bus, store = start(mesh)
        payments = world.Payments(bus, 9)
        payments.send(2_000)
        settle(store, payments)
        mesh.kill(STORE)
        shutil.rmtree(tmp_path / "store" / "appendonlydir")
        mesh.restart(STORE)
        payments.send(200)
        settle(store, payments)
        assert_served_as_the_oracle_says(store, payments)
        assert_logged_once(mesh, payments)
        store.close()


@pytest.mark.parametrize("logged", [True, False], ids=["logged", "not logged"])
def test_records_that_were_re_keyed_but_not_committed_are_sent_again_and_counted_once(
    tmp_path: Path, *, logged: bool
) -> None:
    environ = {"SKEWLESS_COMMIT_MS": "600000"}  # the re-keyer commits nothing in this test
    with LocalMesh(tmp_path, services=("registry", "online", "stream_agg"), environ=environ) as mesh:
        bus, store = start(mesh)
        payments = world.Payments(bus, 13)
        for count in (300, 200):
            payments.send(count)
            store.stream_status(wait_for=payments.positions(), wait_for_log=logged, timeout_s=60)
            mesh.kill("stream_agg")
            mesh.restart("stream_agg")
        payments.send(100)
        settle(store, payments)
        verdicts = Counter(events(mesh, REKEYED)["verdict"].to_pylist())
        assert verdicts["duplicate"] == 300 + 500
        assert_logged_once(mesh, payments)
        assert_served_as_the_oracle_says(store, payments)
        store.close()
