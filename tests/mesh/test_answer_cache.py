"""Answers that the client keeps, over real states: calls that are saved, and values that are those of the service."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

import skewless as sk
from skewless.client import AnswerCache, AsyncStore, OnlineFeatures, Store
from skewless.definitions.resource import Definition
from skewless.errors import InvalidArgumentError, WrongTypeError
from skewless.local import LocalMesh
from skewless.types import Status
from tests.mesh import online_world as world

USERS, SHOPS = 6, 3
HOUR = 60 * world.MINUTE
USER_KEYS = [f"user-{n}" for n in range(USERS)]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path_factory.mktemp("mesh"), services=()) as running:
        yield running


@pytest.fixture(scope="module")
def definitions() -> list[Definition]:
    return world.project().definitions()


@pytest.fixture
def online(mesh: LocalMesh, definitions: list[Definition]) -> Iterator[world.Online]:
    with redis.Redis.from_url(mesh.store_url) as direct:
        direct.flushdb()
    world.fill(mesh.store_url, definitions, USERS, SHOPS)
    with world.Online(mesh.store_url) as running:
        assert running.server.publish(world.plan(definitions, revision=5)) == []
        yield running


def sent(online: world.Online) -> int:
    """How many calls reached the service."""
    return sum(count for name, count in online.server.counters().items() if name.startswith("requests.get_online"))


def ask(store: Store, user: str, time_us: int | None, amount: float = 3.0) -> OnlineFeatures:
    keys = {"user": user, "shop": 1}
    return store.get_online_features("model@1.0.0", keys, request={"amount": amount}, request_time=time_us)


def values(answer: OnlineFeatures) -> dict[str, Any]:
    """Everything but the names of the answer; floats by their bits."""
    found = {name: value for name, value in dataclasses.asdict(answer).items() if name not in {"request_id", "token"}}
    found["values"] = {
        name: [value.hex() if isinstance(value, float) else value for value in column]
        for name, column in answer.values.items()
    }
    return found


def test_what_is_kept_is_what_the_service_says_over_every_edge_of_its_windows(online: world.Online) -> None:
    """From before the newest event on, past the steps of the tails of all windows, forwards and backwards."""
    cache = AnswerCache(max_age_s=600)
    steps = (-HOUR, -1, 0, 1, world.MINUTE - 1, world.MINUTE, world.MINUTE + 1, HOUR, HOUR + 1, 23 * HOUR, 26 * HOUR)
    times = [world.T0 + step for step in steps]
    with (
        Store(world.PROJECT, online=online.address, cache=cache) as keeps,
        Store(world.PROJECT, online=online.address) as asks,
    ):
        first = {(user, at): ask(keeps, user, at) for at in times for user in USER_KEYS}
        before = sent(online)
        for (user, at), answer in reversed(first.items()):
            again = ask(keeps, user, at)
            assert values(again) == values(answer) == values(ask(asks, user, at))
            assert (again.request_id == answer.request_id) == (not passes(answer))
        lasting = {key for key, answer in first.items() if not passes(answer)}
        # Those of the comparison, and those that may not be kept.
        assert sent(online) - before == len(first) + len(first) - len(lasting)
    assert (cache.counts().hits, cache.counts().entries) == (len(lasting), len(lasting))
    shown = {tuple(map(str, values(first[USER_KEYS[1], at])["values"].values())) for at in times}
    assert len(shown) > 4, "the times are of no use if nothing changes between them"
    assert len(lasting) > len(first) // 2


def passes(answer: OnlineFeatures) -> bool:
    of_the_service = {Status.UNAVAILABLE, Status.REBUILDING, Status.NOT_ANSWERABLE, Status.NOT_COMPUTED}
    return any(of_the_service & set(column) for column in answer.statuses.values())


def test_every_part_of_a_request_tells_it_from_others(online: world.Online) -> None:
    cache = AnswerCache(max_age_s=600)
    at = world.T0 + world.SECOND
    with Store(world.PROJECT, online=online.address, cache=cache) as store:
        variants: list[Callable[[], OnlineFeatures]] = [
            lambda: ask(store, "user-1", at),
            lambda: ask(store, "user-2", at),
            lambda: ask(store, "user-1", at + 1),
            lambda: ask(store, "user-1", at, amount=4.0),
            lambda: store.get_online_features(["spending@1.0.0:n_1h"], {"user": "user-1"}, request_time=at),
            lambda: store.get_online_features(["spending@1.0.0:n_24h"], {"user": "user-1"}, request_time=at),
            lambda: store.get_online_features(["spending@1.0.0:n_1h"], {"user": ["user-1", "user-2"]}, request_time=at),
            lambda: store.get_online_features(["spending@1.0.0:n_1h"], {"user": ["user-2", "user-1"]}, request_time=at),
        ]
        for variant in variants:
            variant()
        assert (sent(online), cache.counts().misses) == (len(variants), len(variants))
        for variant in variants:
            variant()
        assert (sent(online), cache.counts().hits) == (len(variants), len(variants))


def test_without_a_request_time_every_call_is_sent(online: world.Online) -> None:
    cache = AnswerCache(max_age_s=600)
    with Store(world.PROJECT, online=online.address, cache=cache) as store:
        for _ in range(3):
            ask(store, "user-1", None)
    assert (sent(online), cache.counts().bypassed, cache.counts().entries) == (3, 3, 0)


def more_events(mesh: LocalMesh, definitions: list[Definition]) -> None:
    """The states with more events, as the stream aggregator would write them."""
    world.fill(mesh.store_url, definitions, USERS, SHOPS, events=60)


def test_a_write_is_seen_after_invalidation_and_not_before(
    mesh: LocalMesh, online: world.Online, definitions: list[Definition]
) -> None:
    cache = AnswerCache(max_age_s=600)
    at = world.T0 + world.SECOND
    with (
        Store(world.PROJECT, online=online.address, cache=cache) as store,
        Store(world.PROJECT, online=online.address) as asks,
    ):
        before = {user: ask(store, user, at) for user in USER_KEYS}
        with redis.Redis.from_url(mesh.store_url) as direct:
            direct.flushdb()
        more_events(mesh, definitions)
        after = {user: ask(asks, user, at) for user in USER_KEYS}
        assert all(values(before[user]) != values(after[user]) for user in USER_KEYS)
        assert all(values(ask(store, user, at)) == values(before[user]) for user in USER_KEYS)

        assert cache.invalidate(entities={"user": ["user-1", "user-2", "nobody"]}) == 2
        fresh = {"user-1", "user-2"}
        for user in USER_KEYS:
            assert values(ask(store, user, at)) == values(after[user] if user in fresh else before[user])
        assert cache.invalidate(project="another") == 0
        assert cache.invalidate(project=world.PROJECT, entities={"user": "user-3", "shop": 1}) == 1
        assert cache.invalidate(entities={"user": "user-4", "shop": 2}) == 0
        assert cache.invalidate(entities={"planet": "user-4"}) == 0
        assert cache.invalidate() == USERS - 1
        assert all(values(ask(store, user, at)) == values(after[user]) for user in USER_KEYS)
        assert cache.counts().invalidated == 2 + 1 + USERS - 1


def test_what_was_asked_before_an_invalidation_is_not_kept_after_it(online: world.Online) -> None:
    cache = AnswerCache(max_age_s=600)
    asked = world.request(["user-1"], [1], [3.0])
    kept, keep = cache.find(asked)
    assert kept is None
    with Store(world.PROJECT, online=online.address) as store:
        answer = ask(store, "user-1", asked.request_time_us)
    cache.invalidate(entities={"user": "user-1"})
    keep(answer, 100)
    assert cache.find(asked)[0] is None
    assert cache.counts().entries == 0


def test_an_answer_grows_too_old(online: world.Online) -> None:
    at = world.T0 + world.SECOND
    cache = AnswerCache(max_age_s=0.05)
    with Store(world.PROJECT, online=online.address, cache=cache) as store:
        ask(store, "user-1", at)
        time.sleep(0.06)
        ask(store, "user-1", at)
    assert sent(online) == 2
    assert (cache.counts().expired, cache.counts().entries) == (1, 1)


def test_what_was_used_longest_ago_makes_room(online: world.Online) -> None:
    at = world.T0 + world.SECOND
    probe = AnswerCache(max_age_s=600)
    with Store(world.PROJECT, online=online.address, cache=probe) as store:
        ask(store, "user-1", at)
    one = probe.counts().bytes
    cache = AnswerCache(max_age_s=600, max_bytes=3 * one + one // 2)
    with Store(world.PROJECT, online=online.address, cache=cache) as store:
        for user in ("user-1", "user-2", "user-3", "user-1", "user-4", "user-1"):
            ask(store, user, at)
            assert cache.counts().bytes <= 3 * one + one // 2
        assert (cache.counts().hits, cache.counts().evicted) == (2, 1)
        ask(store, "user-2", at)
        assert (cache.counts().hits, cache.counts().evicted) == (2, 2)
    tiny = AnswerCache(max_age_s=600, max_bytes=10)
    with Store(world.PROJECT, online=online.address, cache=tiny) as store:
        ask(store, "user-1", at)
    assert (tiny.counts().entries, tiny.counts().bytes) == (0, 0)


def test_what_passes_is_not_kept(mesh: LocalMesh, online: world.Online) -> None:
    cache = AnswerCache(max_age_s=600)
    at = world.T0 + world.SECOND
    with Store(world.PROJECT, online=online.address, cache=cache) as store:
        with redis.Redis.from_url(mesh.store_url) as direct:
            kept = direct.get(world.sentinel(world.SPENDING.name))
            direct.delete(world.sentinel(world.SPENDING.name))
            rebuilding = ask(store, "user-1", at)
            direct.set(world.sentinel(world.SPENDING.name), kept)
        assert Status.REBUILDING in rebuilding.statuses["spending:n_1h"]
        assert cache.counts().entries == 0
        assert ask(store, "user-1", at).statuses["spending:n_1h"] == (Status.PRESENT,)
        assert cache.counts().entries == 1


def test_what_a_caller_does_to_an_answer_stays_with_it(online: world.Online) -> None:
    cache = AnswerCache(max_age_s=600)
    at = world.T0 + world.SECOND
    with Store(world.PROJECT, online=online.address, cache=cache) as store:
        first = ask(store, "user-1", at)
        told = values(first)
        for _ in range(2):
            first.values.clear()  # type: ignore[attr-defined]
            first.statuses.clear()  # type: ignore[attr-defined]
            first = ask(store, "user-1", at)
            assert values(first) == told


def test_lists_too(mesh: LocalMesh) -> None:
    project = sk.Project(
        world.PROJECT,
        sk.OnDemandFeatureView("shown", request=sk.RequestSource({"seen": "list<int64>"}), features={"all": "seen"}),
        sk.FeatureService("listed", features=["shown@1.0.0:all"]),
    )
    cache = AnswerCache(max_age_s=600)
    with world.Online(mesh.store_url) as online:
        assert online.server.publish(world.plan(project.definitions())) == []
        with Store(world.PROJECT, online=online.address, cache=cache) as store:
            for _ in range(3):
                answer = store.get_online_features("listed@1.0.0", {}, request={"seen": [[1, 2]]}, request_time=1)
                (shown,) = answer.values["shown:all"]
                assert shown == [1, 2]
                assert isinstance(shown, list)
                shown.append(3)
        assert (sent(online), cache.counts().hits) == (1, 2)


def test_both_clients_share_it(online: world.Online) -> None:
    cache = AnswerCache(max_age_s=600)
    at = world.T0 + world.SECOND
    with Store(world.PROJECT, online=online.address, cache=cache) as store:
        told = values(ask(store, "user-1", at))

    async def run() -> list[OnlineFeatures]:
        async with AsyncStore(world.PROJECT, online=online.address, cache=cache) as store:
            keys, fields = {"user": "user-1", "shop": 1}, {"amount": 3.0}
            calls = [store.get_online_features("model@1.0.0", keys, request=fields, request_time=at) for _ in range(9)]
            return await asyncio.gather(*calls)

    assert [values(answer) for answer in asyncio.run(run())] == [told] * 9
    assert sent(online) == 1


def test_what_is_no_cache_is_refused() -> None:
    for wrong in (0, -1, float("nan"), True, "60"):
        with pytest.raises(WrongTypeError, match="max_age_s"):
            AnswerCache(max_age_s=wrong)  # type: ignore[arg-type]
    with pytest.raises(WrongTypeError, match="max_bytes"):
        AnswerCache(max_age_s=1, max_bytes=0)
    with pytest.raises(WrongTypeError, match="cache: expected an AnswerCache"):
        Store("p", online="127.0.0.1:1", cache={})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="one length"):
        AnswerCache(max_age_s=1).invalidate(entities={"user": ["a", "b"], "shop": 1})
