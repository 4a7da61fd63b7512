"""The online service as a process: definitions from the registry, answers to the served log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import skewless as sk
from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.api.online.v1 import online_service_pb2_grpc as stubs
from skewless.bus import Bus
from skewless.client import Store
from skewless.local import BROKER, LocalMesh
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
