"""A source that is read again: repetitions are counted and change nothing, through restarts as well."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import skewless
from skewless.bus import Bus
from skewless.client import Rewound, SourceStatus, Store
from skewless.errors import InvalidArgumentError, TimedOutError, UnknownResourceError
from skewless.local import BROKER, STORE, LocalMesh
from tests.mesh import world
from tests.mesh.test_kill import (
    DIRECT,
    PROJECT,
    REKEYED,
    assert_equal,
    assert_logged_once,
    assert_served_as_the_oracle_says,
    events,
)

SLACK = 2_000_000
UNREAD = skewless.StreamSource(
    name="unread", topic="shop.unread", columns={"user": "string", "at": "timestamp"}, event_time="at"
)


@contextmanager
def mesh_of(path: Path, project: skewless.Project = PROJECT) -> Iterator[tuple[LocalMesh, Bus, Store]]:
    environ = {"SKEWLESS_COMMIT_MS": "150"}
    with LocalMesh(path, services=("registry", "online", "stream_agg"), environ=environ) as mesh:
        bus = Bus(mesh.addresses[BROKER])
        bus.ensure_topic(world.TOPIC)

        at = mesh.addresses
        with Store(world.PROJECT, registry=at["registry"], online=at["online"], stream_agg=at["stream_agg"]) as store:
            store.apply(project)
            yield mesh, bus, store


def account(store: Store, payments: world.Payments) -> SourceStatus:
    """The source's account when everything that was sent, and sent again, is in it."""
    (found,) = store.source_status(wait_for=payments.positions(), wait_for_log=True, timeout_s=60)
    assert found.consumed == found.accepted + found.duplicate + found.malformed + found.too_far_future
    assert found.accepted == found.on_time + found.late
    return found


def late(payments: world.Payments) -> int:
    """How many events came late, by the order in which they were sent."""
    newest: dict[int, int] = {}
    count = 0
    for sent, position in payments.events():
        greatest = max(sent.event_time, newest.get(position.partition, sent.event_time))
        count += sent.event_time + SLACK < greatest
        newest[position.partition] = greatest
    return count


def assert_adds_up(found: SourceStatus, payments: world.Payments, duplicates: int) -> None:
    good = len(payments.events())
    assert found.duplicate == duplicates
    assert found.consumed == len(payments.sent) + duplicates
    assert found.accepted == good
    assert found.malformed + found.too_far_future == len(payments.sent) - good
    assert found.malformed > 0
    assert found.too_far_future > 0
    assert found.late > 0
    if found.log == DIRECT:
        assert found.late == late(payments)


def moved_in(moved: tuple[Rewound, ...], log: str) -> int:
    return sum(one.from_offset - one.to_offset for one in moved if one.log == log)


def letters(store: Store) -> Counter[tuple[int, int, int] | None]:
    return Counter(letter.position for letter in store.dead_letters(world.SOURCE))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 6))])
def test_what_is_read_again_is_a_duplicate_and_nothing_else(tmp_path: Path, seed: int) -> None:
    """V5: of a re-keyed log each record that comes again is a duplicate, counted and logged, and in no value."""
    rnd = random.Random(seed)  # noqa: S311 (a choice to be repeated)
    with mesh_of(tmp_path) as (mesh, bus, store):
        payments = world.Payments(bus, seed)
        payments.send(300, bad=0.1)
        account(store, payments)
        direct = rekeyed = 0
        for _ in range(3):
            payments.send(rnd.randrange(200))
            moved = store.rewind(world.SOURCE, partition=rnd.randrange(4), records=rnd.randrange(1, 40))
            payments.send(rnd.randrange(200))
            assert {one.log for one in moved} == {DIRECT, REKEYED}
            direct += moved_in(moved, DIRECT)
            rekeyed += moved_in(moved, REKEYED)
        moved = store.rewind(world.SOURCE, to_offset=0)
        assert [(one.log, one.partition, one.to_offset) for one in moved] == [
            (log, partition, 0) for log in (DIRECT, REKEYED) for partition in range(4)
        ]
        found = account(store, payments)
        assert found.log == DIRECT
        assert_adds_up(found, payments, direct + moved_in(moved, DIRECT))
        logs = {log.log: log for log in store.stream_status(wait_for=payments.positions(), wait_for_log=True)}
        assert logs[REKEYED].records["duplicate"] == rekeyed + moved_in(moved, REKEYED)
        assert_logged_once(mesh, payments)
        assert_served_as_the_oracle_says(store, payments)
        assert set(letters(store).values()) == {1}
        assert letters(store).total() == found.malformed + found.too_far_future


