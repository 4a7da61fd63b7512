"""Protobuf records through real processes: read directly and re-keyed, served, logged, replayed, explained."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf import descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import Message

import skewless as sk
from skewless.bus import Bus
from skewless.client import Store
from skewless.client.results import OnlineFeatures
from skewless.errors import NotReadyError, UnknownFeatureServiceError, UnknownRequestIdError
from skewless.lake import Lake
from skewless.local import BROKER, LocalMesh
from skewless.types import Status

F = FieldDescriptorProto
SERVICE = "model@1.0.0"
TOPIC = "shop.payments"


def descriptors() -> FileDescriptorSet:
    file = FileDescriptorProto(name="shop.proto", package="shop.v1", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    payment, place = file.message_type.add(name="Payment"), file.message_type.add(name="Place")
    for number, (name, kind, of) in enumerate(
        (
            ("at", F.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
            ("user", F.TYPE_STRING, ""),
            ("amount", F.TYPE_DOUBLE, ""),
            ("place", F.TYPE_MESSAGE, ".shop.v1.Place"),
        ),
        start=1,
    ):
        field = payment.field.add(name=name, number=number, type=kind, label=F.LABEL_OPTIONAL)
        if of:
            field.type_name = of
    place.field.add(name="shop", number=1, type=F.TYPE_INT64, label=F.LABEL_OPTIONAL)
    files = FileDescriptorSet()
    timestamp_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    files.file.append(file)
    return files


FILES = descriptors()


def payment_class() -> type[Message]:
    pool = descriptor_pool.DescriptorPool()
    for file in FILES.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.v1.Payment"))


PAYMENT: Any = payment_class()
payments = sk.StreamSource(
    "payments",
    topic=TOPIC,
    payload=sk.Protobuf(FILES.SerializeToString(), "shop.v1.Payment", fields={"shop": "place.shop"}),
    columns={"at": "timestamp", "user": "string", "amount": "float64", "shop": "int64"},
    event_time="at",
    record_key=["user"],
)
FEATURES = [sk.count("n", windows=["1h"]), sk.sum("paid", "amount", windows=["1h"])]
by_user = sk.StreamFeatureView("by_user", entity=sk.Entity("user"), source=payments, features=FEATURES)
by_shop = sk.StreamFeatureView(
    "by_shop", entity=sk.Entity("shop", keys={"shop": "int64"}), source=payments, features=FEATURES
)
PROJECT = sk.Project("shop", sk.FeatureService("model", features=[by_user, by_shop]))


def payment(user: str, amount: float, shop: int | None) -> bytes:
    message = PAYMENT(user=user, amount=amount)
    message.at.FromNanoseconds(time.time_ns() - 1_000_000)
    if shop is not None:
        message.place.shop = shop
    content: bytes = message.SerializeToString()
    return content


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    services = ("registry", "stream_agg", "online", "offline")
    environ = {"SKEWLESS_COMMIT_MS": "100", "SKEWLESS_SERVED_COMMIT_MS": "50"}
    with LocalMesh(tmp_path_factory.mktemp("mesh"), services, environ=environ) as running:
        yield running


@pytest.mark.timeout(180)
def test_a_protobuf_event_becomes_a_served_number_that_is_replayed_equal(mesh: LocalMesh) -> None:
    bus = Bus(mesh.addresses[BROKER])
    bus.ensure_topic(TOPIC)
    addresses: dict[str, Any] = {name: mesh.addresses[name] for name in ("registry", "stream_agg", "online", "offline")}
    with Store("shop", **addresses) as store:
        store.apply(PROJECT)
        records = [
            payment("ann", 0.1, 7),
            payment("ann", 0.2, None),
            payment("ann", float("nan"), 7),
            b"\x00\x00\x00\x00\x01" + payment("ann", 5.0, 7),
            payment("ann", 3.0, 7),
        ]
        with bus.sender() as sender:
            for record in records:
                sender.send(TOPIC, record, key=b"ann", partition=0)
            assert sender.flush(10)
        store.stream_status(wait_for=[("payments", 0, len(records))], wait_for_log=True, timeout_s=60)

        answer = asked(store)
        assert {name: values[0] for name, values in answer.values.items()} == {
            "by_user:n_1h": 3,
            "by_user:paid_1h": 3.3,
            "by_shop:n_1h": 2,
            "by_shop:paid_1h": 3.1,
        }
        assert {status for statuses in answer.statuses.values() for status in statuses} == {Status.PRESENT}
        assert replayed(store, answer.request_id) == {answer.request_id: "EQUAL"}
        why = store.explain(answer.request_id, "by_shop:paid_1h")
        assert [event.payload for event in why.events] == [records[4], records[0]]
        assert reasons(mesh.lake) == [None, None, "NOT_FINITE", "MALFORMED_PROTOBUF", None]


def asked(store: Store) -> OnlineFeatures:
    """Once the catalogue is there."""
    deadline = time.monotonic() + 30
    while True:
        try:
            answer = store.get_online_features(SERVICE, {"user": "ann", "shop": 7})
        except (NotReadyError, UnknownFeatureServiceError):
            assert time.monotonic() < deadline
            time.sleep(0.05)
            continue
        if Status.REBUILDING not in {status for statuses in answer.statuses.values() for status in statuses}:
            return answer
        assert time.monotonic() < deadline


def replayed(store: Store, request_id: str) -> dict[str, str]:
    """Once the served log has it."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return dict(store.replay(request_id).outcomes)
        except UnknownRequestIdError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def reasons(lake: Path | str) -> list[str | None]:
    """Of the records of the direct log, in their order."""
    table = Lake(str(lake)).events("shop", TOPIC).read(["offset", "reason"])
    assert table is not None
    found: list[str | None] = pa.table(table).sort_by("offset").column("reason").to_pylist()
    return found
