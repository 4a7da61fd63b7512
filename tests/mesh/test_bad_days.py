"""Days on which something is away, taken, or asked wrongly: what is said then, and that nothing is lost by it.

The whole mesh as processes. Whatever goes away, the services that need it name its address and try again, waiting
longer each time; when it is back everything sent and served in the meantime is absorbed, logged, and replayed equal.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

import skewless as sk
from skewless.bus import Bus
from skewless.client import Store
from skewless.errors import (
    DependencyUnavailableError,
    InvalidArgumentError,
    NaiveTimestampError,
    NotReadyError,
    SkewlessError,
    TimedOutError,
    TooLargeError,
    UnknownFeatureError,
    UnknownFeatureServiceError,
    UnknownResourceError,
)
from skewless.local import BROKER, STORE, LocalMesh
from skewless.types import Status
from tests.mesh import world
from tests.mesh.test_kill import assert_logged_once, assert_served_as_the_oracle_says, settle
from tests.mesh.test_kill_all import logged, patiently, views_are_known

ROOT = Path(__file__).parents[2]
SERVICES = ("registry", "stream_agg", "online", "offline", "validator")
REGISTRY = "registry"
DEPENDENTS = ("stream_agg", "online", "offline", "validator")

HOMES = sk.BatchSource("homes", path="homes.parquet", columns={"user": "string not null", "home": "string"})
TIMES = sk.BatchSource(
    "times",
    path="times.parquet",
    event_time="since",
    columns={"user": "string not null", "since": "timestamp not null", "home": "string"},
)
HOME = sk.BatchFeatureView("home", entity=world.USER, source=HOMES, features=["home"])
SINCE = sk.BatchFeatureView("since", entity=world.USER, source=TIMES, features=["home"])
NOW = sk.OnDemandFeatureView(
    "now",
    request=sk.RequestSource({"price": "float64", "seen": "timestamp"}),
    features={"double": "price * 2.0", "age": "request_time() - seen"},
)
BOTH = sk.FeatureService("both", features=[world.BY_USER, NOW])
PROJECT = sk.Project(world.PROJECT, world.BY_USER, world.BY_SHOP, world.SERVICE, HOME, SINCE, BOTH)


@dataclass
class Day:
    """A mesh, what was sent into it, and what it answered."""

    mesh: LocalMesh
    store: Store
    payments: world.Payments
    answered: list[str] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)
    reported: int = 0
    """Answers that an earlier run of the validator has accounted for: it counts from its start."""

    def ask(self, count: int = 1) -> set[Status]:
        """Asks for both views of as many users; gives the statuses of the stored features."""
        found: set[Status] = set()
        for number in range(count):
            features = ["by_user@1.0.0:n_1h", "by_user@1.0.0:paid_1h"]
            answer = self.store.get_online_features(features, {"user": world.USERS[number % len(world.USERS)]})
            self.answered.append(answer.request_id)
            found |= {status for column in answer.statuses.values() for status in column}
        return found

    def begin(self) -> None:
        """Forgets what the services have said so far."""
        self.read = {name: len(self.mesh.log(name).read_bytes()) for name in DEPENDENTS}

    def said(self, service: str, text: str) -> list[str]:
        """The lines with this text that the service has logged since `begin`."""
        new = self.mesh.log(service).read_bytes()[self.read[service] :].decode()
        return [line for line in new.splitlines() if text in line]

    def names(self, service: str, part: str) -> None:
        """Waits until the service has named the part's address."""
        self.until(lambda: bool(self.said(service, self.mesh.addresses[part])), f"{service} does not name the {part}")

    def until(self, done: Callable[[], bool], otherwise: str, within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < deadline, otherwise
            time.sleep(0.05)

    def stopped(self) -> str:
        """Why the aggregator does not go on, by its Status."""
        return "; ".join(log.stopped for log in self.store.stream_status())

    def assert_nothing_is_lost(self) -> None:
        """Everything sent is absorbed and logged once; everything answered is logged once and replayed equal."""
        settle(self.store, self.payments)
        patiently(lambda: views_are_known(self.store))
        assert self.stopped().strip("; ") == ""
        assert_logged_once(self.mesh, self.payments)
        assert_served_as_the_oracle_says(self.store, self.payments)
        asked = set(self.answered)
        self.until(lambda: asked <= set(logged(self.mesh)), "answers are missing in the served log")
        served = logged(self.mesh)
        assert len(served) == len(set(served))
        replay = self.store.replay(self.answered)
        assert (replay.different, replay.not_yet_logged) == (0, 0)
        assert set(replay.outcomes) == asked
        self.until(lambda: self._validated(len(served) - self.reported), "the validator does not get on")

    def _validated(self, least: int) -> bool:
        report = self.store.report()
        assert report.mismatches == 0, report.examples
        return report.pending == 0 and report.replayed >= least


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    directory = tmp_path_factory.mktemp("day")
    sources = directory / "sources"
    sources.mkdir()
    pa.parquet.write_table(pa.table({"user": ["user 0"], "home": ["Oslo"]}), sources / "homes.parquet")
    naive = pa.array([0], pa.timestamp("us"))
    pa.parquet.write_table(pa.table({"user": ["user 0"], "since": naive, "home": ["Oslo"]}), sources / "times.parquet")
    environ = {
        "SKEWLESS_SOURCES": str(sources),
        "SKEWLESS_COMMIT_MS": "150",
        "SKEWLESS_SERVED_COMMIT_MS": "200",
        "SKEWLESS_REPLAY_SETTLE_MS": "300",
        "SKEWLESS_REPLAY_INTERVAL_MS": "200",
    }
    with LocalMesh(directory / "mesh", services=SERVICES, environ=environ) as mesh:
        bus = Bus(mesh.addresses[BROKER])
        bus.ensure_topic(world.TOPIC)
        addresses: dict[str, Any] = {name: mesh.addresses[name] for name in SERVICES}
        with Store(world.PROJECT, **addresses, timeout_s=5) as store:
            store.apply(PROJECT)
            patiently(lambda: views_are_known(store))
            found = Day(mesh, store, world.Payments(bus, 17))
            found.payments.send(300)
            settle(store, found.payments)
            assert found.ask(20) == {Status.PRESENT}
            yield found


# --- Something is away ----------------------------------------------------------------------------------------


def test_the_store_goes_away_and_comes_back(day: Day) -> None:
    day.begin()
    day.mesh.kill(STORE)
    address = day.mesh.addresses[STORE]
    day.payments.send(300)
    assert day.ask(20) == {Status.UNAVAILABLE}
    day.until(lambda: address in day.stopped(), "Status does not name the store")
    day.names("stream_agg", STORE)
    day.names("online", STORE)
    with pytest.raises(DependencyUnavailableError, match=address):
        day.store.materialize("home@1.0.0")
    time.sleep(2)
    assert len(day.said("stream_agg", address)) < 20  # it waits longer each time
    assert len(day.said("online", address)) < 20
    day.mesh.restart(STORE)
    assert day.store.materialize("home@1.0.0").entities_online == 1
    day.assert_nothing_is_lost()


def test_the_broker_goes_away_and_comes_back(day: Day) -> None:
    day.payments.send(300)
    day.begin()
    day.mesh.kill(BROKER)
    assert day.ask(20) == {Status.PRESENT}
    for service in DEPENDENTS:
        day.names(service, BROKER)
    time.sleep(2)
    for service in DEPENDENTS:
        assert len(day.said(service, day.mesh.addresses[BROKER])) < 30, service
    day.mesh.restart(BROKER)
    day.payments.send(300)
    day.assert_nothing_is_lost()


def test_the_registry_goes_away_and_comes_back(day: Day) -> None:
    day.begin()
    day.mesh.kill(REGISTRY)
    address = day.mesh.addresses[REGISTRY]
    day.payments.send(300)
    settle(day.store, day.payments)
    assert day.ask(20) == {Status.PRESENT}
    # The served log is written behind the answers.
    assert patiently(lambda: str(day.store.replay(day.answered[:20]).different)) == "0"
    with pytest.raises(DependencyUnavailableError, match=address) as raised:
        day.store.apply(PROJECT)
    assert raised.value.retry
    for service in ("stream_agg", "online", "offline"):
        day.names(service, REGISTRY)
    time.sleep(2)
    for service in ("stream_agg", "online", "offline"):
        assert len(day.said(service, address)) < 20, service
    day.mesh.restart(REGISTRY)
    day.assert_nothing_is_lost()


def test_everything_is_away_at_the_start_and_comes_one_by_one(day: Day) -> None:
    """Each service is ready without what it needs, names what it waits for, and takes it up when it comes."""
    mesh, address = day.mesh, day.mesh.addresses
    day.reported = len(logged(mesh))
    for service in reversed(DEPENDENTS):
        mesh.halt(service)
    day.payments.send(300)
    for part in (REGISTRY, BROKER, STORE):
        mesh.kill(part)
    day.begin()
    for service in DEPENDENTS:
        mesh.restart(service)

    for service in ("stream_agg", "online", "offline"):
        day.names(service, REGISTRY)
    for service in ("online", "offline", "validator"):
        day.names(service, BROKER)
    with pytest.raises(NotReadyError, match=address[REGISTRY]):
        day.ask()
    with pytest.raises(NotReadyError, match=address[REGISTRY]):
        day.store.materialize("home@1.0.0")
    with pytest.raises(TimedOutError, match="no view reads the source 'payments'"):
        day.store.stream_status(wait_for=day.payments.positions(), timeout_s=0.3)

    mesh.restart(REGISTRY)
    day.until(lambda: address[BROKER] in day.stopped(), "Status does not name the broker", 30)
    day.names("stream_agg", BROKER)

    mesh.restart(BROKER)
    day.until(lambda: address[STORE] in day.stopped(), "Status does not name the store", 30)
    day.names("stream_agg", STORE)
    day.names("offline", STORE)
    day.until(lambda: _statuses(day) == {Status.UNAVAILABLE}, "the values are not UNAVAILABLE")
    day.names("online", STORE)

    mesh.restart(STORE)
    day.assert_nothing_is_lost()


def _statuses(day: Day) -> set[Status]:
    try:
        return day.ask()
    except NotReadyError:
        return set()


# --- A port is taken ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "variable"),
    [
        *((service, "LISTEN") for service in SERVICES),
        ("online", "METRICS_LISTEN"),
        ("validator", "METRICS_LISTEN"),
    ],
)
def test_a_taken_port_ends_the_service_with_a_word_of_advice(service: str, variable: str, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        environ = {key: value for key, value in os.environ.items() if not key.startswith("SKEWLESS_")}
        away = {f"SKEWLESS_{name.upper()}": "127.0.0.1:9" for name in (*SERVICES, BROKER)}
        ended = subprocess.run(
            [sys.executable, "-m", f"services.{service}.main"],
            cwd=ROOT,
            env={
                **environ,
                **away,
                "SKEWLESS_STORE_URL": "redis://127.0.0.1:9",
                "SKEWLESS_DATABASE_URL": f"sqlite:///{tmp_path}/registry.db",
                "SKEWLESS_LAKE": str(tmp_path),
                "SKEWLESS_LISTEN": "127.0.0.1:0",
                f"SKEWLESS_{variable}": taken,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 2, ended.stderr
    assert f"cannot listen on {taken}" in ended.stderr
    assert f"SKEWLESS_{variable}" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- Something is asked wrongly -------------------------------------------------------------------------------


def frame(**changes: object) -> pa.Table:
    """A good frame for ``both``, with columns changed, or left out where None."""
    columns: dict[str, Any] = {
        "user": ["user 0"],
        "price": [1.0],
        "seen": pa.array([0], pa.timestamp("us", "UTC")),
        "request_time": pa.array([world.HOUR], pa.timestamp("us", "UTC")),
        **changes,
    }
    return pa.table({name: column for name, column in columns.items() if column is not None})


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"user": None}, SkewlessError, "user"),
        ({"user": [7]}, SkewlessError, "user.*string"),
        ({"price": None}, SkewlessError, "price"),
        ({"price": ["cheap"]}, SkewlessError, "price.*got string"),
        ({"price": [True]}, SkewlessError, "price.*got bool"),
        ({"price": [float("nan")]}, SkewlessError, "price"),
        ({"price": [float("inf")]}, SkewlessError, "price"),
        ({"seen": pa.array([0], pa.timestamp("us"))}, SkewlessError, "seen.*zone"),
        ({"request_time": None}, SkewlessError, "request_time"),
        ({"request_time": ["noon"]}, SkewlessError, "request_time"),
        ({"request_time": pa.array([0], pa.timestamp("us"))}, NaiveTimestampError, "request_time.*zone"),
    ],
    ids=lambda given: re.sub(" object at 0x[0-9a-f]+", "", str(given)),  # of every process alike
)
def test_a_frame_with_a_bad_column_is_refused_by_its_name(
    day: Day, changes: dict[str, object], error: type[SkewlessError], says: str
) -> None:
    with pytest.raises(error, match=f"(?s){says}") as raised:
        day.store.get_historical_features(frame(**changes), "both@1.0.0")
    assert not raised.value.retry


