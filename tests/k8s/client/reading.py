"""A light load of reads that says of each whether it was answered, and as before.

Requests go through plain gRPC channels without a retry policy: what gRPC does by itself (a request that the server has
certainly not seen goes out again) is all that stands between a server that leaves and the caller.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import grpc

from examples.fraud import definitions, generator
from examples.fraud.generator import Transaction
from skewless.api.online.v1 import online_service_pb2 as online_pb
from skewless.api.online.v1 import online_service_pb2_grpc as online_stubs
from skewless.api.types.v1 import value_pb2
from skewless.codec.values import column_to_proto
from tests.k8s.client.scenario import SCENARIO

QUESTIONS = 10
PER_SECOND = 20
FRESH_EVERY = 4
"""Each so many requests one goes over a connection of its own, as a new client's would."""
TIMEOUT_S = 5.0
_KEPT = 10


@dataclass
class Readings:
    """What came of the requests.

    failed: gRPC errors; wrong: answers that are not the first one to the same question.
    errors: by code, how many failed; first: the first of them, with the second in which they came.
    gap_s: the longest time between two answers.
    """

    asked: int = 0
    failed: int = 0
    wrong: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    gap_s: float = 0.0

    def document(self) -> dict[str, Any]:
        return {
            "asked": self.asked,
            "failed": self.failed,
            "wrong": self.wrong,
            "errors": dict(self.errors),
            "first": self.first,
            "slowest_ms": round(self.slowest_ms, 1),
            "gap_s": round(self.gap_s, 2),
        }


def questions() -> list[online_pb.GetOnlineFeaturesRequest]:
    """The vectors of the last payments, all at the end of the time: without new events their answers stay."""
    payments = generator.make(SCENARIO).transactions[-QUESTIONS:]
    return [_question(payment) for payment in payments]


def read(online: str, until: Callable[[], bool]) -> Readings:
    """Asks all the time, at a steady pace, until told to end."""
    found, first, asked = Readings(), dict[int, Any](), questions()
    begun = answered = time.monotonic()
    with grpc.insecure_channel(online) as steady:
        while not until():
            place = found.asked % len(asked)
            found.asked += 1
            fresh = found.asked % FRESH_EVERY == 0
            sent = time.monotonic()
            try:
                answer = _ask_fresh(online, asked[place]) if fresh else _ask(steady, asked[place])
            except grpc.RpcError as error:
                found.failed += 1
                code = error.code().name
                found.errors[code] += 1
                way = "new connection" if fresh else "old connection"
                if len(found.first) < _KEPT:
                    found.first.append(f"after {sent - begun:.1f} s, {way}: {code}: {error.details()}")
            else:
                now = time.monotonic()
                found.gap_s, answered = max(found.gap_s, now - answered), now
                found.slowest_ms = max(found.slowest_ms, 1_000 * (now - sent))
                vector = _vector(answer)
                if first.setdefault(place, vector) != vector:
                    found.wrong += 1
                    if len(found.first) < _KEPT:
                        found.first.append(f"after {sent - begun:.1f} s: {_differing(first[place], vector)}")
            time.sleep(max(0.0, begun + found.asked / PER_SECOND - time.monotonic()))
    return found


def _question(payment: Transaction) -> online_pb.GetOnlineFeaturesRequest:
    entities = {"user_id": payment.user.user_id, "merchant_id": payment.merchant.merchant_id}
    names = ("amount", "country", "lat", "lon", "card_present")
    return online_pb.GetOnlineFeaturesRequest(
        project=definitions.PROJECT,
        feature_service=definitions.SERVICE,
        entities={name: column_to_proto([cell]) for name, cell in entities.items()},
        request_fields={name: column_to_proto([getattr(payment, name)]) for name in names},
        request_time_us=SCENARIO.end_us,
    )


def _ask(channel: grpc.Channel, question: online_pb.GetOnlineFeaturesRequest) -> online_pb.GetOnlineFeaturesResponse:
    return online_stubs.OnlineServiceStub(channel).GetOnlineFeatures(question, timeout=TIMEOUT_S)


def _ask_fresh(online: str, question: online_pb.GetOnlineFeaturesRequest) -> online_pb.GetOnlineFeaturesResponse:
    # Without this option channels to one address share a connection.
    with closing(grpc.insecure_channel(online, options=[("grpc.use_local_subchannel_pool", 1)])) as channel:
        return _ask(channel, question)


def _vector(answer: online_pb.GetOnlineFeaturesResponse) -> dict[str, tuple[bytes, int]]:
    """Values, bit for bit, and statuses by feature."""

    def cell(values: Iterable[value_pb2.Value]) -> bytes:
        return b"".join(value.SerializeToString(deterministic=True) for value in values)

    return {
        name: (cell(column.values), column.statuses[0])
        for name, column in zip(answer.feature_names, answer.columns, strict=True)
    }


def _differing(before: dict[str, tuple[bytes, int]], now: dict[str, tuple[bytes, int]]) -> str:
    names = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
    statuses = Counter(value_pb2.Status.Name(now[name][1]) for name in names if name in now)
    return f"{len(names)} features of a vector are not as before, such as {min(names)}; {dict(statuses)}"
