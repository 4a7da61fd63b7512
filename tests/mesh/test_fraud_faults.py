"""Every part of the mesh dies in turn in the middle of the fraud example, and the power of the store is cut once.

In the end nothing of it can be seen: every record is in the event logs once, values are the oracle's, what was served
is replayed equal. Meanwhile nothing is made up: away from a fault everything is answered, near one what cannot be
known has a status that says so.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from examples.fraud import definitions, demo, generator
from examples.fraud.days import Run, step_count
from examples.fraud.generator import Scenario
from examples.shared.publish import Publisher
from skewless.client import Store
from skewless.lake import Lake
from skewless.local import BROKER, STORE, LocalMesh
from skewless.types import Status
from tests.mesh.fraud_run import served_rows
from tests.mesh.fraud_truth import Oracle, assert_as_the_oracle_says
from tests.mesh.test_fraud import assert_logged_once, world

PARTS = ("stream_agg", "online", "registry", "offline", STORE, BROKER)
RECOVERY_S = 3.0
"""After its restart a part is expected to be as good as before within this time."""
NOT_ANSWERED = {int(status) for status in (Status.NOT_ANSWERABLE, Status.REBUILDING, Status.UNAVAILABLE)}
_ENOUGH = 10_000
"""Bytes of states that the cut of the power must take."""
LOST_S = 1.5
"""A killed online service may take this much of the served log with it."""


class Power:
    """Knows how much of the store's append-only file is on the disk, and can cut the power."""

    def __init__(self, mesh: LocalMesh) -> None:
        self._mesh = mesh
        self._host, port = mesh.addresses[STORE].split(":")
        self._port = int(port)

    def cut(self) -> int:
        """Kills the store and takes what was not on the disk from its file. Gives how many bytes that were.

        Whatever anybody was told to be on the disk stays there: a sync tells all who wait for one at the same time.
        """
        store: Any = redis.Connection(self._host, self._port)  # type: ignore[no-untyped-call]
        store.connect()
        while True:
            self._ask_for_sync(store)
            assert store.read_response()[0] == 1
            durable = self._size()
            self._ask_for_sync(store)
            while not (synced := store.can_read(0)) and self._size() < durable + _ENOUGH:
                time.sleep(0.002)
            if not synced and self._frozen_before(store):
                break
            store.read_response()
        self._mesh.kill(STORE)
        lost = self._size() - durable
        os.truncate(self._file(), durable)
        return lost

    def _frozen_before(self, store: Any) -> bool:
        """Halts the store. If it has told of the sync by then it goes on, and the answer is False."""
        pid = self._mesh.pid(STORE)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)
        if store.can_read(0):
            os.kill(pid, signal.SIGCONT)
            return False
        return True

    @staticmethod
    def _ask_for_sync(store: Any) -> None:
        """Of everything that was written before; its answer is the next one."""
        store.send_command("SET", "probe", "1")
        store.send_command("WAITAOF", "1", "0", "0")
        store.read_response()

    def _size(self) -> int:
        return self._file().stat().st_size

    def _file(self) -> Path:
        return max((self._mesh.data_dir / "store" / "appendonlydir").glob("*.incr.aof"))


@dataclass
class Faults:
    """What is done to the mesh, a fault at a time.

    windows: (name, from, until) on the monotonic clock; until it may show.
    """

    mesh: LocalMesh
    draw: random.Random
    windows: list[tuple[str, float, float]] = field(default_factory=list)
    lost_bytes: int = 0
    _at_work: threading.Thread | None = None
    _failure: BaseException | None = None

    def begin(self, name: str) -> None:
        """Has a part die and come back, while the caller goes on. Only when no other part is away."""
        self._at_work = threading.Thread(target=self._guarded, args=(name, self.draw.uniform(0.2, 1.0)))
        self._at_work.start()

    def at_work(self) -> bool:
        """Whether a part is away. The cut of the power waits until the store has something to lose."""
        return self._at_work is not None and self._at_work.is_alive()

    def end(self) -> None:
        """Waits until the part is there again."""
        if self._at_work is not None:
            self._at_work.join()
        if self._failure is not None:
            raise self._failure

    def _guarded(self, name: str, away_s: float) -> None:
        try:
            self._kill(name, away_s)
        except BaseException as error:  # noqa: BLE001 (raised by `end`)
            self._failure = error

    def _kill(self, name: str, away_s: float) -> None:
        part = STORE if name == "power" else name
        begun = time.monotonic()
        if name == "power":
            self.lost_bytes = Power(self.mesh).cut()
        else:
            self.mesh.kill(part)
        time.sleep(away_s)
        self.mesh.restart(part)
        self.windows.append((part, begun, time.monotonic() + RECOVERY_S))

    def calm(self, begun: float, ended: float) -> bool:
        """Whether no fault could show in this time."""
        return all(ended < since or begun > until for _, since, until in self.windows)

    def excuse(self, begun: float, ended: float) -> bool:
        """Whether an answer of this time may be missing in the served log."""
        deaths = [since for part, since, _ in self.windows if part == "online"]
        return any(begun - LOST_S < death + 1 and death < ended + LOST_S for death in deaths)


@dataclass
class Drive:
    """A whole run under faults: per vector what was known, when it was asked, and the night before."""

    traffic: generator.Traffic
    journal: demo.Journal = field(default_factory=demo.Journal)
    known: list[int] = field(default_factory=list)
    night: list[tuple[int, int] | None] = field(default_factory=list)
    asked_between: list[tuple[float, float]] = field(default_factory=list)

    def through(self, run: Run, store: Store, publisher: Publisher, before: Callable[[int], None]) -> None:
        """before: called with the number of each step before its records are published."""
        published, night, begun = 0, None, time.monotonic()
        before(0)
        for number, step in enumerate(demo.serve(store, publisher, run, self.traffic, self.journal)):
            ended = time.monotonic()
            published += len(step.records)
            night = (step.end_us, published) if step.day_ends else night
            self.known += [published] * len(step.asked)
            self.night += [night] * len(step.asked)
            self.asked_between += [(begun, ended)] * len(step.asked)
            begun = ended
            before(number + 1)


