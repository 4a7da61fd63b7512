"""One value, the whole road, by real processes: a JSON event becomes a served number that the oracle agrees with."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Message

import skewless as sk
from skewless.bus import Bus
from skewless.client import Store
from skewless.errors import TimedOutError
from skewless.local import BROKER, LocalMesh
from skewless.types import Status, from_micros
from tests.mesh import world
from tests.mesh.test_kill import assert_served_as_the_oracle_says, settle, start
from tests.oracle.aggregates import Aggregation
from tests.oracle.cells import Value, same_value
from tests.oracle.events import Event, Known
from tests.oracle.grid import default_hop
from tests.oracle.windows import Ask, WindowFeature, window_values


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    services = ("registry", "online", "stream_agg")
    with LocalMesh(
        tmp_path_factory.mktemp("mesh"), services=services, environ={"SKEWLESS_COMMIT_MS": "100"}
    ) as running:
        yield running


@pytest.fixture(scope="module")
def shop(mesh: LocalMesh) -> Iterator[tuple[Bus, Store, world.Payments]]:
    """Definitions applied, 400 payments sent and absorbed."""
    bus, store = start(mesh)
    payments = world.Payments(bus, 11)
    payments.send(400, bad=0.1)
    settle(store, payments)
    yield bus, store, payments
    store.close()


def test_every_served_value_is_the_oracles(shop: tuple[Bus, Store, world.Payments]) -> None:
    _, store, payments = shop
    assert_served_as_the_oracle_says(store, payments)


def test_a_vector_comes_with_a_token_and_a_request_id(shop: tuple[Bus, Store, world.Payments]) -> None:
    _, store, _ = shop
    answer = store.get_online_features("model@1.0.0", entities={"user": [world.USERS[0]]})
    assert answer.token
    assert len(answer.request_id) == 26
    assert answer.statuses["by_user:n_1h"] == (Status.PRESENT,)


def test_an_entity_without_events_is_the_empty_window(shop: tuple[Bus, Store, world.Payments]) -> None:
    _, store, _ = shop
    answer = store.get_online_features("model@1.0.0", entities={"user": ["nobody"]})
    assert (answer.values["by_user:n_1h"], answer.statuses["by_user:n_1h"]) == ((0,), (Status.PRESENT,))
    assert answer.statuses["by_user:most_1h"] == (Status.NULL,)


def test_the_records_add_up_by_verdict(shop: tuple[Bus, Store, world.Payments]) -> None:
    _, store, payments = shop
    for log in store.stream_status():
        assert sum(log.records.values()) == len(payments.sent)
        assert log.records["accepted"] == len(payments.events())
        assert log.records["malformed"] > 0
        assert log.records["too_far_future"] > 0
        assert log.stopped == ""


def test_refused_records_are_dead_letters_with_reason_and_position(
    mesh: LocalMesh, shop: tuple[Bus, Store, world.Payments]
) -> None:
    _, _, payments = shop
    refused = len(payments.sent) - len(payments.events())
    consumer = Consumer(
        {"bootstrap.servers": mesh.addresses[BROKER], "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["skewless.dead-letter"])
    letters: list[Message] = []
    deadline = time.monotonic() + 20
    while len(letters) < refused and time.monotonic() < deadline:
        letters += [message for message in consumer.consume(100, 0.2) if message.error() is None]
    consumer.close()
    positions = set()
    for letter in letters:
        headers: dict[str, Any] = dict(letter.headers() or [])
        assert headers["skewless-verdict"] in {b"malformed", b"too_far_future"}
        assert headers["skewless-reason"]
        assert headers["skewless-source"] == world.SOURCE.encode()
        positions.add(headers["skewless-position"])
    assert len(positions) == len(letters) == refused


def test_waiting_for_what_never_comes_ends_at_the_deadline(shop: tuple[Bus, Store, world.Payments]) -> None:
    _, store, _ = shop
    began = time.monotonic()
    with pytest.raises(TimedOutError, match="is readable up to"):
        store.stream_status(wait_for=[(world.SOURCE, 0, 10**9)], timeout_s=0.5)
    assert time.monotonic() - began < 3
    with pytest.raises(TimedOutError, match="no view reads the source 'nothing'"):
        store.stream_status(wait_for=[("nothing", 0, 1)], timeout_s=0.3)


def test_a_view_that_is_applied_later_has_the_whole_log(shop: tuple[Bus, Store, world.Payments]) -> None:
    _, store, payments = shop
    later = sk.StreamFeatureView(
        name="later",
        entity=world.USER,
        source=world.PAYMENTS,
        features=[
            sk.count("n", windows=["24h"]),
            sk.rate("rate", "amount", windows=["24h"]),
            sk.first("first", "items", windows=["24h"]),
            sk.stddev_pop("spread", "amount", windows=["24h"]),
            sk.count_where("large", "amount > 10", windows=["24h"]),
        ],
    )
    day = 24 * world.HOUR
    features = [
        WindowFeature(name, what, day, default_hop(day) or 0)
        for name, what in {
            "n": Aggregation("count"),
            "rate": Aggregation("rate", "amount", "float64"),
            "first": Aggregation("first", "items", "int64"),
            "spread": Aggregation("stddev_pop", "amount", "float64"),
            "large": Aggregation("count_where", where=lambda row: is_above(row["amount"], 10)),
        }.items()
    ]
    store.apply(sk.Project(world.PROJECT, later))
    deadline = time.monotonic() + 20
    while not any("later@1.0.0" in log.views for log in store.stream_status()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    payments.send(100)
    settle(store, payments)
    at = time.time_ns() // 1_000
    while True:
        answer = store.get_online_features(
            [f"later@1.0.0:{feature.name}_24h" for feature in features],
            entities={"user": list(world.USERS)},
            request_time=from_micros(at),
        )
        if set(answer.statuses["later:n_24h"]) == {Status.PRESENT} or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    sent = payments.events()
    assert answer.values["later:n_24h"] == tuple(sum(own.user == user for own, _ in sent) for user in world.USERS)
    logged = [Event(own.user, own.event_time, position, own.row) for own, position in sent]
    asks = [Ask(user, at, Known(1, world.home(user), 2**62)) for user in world.USERS]
    for row, cells in enumerate(window_values(features, logged, asks)):
        for feature, cell in zip(features, cells, strict=True):
            value = answer.values[f"later:{feature.name}_24h"][row]
            assert not isinstance(value, dt.datetime)
            assert same_value(value, cell.value), (feature.name, row)


def is_above(value: Value, bound: float) -> bool:
    """A condition on a number."""
    return isinstance(value, int | float) and value > bound
