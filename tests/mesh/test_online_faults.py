"""The online service under load while what it needs dies: which requests fail, with which status, and for how long.

One run prints what it saw: ``pytest -s tests/mesh/test_online_faults.py``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import redis

from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.api.online.v1 import online_service_pb2_grpc as stubs
from skewless.client import Store
from skewless.local import STORE, LocalMesh
from tests.mesh import online_world as world
from tests.mesh.online_load import Load, Row, rows
from tests.store_servers import until

USERS, SHOPS = 40, 10


@dataclass
class Served:
    """A mesh whose online service is asked for the whole model."""

    mesh: LocalMesh
    wanted: list[Row]
    answer: pb.GetOnlineFeaturesResponse
    channel: grpc.Channel

    def ask(self, request: pb.GetOnlineFeaturesRequest) -> pb.GetOnlineFeaturesResponse:
        return stubs.OnlineServiceStub(self.channel).GetOnlineFeatures(request, timeout=10)

    def load(self) -> Load:
        return Load(self.ask, asked, self.wanted)


def asked(users: Sequence[int]) -> pb.GetOnlineFeaturesRequest:
    return world.request([f"user-{n}" for n in users], [n % SHOPS for n in users], [50.0] * len(users))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("faults")
    settings = {"SKEWLESS_DEFINITIONS_FILE": str(directory / "definitions")}
    with LocalMesh(directory / "mesh", ("registry", "online"), environ=settings) as mesh:
        world.fill(mesh.store_url, world.project().definitions(), USERS, SHOPS)
        with redis.Redis.from_url(mesh.store_url) as store:
            assert store.execute_command("WAITAOF", 1, 0, 10_000)[0] == 1
        address = mesh.addresses["online"]
        with Store(world.PROJECT, registry=mesh.addresses["registry"], online=address) as store_client:
            store_client.apply(world.project(), reason="test")
        with grpc.insecure_channel(address) as channel:
            found = Served(mesh, [], pb.GetOnlineFeaturesResponse(), channel)
            until(lambda: _is_served(found), "the model is not served")
            found.wanted = rows(found.ask(asked(range(USERS))))
            yield found


def _is_served(served: Served) -> bool:
    try:
        served.answer = served.ask(asked([0]))
    except grpc.RpcError:
        return False
    return True


def test_the_store_is_killed(served: Served) -> None:
    """Values are UNAVAILABLE while it is away; no request is refused, and no value is wrong."""
    with served.load() as load:
        until(lambda: load.answers["whole"] > 50, "no load")
        began = time.monotonic()
        served.mesh.kill(STORE)
        until(lambda: load.answers["in part"] > 20, "nobody noticed")
        time.sleep(1.5)
        back = time.monotonic()
        served.mesh.restart(STORE)
        before = load.answers["whole"]
        until(lambda: load.answers["whole"] > before + 50, "it does not come back")
        time.sleep(0.5)
    print(f"store killed: {dict(load.answers)}; away {back - began:.1f} s, whole {max(load.ill) - back:.1f} s after")
    assert load.wrong == []
    assert set(load.answers) == {"whole", "in part"}


@pytest.mark.parametrize("seconds", [4, pytest.param(60, marks=pytest.mark.long)])
def test_the_registry_is_away(served: Served, seconds: int) -> None:
    """Nothing is refused and nothing is missing, also by a service that starts meanwhile."""
    with served.load() as load:
        until(lambda: load.answers["whole"] > 50, "no load")
        served.mesh.kill("registry")
        time.sleep(seconds)
        before = load.answers["whole"]
        until(lambda: load.answers["whole"] > before + 50, "no load")
    print(f"registry away for {seconds} s: {dict(load.answers)}")
    assert load.wrong == []
    assert set(load.answers) == {"whole"}

    served.mesh.kill("online")
    served.mesh.restart("online")
    with grpc.insecure_channel(served.mesh.addresses["online"]) as channel:
        alone = Served(served.mesh, served.wanted, served.answer, channel)
        until(lambda: _is_served(alone), "it does not begin with what it kept")
        assert rows(alone.ask(asked(range(USERS)))) == served.wanted
    assert "as it was kept" in Path(served.mesh.log("online")).read_text()
    served.mesh.restart("registry")
    until(lambda: _is_served(served), "it is not served")


def test_the_broker_is_killed(served: Served) -> None:
    """Answers wait to be logged, and are sent when it is back."""
    with served.load() as load:
        until(lambda: load.answers["whole"] > 50, "no load")
        served.mesh.kill("broker")
        before = load.answers["whole"]
        until(lambda: load.answers["whole"] > before + 50, "no load")
        served.mesh.restart("broker")
        before = load.answers["whole"]
        until(lambda: load.answers["whole"] > before + 50, "no load")
    print(f"broker killed: {dict(load.answers)}")
    assert load.wrong == []
    assert set(load.answers) == {"whole"}
