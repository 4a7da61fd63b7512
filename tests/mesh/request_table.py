"""Tables of refused requests (tests/contract/requests), and how a refusal is held against its row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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

TABLES = Path(__file__).parents[1] / "contract" / "requests"


@dataclass(frozen=True)
class Case:
    """A request that is refused, and how. by_rules: by the rules that the contract writes at its fields as well."""

    rpc: str
    request: Message
    by_rules: bool
    code: str
    reason: str
    fields: tuple[str, ...]
    says: str


@dataclass(frozen=True)
class Table:
    """The table of one service. messages: the request of each rpc."""

    name: str
    messages: Mapping[str, type[Message]]

    def cases(self) -> Iterator[Any]:
        """The cases as parameters of a test."""
        for rpc, table in self._rpcs():
            for raw in table["cases"]:
                case = Case(
                    rpc,
                    self._message(rpc, {**table["good"], **raw["set"]}),
                    raw.get("by_rules", False),
                    raw["code"],
                    raw["reason"],
                    tuple(raw.get("fields", ())),
                    raw["says"],
                )
                yield pytest.param(case, id=f"{rpc}: {raw['name']}")

    def good(self) -> Iterator[tuple[str, Message]]:
        """A request of each rpc that is answered, where there is one."""
        for rpc, table in self._rpcs():
            if table["good"]:
                yield rpc, self._message(rpc, table["good"])

    def _rpcs(self) -> Iterator[tuple[str, Any]]:
        document = yaml.safe_load((TABLES / f"{self.name}.yaml").read_text(encoding="utf-8"))
        assert document["format"] == 1
        yield from document["rpcs"].items()

    def _message(self, rpc: str, members: dict[str, Any]) -> Message:
        given = {name: _expand(value) for name, value in members.items() if value is not None}
        return json_format.ParseDict(given, self.messages[rpc]())


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


def status_of(error: grpc.RpcError) -> status_pb2.Status:
    """The status with its details."""
    status = rpc_status.from_call(error)
    assert status is not None
    return status


def assert_refused(case: Case, method: Callable[..., Any]) -> None:
    """The server refuses the request with the code, reason, fields and words of its row."""
    with pytest.raises(grpc.RpcError) as raised:
        method(case.request, timeout=10)
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


def assert_ruled(case: Case) -> None:
    """The rules of the contract refuse the same fields, if they are what refuses them."""
    found = {violation.proto.field.elements[0].field_name for violation in by_rules(case.request)}
    places = {field.partition("[")[0].partition(".")[0] for field in case.fields}
    assert found == (places if case.by_rules else set())


def by_rules(request: Message) -> list[Any]:
    """What the rules of the contract find."""
    return list(protovalidate.collect_violations(request))
