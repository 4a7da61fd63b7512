"""TLS between callers and the online service: with the client of the library, health without it, renewed files."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.api.online.v1 import online_service_pb2_grpc
from skewless.client import Store
from skewless.errors import DependencyUnavailableError, InvalidArgumentError
from tests.mesh import online_world as world
from tests.mesh.certificates import Authority, Identity

NO_STORE = "redis://127.0.0.1:9"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextlib.contextmanager
def serving(identity: Identity, **settings: object) -> Iterator[world.Online]:
    with world.Online(NO_STORE, tls_identity=identity.files, **settings) as online:
        online.server.publish(world.plan(world.project().definitions()))
        online.server.set_serving(True)
        yield online


def ask(online: world.Online, **access: object) -> float:
    with Store(world.PROJECT, online=online.address, timeout_s=5, **access) as store:  # type: ignore[arg-type]
        (row,) = store.get_online_features("echo@1.0.0", {}, request={"amount": 8.0}).to_rows()
        return max(float(value) for value in row.values() if isinstance(value, float))


def test_the_client_speaks_tls(authority: Authority) -> None:
    with serving(authority.sign("online")) as online:
        assert ask(online, ca_file=authority.file) == 4.0
        for wrong in ({}, {"tls": True}, {"ca_file": Authority(authority.file.parent, "other").file}):
            with pytest.raises(DependencyUnavailableError):
                ask(online, **wrong)


def test_a_client_without_a_certificate_is_not_let_in_where_one_is_asked_for(authority: Authority) -> None:
    server, client = authority.sign("online"), authority.sign("client")
    stranger = Authority(authority.file.parent / "others").sign("stranger")
    with serving(server, tls_client_ca_file=authority.file) as online:
        own = {"cert_file": client.certificate, "key_file": client.key}
        assert ask(online, ca_file=authority.file, **own) == 4.0
        for wrong in ({}, {"cert_file": stranger.certificate, "key_file": stranger.key}):
            with pytest.raises(DependencyUnavailableError):
                ask(online, ca_file=authority.file, **wrong)


def test_renewed_certificates_are_shown_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    identity = authority.sign("online")
    other = Authority(tmp_path / "new", "new")
    renewed = other.sign("online")
    with serving(identity) as online:
        assert ask(online, ca_file=authority.file) == 4.0
        shutil.copy(renewed.certificate, identity.certificate)  # not yet its key
        until(lambda: online.server.tls_error is not None or not can(online, authority))
        assert "cannot be used together" in (online.server.tls_error or "")
        assert ask(online, ca_file=authority.file) == 4.0  # with the ones before
        shutil.copy(renewed.key, identity.key)
        until(lambda: can(online, other))
        assert online.server.tls_error is None
        with pytest.raises(DependencyUnavailableError):
            ask(online, ca_file=authority.file)


def can(online: world.Online, authority: Authority) -> bool:
    try:
        return ask(online, ca_file=authority.file) == 4.0
    except DependencyUnavailableError:
        return False


def until(there: Callable[[], bool], limit_s: float = 20) -> None:
    end = time.monotonic() + limit_s
    while not there():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_health_is_answered_without_tls_at_a_port_of_its_own(authority: Authority, free_port: int) -> None:
    with (
        serving(authority.sign("online"), health_listen=f"127.0.0.1:{free_port}"),
        grpc.insecure_channel(f"127.0.0.1:{free_port}") as channel,
    ):
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = online_service_pb2_grpc.OnlineServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.GetOnlineFeatures(pb.GetOnlineFeaturesRequest(), timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def test_files_that_are_not_of_use_are_named(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.sign("one"), authority.sign("other")
    cases = [
        (Identity(tmp_path / "none.pem", one.key), f"cannot read {tmp_path / 'none.pem'}"),
        (Identity(one.key, one.key), "has no certificate in PEM"),
        (Identity(one.certificate, one.certificate), "has no private key in PEM"),
        (Identity(one.certificate, other.key), "cannot be used together"),
    ]
    for identity, says in cases:
        with pytest.raises(ValueError, match=says):
            world.Online(NO_STORE, tls_identity=identity.files)
    with pytest.raises(InvalidArgumentError, match="a certificate and its key go together"):
        Store("p", online="127.0.0.1:1", cert_file=one.certificate)
    with (
        Store("p", online="127.0.0.1:1", ca_file="none.pem") as store,
        pytest.raises(InvalidArgumentError, match="none"),
    ):
        store.get_online_features("s@1.0.0", {})
