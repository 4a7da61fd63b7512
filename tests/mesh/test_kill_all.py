"""Killing the aggregator and the online service together, in the middle of a stream and of a conversation.

Asked is through the client, and tried again only where an error says that it may be. At the end every answer that
reached the served log is replayed equal, what is missing there was answered in the last moment before a kill, and
values and event logs are those of a run in which nothing happened.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from skewless.client import Store
from skewless.errors import SkewlessError, UnknownFeatureError
from skewless.lake import Lake
from skewless.local import LocalMesh
from skewless.types import Status
from tests.mesh import world
from tests.mesh.test_kill import (
    assert_logged_once,
    assert_served_as_the_oracle_says,
    settle,
    start,
    wait_for_progress,
)

KILLED = ["stream_agg", "online"]
ROUNDS = 3
LOST_S = 1.0
"""A killed online service may take this much of the served log with it."""


def patiently(ask: Callable[[], str | None], within_s: float = 30.0) -> str:
    """Asks again after errors that may pass, and after None; any other error is a fault."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if (answer := ask()) is not None:
                return answer
        except SkewlessError as error:
            if not error.retry or time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


class Asker:
    """Asks for users and shops in turn and remembers when each answer came."""

    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._random = random.Random(seed)  # noqa: S311 (a choice to be repeated)
        self.answered: dict[str, float] = {}

    def ask(self) -> str:
        """One request, until it is answered; every feature of the answer must have been evaluated."""
        worlds: tuple[tuple[str, str, Sequence[object]], ...] = (
            ("by_user", "user", world.USERS),
            ("by_shop", "shop", world.SHOPS),
        )
        view, key, known = self._random.choice(worlds)
        features = [f"{view}@1.0.0:{feature.name}" for feature in world.WHAT]
        entities = {key: self._random.sample(known, 3)}

        def once() -> str:
            answer = self._store.get_online_features(features, entities, timeout_s=2)
            statuses = {status for column in answer.statuses.values() for status in column}
            assert statuses <= {Status.PRESENT, Status.NULL}, statuses
            return answer.request_id

        request_id = patiently(once)
        self.answered[request_id] = time.monotonic()
        return request_id

    def wait_for(self, more: int) -> None:
        """Until so many more have been answered."""
        enough = len(self.answered) + more
        patiently(lambda: "on" if len(self.answered) >= enough else None)


@contextmanager
def meanwhile(*works: Callable[[], object]) -> Iterator[None]:
    """Does each work over and over in a thread of its own. What one of them raises is raised at the end."""
    done = threading.Event()
    failures: list[BaseException] = []

    def repeat(work: Callable[[], object]) -> None:
        try:
            while not done.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 (raised below)
            failures.append(error)

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def views_are_known(store: Store) -> str | None:
    """Answers once the online service has both definitions and the store both views."""
    statuses: set[Status] = set()
    try:
        for view, entities in (("by_user", {"user": "x"}), ("by_shop", {"shop": 1})):
            answer = store.get_online_features([f"{view}@1.0.0:n_1h"], entities)
            statuses.update(answer.statuses[f"{view}:n_1h"])
    except UnknownFeatureError:
        return None
    return "known" if statuses == {Status.PRESENT} else None


def logged(mesh: LocalMesh) -> list[str]:
    """The ids of all answers in the served log, as often as they stand there."""
    rows = Lake(str(mesh.lake)).served(world.PROJECT).read(["request_id", "kind"])
    return [row["request_id"] for row in rows.to_pylist() if row["kind"] == "vector"] if rows is not None else []


def assert_replayed_equal(
    store: Store, mesh: LocalMesh, answered: Mapping[str, float], kills: list[float], began_us: int
) -> None:
    """Replays everything that was served since the beginning; knows which answers the served log may lack."""
    last = max(answered, key=answered.__getitem__)
    patiently(lambda: last if last in logged(mesh) else None)
    served = logged(mesh)
    assert len(served) == len(set(served))
    kept = set(served) & set(answered)
    lost = [at for request_id, at in answered.items() if request_id not in kept]
    assert all(any(kill - LOST_S < at < kill + 0.1 for kill in kills) for at in lost), (lost, kills)
    replay = store.replay(served_from=began_us)
    assert (replay.different, replay.not_yet_logged, replay.not_answered) == (0, 0, 0), replay.differences[:5]
    assert replay.equal == replay.vectors >= 3 * len(kept) > 1_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 6))])
def test_killed_together_they_lose_nothing_count_nothing_twice_and_serve_what_is_replayed(
    tmp_path: Path, seed: int
) -> None:
    rnd = random.Random(seed)  # noqa: S311 (a choice to be repeated)
    environ = {"SKEWLESS_COMMIT_MS": "150", "SKEWLESS_SERVED_COMMIT_MS": "200"}
    services = ("registry", "stream_agg", "online", "offline")
    with LocalMesh(tmp_path, services=services, environ=environ) as mesh:
        bus, store = start(mesh)
        patiently(lambda: views_are_known(store))
        began_us = time.time_ns() // 1_000
        payments, asker, kills = world.Payments(bus, seed), Asker(store, seed), list[float]()

        def produce() -> None:
            payments.send(rnd.randrange(20, 120))
            time.sleep(0.05)

        def ask() -> None:
            asker.ask()
            time.sleep(0.005)

        with meanwhile(produce, ask):
            for _ in range(ROUNDS):
                wait_for_progress(store)
                asker.wait_for(150)
                time.sleep(rnd.uniform(0, 0.4))
                for name in rnd.sample(KILLED, 2):
                    mesh.kill(name)
                    kills.append(time.monotonic())
                with ThreadPoolExecutor() as pool:
                    list(pool.map(mesh.restart, KILLED))
        settle(store, payments)
        asker.ask()
        assert len(payments.sent) > 1_000
        assert_replayed_equal(store, mesh, asker.answered, kills, began_us)
        assert_logged_once(mesh, payments)
        assert_served_as_the_oracle_says(store, payments)
        store.close()
