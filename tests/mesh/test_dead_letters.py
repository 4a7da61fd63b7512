"""Refused records: listed with what is wrong, sent again once, refused again as new letters."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import skewless
from skewless.api.stream_agg.v1 import stream_agg_service_pb2 as pb
from skewless.api.stream_agg.v1 import stream_agg_service_pb2_grpc as stubs
from skewless.bus import Bus
from skewless.client import SourceStatus, Store
from skewless.errors import InvalidArgumentError, UnknownResourceError
from skewless.local import BROKER, LocalMesh
from skewless.rpc.channel import call, connect
from tests.mesh import world

SOURCE = skewless.StreamSource(
    name="notes",
    topic="shop.notes",
    columns={"user": "string", "amount": "float64", "event_time": "timestamp"},
    event_time="event_time",
    record_key=["user"],
)
VIEW = skewless.StreamFeatureView(
    name="noted", entity=world.USER, source=SOURCE, features=[skewless.count("n", windows=["1h"])]
)
OTHER = skewless.StreamSource(
    name="others", topic="shop.others", columns={"user": "string", "at": "timestamp"}, event_time="at"
)
PROJECT = skewless.Project("shop", VIEW, OTHER)


class Notes:
    """The source's topic; what is sent goes to partition 1."""

    def __init__(self, mesh: LocalMesh) -> None:
        self.bus = Bus(mesh.addresses[BROKER])
        self.bus.ensure_topic(SOURCE.topic)
        self._sender = self.bus.sender()
        self.count = 0

    def send(self, *values: bytes | None, key: bytes | None = b"ann") -> None:
        for value in values:
            self._sender.send(SOURCE.topic, value, key=key, partition=1)
        assert self._sender.flush(10)
        self.count += len(values)

    def records(self) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
        """Key, value and headers of everything in partition 1."""
        found: list[tuple[bytes | None, bytes | None, dict[str, bytes]]] = []
        end = self.bus.ends(SOURCE.topic, [1])[1]
        with self.bus.reader(SOURCE.topic, {1: 0}) as reader:
            while len(found) < end:
                for part in reader.read(max_records=100, wait_s=0.5).parts:
                    found += zip(part.keys, part.values, part.headers, strict=True)
        return found


def note(user: str = "ann", ahead_s: float = 0) -> bytes:
    at = time.time_ns() // 1_000 + int(ahead_s * 1e6)
    return json.dumps({"user": user, "amount": 1.5, "event_time": at}).encode()


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[LocalMesh]:
    environ = {"SKEWLESS_COMMIT_MS": "150"}
    with LocalMesh(tmp_path, services=("registry", "stream_agg"), environ=environ) as running:
        yield running


@pytest.fixture
def store(mesh: LocalMesh) -> Iterator[Store]:
    with Store("shop", registry=mesh.addresses["registry"], stream_agg=mesh.addresses["stream_agg"]) as made:
        yield made


@pytest.fixture
def notes(mesh: LocalMesh, store: Store) -> Notes:
    made = Notes(mesh)
    store.apply(PROJECT)
    return made


def account(store: Store, notes: Notes) -> SourceStatus:
    (found,) = store.source_status(wait_for=[("notes", 1, notes.count)], timeout_s=60)
    return found