def schedule(names: Sequence[str], steps: int, draw: random.Random) -> dict[int, str]:
    """Which fault comes before which of so many steps, in a drawn order."""
    each = steps // (len(names) + 1)
    order = draw.sample(names, len(names))
    return {each * (place + 1) + draw.randrange(-each // 3, each // 3): name for place, name in enumerate(order)}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 6))])
def test_whatever_dies_in_mid_run_nothing_is_lost_doubled_or_made_up(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 (a choice to be repeated)
    scenario = Scenario(
        seed=seed, users=12, merchants=20, days=10, rate=3, sprees=4.0, offline=0.1, malformed=0.05, ahead=0.01
    )
    run, traffic = Run(scenario, served_steps=300, rewinds=3, rewound_by=(20, 100)), generator.make(scenario)
    drive = Drive(traffic)
    with world(tmp_path, traffic) as (mesh, store, publisher):
        faults = Faults(mesh, draw)
        peace, rested = step_count(run) * 3 // 4, list[tuple[str, float, float]]()
        planned = schedule((*PARTS, "power"), peace, draw)

        def before(step: int) -> None:
            if faults.at_work():
                time.sleep(0.04)  # the stream goes on, but not past the fault
            elif planned and step >= min(planned):
                faults.begin(planned.pop(min(planned)))
            elif step >= peace and faults.windows[-1:] != rested:
                time.sleep(RECOVERY_S)
                rested[:] = faults.windows[-1:]

        drive.through(run, store, publisher, before)
        faults.end()
        assert sorted(name for name, _, _ in faults.windows) == sorted((*PARTS, STORE))
        assert faults.lost_bytes > 0, "the power was cut when everything was on the disk: nothing was shown"
        assert publisher.published == len(traffic.records)
        assert_logged_once(mesh, traffic)
        account = {**demo.account(store), "events": publisher.published}
        wrong = demo.contradictions(account, drive.journal.expected)
        # A worker that dies before it has read again what it was moved back over need not do so.
        assert [text for text in wrong if not text.startswith("duplicate is")] == []
        assert 0 < account["duplicate"] <= drive.journal.expected.counts["duplicate"]
        kept = assert_replayed_equal(store, mesh, drive, faults)
        assert_honest_meanwhile(store, kept, drive, faults)
        assert_right_at_the_end(store, run, traffic)


def assert_replayed_equal(store: Store, mesh: LocalMesh, drive: Drive, faults: Faults) -> list[int]:
    """Replays all that was served; gives the places of the vectors that the served log has."""
    asked = drive.journal.asked.request_ids
    deadline = time.monotonic() + 30
    while asked[-1] not in (served := logged(mesh)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(served) == len(set(served))
    kept = [place for place, request_id in enumerate(asked) if request_id in set(served)]
    lost = [drive.asked_between[place] for place in range(len(asked)) if place not in set(kept)]
    assert all(faults.excuse(*between) for between in lost), (lost, faults.windows)
    replay = store.replay()
    assert (replay.different, replay.not_yet_logged) == (0, 0), replay.differences[:5]
    assert replay.vectors == len(served)
    return kept


def logged(mesh: LocalMesh) -> list[str]:
    """The ids of the vectors in the served log, as often as they stand there."""
    rows = Lake(str(mesh.lake)).served(definitions.PROJECT).read(["request_id", "kind"])
    return [row["request_id"] for row in rows.to_pylist() if row["kind"] == "vector"] if rows is not None else []


def assert_honest_meanwhile(store: Store, kept: Sequence[int], drive: Drive, faults: Faults) -> None:
    """Vectors that no fault was near of are complete and the oracle's."""
    asked = drive.journal.asked
    calm = [place for place in kept if faults.calm(*drive.asked_between[place])]
    assert len(calm) > 100, "hardly any vector was away from the faults: nothing was shown"
    rows = dict(zip(kept, served_rows(store, asked.frame().take(kept)), strict=True))
    for place in calm:
        statuses = {value for name, value in rows[place].items() if name.endswith("__status")}
        assert not statuses.intersection(NOT_ANSWERED), rows[place]
    oracle = Oracle(drive.traffic)
    for place in random.Random(3).sample(calm, 40):  # noqa: S311 (a choice to be repeated)
        assert_as_the_oracle_says(rows[place], oracle, drive.known[place], drive.night[place])


def assert_right_at_the_end(store: Store, run: Run, traffic: generator.Traffic) -> None:
    """Every user and merchant, asked at the end of the run, is what the oracle says of all records."""
    oracle, at_us = Oracle(traffic), run.scenario.end_us
    for view, key, entities in (
        ("spending", "user_id", [user.user_id for user in traffic.users]),
        ("takings", "merchant_id", [merchant.merchant_id for merchant in traffic.merchants]),
    ):
        names = [f"{view}@1.0.0:{one}" for one in ("payments_7d", "amount_30d", "top_amount_24h", "amount_spread_7d")]
        answer = store.get_online_features(names, {key: entities}, request_time=at_us)
        for row, entity in enumerate(entities):
            expected = oracle.window(view, entity, at_us, len(traffic.records))
            for name, values in answer.values.items():
                assert int(answer.statuses[name][row]) == int(expected[name].status), (name, entity)
                assert values[row] == expected[name].value, (name, entity)
