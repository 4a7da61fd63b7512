"""Every bad request of the table through the real aggregator, and by the rules of the contract."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import skewless
from skewless.api.stream_agg.v1 import stream_agg_service_pb2 as pb
from skewless.api.stream_agg.v1 import stream_agg_service_pb2_grpc as stubs
from skewless.bus import Bus
from skewless.client import Store
from skewless.local import BROKER, LocalMesh
from skewless.rpc.channel import connect
from tests.mesh import world
from tests.mesh.request_table import Case, Table, assert_refused, assert_ruled, by_rules

TABLE = Table(
    "stream_agg",
    {
        "Rewind": pb.RewindRequest,
        "ListDeadLetters": pb.ListDeadLettersRequest,
        "ReplayDeadLetters": pb.ReplayDeadLettersRequest,
    },
)
CASES = list(TABLE.cases())
OTHERS = skewless.StreamSource(
    name="others", topic="shop.others", columns={"user": "string", "at": "timestamp"}, event_time="at"
)


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stubs.StreamAggServiceStub]:
    with LocalMesh(tmp_path_factory.mktemp("mesh"), services=("registry", "stream_agg")) as mesh:
        Bus(mesh.addresses[BROKER]).ensure_topic(world.TOPIC)
        with Store(
            world.PROJECT, registry=mesh.addresses["registry"], stream_agg=mesh.addresses["stream_agg"]
        ) as store:
            store.apply(skewless.Project(world.PROJECT, world.BY_USER, OTHERS))
            while not store.stream_status():
                time.sleep(0.01)
        with connect(mesh.addresses["stream_agg"]) as channel:
            yield stubs.StreamAggServiceStub(channel)


@pytest.mark.parametrize("case", CASES)
def test_the_server_refuses_it_and_says_where_and_why(stub: stubs.StreamAggServiceStub, case: Case) -> None:
    assert_refused(case, getattr(stub, case.rpc))


@pytest.mark.parametrize("case", CASES)
def test_the_rules_of_the_contract_say_the_same(case: Case) -> None:
    assert_ruled(case)


def test_the_good_ones_are_answered(stub: stubs.StreamAggServiceStub) -> None:
    for rpc, good in TABLE.good():
        assert not by_rules(good)
        getattr(stub, rpc)(good, timeout=10)
