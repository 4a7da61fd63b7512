"""Writing states to a real store: what it accepts, what it refuses, and that a lost connection is never hidden."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from redis.crc import key_slot

from services.offline.store.online import ValkeyRows, ValkeySync
from services.stream_agg.ports import StateWrite, WrongPartitionError
from services.stream_agg.store.states import ValkeyStore
from skewless import kernel
from skewless.local import STORE, LocalMesh
from skewless.settings import Secret
from skewless.store import StoreLostError, StoreRefusedError
from tests.kernel.test_latest_view import compiled
from tests.kernel.test_latest_view import rows as table_rows


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path_factory.mktemp("mesh"), services=()) as running:
        yield running


@pytest.fixture
def store(mesh: LocalMesh) -> ValkeyStore:
    return ValkeyStore(Secret(mesh.store_url))


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
    """R2: an equal or smaller offset changes nothing, and the writer is told."""
    states = store.connect()
    states.set_sentinel("here", b"1")
    assert states.load("missing", ["{a}"]) is None
    assert states.load("here", ["{a}"]) == [(None, None)]
    assert states.write([write("{a}", head(5, rest=b"five"), b"body")]) == [True]
    assert states.write([write("{a}", head(5, run=9)), write("{a}", head(4)), write("{a}", head(6))]) == [
        False,
        False,
        True,
    ]
    assert states.load("here", ["{a}"]) == [(head(6), b"body")]
    states.close()


def test_a_state_of_a_greater_epoch_is_the_newer_one(store: ValkeyStore) -> None:
    """E6: whatever the offsets, and from whatever partition."""
    states = store.connect()
    states.set_sentinel("epochs", b"1")
    assert states.write([write("{g}", head(900, epoch=1, partition=3))]) == [True]
    assert states.write([write("{g}", head(0, epoch=2, partition=1))]) == [True]
    assert states.write([write("{g}", head(901, epoch=1, partition=3))]) == [False]
    assert states.load("epochs", ["{g}"]) == [(head(0, epoch=2, partition=1), None)]
    states.close()


def test_head_and_body_lie_in_one_slot_and_a_body_is_kept_until_there_is_another(
    store: ValkeyStore, mesh: LocalMesh
) -> None:
    """R4: a head without a body leaves the body as it is."""
    key = kernel.state_key("shop", "user", kernel.entity_id(["ann"]), "spending", "1.0.0")
    assert key_slot(key.encode()) == key_slot(f"{key}:b".encode())
    states = store.connect()
    states.set_sentinel("bodies", b"1")
    with Redis.from_url(mesh.store_url) as other:
        for offset, body, kept in [(1, None, None), (2, b"two", b"two"), (3, None, b"two"), (4, b"four", b"four")]:
            assert states.write([write(key, head(offset), body)]) == [True]
            assert (other.get(key), other.get(f"{key}:b")) == (head(offset), kept)
            assert states.load("bodies", [key]) == [(head(offset), kept)]
        assert states.write([write(key, head(3), b"three")]) == [False]
        assert other.get(f"{key}:b") == b"four"
    states.close()


def test_an_expiry_is_set(store: ValkeyStore, mesh: LocalMesh) -> None:
    """R7: of head and body, and later ones are kept."""
    states = store.connect()
    assert states.write([StateWrite("{e}", head(1), b"b", 4_000_000_000_000)]) == [True]
    with Redis.from_url(mesh.store_url) as other:
        assert other.pexpiretime("{e}") == 4_000_000_000_000
        assert other.pexpiretime("{e}:b") == 4_000_000_000_000
        assert states.write([StateWrite("{e}", head(2), None, 3_000_000_000_000)]) == [True]
        assert other.pexpiretime("{e}") == other.pexpiretime("{e}:b") == 4_000_000_000_000
        assert states.write([StateWrite("{e}", head(3), None, 5_000_000_000_000)]) == [True]
        assert other.pexpiretime("{e}") == other.pexpiretime("{e}:b") == 5_000_000_000_000
    states.close()


def test_a_state_from_another_partition_is_an_error(store: ValkeyStore) -> None:
    """R2: in one epoch."""
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
    states.barrier()  # a busy disk lets the store put off its writing, so that a kill could take the last second
    mesh.kill(STORE)
    mesh.restart(STORE)
    with pytest.raises(StoreLostError, match=mesh.addresses[STORE]):
        states.sentinel("s")
    with pytest.raises(StoreLostError):
        states.sentinel("s")
    assert store.connect().sentinel("s") == b"1"


def test_a_store_that_is_away_is_named() -> None:
    with pytest.raises(StoreLostError, match=r"127\.0\.0\.1:1"):
        ValkeyStore(Secret("redis://127.0.0.1:1")).connect()


LATER, SOONER = 4_000_000_000_000, 3_000_000_000_000
"""Expiries in milliseconds."""


@pytest.fixture
def rows(mesh: LocalMesh) -> Iterator[tuple[ValkeySync, Redis]]:
    """The batch side of the store, empty, and a plain client of it."""
    with Redis.from_url(mesh.store_url) as plain:
        plain.flushall()
        with ValkeyRows(Secret(mesh.store_url)).open() as sync:
            yield sync, plain


def latest(order: bytes | int, run: int, rest: bytes = b"") -> bytes:
    """A stored row: its place in the order, its run, and something behind it."""
    place = order if isinstance(order, bytes) else order.to_bytes(32, "big")
    return b"\x02" + place + run.to_bytes(8, "big") + rest


def test_a_row_is_replaced_only_by_a_greater_one_and_its_run_never_goes_back(
    rows: tuple[ValkeySync, Redis],
) -> None:
    store, plain = rows
    steps = [  # what is written, whether it wins, and what is stored afterwards
        (latest(5, 2, b"five"), 1, latest(5, 2, b"five")),
        (latest(5, 2, b"again"), 0, latest(5, 2, b"five")),
        (latest(4, 1, b"older"), 0, latest(5, 2, b"five")),
        (latest(4, 7, b"older"), 0, latest(5, 7, b"five")),
        (latest(6, 3, b"six"), 1, latest(6, 7, b"six")),
        (latest(7, 256, b""), 1, latest(7, 256)),
        (latest(6, 255, b"older"), 0, latest(7, 256)),
        (latest(b"\x7f" + bytes(31), 256, b"half"), 1, latest(b"\x7f" + bytes(31), 256, b"half")),
        (latest(b"\x80" + bytes(31), 256, b"over"), 1, latest(b"\x80" + bytes(31), 256, b"over")),
        (latest(b"\x7f" + b"\xff" * 31, 256, b"half"), 0, latest(b"\x80" + bytes(31), 256, b"over")),
    ]
    for number, (value, won, stored) in enumerate(steps):
        assert store.write([("{l}", value, None)]) == won, number
        assert plain.get("{l}") == stored, number


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [(None, None, -1), (SOONER, LATER, LATER), (LATER, SOONER, LATER), (None, LATER, -1), (LATER, None, -1)],
)
def test_an_expiry_of_a_row_is_never_shortened(
    rows: tuple[ValkeySync, Redis], first: int | None, second: int | None, kept: int
) -> None:
    store, plain = rows
    assert store.write([("{x}", latest(1, 1), first)]) == 1
    assert plain.pexpiretime("{x}") == (first or -1)
    assert store.write([("{x}", latest(2, 1), second)]) == 1
    assert plain.pexpiretime("{x}") == kept
    assert store.write([("{x}", latest(1, 9), SOONER)]) == 0
    assert (plain.pexpiretime("{x}"), plain.get("{x}")) == (kept, latest(2, 9))


def test_rows_of_several_runs_come_to_the_same_in_any_order(rows: tuple[ValkeySync, Redis]) -> None:
    store, plain = rows
    given: list[dict[str, Any]] = [
        {"f_seats": 1, "run_seq": 1},
        {"f_seats": 2, "run_seq": 2, "event_time_us": -5},
        {"f_seats": 3, "run_seq": 3, "deleted": True},
        {"f_seats": 4, "run_seq": 3, "created_time_us": 0},
        {"f_seats": 5, "run_seq": 4, "event_time_us": 7},
    ]
    values = [value for _, value, _ in compiled().encode(table_rows(*given))]
    stored = set()
    for number, order in enumerate(itertools.permutations(values)):
        store.write([(f"{{{number}}}", value, None) for value in order])
        stored.add(plain.get(f"{{{number}}}"))
    winner = values[3]  # the newest event time, and of these the one with a created time
    assert stored == {winner[:33] + (4).to_bytes(8, "big") + winner[41:]}


def test_what_is_no_row_is_neither_stored_nor_replaced(mesh: LocalMesh, rows: tuple[ValkeySync, Redis]) -> None:
    _, plain = rows

    def refuses(value: bytes) -> None:
        with (
            ValkeyRows(Secret(mesh.store_url)).open() as sync,
            pytest.raises(StoreRefusedError, match="BAD_STATE"),
        ):
            sync.write([("{b}", value, None)])

    for bad in (b"", latest(1, 1)[:40], head(5, rest=bytes(20))):
        refuses(bad)
    assert plain.get("{b}") is None
    plain.set("{b}", head(5))
    refuses(latest(1, 1))
    assert plain.get("{b}") == head(5)
