"""Serving from a cluster of the store: six real servers, slots that move, primaries that die."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from redis.crc import key_slot

from services.stream_agg.store import ValkeyStore
from skewless import kernel
from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.definitions.resource import Definition
from skewless.local import LocalMesh
from skewless.settings import Secret
from skewless.settings.store_url import place
from skewless.store import Store
from tests.mesh import online_world as world
from tests.mesh.online_load import Load, Row, rows
from tests.store_servers import StoreCluster, StoreServer, store_cluster, until

USERS, SHOPS = 120, 20
PRESENT, REBUILDING = 1, 9
EVERYBODY = list(range(USERS))


@pytest.fixture(scope="module")
def definitions() -> list[Definition]:
    return world.project().definitions()


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory, definitions: list[Definition]) -> Iterator[Wanted]:
    """What one server answers for everybody, and its states."""
    with LocalMesh(tmp_path_factory.mktemp("mesh"), services=()) as mesh:
        states = world.fill(mesh.store_url, definitions, USERS, SHOPS)
        with world.Online(mesh.store_url) as online:
            online.server.publish(world.plan(definitions))
            answer = online.ask(asked(EVERYBODY))
            yield Wanted(states, rows(answer), answer.as_of_token)


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, wanted: Wanted, definitions: list[Definition]
) -> Iterator[StoreCluster]:
    with store_cluster(tmp_path_factory.mktemp("cluster")) as running:
        fill(running, wanted.states, definitions)
        yield running


@pytest.fixture(scope="module")
def online(cluster: StoreCluster, definitions: list[Definition]) -> Iterator[world.Online]:
    with world.Online(cluster.url) as running:
        running.server.publish(world.plan(definitions))
        yield running


@dataclass
class Wanted:
    states: world.States
    rows: list[Row]
    token: bytes


def fill(cluster: StoreCluster, states: world.States, definitions: Sequence[Definition]) -> None:
    """Writes the states and the sentinels, and waits until replicas have them."""
    keyed = [
        (
            kernel.state_key(
                world.PROJECT, world.SHOP.name if view == "offers" else world.USER.name, entity, view, "1.0.0"
            ),
            view,
            entity,
        )
        for view, heads in states.heads.items()
        for entity in heads
    ]
    primaries = Store(Secret(cluster.url), "return 1", replicas=1).connect()
    commands: dict[int, list[tuple[str | bytes, ...]]] = {}
    for key, view, entity in keyed:
        own = commands.setdefault(primaries.place(key), [])
        own.append(("SET", key, states.heads[view][entity]))
        body = states.bodies.get(view, {}).get(entity)
        if body is not None:
            own.append(("SET", f"{key}:b", body))
    primaries.each(commands)
    primaries.close()
    written = ValkeyStore(Secret(cluster.url), replicas=1).connect()
    for view, meaning in world.meanings(definitions).items():
        written.set_sentinel(world.sentinel(view), kernel.meaning_hash(meaning).hex().encode())
    written.barrier()
    written.close()


def asked(users: Sequence[int]) -> pb.GetOnlineFeaturesRequest:
    return world.request([f"user-{n}" for n in users], [n % SHOPS for n in users], [50.0] * len(users))


def key_of(user: int) -> str:
    return kernel.state_key(world.PROJECT, world.USER.name, kernel.entity_id([f"user-{user}"]), "spending", "1.0.0")


def primary_of(cluster: StoreCluster, user: int) -> StoreServer:
    return cluster.primary_of(key_slot(key_of(user).encode()))


def test_values_are_those_of_one_server(online: world.Online, cluster: StoreCluster, wanted: Wanted) -> None:
    assert len({primary_of(cluster, user).port for user in EVERYBODY}) == 3
    until(lambda: statuses(rows(online.ask(asked([0])))) == {PRESENT}, "it does not serve")
    answer = online.ask(asked(EVERYBODY))
    assert rows(answer) == wanted.rows
    for user in EVERYBODY[:10]:
        assert rows(online.ask(asked([user]))) == [wanted.rows[user]]
    assert answer.as_of_token == wanted.token  # it knows every state, as with one server


def statuses(found: list[Row]) -> set[int]:
    return {status for row in found for _, status, _ in row[:20]} - {2}


def test_a_slot_that_moves_is_followed(online: world.Online, cluster: StoreCluster, wanted: Wanted) -> None:
    """MOVED, ASK and TRYAGAIN: nothing is missing, nothing is wrong."""
    slot = key_slot(key_of(5).encode())
    source = cluster.primary_of(slot)
    target = next(m for m in cluster.members if m is not source and m.role() == "master")
    with source.client() as a, target.client() as b, Load(online.ask, asked, wanted.rows) as load:
        b.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.identity())
        a.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.identity())
        until(lambda: load.answers["whole"] > 20, "no load")
        # All of a slot's keys in one step, as whoever moves slots does with keys that are read together.
        keys = a.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1_000)
        assert len(keys) > 3
        a.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
        before = load.answers["whole"]
        until(lambda: load.answers["whole"] > before + 20, "no load")
        for client in (b, a):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target.identity())
        before = load.answers["whole"]
        until(lambda: load.answers["whole"] > before + 20, "no load")
    assert load.wrong == []
    assert set(load.answers) == {"whole"}


def test_a_primary_is_killed_under_load(online: world.Online, cluster: StoreCluster, wanted: Wanted) -> None:
    """Values of its slots are UNAVAILABLE until its replica has taken over; nothing is refused, nothing is wrong."""
    died = primary_of(cluster, 3)
    lost = {user for user in EVERYBODY if primary_of(cluster, user) is died}
    with Load(online.ask, asked, wanted.rows) as load:
        until(lambda: load.answers["whole"] > 20, "no load")
        began = time.monotonic()
        died.kill()
        until(lambda: load.answers["in part"] > 0, "nobody noticed")
        kept = [user for user in EVERYBODY if user not in lost][:20]
        spending = [name for name in online.ask(asked(kept)).feature_names if name.startswith("spending:")]
        assert spending
        found = rows(online.ask(asked(kept)))
        profile = [row[: len(spending)] for row in found]
        assert profile == [wanted.rows[user][: len(spending)] for user in kept]
        until(lambda: primary_of(cluster, 3) is not died, "no replica takes over")
        until(lambda: rows(online.ask(asked(EVERYBODY))) == wanted.rows, "not everything came back")
        time.sleep(0.5)
    recovered = max(load.ill) - began
    print(f"{place('127.0.0.1', died.port)} killed: {dict(load.answers)}, whole again after {recovered:.1f} s")
    assert load.wrong == []
    assert set(load.answers) == {"whole", "in part"}
    died.start()
    until(lambda: died.role() == "slave", "who died does not follow")
    until(cluster.whole, "the cluster is not whole")


def test_what_a_primary_has_lost_is_rebuilding(
    online: world.Online, cluster: StoreCluster, wanted: Wanted, definitions: list[Definition]
) -> None:
    """R6: in a cluster, the entities of its slots."""
    until(lambda: rows(online.ask(asked(EVERYBODY))) == wanted.rows, "not everything is there")
    emptied = primary_of(cluster, 8)
    with emptied.client() as client:
        client.flushall()
    found = online.ask(asked(EVERYBODY))
    count = sum(name.startswith("spending:") for name in found.feature_names)
    for user, row in enumerate(rows(found)):
        if primary_of(cluster, user) is emptied:
            assert {status for _, status, _ in row[:count]} == {REBUILDING}
        else:
            assert row[:count] == wanted.rows[user][:count]
    fill(cluster, wanted.states, definitions)
    assert rows(online.ask(asked(EVERYBODY))) == wanted.rows
