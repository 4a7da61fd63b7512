"""API keys from end to end: made and revoked by the registry, checked by the online service, of one project each."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.api.online.v1 import online_service_pb2_grpc as stubs
from skewless.api.registry.v1 import registry_service_pb2 as registry_pb
from skewless.api.registry.v1 import registry_service_pb2_grpc as registry_stubs
from skewless.cli.main import main
from skewless.client import OnlineFeatures, Store
from skewless.errors import (
    ApiKeyExpiredError,
    ApiKeyForbiddenError,
    ApiKeyMissingError,
    ApiKeyRevokedError,
    ApiKeyUnknownError,
    InvalidArgumentError,
    NotReadyError,
    RateLimitedError,
    SkewlessError,
    UnknownResourceError,
)
from skewless.local import LocalMesh
from tests.mesh import online_world as world

RATE = 60
REQUEST_ID = "01JA0000000000000000000000"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    environ = {"SKEWLESS_API_KEYS": "required", "SKEWLESS_KEY_RATE": str(RATE)}
    directory = tmp_path_factory.mktemp("mesh")
    with LocalMesh(directory, services=("registry", "online"), environ=environ) as running:
        with Store(world.PROJECT, registry=running.addresses["registry"]) as store:
            store.apply(world.project())
        yield running


@pytest.fixture(scope="module")
def registry(mesh: LocalMesh) -> Iterator[Store]:
    with Store(world.PROJECT, registry=mesh.addresses["registry"]) as store:
        yield store


def client(mesh: LocalMesh, key: str | None, project: str = world.PROJECT) -> Store:
    return Store(project, online=mesh.addresses["online"], registry=mesh.addresses["registry"], api_key=key)


def ask(store: Store, features: str | list[str] = "echo@1.0.0") -> OnlineFeatures:
    return store.get_online_features(features, {}, request={"amount": 8.0})


def heard(mesh: LocalMesh, key: str) -> None:
    """Waits until the online service knows a new key."""
    with client(mesh, key) as store:
        until(lambda: not isinstance(failure(lambda: ask(store)), ApiKeyUnknownError | NotReadyError))


def failure(step: Callable[[], object]) -> SkewlessError | None:
    try:
        step()
    except SkewlessError as error:
        return error
    return None


def until(there: Callable[[], bool], limit_s: float = 20) -> None:
    end = time.monotonic() + limit_s
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_key_opens_its_project_and_nothing_else(mesh: LocalMesh, registry: Store) -> None:
    made = registry.create_api_key("inference")
    heard(mesh, made.key)
    with client(mesh, made.key) as store:
        assert len(ask(store)) == 1
        store.log_prediction(REQUEST_ID, "m", [0.5])
    for wrong in (None, "skewless_nobody_00", made.key + "0"):
        with client(mesh, wrong) as store:
            refused = ApiKeyMissingError if wrong is None else ApiKeyUnknownError
            for call in (lambda s=store: ask(s), lambda s=store: s.log_prediction(REQUEST_ID, "m", [0.5])):
                error = failure(call)
                assert type(error) is refused
                assert wrong is None or wrong not in f"{error} {error.metadata}"


def test_a_project_never_gets_at_another_by_any_call(mesh: LocalMesh, registry: Store) -> None:
    with Store("bank", registry=mesh.addresses["registry"]) as bank:
        theirs = bank.create_api_key("theirs")
        assert [key.id for key in bank.list_api_keys()] == [theirs.api_key.id]
        assert theirs.api_key.id not in {key.id for key in registry.list_api_keys()}
        with pytest.raises(UnknownResourceError, match="no API key"):
            registry.revoke_api_key(theirs.api_key.id)
        assert bank.list_api_keys()[0].revoked_at_us is None
    with client(mesh, theirs.key) as store:
        until(lambda: isinstance(failure(lambda: ask(store)), ApiKeyForbiddenError))
    # Every method of the service, as the contract has it: one that is added must be added here, too.
    metadata = (("authorization", f"Bearer {theirs.key}"),)
    methods = {
        "GetOnlineFeatures": pb.GetOnlineFeaturesRequest(project=world.PROJECT, feature_service="echo@1.0.0"),
        "LogPrediction": pb.LogPredictionRequest(request_id=REQUEST_ID, project=world.PROJECT, model="m", scores=[0.5]),
    }
    service = pb.DESCRIPTOR.services_by_name["OnlineService"]
    assert set(methods) == set(service.methods_by_name)
    with grpc.insecure_channel(mesh.addresses["online"]) as channel:
        stub = stubs.OnlineServiceStub(channel)
        for name, request in methods.items():
            with pytest.raises(grpc.RpcError) as refused:
                getattr(stub, name)(request, timeout=5, metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED, name
            with pytest.raises(grpc.RpcError) as refused:
                getattr(stub, name)(request, timeout=5)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED, name


def test_a_key_of_a_feature_service_is_for_that_one(mesh: LocalMesh, registry: Store) -> None:
    made = registry.create_api_key("echo alone", feature_services=["echo"])
    heard(mesh, made.key)
    with client(mesh, made.key) as store:
        assert len(ask(store)) == 1
        for other in ("model@1.0.0", [f"{world.ALONE.name}@1.0.0:half"]):
            with pytest.raises(ApiKeyForbiddenError) as refused:
                ask(store, other)
            assert refused.value.violations[0].path == "feature_service"
    open_key = registry.create_api_key("everything")
    heard(mesh, open_key.key)
    with client(mesh, open_key.key) as store:
        assert len(ask(store, [f"{world.ALONE.name}@1.0.0:half"])) == 1


def test_a_key_ends_when_it_is_revoked_or_over(mesh: LocalMesh, registry: Store) -> None:
    brief = registry.create_api_key("brief", expires_at=time.time_ns() // 1_000 + 3_000_000)
    made = registry.create_api_key("revoked")
    heard(mesh, made.key)
    with client(mesh, made.key) as store:
        assert len(ask(store)) == 1
        revoked = registry.revoke_api_key(made.api_key.id)
        assert registry.revoke_api_key(made.api_key.id) == revoked
        until(lambda: isinstance(failure(lambda: ask(store)), ApiKeyRevokedError))
    with client(mesh, brief.key) as store:
        until(lambda: isinstance(failure(lambda: ask(store)), ApiKeyExpiredError))
    states = {key.name: key.state(time.time_ns() // 1_000) for key in registry.list_api_keys()}
    assert (states["brief"], states["revoked"]) == ("expired", "revoked")


def test_a_key_has_a_rate(mesh: LocalMesh, registry: Store) -> None:
    made = registry.create_api_key("busy")
    heard(mesh, made.key)
    metadata = (("authorization", f"Bearer {made.key}"),)
    request = pb.GetOnlineFeaturesRequest(
        project=world.PROJECT, feature_service="echo@1.0.0", request_fields={"amount": world.floats(1.0)}
    )
    with grpc.insecure_channel(mesh.addresses["online"]) as channel:
        stub = stubs.OnlineServiceStub(channel)
        calls = [stub.GetOnlineFeatures.future(request, timeout=10, metadata=metadata) for _ in range(10 * RATE)]
        codes = [call.code() for call in calls]
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    with client(mesh, made.key) as store:
        until(lambda: isinstance(failure(lambda: [ask(store) for _ in range(RATE)]), RateLimitedError))
    with client(mesh, registry.create_api_key("calm").key) as store:
        until(lambda: failure(lambda: ask(store)) is None)


def test_the_registry_learns_when_a_key_was_used(mesh: LocalMesh, registry: Store) -> None:
    made, idle = registry.create_api_key("used"), registry.create_api_key("idle")
    heard(mesh, made.key)
    before_us = time.time_ns() // 1_000

    def used(key_id: str) -> int | None:
        return next(key.last_used_at_us for key in registry.list_api_keys() if key.id == key_id)

    until(lambda: used(made.api_key.id) is not None)
    assert abs((used(made.api_key.id) or 0) - before_us) < 60_000_000
    assert used(idle.api_key.id) is None


def test_only_hashes_are_kept_and_shown(mesh: LocalMesh, registry: Store) -> None:
    made = registry.create_api_key("secret")
    secret = made.key.rpartition("_")[2]
    assert made.key not in repr(made)
    with sqlite3.connect(mesh.data_dir / "registry.db") as database:
        dump = "\n".join(database.iterdump())
    assert made.api_key.id in dump
    assert secret not in dump
    for log in (mesh.data_dir / "logs").rglob("*"):
        assert not log.is_file() or secret not in log.read_text(errors="replace")
    with grpc.insecure_channel(mesh.addresses["registry"]) as channel:
        stub = registry_stubs.RegistryServiceStub(channel)
        listed = stub.ListApiKeys(registry_pb.ListApiKeysRequest(project=world.PROJECT), timeout=5)
        assert not any(key.hash for key in listed.api_keys)
        for wanted in (True, False):
            watching = stub.Watch(registry_pb.WatchRequest(with_api_keys=wanted), timeout=5)
            first = next(iter(watching))
            assert any(len(key.hash) == 32 for key in first.api_keys) == wanted
            watching.cancel()


def test_what_is_no_key_is_refused_by_field(registry: Store) -> None:
    cases = [
        ({"name": ""}, "name"),
        ({"name": "n", "feature_services": ["Model"]}, "feature_services[0]"),
        ({"name": "n", "feature_services": ["a", "a"]}, "feature_services"),
        ({"name": "n", "expires_at": 1}, "expires_at_us"),
    ]
    for arguments, field in cases:
        with pytest.raises(InvalidArgumentError) as refused:
            registry.create_api_key(**arguments)  # type: ignore[arg-type]
        assert refused.value.violations[0].path == field
    with pytest.raises(InvalidArgumentError, match="API key"):
        Store("p", online="127.0.0.1:1", api_key="two words")


def test_the_command_line_makes_lists_and_revokes(
    mesh: LocalMesh, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(
        "SKEWLESS_ADDRESS",
        ",".join(f"{name}={at}" for name, at in mesh.addresses.items() if name in {"registry", "online"}),
    )
    monkeypatch.setenv("SKEWLESS_PROJECT", world.PROJECT)

    def run(*words: str) -> dict[str, object]:
        assert main(["key", *words, "--json"]) == 0
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    made = run("create", "from the shell", "--service", "echo", "--expires-in", "2h")
    assert str(made["key"]).startswith(f"skewless_{made['id']}_")
    assert main(["key", "list"]) == 0
    shown = capsys.readouterr().out
    assert str(made["id"]) in shown
    assert str(made["key"]) not in shown
    assert run("revoke", str(made["id"]))["state"] == "revoked"
    assert main(["key", "create", "x", "--expires-in", "soon"]) == 2
    assert main(["key", "revoke", "none"]) != 0
    capsys.readouterr()
    heard(mesh, str(made["key"]))
    (tmp_path / "key").write_text(f"{made['key']}\n")
    monkeypatch.setenv("SKEWLESS_API_KEY_FILE", str(tmp_path / "key"))
    assert main(["get", "echo@1.0.0", "--request", "amount=8.0"]) != 0
    assert "revoked" in capsys.readouterr().err
