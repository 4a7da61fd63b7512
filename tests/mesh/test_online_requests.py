"""Every bad request of the table through the real server, and by the rules that the contract writes at its fields."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from skewless.api.online.v1 import online_service_pb2 as pb
from tests.mesh import online_world as world
from tests.mesh.request_table import Case, Table, assert_refused, assert_ruled, by_rules, status_of

TABLE = Table("online", {"GetOnlineFeatures": pb.GetOnlineFeaturesRequest, "LogPrediction": pb.LogPredictionRequest})
CASES = list(TABLE.cases())


@pytest.fixture(scope="module")
def online() -> Iterator[world.Online]:
    with world.Online("redis://127.0.0.1:9") as running:
        assert running.server.publish(world.plan(world.project().definitions())) == []
        yield running


@pytest.mark.parametrize("case", CASES)
def test_the_server_refuses_it_and_says_where_and_why(online: world.Online, case: Case) -> None:
    assert_refused(case, getattr(online.stub, case.rpc))


@pytest.mark.parametrize("case", CASES)
def test_the_rules_of_the_contract_say_the_same(case: Case) -> None:
    assert_ruled(case)


def test_the_good_ones_are_answered(online: world.Online) -> None:
    for rpc, good in TABLE.good():
        assert not by_rules(good)
        getattr(online.stub, rpc)(good, timeout=10)


def test_bytes_that_are_no_request_are_refused(online: world.Online) -> None:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = online.channel.unary_unary(
        "/skewless.api.online.v1.OnlineService/GetOnlineFeatures"
    )
    with pytest.raises(grpc.RpcError) as raised:
        call(b"\x0a\xff\xff", timeout=10)
    status = status_of(raised.value)
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "the bytes are no GetOnlineFeaturesRequest" in status.message


def test_a_method_that_is_not_there_is_unimplemented(online: world.Online) -> None:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = online.channel.unary_unary(
        "/skewless.api.online.v1.OnlineService/Guess"
    )
    with pytest.raises(grpc.RpcError) as raised:
        call(b"", timeout=10)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