@pytest.mark.timeout(180)
def test_a_source_that_is_only_re_keyed_is_read_again_by_its_re_keyer(tmp_path: Path) -> None:
    with mesh_of(tmp_path, skewless.Project(world.PROJECT, world.BY_SHOP)) as (mesh, bus, store):
        payments = world.Payments(bus, 3)
        payments.send(400, bad=0.1)
        before = account(store, payments)
        moved = store.rewind(world.SOURCE, partition=2, records=20)
        (one,) = moved
        assert (one.log, one.partition, one.from_offset) == (REKEYED, 2, payments.ends()[2])
        found = account(store, payments)
        assert (before.duplicate, found.log) == (0, REKEYED)
        assert_adds_up(found, payments, 20)
        log = events(mesh, REKEYED)
        columns = (log[name].to_pylist() for name in ("source_partition", "source_offset", "verdict"))
        again = sorted(
            (partition, offset) for partition, offset, verdict in zip(*columns, strict=True) if verdict == "duplicate"
        )
        assert again == [(2, offset) for offset in range(one.to_offset, one.from_offset)]
        sent, at = payments.events(), max(sent.event_time for sent in payments.sent) + 1
        assert_equal(store, "by_shop", "shop", {shop: world.by_shop(sent, shop, at) for shop in world.SHOPS}, at)
        assert letters(store).total() == found.malformed + found.too_far_future


@pytest.mark.timeout(180)
def test_the_account_goes_on_through_kills(tmp_path: Path) -> None:
    """What is counted is committed with the rows; a repetition that was not is forgotten on both sides."""
    with mesh_of(tmp_path) as (mesh, bus, store):
        payments = world.Payments(bus, 11)
        payments.send(300, bad=0.1)
        account(store, payments)
        store.rewind(world.SOURCE, partition=1, records=10)
        before = account(store, payments)
        assert before.duplicate == 10
        times = clocks(store)
        mesh.kill("stream_agg")
        mesh.restart("stream_agg")
        assert account(store, payments) == before
        assert clocks(store) == times
        for _ in range(2):
            payments.send(300, bad=0.1)
            mesh.kill("stream_agg")
            mesh.restart("stream_agg")
        assert_adds_up(account(store, payments), payments, 10)
        assert_logged_once(mesh, payments)
        assert_served_as_the_oracle_says(store, payments)


def clocks(store: Store) -> list[int | None]:
    return [part.event_time_us for log in store.stream_status() for part in log.partitions]


@pytest.mark.timeout(180)
def test_a_place_that_was_not_read_is_refused_and_nothing_is_moved(tmp_path: Path) -> None:
    with mesh_of(tmp_path) as (_, bus, store):
        payments = world.Payments(bus, 5)
        payments.send(100)
        end = payments.ends()[1]
        account(store, payments)
        for arguments, field, says in (
            ({"partition": 4, "records": 1}, "partition", "has the partitions 0 to 3, not 4"),
            ({"partition": 1, "records": end + 1}, "records", f"begins at 0: ask for at most {end}"),
            ({"partition": 1, "to_offset": end + 1}, "to_offset", f"ask for {end} or less"),
            ({"records": 10**15}, "records", "ask for at most"),
            ({}, "records", "give one of records and to_offset"),
        ):
            with pytest.raises(InvalidArgumentError, match=says) as raised:
                store.rewind(world.SOURCE, **arguments)
            assert field in {violation.path for violation in raised.value.violations}
        with pytest.raises(UnknownResourceError, match="no stream source 'paiments'; known: payments"):
            store.rewind("paiments", records=1)
        store.apply(skewless.Project(world.PROJECT, UNREAD))
        with pytest.raises(UnknownResourceError, match="no stream source that a view reads 'unread'; known: payments"):
            unread(store)
        assert account(store, payments).duplicate == 0


def unread(store: Store) -> None:
    """Rewinds the source that no view reads, once the aggregator has heard of it."""
    while True:
        try:
            store.rewind("unread", records=1)
        except UnknownResourceError as error:
            if error.metadata["kind"] == "stream source":
                continue
            raise


def test_a_reader_that_cannot_work_is_told_and_goes_on_when_it_can(tmp_path: Path) -> None:
    with mesh_of(tmp_path) as (mesh, bus, store):
        payments = world.Payments(bus, 5)
        payments.send(50)
        account(store, payments)
        mesh.kill(STORE)
        while not any("store" in log.stopped for log in store.stream_status()):
            payments.send(1)
        with pytest.raises(
            TimedOutError, match=rf"moving the reader of {DIRECT} .*the store at {mesh.addresses[STORE]}"
        ):
            store.rewind(world.SOURCE, partition=0, records=1, timeout_s=1)
        mesh.restart(STORE)
        found = account(store, payments)
        assert (found.duplicate, found.consumed) == (0, len(payments.sent))
        assert_logged_once(mesh, payments)
