"""Protobuf payloads in definitions: what a descriptor becomes in a meaning, and every way that it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

import skewless
from skewless import kernel
from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import StreamSource
from skewless.definitions.resource import Definition, canonical
from skewless.errors import InvalidDefinitionError, Violation
from skewless.protobuf.fields import READ_AS
from skewless.types import ValueType

F = FieldDescriptorProto
COLUMNS = {"at": "timestamp", "user": "string", "amount": "float64"}


def descriptors() -> FileDescriptorSet:
    """shop.v1.Payment with a field of every sort, and what it imports."""
    file = FileDescriptorProto(
        name="shop/v1/payment.proto",
        package="shop.v1",
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto"],
    )
    message = file.message_type.add(name="Payment")

    def add(name: str, number: int, kind: F.Type.ValueType, type_name: str = "", **members: Any) -> None:
        members.setdefault("label", F.LABEL_OPTIONAL)
        if type_name:
            members["type_name"] = type_name
        message.field.add(name=name, number=number, type=kind, **members)

    add("at", 1, F.TYPE_MESSAGE, ".google.protobuf.Timestamp")
    add("user", 2, F.TYPE_STRING)
    add("amount", 3, F.TYPE_DOUBLE)
    add("items", 4, F.TYPE_SINT32)
    add("coupon", 5, F.TYPE_STRING, proto3_optional=True, oneof_index=1)
    add("score", 6, F.TYPE_MESSAGE, ".google.protobuf.FloatValue")
    add("place", 7, F.TYPE_MESSAGE, ".shop.v1.Payment.Place")
    add("kind", 8, F.TYPE_ENUM, ".shop.v1.Kind")
    add("tags", 9, F.TYPE_STRING, label=F.LABEL_REPEATED)
    add("labels", 10, F.TYPE_MESSAGE, ".shop.v1.Payment.LabelsEntry", label=F.LABEL_REPEATED)
    add("blob", 11, F.TYPE_BYTES)
    add("card", 12, F.TYPE_STRING, oneof_index=0)
    add("iban", 13, F.TYPE_STRING, oneof_index=0)
    add("raw", 14, F.TYPE_MESSAGE, ".google.protobuf.BytesValue")
    message.oneof_decl.add(name="method")
    message.oneof_decl.add(name="_coupon")
    place = message.nested_type.add(name="Place")
    place.field.add(name="lat", number=1, type=F.TYPE_DOUBLE, label=F.LABEL_OPTIONAL)
    entry = message.nested_type.add(name="LabelsEntry")
    entry.options.map_entry = True
    for number, name in ((1, "key"), (2, "value")):
        entry.field.add(name=name, number=number, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
    kind = file.enum_type.add(name="Kind")
    kind.options.allow_alias = True
    for name, number in (("UNKNOWN", 0), ("BACK", -1), ("NONE", 0), ("SALE", 3)):
        kind.value.add(name=name, number=number)
    files = FileDescriptorSet()
    files.file.append(file)
    for module in (timestamp_pb2, wrappers_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
    return files


DESCRIPTORS = descriptors().SerializeToString()


def source(columns: dict[str, str], payload: Any = None, **fields: str) -> skewless.StreamSource:
    if payload is None:
        payload = skewless.Protobuf(DESCRIPTORS, "shop.v1.Payment", fields=fields)
    return skewless.StreamSource("payments", topic="shop.payments", columns=columns, event_time="at", payload=payload)


def made(columns: dict[str, str], payload: Any = None, **fields: str) -> Definition:
    (definition,) = skewless.Project("shop", source(columns, payload, **fields)).definitions()
    return definition


def payload_of(definition: Definition) -> Any:
    return json.loads(definition.meaning_json)["source"]["payload"]


def faults(columns: dict[str, str], payload: Any = None, **fields: str) -> list[Violation]:
    with pytest.raises(InvalidDefinitionError) as caught:
        made(columns, payload, **fields)
    return list(caught.value.violations)


def test_the_meaning_holds_numbers_and_types_and_no_more() -> None:
    columns = {**COLUMNS, "score": "float64", "coupon": "string", "lat": "float64", "code": "int64"}
    definition = made({**columns, "kind": "string"}, lat="place.lat", code="items")

    def member(column: str, path: list[int], kind: str, presence: bool, names: Any = None) -> dict[str, Any]:
        return {"column": column, "path": path, "type": kind, "presence": presence, "names": names}

    assert payload_of(definition) == {
        "kind": "protobuf",
        "message": "shop.v1.Payment",
        "fields": [
            member("at", [1], "timestamp", True),
            member("user", [2], "string", False),
            member("amount", [3], "double", False),
            member("score", [6, 1], "float", False),
            member("coupon", [5], "string", True),
            member("lat", [7, 1], "double", False),
            member("code", [4], "sint32", False),
            member(
                "kind",
                [8],
                "enum",
                False,
                [
                    {"number": -1, "name": "BACK"},
                    {"number": 0, "name": "UNKNOWN"},
                    {"number": 3, "name": "SALE"},
                ],
            ),
        ],
    }
    assert kernel.check_meaning(definition.meaning_json) == []


def test_a_source_reads_back_with_the_form_of_its_payload() -> None:
    meaning = Catalog([made(COLUMNS)], 1).source("shop", "payments")
    assert isinstance(meaning, StreamSource)
    assert meaning.payload == "protobuf"


def test_what_is_not_read_does_not_change_the_meaning() -> None:
    files = descriptors()
    message = files.file[0].message_type[0]
    message.field.add(name="later", number=99, type=F.TYPE_BYTES, label=F.LABEL_REPEATED)
    message.field[2].name = "total"
    changed = made(COLUMNS, skewless.Protobuf(files.SerializeToString(), "shop.v1.Payment", fields={"amount": "total"}))
    assert changed.meaning_hash == made(COLUMNS).meaning_hash


def test_a_path_a_set_and_a_class_mean_the_same(tmp_path: Path) -> None:
    path = tmp_path / "shop.binpb"
    path.write_bytes(DESCRIPTORS)
    for given in (path, str(path)):
        assert made(COLUMNS, skewless.Protobuf(given, "shop.v1.Payment")) == made(COLUMNS)
    files = FileDescriptorSet()
    timestamp_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    columns = {"at": "timestamp", "nanos": "int64"}
    by_class = made(columns, skewless.Protobuf(timestamp_pb2.Timestamp, fields={"at": "seconds"}))
    by_set = skewless.Protobuf(files.SerializeToString(), "google.protobuf.Timestamp", fields={"at": "seconds"})
    assert made(columns, by_set) == by_class


def test_json_sources_mean_what_they_meant() -> None:
    definition = made(COLUMNS, "json")
    assert payload_of(definition) == "json"
    assert definition.meaning_hash.hex() == "6eb103f3f440b25d5c1d207ae414c6c293c35ad59fde94fff9bb5ca97707d35b"


@pytest.mark.parametrize(
    ("column", "kind", "field", "reason", "words"),
    [
        (
            "amount",
            "int64",
            "amount",
            "TYPE_MISMATCH",
            "'amount' is int64, the field amount of shop.v1.Payment is double",
        ),
        ("x", "float64", "items", "TYPE_MISMATCH", "is sint32; declare the column as int64"),
        ("x", "float64", "kind", "TYPE_MISMATCH", "is enum; declare the column as int64 or string"),
        ("x", "string", "at", "TYPE_MISMATCH", "is google.protobuf.Timestamp; declare the column as timestamp"),
        ("x", "int64", "score", "TYPE_MISMATCH", "is float; declare the column as float64"),
        ("x", "string", "users", "UNKNOWN_FIELD", "has no field 'users' for column 'x'; it has at, user, amount"),
        ("x", "float64", "place.lon", "UNKNOWN_FIELD", "shop.v1.Payment.Place has no field 'lon'"),
        ("x", "string", "tags", "UNSUPPORTED_FIELD", "is repeated string"),
        ("x", "string", "labels", "UNSUPPORTED_FIELD", "is a map"),
        ("x", "string", "blob", "UNSUPPORTED_FIELD", "is bytes"),
        ("x", "string", "raw", "UNSUPPORTED_FIELD", "is bytes"),
        ("x", "string", "iban", "UNSUPPORTED_FIELD", "a member of the oneof 'method'"),
        ("x", "float64", "place", "UNSUPPORTED_FIELD", "read a field of it: place.lat"),
        ("x", "int64", "at.seconds", "UNSUPPORTED_FIELD", "has no fields to read; end the path there"),
        ("x", "float64", "amount.value", "UNSUPPORTED_FIELD", "is double, which has no fields"),
    ],
)
def test_a_column_that_cannot_be_read_is_told_with_both_names(
    column: str, kind: str, field: str, reason: str, words: str
) -> None:
    (fault,) = faults({"at": "timestamp", column: kind}, **{column: field})
    assert (fault.path, fault.reason) == ("source payments.payload.fields[1]", reason)
    assert words in fault.message


def test_every_fault_is_told_at_once() -> None:
    found = faults({"at": "timestamp", "x": "int64", "y": "decimal"}, x="amount", y="user", z="items")
    assert [(fault.path, fault.reason) for fault in found] == [
        ("source payments.payload.fields", "UNKNOWN_COLUMN"),
        ("source payments.payload.fields[1]", "TYPE_MISMATCH"),
        ("source payments.source.columns[2].type", "UNKNOWN_TYPE"),
    ]


@pytest.mark.parametrize("kind", sorted(READ_AS))
def test_the_kernel_reads_a_type_of_fields_as_the_same_columns(kind: str) -> None:
    document = json.loads(made({"at": "timestamp", "x": "string"}, x="user").meaning_json)
    taken = []
    for column in (own for own in ValueType if own.element is None):
        document["source"]["columns"][1]["type"] = column.value
        names = [{"number": 0, "name": "NONE"}] if (kind, column) == ("enum", ValueType.STRING) else None
        document["source"]["payload"]["fields"][1] |= {"type": kind, "names": names}
        found = kernel.check_meaning(canonical(document))
        assert {reason for _, reason, _ in found} <= {"TYPE_MISMATCH"}
        taken += [] if found else [column]
    assert sorted(taken) == sorted(READ_AS[kind])


def test_two_columns_of_one_field_are_refused() -> None:
    (fault,) = faults({"at": "timestamp", "amount": "float64", "x": "float64"}, x="amount")
    assert (fault.path, fault.reason) == ("source payments.source.payload.fields[2].path", "DUPLICATE_FIELD")


def without_imports() -> bytes:
    files = descriptors()
    del files.file[1:]
    return files.SerializeToString()


def chained(length: int, *, last_imports: str = "") -> bytes:
    """Files that import one another in a row, the one with the message first."""
    files = descriptors()
    for number in range(length):
        following = f"{number + 1}.proto" if number + 1 < length else last_imports
        files.file.add(name=f"{number}.proto", dependency=[following] if following else [])
    files.file[0].dependency.append("0.proto")
    return files.SerializeToString()


def test_imports_may_be_a_long_chain() -> None:
    chain = skewless.Protobuf(chained(3_000), "shop.v1.Payment")
    assert made({"at": "timestamp"}, chain).meaning_json == made({"at": "timestamp"}).meaning_json


@pytest.mark.parametrize(
    ("payload", "reason", "words"),
    [
        (
            skewless.Protobuf(chained(3, last_imports="0.proto"), "shop.v1.Payment"),
            "UNREADABLE_DESCRIPTOR",
            "2.proto",
        ),
        (
            skewless.Protobuf("nowhere.binpb", "a.B"),
            "UNREADABLE_DESCRIPTOR",
            "Path(__file__).with_name('nowhere.binpb')",
        ),
        (skewless.Protobuf(b"\xff", "a.B"), "UNREADABLE_DESCRIPTOR", "no serialized FileDescriptorSet"),
        (
            skewless.Protobuf(without_imports(), "shop.v1.Payment"),
            "UNREADABLE_DESCRIPTOR",
            "imports google/protobuf/timestamp.proto, which is not in it",
        ),
        (skewless.Protobuf(DESCRIPTORS), "UNKNOWN_MESSAGE", "give message="),
        (skewless.Protobuf(DESCRIPTORS, "shop.v1.Pay"), "UNKNOWN_MESSAGE", "shop.v1.Payment, shop.v1.Payment.Labels"),
        (skewless.Protobuf(duration_pb2.Duration, "shop.v1.Pay"), "UNKNOWN_MESSAGE", "leave message out"),
        (skewless.Protobuf(DescriptorProto()), "WRONG_TYPE", "expected a generated message class"),  # type: ignore[arg-type]
        (skewless.Protobuf(struct_pb2.Struct), "UNKNOWN_FIELD", "google.protobuf.Struct has no field 'at'"),
        (7, "WRONG_TYPE", "skewless.Protobuf(...)"),
        ("avro", "UNKNOWN_PAYLOAD", "there is json, and protobuf"),
        ("protobuf", "UNKNOWN_PAYLOAD", "with the fields that are read"),
    ],
)
def test_a_descriptor_that_cannot_be_used_is_told(payload: Any, reason: str, words: str) -> None:
    (fault,) = faults({"at": "timestamp"}, payload)
    assert fault.reason == reason
    assert words in fault.message
