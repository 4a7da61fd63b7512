"""Writing states to a real store: what it accepts, what it refuses, and that a lost connection is never hidden."""

from collections.abc import Iterator

import pytest
from redis import Redis

from services.stream_agg.ports import (
    StateWrite,
    StoreLostError,
    StoreRefusedError,
    WrongPartitionError,
)
from services.stream_agg.store.states import ValkeyStore
from skewless.kernel import WRITE_STREAM_STATE
from skewless.local import STORE, LocalMesh


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path_factory.mktemp("mesh"), services=()) as running:
        yield running


@pytest.fixture
def store(mesh: LocalMesh) -> ValkeyStore:
    return ValkeyStore(mesh.store_url, WRITE_STREAM_STATE)


def head(offset: int, *, epoch: int = 1, partition: int = 0, run: int = 1, rest: bytes = b"") -> bytes:
    """The prefix of a state, and something behind it."""
    return (
        b"\x01"
        + epoch.to_bytes(8, "big")
        + offset.to_bytes(8, "big")
        + partition.to_bytes(4, "big")
        + run.to_bytes(8, "big")
        + rest
    )


def write(key: str, value: bytes, body: bytes | None = None) -> StateWrite:
    return StateWrite(key, value, body, None)


def test_a_state_is_written_only_when_it_knows_more(store: ValkeyStore) -> None:
    states = store.connect()
    assert states.load(["{a}", "{a}:b"]) == [None, None]
    assert states.write([write("{a}", head(5, rest=b"five"), b"body")]) == [True]
    assert states.write([write("{a}", head(5, run=9)), write("{a}", head(4)), write("{a}", head(6))]) == [
        False,
        False,
        True,
    ]
    assert states.load(["{a}", "{a}:b"]) == [head(6), b"body"]
    states.close()


def test_an_expiry_is_set(store: ValkeyStore, mesh: LocalMesh) -> None:
    states = store.connect()
    assert states.write([StateWrite("{e}", head(1), b"b", 4_000_000_000_000)]) == [True]
    with Redis.from_url(mesh.store_url) as other:
        assert other.pexpiretime("{e}") == 4_000_000_000_000
        assert other.pexpiretime("{e}:b") == 4_000_000_000_000
    states.close()


def test_a_state_from_another_partition_is_an_error(store: ValkeyStore) -> None:
    states = store.connect()
    assert states.write([write("{p}", head(5, partition=1))]) == [True]
    with pytest.raises(WrongPartitionError, match="new epoch"):
        states.write([write("{p}", head(6, partition=2))])


def test_the_barrier_waits_for_the_disk(store: ValkeyStore) -> None:
    states, other = store.connect(), store.connect()
    assert states.write([write("{d}", head(1))]) == [True]
    other.barrier()
    states.close()
    other.close()


def test_a_store_that_evicts_is_refused(store: ValkeyStore, mesh: LocalMesh) -> None:
    with Redis.from_url(mesh.store_url) as other:
        other.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(StoreRefusedError, match="noeviction"):
                store.connect()
        finally:
            other.config_set("maxmemory-policy", "noeviction")


def test_a_connection_that_broke_stays_broken(store: ValkeyStore, mesh: LocalMesh) -> None:
    states = store.connect()
    states.set_sentinel("s", b"1")
    mesh.kill(STORE)
    mesh.restart(STORE)
    with pytest.raises(StoreLostError, match=mesh.addresses[STORE]):
        states.sentinel("s")
    with pytest.raises(StoreLostError):
        states.sentinel("s")
    assert store.connect().sentinel("s") == b"1"


def test_a_store_that_is_away_is_named() -> None:
    with pytest.raises(StoreLostError, match=r"127\.0\.0\.1:1"):
        ValkeyStore("redis://127.0.0.1:1", WRITE_STREAM_STATE).connect()
