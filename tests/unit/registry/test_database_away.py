"""Registry processes and their database: one that is away, one that is shared, what it cannot keep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from skewless.api.registry.v1 import registry_service_pb2 as pb
from skewless.api.registry.v1 import registry_service_pb2_grpc as stubs
from skewless.client import Store
from skewless.codec.definitions import definition_to_proto
from skewless.errors import DependencyUnavailableError, InvalidArgumentError, NotReadyError
from skewless.local.ports import free_port
from skewless.rpc.channel import connect, rich_errors
from skewless.settings import Secret
from tests.stores.postgres import PostgresServer, running
from tests.unit.registry.flights import definitions, project
from tests.unit.registry.test_process import Registry, wait_until, watching

WORDS = ("definitions[0].description", "definitions[0].owner")
SERVICE = "skewless.api.registry.v1.RegistryService"


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    with running() as server:
        yield server


def serving(address: str) -> bool:
    with connect(address) as channel:
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=10, wait_for_ready=True)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def test_a_registry_says_that_its_database_is_away_and_goes_on_when_it_is_back(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    url = own_server.database()
    own_server.stop()
    registry = Registry(tmp_path, url)
    registry.address = f"127.0.0.1:{free_port()}"
    registry.begin()
    try:
        wait_until(lambda: "waiting: the registry's database at" in registry.log(), 60)
        assert not serving(registry.address)
        with Store("flights", registry=registry.address) as store, watching(registry.address) as (watcher, catalogs):
            with pytest.raises(NotReadyError, match=rf"127\.0\.0\.1:{own_server.port}") as caught:
                store.plan(project())
            assert caught.value.retry
            own_server.start()
            registry.wait_ready()
            assert serving(registry.address)
            assert store.apply(project()).revision == 1
            wait_until(lambda: catalogs.revision() == 1, 20)

            own_server.stop()
            wait_until(lambda: not serving(registry.address), 20)
            with pytest.raises(DependencyUnavailableError, match=rf"127\.0\.0\.1:{own_server.port}"):
                store.apply(project(description="lost"))
            assert watcher.last_error is None  # its call is open, and will be told

            own_server.start()
            wait_until(lambda: serving(registry.address), 20)
            assert store.apply(project(description="kept")).revision == 2
            wait_until(lambda: catalogs.revision() == 2, 20)
        assert own_server.password not in registry.log()
        assert "not serving: the registry's database at postgresql://catalogue@127.0.0.1" in registry.log()
    finally:
        registry.kill()


def test_watchers_of_one_registry_hear_what_was_applied_to_another(database_url: Secret, tmp_path: Path) -> None:
    one, other = Registry(tmp_path / "one", database_url), Registry(tmp_path / "other", database_url)
    try:
        for registry in (one, other):
            registry.begin()  # both at once, over an empty database
        for registry in (one, other):
            registry.wait_ready()
        with watching(other.address) as (_, catalogs), Store("flights", registry=one.address) as store:
            wait_until(lambda: catalogs.revision() == 0, 20)
            assert store.apply(project()).revision == 1
            wait_until(lambda: catalogs.revision() == 1, 10)
            assert catalogs.seen[-1].service("flights", "model@1.0.0").pins
    finally:
        one.kill()
        other.kill()


def test_what_not_every_database_keeps_is_refused(database_url: Secret, tmp_path: Path) -> None:
    registry = Registry(tmp_path, database_url)
    try:
        registry.start()
        message = definition_to_proto(definitions()[0])
        message.description, message.owner = "a\0b", "\0"
        with connect(registry.address) as channel:
            stub = stubs.RegistryServiceStub(channel)
            whole = definition_to_proto(definitions()[0])
            get = pb.GetDefinitionRequest(project="\0", name="\0", kind=whole.kind)
            calls: list[tuple[Any, Any, tuple[str, ...]]] = [
                (stub.Plan, pb.PlanRequest(definitions=[message]), WORDS),
                (stub.Apply, pb.ApplyRequest(definitions=[message]), WORDS),
                (stub.Apply, pb.ApplyRequest(definitions=[whole], reason="\0"), ("reason",)),
                (stub.GetDefinition, get, ("project", "name")),
                (stub.ListDefinitions, pb.ListDefinitionsRequest(project="\0"), ("project",)),
            ]
            for method, request, paths in calls:
                with pytest.raises(InvalidArgumentError) as caught, rich_errors(registry.address):
                    method(request)
                assert tuple(violation.path for violation in caught.value.violations) == paths
                assert {violation.reason for violation in caught.value.violations} == {"NUL_CHARACTER"}
    finally:
        registry.kill()
