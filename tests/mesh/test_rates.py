"""The rate of a project, from end to end: what is over it is told how long to wait, and costs no other project."""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import skewless as sk
from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.api.online.v1 import online_service_pb2_grpc as stubs
from skewless.client import Store
from skewless.errors import RateLimitedError
from skewless.local import LocalMesh
from tests.mesh import online_world as world

RATE = 40
OTHER = "bank"
BURST = 20 * RATE


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    environ = {"SKEWLESS_PROJECT_RATE": str(RATE), "SKEWLESS_SERVED_LOG": "false"}
    directory = tmp_path_factory.mktemp("mesh")
    with LocalMesh(directory, services=("registry", "online"), environ=environ) as running:
        for project in (world.PROJECT, OTHER):
            with Store(project, registry=running.addresses["registry"]) as store:
                revision = store.apply(sk.Project(project, world.ECHO)).revision
        wait_for(running, OTHER, revision)
        yield running


def wait_for(mesh: LocalMesh, project: str, revision: int) -> None:
    """Until the service knows a revision, and the project with a bucket of its own."""
    with grpc.insecure_channel(mesh.addresses["online"]) as channel:
        stub = stubs.OnlineServiceStub(channel)
        asked = echo(project)
        asked.min_revision = revision
        end = time.monotonic() + 20
        while True:
            try:
                stub.GetOnlineFeatures(asked, timeout=5)
            except grpc.RpcError:
                assert time.monotonic() < end
                time.sleep(0.05)
            else:
                return


def echo(project: str) -> pb.GetOnlineFeaturesRequest:
    return pb.GetOnlineFeaturesRequest(
        project=project, feature_service="echo@1.0.0", request_fields={"amount": world.floats(1.0)}
    )


def details(error: grpc.RpcError) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo]:
    """What the server says of a refusal besides its text."""
    status = rpc_status.from_call(error)
    assert status is not None
    info, wait = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for packed in status.details:
        packed.Unpack(info) or packed.Unpack(wait)
    return info, wait


def test_a_project_is_asked_no_more_than_its_rate_and_another_is_asked_on(mesh: LocalMesh) -> None:
    with grpc.insecure_channel(mesh.addresses["online"]) as channel:
        stub = stubs.OnlineServiceStub(channel)
        began = time.monotonic()
        calls = [stub.GetOnlineFeatures.future(echo(world.PROJECT), timeout=30) for _ in range(BURST)]
        other = stub.GetOnlineFeatures(echo(OTHER), timeout=30)
        codes = [call.code() for call in calls]
        took = time.monotonic() - began
        assert other.request_id
        assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        # A second's worth at once, and what time gave back meanwhile.
        assert RATE // 2 <= codes.count(grpc.StatusCode.OK) <= RATE * (1 + took) + 1
        for call in calls:
            if call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                info, wait = details(call)  # type: ignore[arg-type]
                assert (info.reason, info.metadata["rate"]) == ("RATE_LIMITED", str(RATE))
                assert world.PROJECT in call.details()
                assert 0 < wait.retry_delay.ToNanoseconds() <= 1_000_000_000 // RATE


def test_who_waits_as_long_as_told_is_answered(mesh: LocalMesh) -> None:
    with grpc.insecure_channel(mesh.addresses["online"]) as channel:
        stub = stubs.OnlineServiceStub(channel)
        for _ in range(50):
            calls = [stub.GetOnlineFeatures.future(echo(world.PROJECT), timeout=30) for _ in range(BURST)]
            assert all(call.code() is not None for call in calls)
            try:
                stub.GetOnlineFeatures(echo(world.PROJECT), timeout=30)
            except grpc.RpcError as error:
                _, wait = details(error)
                time.sleep(wait.retry_delay.ToNanoseconds() / 1e9)
                assert stub.GetOnlineFeatures(echo(world.PROJECT), timeout=30).request_id
                return
        pytest.fail("no call after a burst was refused")


def test_the_client_says_which_limit_it_was(mesh: LocalMesh) -> None:
    with (
        grpc.insecure_channel(mesh.addresses["online"]) as channel,
        Store(world.PROJECT, online=mesh.addresses["online"]) as store,
    ):
        stub = stubs.OnlineServiceStub(channel)
        refused = None
        for _ in range(50):
            calls = [stub.GetOnlineFeatures.future(echo(world.PROJECT), timeout=30) for _ in range(BURST)]
            try:
                store.get_online_features("echo@1.0.0", {}, request={"amount": 8.0})
            except RateLimitedError as error:
                refused = error
                break
            finally:
                for call in calls:
                    call.cancel()
    assert refused is not None
    assert (refused.retry, refused.metadata["rate"]) == (True, str(RATE))
    assert refused.retry_after_s is not None
    assert 0 < refused.retry_after_s <= 1 / RATE


def test_projects_that_nobody_knows_share_one_rate(mesh: LocalMesh) -> None:
    with grpc.insecure_channel(mesh.addresses["online"]) as channel:
        stub = stubs.OnlineServiceStub(channel)
        calls = [stub.GetOnlineFeatures.future(echo(f"p{n}"), timeout=30) for n in range(BURST)]
        codes = [call.code() for call in calls]
        assert set(codes) == {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert stub.GetOnlineFeatures(echo(OTHER), timeout=30).request_id
