"""The registry as a process of its own, called through the library by real gRPC.

Each test runs on every kind of database.
"""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from skewless.api.registry.v1 import registry_service_pb2 as pb
from skewless.api.registry.v1 import registry_service_pb2_grpc as stubs
from skewless.client import Store
from skewless.codec.definitions import definition_to_proto
from skewless.definitions.catalog import Catalog
from skewless.definitions.resource import Kind
from skewless.errors import (
    DependencyUnavailableError,
    InvalidArgumentError,
    InvalidDefinitionError,
    MeaningChangedError,
    OverloadedError,
    StalePlanError,
    UnknownResourceError,
)
from skewless.rpc.channel import connect, rich_errors
from skewless.rpc.watch import CatalogWatcher, watch_catalog
from skewless.settings import Secret
from tests.unit.registry.flights import by_name, changed, definitions, project

ROOT = Path(__file__).resolve().parents[3]


class Registry:
    """A registry process over a database that outlives it."""

    def __init__(self, folder: Path, database_url: Secret, **environ: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.environ = {"SKEWLESS_DATABASE_URL": database_url.reveal(), **environ}
        self.address = "127.0.0.1:0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Starts it and waits until it is ready."""
        self.begin()
        return self.wait_ready()

    def begin(self) -> None:
        """Starts it."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        environ = {
            **os.environ,
            "SKEWLESS_LISTEN": self.address,
            "SKEWLESS_READY_FILE": str(ready),
            **self.environ,
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.registry.main"], cwd=ROOT, env=environ, stderr=log
            )

    def wait_ready(self) -> str:
        """Waits until it is ready, and gives its address."""
        ready = self.folder / "ready"
        wait_until(ready.exists, 60)
        self.address = ready.read_text().strip()
        return self.address

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.process = None
        return code

    def kill(self) -> None:
        """Ends it if it still runs."""
        if self.process is not None:
            self.end(signal.SIGKILL)


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def registry(tmp_path: Path, database_url: Secret) -> Iterator[Registry]:
    registry = Registry(tmp_path, database_url, SKEWLESS_MAX_WATCHERS="3")
    try:
        registry.start()
        yield registry
    finally:
        registry.kill()


@pytest.fixture
def store(registry: Registry) -> Iterator[Store]:
    with Store("flights", registry=registry.address) as store:
        yield store


class Catalogs:
    """Keeps what a watcher hands over."""

    def __init__(self) -> None:
        self.seen: list[Catalog] = []

    def __call__(self, catalog: Catalog) -> None:
        self.seen.append(catalog)

    def revision(self) -> int:
        return self.seen[-1].revision if self.seen else -1


@contextlib.contextmanager
def watching(address: str, **options: Any) -> Iterator[tuple[CatalogWatcher, Catalogs]]:
    catalogs = Catalogs()
    watcher = watch_catalog(address, catalogs, **options)
    yield watcher, catalogs
    watcher.stop()


def test_a_project_is_planned_applied_and_read_back(store: Store) -> None:
    planned = store.plan(project())
    assert {change.kind for change in planned.changes} == {"add"}
    applied = store.apply(project(), after=planned, reason="first")
    assert (planned.revision, applied.revision) == (0, 1)
    assert list(store.list_definitions()) == definitions()
    assert store.get_definition(Kind.WINDOW_VIEW, "origin_departures") == by_name(definitions())["origin_departures"]
    assert {change.kind for change in store.plan(project()).changes} == {"unchanged"}


def test_applying_again_changes_nothing(store: Store) -> None:
    first = store.apply(project())
    again = store.apply(project())
    assert again.revision == first.revision
    assert {change.kind for change in again.changes} == {"unchanged"}


def test_faults_arrive_all_at_once_with_their_places(store: Store) -> None:
    wanted = definitions()
    bad = [
        changed(d, lambda document: document.update(head_max=0)) if d.name in {"origin_departures", "weekly"} else d
        for d in wanted
    ]
    with pytest.raises(InvalidDefinitionError) as caught:
        store.plan(bad)
    assert [violation.path for violation in caught.value.violations] == [
        "definitions[3].meaning_json.head_max",
        "definitions[4].meaning_json.head_max",
    ]
    with pytest.raises(InvalidDefinitionError):
        store.apply(bad)
    assert list(store.list_definitions()) == []


def test_a_changed_meaning_is_planned_as_refused_and_not_applied(store: Store) -> None:
    store.apply(project())
    plan = store.plan(project(windows=("1h",)))
    assert {change.definition.name: change.next_version for change in plan.refused}["origin_departures"] == "2.0.0"
    with pytest.raises(MeaningChangedError, match=r"use 2\.0\.0"):
        store.apply(project(windows=("1h",)))
    assert list(store.list_definitions()) == definitions()


def test_a_stale_plan_is_refused(store: Store) -> None:
    plan = store.plan(project())
    store.apply(project())
    with pytest.raises(StalePlanError):
        store.apply(project(description="x"), after=plan)


def test_what_is_not_there_is_named_with_what_is(store: Store) -> None:
    store.apply(project())
    with pytest.raises(UnknownResourceError, match=r"no window view 'origins'; known: origin_departures@1.0.0"):
        store.get_definition(Kind.WINDOW_VIEW, "origins")


def test_listings_come_in_pages(registry: Registry, store: Store) -> None:
    store.apply(project())
    with connect(registry.address) as channel:
        stub = stubs.RegistryServiceStub(channel)
        page_token, seen = "", list[str]()
        for _ in range(10):
            request = pb.ListDefinitionsRequest(project="flights", page_size=3, page_token=page_token)
            page = stub.ListDefinitions(request)
            assert len(page.definitions) <= 3
            seen += [definition.name for definition in page.definitions]
            if not page.next_page_token:
                break
            page_token = page.next_page_token
        assert seen == [definition.name for definition in definitions()]
        other = pb.ListDefinitionsRequest(project="other", page_size=3, page_token=page_token)
        message = "page_token: not a token of this listing"
        with pytest.raises(InvalidArgumentError, match=message), rich_errors(registry.address):
            stub.ListDefinitions(other)


def test_malformed_requests_are_refused_field_by_field(registry: Registry) -> None:
    message = definition_to_proto(definitions()[0])
    message.project, message.version = "Not A Project", "one"
    with connect(registry.address) as channel:
        stub = stubs.RegistryServiceStub(channel)
        with pytest.raises(InvalidArgumentError) as caught, rich_errors(registry.address):
            stub.Plan(pb.PlanRequest(definitions=[message]))
    assert [violation.path for violation in caught.value.violations] == [
        "definitions[0].project",
        "definitions[0].version",
    ]


def test_a_watcher_hears_the_catalogue_and_every_change(registry: Registry, store: Store) -> None:
    with watching(registry.address) as (watcher, catalogs):
        assert watcher.wait_first(10)
        assert catalogs.seen[0].definitions == ()
        store.apply(project())
        wait_until(lambda: catalogs.revision() == 1, 5)
        assert catalogs.seen[-1].service("flights", "model@1.0.0").pins
        store.apply(project(description="new"))
        wait_until(lambda: catalogs.revision() == 2, 5)
        assert watcher.revision == 2


def test_a_watcher_of_other_projects_hears_nothing_of_this(registry: Registry, store: Store) -> None:
    store.apply(project())
    with watching(registry.address, projects=["weather"]) as (watcher, catalogs):
        assert watcher.wait_first(10)
        assert catalogs.seen[0].definitions == ()


def test_a_watcher_goes_on_when_the_registry_is_back(registry: Registry, store: Store) -> None:
    store.apply(project())
    with watching(registry.address) as (watcher, catalogs):
        assert watcher.wait_first(10)
        registry.end(signal.SIGKILL)
        wait_until(lambda: watcher.last_error is not None, 10)
        assert registry.address in str(watcher.last_error)
        assert catalogs.revision() == 1
        registry.start()
        store.apply(project(description="later"))
        wait_until(lambda: catalogs.revision() == 2, 15)
        assert watcher.last_error is None
        # The catalogue at revision 1 was not sent again.
        assert [catalog.revision for catalog in catalogs.seen] == [1, 2]


def test_a_watcher_begins_with_the_kept_answer_when_the_registry_is_away(
    registry: Registry, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = tmp_path / "new" / "definitions"
    store.apply(project())
    with watching(registry.address, keep=kept) as (watcher, first):
        assert watcher.wait_first(10)
    registry.end(signal.SIGKILL)
    assert kept.stat().st_mode & 0o777 == 0o600
    with watching(registry.address, keep=kept) as (watcher, catalogs):
        assert watcher.wait_first(15)
        assert catalogs.seen[0].definitions == first.seen[0].definitions
        watcher.ask()
        told = f"revision 1 of the catalogue as it was kept: the registry at {registry.address} is away"
        wait_until(lambda: told in caplog.text, 5)
        registry.start()
        store.apply(project(description="later"))
        wait_until(lambda: catalogs.revision() == 2, 15)
        assert [catalog.revision for catalog in catalogs.seen] == [1, 2]


@pytest.mark.parametrize("damage", [lambda whole: whole[:0], lambda whole: whole[:-1], lambda whole: b"x" + whole])
def test_a_kept_answer_that_is_not_whole_is_left_alone(
    registry: Registry,
    store: Store,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
) -> None:
    kept = tmp_path / "definitions"
    store.apply(project())
    with watching(registry.address, keep=kept) as (watcher, _):
        assert watcher.wait_first(10)
    registry.end(signal.SIGKILL)
    damaged = damage(kept.read_bytes())
    kept.write_bytes(damaged)
    with watching(registry.address, keep=kept) as (watcher, _):
        wait_until(lambda: "does not hold whole definitions" in caplog.text, 15)
        assert not watcher.wait_first(0.1)
    assert kept.read_bytes() == damaged


def test_a_watcher_may_start_before_the_registry(
    tmp_path: Path, database_url: Secret, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "skewless.rpc.watch")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with watching(address) as (watcher, _):
        assert not watcher.wait_first(0.3)
        registry = Registry(tmp_path, database_url)
        registry.address = address
        registry.start()
        assert watcher.wait_first(15)
        told = {record.levelname for record in caplog.records}
        registry.end(signal.SIGKILL)
        wait_until(lambda: "WARNING" in {record.levelname for record in caplog.records}, 10)
    assert told == {"INFO"}  # there is nothing to warn of at a start


def test_a_catalogue_that_was_not_taken_over_is_handed_over_again(registry: Registry, store: Store) -> None:
    store.apply(project())
    calls: list[int] = []

    def fail_once(catalog: Catalog) -> None:
        calls.append(catalog.revision)
        if len(calls) == 1:
            raise KeyError("not now")

    watcher = watch_catalog(registry.address, fail_once)
    assert watcher.wait_first(10)
    watcher.stop()
    assert calls == [1, 1]


def test_too_many_watchers_are_refused_and_calls_still_answered(registry: Registry, store: Store) -> None:
    with contextlib.ExitStack() as stack:
        watchers = [stack.enter_context(watching(registry.address))[0] for _ in range(3)]
        assert all(watcher.wait_first(10) for watcher in watchers)
        channel = stack.enter_context(connect(registry.address))
        with pytest.raises(OverloadedError, match="the limit of 3"), rich_errors(registry.address):
            next(stubs.RegistryServiceStub(channel).Watch(pb.WatchRequest(), timeout=10))
        store.apply(project())
        wait_until(lambda: all(watcher.revision == 1 for watcher in watchers), 5)
    # Those that went make room.
    with connect(registry.address) as channel:
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(grpc.RpcError):
                assert next(stubs.RegistryServiceStub(channel).Watch(pb.WatchRequest(), timeout=10)).revision == 1
                break
            assert time.monotonic() < deadline


def test_concurrent_applies_are_one_after_the_other(store: Store) -> None:
    errors: list[Exception] = []

    def apply(place: int) -> None:
        try:
            store.apply(project(description=f"by {place}"))
        except Exception as error:  # noqa: BLE001 (any failure fails the test below)
            errors.append(error)

    threads = [threading.Thread(target=apply, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.plan(project()).revision == 6


def test_health_reflection_and_a_graceful_stop(registry: Registry) -> None:
    with connect(registry.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "skewless.api.registry.v1.RegistryService"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        reflected = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
        names = {service.name for service in next(reflected).list_services_response.service}
        assert "skewless.api.registry.v1.RegistryService" in names
        watch = stubs.RegistryServiceStub(channel).Watch(pb.WatchRequest())
        assert next(watch).revision == 0
        started = time.monotonic()
        assert registry.end(signal.SIGTERM) == 0
        assert time.monotonic() - started < 5


def test_a_taken_port_and_bad_settings_are_told(registry: Registry, tmp_path: Path) -> None:
    def run(**environ: str) -> subprocess.CompletedProcess[str]:
        base = {**os.environ, "SKEWLESS_DATABASE_URL": f"sqlite:///{tmp_path}/other.db"}
        return subprocess.run(
            [sys.executable, "-m", "services.registry.main"],
            cwd=ROOT,
            env={**base, **environ},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    taken = run(SKEWLESS_LISTEN=registry.address)
    assert taken.returncode == 2
    assert f"cannot listen on {registry.address}: is the port taken" in taken.stderr
    bad = run(SKEWLESS_THREADS="many", SKEWLESS_MAX_WATCHERS="0")
    assert bad.returncode == 2
    assert "SKEWLESS_THREADS: expected a whole number, got 'many'" in bad.stderr
    assert "SKEWLESS_MAX_WATCHERS: must be at least 1, got 0" in bad.stderr
    missing = run(SKEWLESS_LISTEN="127.0.0.1:0", SKEWLESS_DATABASE_URL=f"sqlite:///{tmp_path}/no/r.db")
    assert missing.returncode == 2
    assert f"{tmp_path}/no/r.db did not answer" in missing.stderr


def test_a_registry_that_is_away_is_named() -> None:
    with Store("flights", registry="127.0.0.1:1", timeout_s=5) as store:
        with pytest.raises(DependencyUnavailableError, match=r"127\.0\.0\.1:1") as caught:
            store.apply(project())
        assert caught.value.retry
    with Store("flights") as store, pytest.raises(InvalidArgumentError, match="registry='host:port'"):
        store.plan(project())
