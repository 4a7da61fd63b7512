"""The online server as a process sees it: health, reflection, limits, plans, stopping."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from skewless import kernel
from skewless.api.events.v1 import served_pb2
from skewless.definitions.resource import Definition
from tests.mesh import online_world as world

NO_STORE = "redis://127.0.0.1:9"
SERVICE = "skewless.api.online.v1.OnlineService"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def definitions() -> list[Definition]:
    return world.project().definitions()


@pytest.fixture
def online(definitions: list[Definition]) -> Iterator[world.Online]:
    with world.Online(NO_STORE) as running:
        running.server.publish(world.plan(definitions))
        yield running


def refusal(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, str]:
    """Code, reason and text."""
    status = rpc_status.from_call(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return error.code(), info.reason, status.message


def health(online: world.Online, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(online.channel)
    return int(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status)


def revision_of(online: world.Online) -> int | None:
    return online.server.revision


def test_it_is_not_ready_before_the_first_plan_and_says_what_it_waits_for(definitions: list[Definition]) -> None:
    with world.Online(NO_STORE) as online:
        online.server.set_serving(True)
        online.server.say_waiting_for("the registry at 10.0.0.1:7070")
        assert health(online) == NOT_SERVING
        with pytest.raises(grpc.RpcError) as raised:
            online.ask(online.echo(1.0))
        code, reason, text = refusal(raised.value)
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_READY")
        assert "waits for the registry at 10.0.0.1:7070" in text
        assert revision_of(online) is None
        online.server.publish(world.plan(definitions, revision=3))
        assert revision_of(online) == 3
        assert health(online) == health(online, SERVICE) == SERVING
        online.server.set_serving(False)
        assert health(online) == NOT_SERVING
        assert len(online.ask(online.echo(1.0)).columns) == 2


def test_it_describes_itself(online: world.Online) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(online.channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    listed, described = stub.ServerReflectionInfo(iter(asked), timeout=10)
    assert {service.name for service in listed.list_services_response.service} >= {SERVICE, "grpc.health.v1.Health"}
    files = [FileDescriptorProto.FromString(f) for f in described.file_descriptor_response.file_descriptor_proto]
    assert any(method.name == "GetOnlineFeatures" for file in files for s in file.service for method in s.method)


def test_a_message_that_is_too_large_is_refused_with_its_limit(definitions: list[Definition]) -> None:
    with world.Online(NO_STORE, max_message_bytes=1_000) as online:
        online.server.publish(world.plan(definitions))
        for size in (2_000, 200_000):
            with pytest.raises(grpc.RpcError) as raised:
                online.ask(world.request(["x" * size], [1], [1.0]))
            code, reason, text = refusal(raised.value)
            assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_LARGE")
            assert "larger than 1000 bytes" in text
        assert online.server.counters()["requests.get_online_features.TOO_LARGE"] == 2
        online.ask(online.echo(1.0))


def test_more_requests_than_allowed_are_refused_as_overload(definitions: list[Definition]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        with world.Online(url, max_in_flight=2, store_timeout_ms=1_500, threads=1) as online:
            online.server.publish(world.plan(definitions))
            with futures.ThreadPoolExecutor(2) as pool:
                slow = [pool.submit(online.ask, world.request(["a"], [1], [1.0])) for _ in range(2)]
                while online.server.counters()["in_flight"] < 2:
                    time.sleep(0.005)
                with pytest.raises(grpc.RpcError) as raised:
                    online.ask(online.echo(1.0))
                code, reason, text = refusal(raised.value)
                assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
                assert "2 requests are in flight" in text
                assert all(10 in answer.result().columns[0].statuses for answer in slow)
            online.ask(online.echo(1.0))


def test_a_full_served_queue_refuses_instead_of_losing(definitions: list[Definition]) -> None:
    with world.Online(NO_STORE, served_queue=3) as online:
        online.server.publish(world.plan(definitions))
        answered = [online.ask(online.echo(1.0)).request_id for _ in range(3)]
        with pytest.raises(grpc.RpcError) as raised:
            online.ask(online.echo(1.0))
        code, reason, text = refusal(raised.value)
        assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert "is the broker there?" in text
        assert [request_id.decode() for request_id, _ in online.drain()] == answered
        online.ask(online.echo(1.0))


def test_without_a_served_log_nothing_is_queued(definitions: list[Definition]) -> None:
    with world.Online(NO_STORE, served_log=False, served_queue=1) as online:
        online.server.publish(world.plan(definitions))
        for _ in range(5):
            online.ask(online.echo(1.0))
        assert online.drain() == []


def test_an_answer_too_large_for_the_served_log_is_refused(definitions: list[Definition]) -> None:
    with world.Online(NO_STORE, served_record_bytes=500) as online:
        online.server.publish(world.plan(definitions))
        online.ask(online.echo(1.0))
        with pytest.raises(grpc.RpcError) as raised:
            online.ask(world.request(["a"] * 50, [1] * 50, [1.0] * 50))
        code, reason, text = refusal(raised.value)
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_LARGE")
        assert "at most 500 fit; ask for fewer rows" in text


def test_one_broken_definition_costs_itself_and_what_is_pinned_to_it(definitions: list[Definition]) -> None:
    plan = world.plan(definitions).replace(b'\\"agg\\":\\"stddev\\"', b'\\"agg\\":\\"stdev\\"')
    with world.Online(NO_STORE) as online:
        faults = online.server.publish(plan)
        assert any(fault.startswith("view spending@1.0.0 of shop: ") and "stdev" in fault for fault in faults)
        assert any(fault.startswith("feature service model@1.0.0 of shop: ") for fault in faults)
        with pytest.raises(grpc.RpcError) as raised:
            online.ask(world.request(["a"], [1], [1.0]))
        code, reason, text = refusal(raised.value)
        assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_FEATURE_SERVICE")
        assert "is not served" in text
        online.ask(online.echo(1.0))


def test_a_plan_that_cannot_be_read_leaves_the_one_before(online: world.Online) -> None:
    for plan in (b"", b"{}", b'{"revision":1,"projects":{"shop":{"views":[{"version":"1.0.0"}]}}}'):
        with pytest.raises(ValueError, match="the plan cannot be read"):
            online.server.publish(plan)
    online.ask(online.echo(1.0))
    assert online.server.revision == 1


def test_plans_change_while_requests_are_answered(online: world.Online, definitions: list[Definition]) -> None:
    stop = threading.Event()
    with futures.ThreadPoolExecutor(4) as pool:

        def ask() -> int:
            count = 0
            while not stop.is_set():
                assert len(online.ask(online.echo(1.0)).columns) == 2
                count += 1
            return count

        asking = [pool.submit(ask) for _ in range(4)]
        for revision in range(2, 40):
            online.server.publish(world.plan(definitions, revision))
            online.drain()
        stop.set()
        assert sum(answered.result() for answered in asking) > 0


def test_a_taken_port_is_named(online: world.Online) -> None:
    other = kernel.OnlineServer(
        listen=online.address,
        store_url=NO_STORE,
        max_in_flight=1,
        max_message_bytes=1,
        served_queue=1,
        threads=1,
    )
    with pytest.raises(OSError, match=f"cannot listen on {online.address}.*choose another address"):
        other.start()


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"store_url": "localhost:6379"}, "no scheme"),
        ({"store_ca_file": "ca.pem"}, "asks for no TLS"),
        ({"threads": 0}, "threads must be from 1 to 256"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"served_queue": 0}, "served_queue"),
    ],
)
def test_wrong_settings_are_refused(setting: dict[str, object], says: str) -> None:
    given = {"store_url": NO_STORE, **setting}
    with pytest.raises(ValueError, match=says):
        world.Online(**given)  # type: ignore[arg-type]


def test_a_stop_lets_running_requests_end_and_keeps_their_records(definitions: list[Definition]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        with world.Online(url, store_timeout_ms=600, threads=1) as online, futures.ThreadPoolExecutor(1) as pool:
            online.server.publish(world.plan(definitions))
            running = pool.submit(online.ask, world.request(["a"], [1], [1.0]))
            while online.server.counters()["in_flight"] < 1:
                time.sleep(0.005)
            online.server.stop(5_000)
            answer = running.result()
            ((request_id, record),) = online.server.drain_served(10, 10_000)
            assert request_id.decode() == answer.request_id
            assert served_pb2.ServedRecord.FromString(record).vector.response == answer
            began = time.monotonic()
            assert online.server.drain_served(10, 10_000) == []
            assert time.monotonic() - began < 5
            with pytest.raises(grpc.RpcError):
                online.ask(online.echo(1.0))
            with pytest.raises(RuntimeError, match="started before"):
                online.server.start()
