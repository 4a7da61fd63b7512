"""Every bad request of the table through the real server, and by the rules that the contract writes at its fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import protovalidate
import pytest
import yaml
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from skewless.api.online.v1 import online_service_pb2 as pb
from tests.mesh import online_world as world

TABLE = Path(__file__).parents[1] / "contract" / "requests" / "online.yaml"
MESSAGES: dict[str, type[Message]] = {
    "GetOnlineFeatures": pb.GetOnlineFeaturesRequest,
    "LogPrediction": pb.LogPredictionRequest,
}


@dataclass(frozen=True)
class Case:
    rpc: str
    request: Message
    by_rules: bool
    code: str
    reason: str
    fields: tuple[str, ...]
    says: str


def _expand(value: Any) -> Any:
    if isinstance(value, list):
        return [_expand(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$times" in value:
        return value["$of"] * value["$times"]
    if "$keys" in value:
        return {f"k{n}": value["$of"] for n in range(value["$keys"])}
    return {name: _expand(item) for name, item in value.items()}


def _message(rpc: str, members: dict[str, Any]) -> Message:
    given = {name: _expand(value) for name, value in members.items() if value is not None}
    return json_format.ParseDict(given, MESSAGES[rpc]())


def _cases() -> Iterator[Any]:
    document = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    assert document["format"] == 1
    for rpc, table in document["rpcs"].items():
        for raw in table["cases"]:
            request = _message(rpc, {**table["good"], **raw["set"]})
            case = Case(
                rpc,
                request,
                raw.get("by_rules", False),
                raw["code"],
                raw["reason"],
                tuple(raw.get("fields", ())),
                raw["says"],
            )
            yield pytest.param(case, id=f"{rpc}: {raw['name']}")


CASES = list(_cases())


@pytest.fixture(scope="module")
def online() -> Iterator[world.Online]:
    with world.Online("redis://127.0.0.1:9") as running:
        assert running.server.publish(world.plan(world.project().definitions())) == []
        yield running


def status_of(error: grpc.RpcError) -> status_pb2.Status:
    status = rpc_status.from_call(error)
    assert status is not None
    return status


@pytest.mark.parametrize("case", CASES)
def test_the_server_refuses_it_and_says_where_and_why(online: world.Online, case: Case) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        getattr(online.stub, case.rpc)(case.request, timeout=10)
    status = status_of(raised.value)
    assert grpc.StatusCode[case.code].value[0] == status.code
    assert case.says in status.message + "".join(d.description for d in _violations(status))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("skewless", case.reason)
    assert tuple(violation.field for violation in _violations(status)) == case.fields


def _violations(status: status_pb2.Status) -> list[Any]:
    bad = error_details_pb2.BadRequest()
    return [violation for detail in status.details if detail.Unpack(bad) for violation in bad.field_violations]


@pytest.mark.parametrize("case", CASES)
def test_the_rules_of_the_contract_say_the_same(case: Case) -> None:
    found = {str(violation.proto.field.elements[0].field_name) for violation in _by_rules(case.request)}
    places = {field.partition("[")[0] for field in case.fields}
    assert found == (places if case.by_rules else set())


def _by_rules(request: Message) -> list[Any]:
    return list(protovalidate.collect_violations(request))


def test_the_good_ones_are_answered(online: world.Online) -> None:
    document = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    for rpc, table in document["rpcs"].items():
        good = _message(rpc, table["good"])
        assert not _by_rules(good)
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
