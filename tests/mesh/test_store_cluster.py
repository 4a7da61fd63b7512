"""States in a cluster of the store: six real servers, of which some die."""

from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from services.stream_agg.ports import StateWrite
from services.stream_agg.store.states import ValkeyStore
from skewless.kernel import slot_tags
from skewless.settings import Secret
from skewless.store import StoreLostError
from tests.mesh.test_states import head
from tests.store_servers import StoreCluster, store_cluster, until

MARK = "skewless:sentinel:p:v:v1.0"
KEYS = [f"{{p:user:s.{number}}}:v:v1.0" for number in range(200)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreCluster]:
    with store_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def store(cluster: StoreCluster) -> ValkeyStore:
    until(cluster.whole, "the cluster is not whole")
    return ValkeyStore(Secret(cluster.url), replicas=1)


def test_the_tags_lie_in_their_slots() -> None:
    assert [key_slot(f"{{{tag}}}:x".encode()) for tag in slot_tags()] == list(range(16_384))


def test_states_lie_on_every_primary_and_are_read_back(cluster: StoreCluster, store: ValkeyStore) -> None:
    assert len({cluster.primary_of(key_slot(key.encode())).port for key in KEYS}) == 3
    states = store.connect()
    assert states.sentinel(MARK) is None
    assert states.load(MARK, KEYS) is None
    states.set_sentinel(MARK, b"building", where_absent=True)
    assert states.sentinel(MARK) == b"building"
    assert states.load(MARK, KEYS) == [(None, None)] * len(KEYS)

    writes = [StateWrite(key, head(number + 2), b"body %d" % number, None) for number, key in enumerate(KEYS)]
    assert states.write(writes) == [True] * len(KEYS)
    stale = [StateWrite(key, head(number % 2 * 1_000), None, None) for number, key in enumerate(KEYS)]
    assert states.write(stale) == [number % 2 == 1 for number in range(len(KEYS))]
    states.barrier()
    found = states.load(MARK, KEYS)
    assert found is not None
    assert [body for _, body in found] == [b"body %d" % number for number in range(len(KEYS))]
    states.set_sentinel(MARK, b"1")
    assert (states.sentinel(MARK), states.holds(MARK)) == (b"1", True)
    states.close()


def test_a_slot_without_its_sentinel_is_found(cluster: StoreCluster, store: ValkeyStore) -> None:
    states = store.connect()
    states.set_sentinel(MARK, b"1")
    slot = key_slot(KEYS[7].encode())
    with cluster.primary_of(slot).client() as client:
        client.delete(f"{{{slot_tags()[slot]}}}:{MARK}")
    assert states.load(MARK, [KEYS[7]]) is None
    assert states.load(MARK, [key for key in KEYS if key_slot(key.encode()) != slot]) is not None
    assert states.sentinel(MARK) is None
    assert not all([states.holds(MARK) for _ in range(64)])  # noqa: C419 (all looks are taken)
    states.set_sentinel(MARK, b"building", where_absent=True)
    assert states.sentinel(MARK) == b"building"  # it stands out, and the view is not complete
    states.close()


def test_a_primary_dies_and_what_the_barrier_has_seen_is_on_its_replica(
    cluster: StoreCluster, store: ValkeyStore
) -> None:
    states = store.connect()
    states.set_sentinel(MARK, b"1")
    assert all(states.write([StateWrite(key, head(5_000), b"kept", None) for key in KEYS]))
    states.barrier()
    slot = key_slot(KEYS[0].encode())
    died = cluster.primary_of(slot)
    died.kill()
    with pytest.raises(StoreLostError):
        states.load(MARK, KEYS)
    with pytest.raises(StoreLostError, match="the connection was closed"):  # of the living ones, too
        states.load(MARK, [key for key in KEYS if key_slot(key.encode()) != slot])

    until(lambda: cluster.primary_of(slot) is not died, "no replica takes over")

    def again() -> bool:
        try:
            states = store.connect()
        except StoreLostError:
            return False
        assert states.load(MARK, KEYS) == [(head(5_000), b"kept")] * len(KEYS)
        assert states.sentinel(MARK) == b"1"
        states.close()
        return True

    until(again, "the cluster does not serve")
    died.start()
    until(lambda: died.role() == "slave", "who died does not follow")


def test_writes_that_no_replica_has_are_not_durable(
    cluster: StoreCluster, store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skewless.store.server._BARRIERS", 1)
    monkeypatch.setattr("skewless.store.server._BARRIER_MS", 200)
    states = store.connect()
    replicas = [member for member in cluster.members if member.role() == "slave"]
    replicas[0].kill()
    with pytest.raises(StoreLostError, match="not on 1 replicas within 200 ms"):
        states.barrier()
    replicas[0].start()


def test_a_primary_that_lost_everything_shows(cluster: StoreCluster, store: ValkeyStore) -> None:
    states = store.connect()
    states.set_sentinel(MARK, b"1")
    states.close()
    slot = key_slot(KEYS[3].encode())
    with cluster.primary_of(slot).client() as client:
        client.flushall()
    states = store.connect()
    assert states.sentinel(MARK) is None
    assert states.load(MARK, [KEYS[3]]) is None
    assert not states.holds(MARK)
    states.close()


def test_an_address_where_no_cluster_is_is_named() -> None:
    with pytest.raises(StoreLostError, match=r"127\.0\.0\.1:1"):
        ValkeyStore(Secret("redis+cluster://127.0.0.1:1")).connect()
