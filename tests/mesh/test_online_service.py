"""The online service as a process: definitions from the registry, answers to the served log."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

import skewless as sk
from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.api.online.v1 import online_service_pb2_grpc as stubs
from skewless.bus import Bus
from skewless.client import Store
from skewless.errors import InvalidArgumentError, NotReadyError
from skewless.local import BROKER, LocalMesh
from skewless.rpc.channel import rich_errors
from tests.mesh import online_world as world

TOPIC = "skewless.served"


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path / "mesh", services=("registry", "online")) as run:
        with Store(world.PROJECT, registry=run.addresses["registry"], online=run.addresses["online"]) as store:
            store.apply(world.project())
        yield run


def ask(mesh: LocalMesh, service: str = "echo@1.0.0", *, within_s: float = 10.0) -> str:
    """Asks until there is an answer; gives its request id."""
    request = pb.GetOnlineFeaturesRequest(
        project=world.PROJECT, feature_service=service, request_fields={"amount": world.floats(1.0)}
    )
    deadline = time.monotonic() + within_s
    with grpc.insecure_channel(mesh.addresses["online"]) as channel:
        stub = stubs.OnlineServiceStub(channel)
        while True:
            try:
                answer: pb.GetOnlineFeaturesResponse = stub.GetOnlineFeatures(request, timeout=5)
            except grpc.RpcError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return answer.request_id


def logged(mesh: LocalMesh, count: int, seconds: float = 15.0) -> list[str]:
    """Request ids in the served log, at least ``count`` of them."""
    bus = Bus(mesh.addresses[BROKER])
    deadline = time.monotonic() + seconds
    while True:
        found: list[str] = []
        topic = bus.topic(TOPIC)
        if topic is not None:
            ends = bus.ends(TOPIC, range(topic.partitions))
            with bus.reader(TOPIC, dict.fromkeys(ends, 0)) as reader:
                while len(found) < sum(ends.values()) and time.monotonic() < deadline:
                    for part in reader.read(max_records=500, wait_s=0.1).parts:
                        found += [key.decode() for key in part.keys if key]
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_it_follows_the_registry_and_goes_on_without_it(mesh: LocalMesh) -> None:
    ask(mesh)
    mesh.kill("registry")
    for _ in range(3):
        ask(mesh, within_s=0)
    mesh.restart("registry")
    later = sk.FeatureService(name="later", features=[world.ALONE["half"]])
    with Store(world.PROJECT, registry=mesh.addresses["registry"], online=mesh.addresses["online"]) as store:
        store.apply(sk.Project(world.PROJECT, later))
    ask(mesh, "later@1.0.0", within_s=20)


def test_an_orderly_stop_loses_no_answer(mesh: LocalMesh) -> None:
    asked = [ask(mesh) for _ in range(30)]
    mesh.halt("online")
    assert sorted(logged(mesh, len(asked))) == sorted(asked)


def test_answers_wait_while_the_broker_is_away(mesh: LocalMesh) -> None:
    asked = [ask(mesh)]
    assert logged(mesh, 1) == asked
    mesh.kill(BROKER)
    asked += [ask(mesh, within_s=0) for _ in range(20)]
    mesh.restart(BROKER)
    asked.append(ask(mesh))
    assert sorted(logged(mesh, len(asked), 30)) == sorted(asked)


def test_without_a_registry_it_says_what_it_waits_for(tmp_path: Path) -> None:
    with LocalMesh(tmp_path / "mesh", services=("online",), environ={"SKEWLESS_REGISTRY": "127.0.0.1:9"}) as mesh:
        with pytest.raises(grpc.RpcError) as raised:
            ask(mesh, within_s=0)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "the registry at 127.0.0.1:9" in (raised.value.details() or "")


def test_what_was_applied_is_answered_at_once(mesh: LocalMesh) -> None:
    with Store(world.PROJECT, registry=mesh.addresses["registry"], online=mesh.addresses["online"]) as store:
        for n in range(10):
            store.apply(sk.Project(world.PROJECT, sk.FeatureService(f"fresh{n}", features=[world.ALONE["half"]])))
            answer = store.get_online_features(f"fresh{n}@1.0.0", {}, request={"amount": float(n)})
            assert answer.to_rows() == [{"alone:half": n / 2}]
        mesh.kill("registry")
        mesh.restart("online")
        with pytest.raises(NotReadyError, match="no definitions yet"):
            store.get_online_features("fresh1@1.0.0", {}, request={"amount": 1.0}, timeout_s=9)


@pytest.mark.parametrize(("timeout_s", "least_s", "most_s"), [(20.0, 1.9, 6.0), (1.0, 0.7, 1.0)])
def test_a_revision_that_does_not_come_is_waited_for_within_bounds(
    mesh: LocalMesh, timeout_s: float, least_s: float, most_s: float
) -> None:
    ask(mesh)
    request = pb.GetOnlineFeaturesRequest(
        project=world.PROJECT,
        feature_service="echo@1.0.0",
        request_fields={"amount": world.floats(1.0)},
        min_revision=1_000,
    )
    with grpc.insecure_channel(mesh.addresses["online"]) as channel:
        stub = stubs.OnlineServiceStub(channel)
        grpc.channel_ready_future(channel).result(10)
        began = time.monotonic()
        with pytest.raises(NotReadyError, match="knows revision 1, 1000 is asked for") as caught, rich_errors("online"):
            stub.GetOnlineFeatures(request, timeout=timeout_s)
        assert least_s < time.monotonic() - began < most_s
    assert caught.value.retry
    assert caught.value.metadata["revision"] == "1"


def scrape(address: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Samples by name and label values."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as page:
        families = list(text_string_to_metric_families(page.read().decode()))
    return {
        (sample.name, tuple(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_metrics_count_what_was_asked(tmp_path: Path) -> None:
    call = "get_online_features"
    with LocalMesh(tmp_path / "mesh", services=("registry", "online")) as mesh:
        address = mesh.metrics_address("online")
        assert address is not None
        assert scrape(address)["skewless_online_revision", ()] in {-1, 0}
        with Store(world.PROJECT, registry=mesh.addresses["registry"], online=mesh.addresses["online"]) as store:
            store.apply(world.project())
            began = time.monotonic()
            for _ in range(20):
                store.get_online_features("echo@1.0.0", {}, request={"amount": [1.0, 2.0]})
            took = time.monotonic() - began
            with pytest.raises(InvalidArgumentError, match="amonut"):
                store.get_online_features("echo@1.0.0", {}, request={"amount": 1.0, "amonut": 1.0})
        assert len(logged(mesh, 20)) == 20
        found = scrape(address)
    assert found["skewless_online_requests_total", (call, "ok")] == 20
    assert found["skewless_online_requests_total", (call, "invalid_argument")] == 1
    assert found["skewless_online_rows_total", ()] == 40
    assert found["skewless_online_values_total", ("present",)] == 80
    assert found["skewless_served_log_queued_total", ()] == 20
    assert found["skewless_served_log_refused_total", ()] == found["skewless_served_log_waiting", ()] == 0
    assert found["skewless_online_revision", ()] == 1
    assert found["skewless_online_store_up", ()] == 1
    calls = sum(count for (name, labels), count in found.items() if name.endswith("requests_total") and call in labels)
    assert found["serving_latency_count", (call,)] == found["serving_latency_bucket", (call, "+Inf")] == calls >= 21
    assert 0 < found["serving_latency_sum", (call,)] < took + 1
    ends = [value for (name, labels), value in found.items() if name == "serving_latency_bucket" and labels[0] == call]
    assert ends == sorted(ends)
    assert found["serving_latency_bucket", ("log_prediction", "+Inf")] == 0
