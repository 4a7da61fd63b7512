"""The bus against the embedded broker."""

import time
from collections.abc import Iterator

import pytest

from skewless.bus import Bus, BusError, Committed, PositionLostError, Reader
from skewless.local import BROKER, LocalMesh


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path_factory.mktemp("mesh"), services=()) as running:
        yield running


@pytest.fixture
def bus(mesh: LocalMesh) -> Bus:
    return Bus(mesh.addresses[BROKER])


def values(reader: Reader, count: int, seconds: float = 10) -> list[tuple[int, int, bytes | None]]:
    found: list[tuple[int, int, bytes | None]] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        for part in reader.read(max_records=100, wait_s=0.1).parts:
            found += [(part.partition, o, v) for o, v in zip(part.offsets, part.values, strict=True)]
    return found


def test_a_topic_is_made_once_and_described(bus: Bus) -> None:
    assert bus.topic("made") is None
    bus.ensure_topic("made")
    bus.ensure_topic("made", partitions=9)
    topic = bus.topic("made")
    assert topic is not None
    assert (topic.partitions, topic.cleanup_policy, topic.append_time) == (4, "delete", True)
    assert topic.id


def test_records_come_back_in_order_with_their_key_time_and_headers(bus: Bus) -> None:
    bus.ensure_topic("ordered", append_time=False)
    with bus.sender() as sender:
        for n in range(10):
            sender.send(
                "ordered", b"%d" % n, key=b"k", partition=2, headers={"h": b"%d" % n}, time_us=(n + 1) * 1_000_000
            )
        assert sender.flush(10)
    with bus.reader("ordered", {2: 3}) as reader:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            read = reader.read(max_records=7, wait_s=1)
            if read.parts:
                break
        (part,) = read.parts
        assert part.offsets == list(range(3, 10))
        assert part.values[0] == b"3"
        assert part.keys[0] == b"k"
        assert part.times_us[0] == 4_000_000
        assert part.headers[0] == {"h": b"3"}
        assert reader.read(max_records=1, wait_s=2).ends == {2: 10}
    assert bus.starts("ordered", [2]) == {2: 0}
    assert bus.ends("ordered", [2, 3]) == {2: 10, 3: 0}


def test_commits_keep_their_note(bus: Bus) -> None:
    bus.ensure_topic("noted")
    assert bus.committed("nobody", "noted", range(4)) == {}
    bus.commit("somebody", "noted", {1: Committed(7, '{"a":1}'), 3: Committed(0)})
    assert bus.committed("somebody", "noted", range(4)) == {1: Committed(7, '{"a":1}'), 3: Committed(0)}


def test_commits_survive_the_broker_and_go_on_when_it_is_back(mesh: LocalMesh) -> None:
    bus = Bus(mesh.addresses[BROKER], timeout_s=1)
    bus.ensure_topic("kept")
    bus.commit("keeper", "kept", {0: Committed(1, "a")})
    mesh.kill(BROKER)
    with pytest.raises(BusError, match=mesh.addresses[BROKER]):
        bus.commit("keeper", "kept", {0: Committed(2, "b")})
    mesh.restart(BROKER)
    assert bus.topic("kept") is not None
    assert bus.committed("keeper", "kept", [0])[0].next_offset in {1, 2}
    bus.commit("keeper", "kept", {0: Committed(3, "c")})
    assert bus.committed("keeper", "kept", [0]) == {0: Committed(3, "c")}


def test_a_position_beyond_the_end_is_an_error_not_a_reset(bus: Bus) -> None:
    bus.ensure_topic("short")
    with bus.reader("short", {0: 99}) as reader, pytest.raises(PositionLostError, match="short/0"):
        values(reader, 1)


def test_a_record_that_is_too_large_ends_the_sender(bus: Bus) -> None:
    bus.ensure_topic("small")
    with bus.sender() as sender:
        with pytest.raises(BusError):
            sender.send("small", b"x" * 5_000_000)
        with pytest.raises(BusError):
            sender.send("small", b"x")


def test_a_refusal_is_heard_of_by_the_one_record_that_is_told_of(bus: Bus) -> None:
    bus.ensure_topic("narrow", partitions=1)
    with bus.sender() as sender:
        for n in range(10):
            sender.send("narrow", b"%d" % n, partition=1, told=n == 9)  # there is only partition 0
        with pytest.raises(BusError):
            sender.flush(20)
        with pytest.raises(BusError):
            sender.send("narrow", b"y", partition=0)


def test_of_records_that_are_not_told_of_the_last_one_speaks(bus: Bus) -> None:
    bus.ensure_topic("told", partitions=1)
    stored: list[int] = []
    with bus.sender(on_sent=lambda _topic, _partition, offset: stored.append(offset)) as sender:
        for n in range(200):
            sender.send("told", b"%d" % n, told=n == 199)
        assert sender.flush(20)
    assert stored == [199]


def test_a_broker_that_is_away_is_named() -> None:
    away = Bus("127.0.0.1:1", timeout_s=1)
    with pytest.raises(BusError, match=r"127\.0\.0\.1:1"):
        away.topic("any")


def test_nothing_is_lost_or_doubled_while_the_broker_is_away(mesh: LocalMesh, bus: Bus) -> None:
    bus.ensure_topic("interrupted")
    stored: list[tuple[int, int]] = []
    with (
        bus.sender(on_sent=lambda _topic, partition, offset: stored.append((partition, offset))) as sender,
        bus.reader("interrupted", dict.fromkeys(range(4), 0)) as reader,
    ):
        for n in range(200):
            sender.send("interrupted", b"%d" % n, partition=n % 4)
            if n == 100:
                mesh.kill(BROKER)
        assert not sender.flush(0.3)
        mesh.restart(BROKER)
        assert sender.flush(20)
        found = values(reader, 200)
    assert sorted(stored) == sorted((partition, offset) for partition, offset, _ in found)
    assert [v for p, _, v in found if p == 1] == [b"%d" % n for n in range(1, 200, 4)]
    assert len(found) == 200