def test_a_letter_has_the_record_and_what_is_wrong_with_it(store: Store, notes: Notes) -> None:
    before = time.time_ns() // 1_000
    far = note(ahead_s=3600)
    notes.send(note(), b"{", far, b"[" * 100_000)
    notes.send(note("bob"), None)
    account(store, notes)
    notes.send(b"no key", key=None)
    assert account(store, notes).accepted == 1
    letters = list(store.dead_letters("notes"))
    assert [(letter.position, letter.verdict) for letter in letters] == [
        ((1, 1, 1), "malformed"),
        ((1, 1, 2), "too_far_future"),
        ((1, 1, 3), "malformed"),
        ((1, 1, 4), "malformed"),
        ((1, 1, 5), "malformed"),
        ((1, 1, 6), "malformed"),
    ]
    assert [letter.payload_size for letter in letters] == [1, len(far), 100_000, len(note("bob")), 0, 6]
    assert [letter.payload for letter in letters[:2]] == [b"{", far]
    assert letters[2].payload == b"[" * 65_536
    assert [letter.payload for letter in letters[4:]] == [None, b"no key"]
    assert [letter.key for letter in letters] == [b"ann"] * 5 + [None]
    assert letters[3].reason == "KEY_MISMATCH"
    assert all(letter.reason and letter.detail for letter in letters)
    assert all(before <= letter.refused_at_us <= time.time_ns() // 1_000 + 1_000 for letter in letters)
    assert not any(letter.replayed for letter in letters)
    assert list(store.dead_letters("others")) == []


def test_pages_give_every_letter_once_and_are_bound_to_their_listing(
    mesh: LocalMesh, store: Store, notes: Notes
) -> None:
    for n in range(50):  # keys of their own, so that the letters lie in every partition of their topic
        notes.send(b"no JSON", key=b"key %d" % n)
    account(store, notes)
    with connect(mesh.addresses["stream_agg"]) as channel:
        stub = stubs.StreamAggServiceStub(channel)

        def page(**arguments: object) -> pb.ListDeadLettersResponse:
            request = pb.ListDeadLettersRequest(project="shop", **arguments)  # type: ignore[arg-type]
            answer = call(stub.ListDeadLetters, request, address="stream_agg", timeout_s=10)
            assert isinstance(answer, pb.ListDeadLettersResponse)
            return answer

        found: list[int] = []
        token, sizes = "", []
        while token or not found:
            answer = page(source="notes", page_size=20, page_token=token)
            found += [letter.position.offset for letter in answer.letters]
            times = [letter.refused_at_us for letter in answer.letters]
            assert times == sorted(times)
            sizes.append(len(answer.letters))
            token = answer.next_page_token
        assert sorted(found) == list(range(50))
        assert sizes == [20, 20, 10]
        first = page(source="notes", page_size=20).next_page_token
        forged = [
            base64.urlsafe_b64encode(b'["shop", "notes", [[0, %s]]]' % offset).decode()
            for offset in (b"1e400", b"1e300", b"-1", b"[" * 40_000)
        ]
        for wrong in (first[:-8], "x", first[4:], *forged):
            with pytest.raises(InvalidArgumentError, match="not a token of this listing"):
                page(source="notes", page_token=wrong)
        with pytest.raises(InvalidArgumentError, match="not a token of this listing"):
            page(source="others", page_token=first)


def test_a_letter_is_replayed_once_and_refused_again_as_a_new_one(mesh: LocalMesh, store: Store, notes: Notes) -> None:
    soon = note(ahead_s=8)  # too far ahead now, not in some seconds
    notes.send(b"{", soon, b"}")
    account(store, notes)  # letters of one instant are in no order
    notes.send(b"[]", key=None)
    account(store, notes)
    first, ahead, second, third = store.dead_letters("notes")
    assert first.position is not None
    assert ahead.position is not None
    done = store.replay_dead_letters("notes", [first.position, first.position])
    assert (done.replayed, done.already_replayed) == (1, 0)
    notes.count += 1
    assert account(store, notes).malformed == 4
    *_, again = store.dead_letters("notes")
    assert (again.position, again.payload, again.key, again.replayed) == ((1, 1, 4), b"{", b"ann", False)
    assert notes.records()[-1] == (b"ann", b"{", {"skewless-replayed-from": b"1/1/0"})

    assert third.reason == first.reason  # all that are no JSON: the three first ones, and the replayed one's new letter
    done = store.replay_dead_letters("notes", reason=first.reason)
    assert (done.replayed, done.already_replayed) == (3, 1)
    notes.count += 3
    assert account(store, notes).malformed == 7
    assert [letter.replayed for letter in store.dead_letters("notes")] == [True, False, True, True, True] + 3 * [False]

    mesh.kill("stream_agg")  # what was replayed is remembered
    mesh.restart("stream_agg")
    time.sleep(4)
    assert account(store, notes).too_far_future == 1
    done = store.replay_dead_letters("notes", [first.position, ahead.position])
    assert (done.replayed, done.already_replayed) == (1, 1)
    notes.count += 1
    found = account(store, notes)
    assert (found.accepted, found.consumed) == (1, 9)
    assert Counter(letter.payload for letter in store.dead_letters("notes"))[soon] == 1
    assert second.position == (1, 1, 2)


def test_a_replay_of_what_is_not_there_sends_nothing(store: Store, notes: Notes) -> None:
    notes.send(b"{")
    account(store, notes)
    with pytest.raises(InvalidArgumentError) as raised:
        store.replay_dead_letters("notes", [(1, 1, 0), (1, 1, 5), (2, 1, 0)])
    assert [(v.path, v.reason) for v in raised.value.violations] == [
        ("at.positions[1]", "NO_SUCH_LETTER"),
        ("at.positions[2]", "NO_SUCH_LETTER"),
    ]
    with pytest.raises(UnknownResourceError, match=r"no dead letter with the reason 'NOT_JASON'; known: "):
        store.replay_dead_letters("notes", reason="NOT_JASON")
    with pytest.raises(UnknownResourceError, match="no stream source 'nots'; known: notes, others"):
        store.replay_dead_letters("nots", reason="x")
    with pytest.raises(UnknownResourceError, match="no stream source 'nots'; known: notes, others"):
        list(store.dead_letters("nots"))
    assert len(notes.records()) == 1