def test_a_good_frame_is_answered(day: Day) -> None:
    answer = day.store.get_historical_features(frame(), "both@1.0.0")
    assert (answer["now:double"].to_pylist(), answer["now:age"].to_pylist()) == ([2.0], [world.HOUR])


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda s: s.get_historical_features(frame(), "model@9.0.0"), UnknownFeatureServiceError, "model@1.0.0"),
        (lambda s: s.materialize("home@1.0.1"), UnknownFeatureError, "home@1.0.0"),
        (lambda s: s.materialize("nothing@1.0.0"), UnknownFeatureError, "home@1.0.0"),
        (lambda s: s.materialize("since@1.0.0"), InvalidArgumentError, "since.*zone"),
        (lambda s: s.get_definition(sk.definitions.resource.Kind.ENTITY, "nobody"), UnknownResourceError, "user"),
        (lambda s: s.replay([f"{n:026d}" for n in range(10_001)]), InvalidArgumentError, "10000"),
        (lambda s: s.get_online_features("model@1.0.0", {"user": ["u"] * 1_001}), SkewlessError, "1000"),
        (lambda s: s.log_prediction("0" * 26, "m" * (17 << 20), [1.0]), TooLargeError, "larger than 4194304 bytes"),
        (lambda s: s.materialize("m" * (17 << 20)), TooLargeError, "smaller parts"),
    ],
    ids=[
        "unknown version of a service",
        "unknown version of a view",
        "unknown view",
        "naive timestamps in a table",
        "unknown entity",
        "too many ids",
        "too many rows",
        "too many bytes for online",
        "too many bytes for offline",
    ],
)
def test_a_bad_request_says_what_and_where(
    day: Day, ask: Callable[[Store], object], error: type[SkewlessError], says: str
) -> None:
    with pytest.raises(error, match=f"(?s){says}") as raised:
        ask(day.store)
    assert not raised.value.retry


def test_an_explanation_of_an_unknown_feature_or_row_says_so(day: Day) -> None:
    request_id = day.answered[0]
    for feature, row, says in (("by_user:nothing", 0, "nothing"), ("by_user:n_1h", 7, "row")):
        with pytest.raises(SkewlessError, match=says) as raised:
            day.store.explain(request_id, feature, row=row)
        assert not raised.value.retry
