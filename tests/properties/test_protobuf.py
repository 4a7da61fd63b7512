"""Messages that Python's protobuf writes decode to the cells of the same event in JSON; any bytes have one verdict."""

from __future__ import annotations

import json
import math
from typing import Any, Final, Literal

import pyarrow as pa
from google.protobuf import descriptor_pool, message_factory, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError, Message
from hypothesis import assume, given
from hypothesis import strategies as st

import skewless
from skewless import kernel
from tests.oracle.protobuf import Field, judge_protobuf
from tests.oracle.verdicts import FIRST_INSTANT, LAST_INSTANT, Column
from tests.roads.kernel import plain

F = FieldDescriptorProto
NOW: Final = 1_357_041_600_000_000
LAST_SECOND: Final = LAST_INSTANT // 1_000_000


def ints(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high) | st.sampled_from([low, -1 if low < 0 else 1, 0, high])


def finite(width: Literal[32, 64]) -> st.SearchStrategy[float]:
    return st.floats(width=width, allow_nan=False, allow_infinity=False)


texts = st.text(max_size=20)
SCALARS: Final[dict[str, tuple[F.Type.ValueType, str, st.SearchStrategy[Any]]]] = {
    "int32": (F.TYPE_INT32, "int64", ints(-(2**31), 2**31 - 1)),
    "int64": (F.TYPE_INT64, "int64", ints(-(2**63), 2**63 - 1)),
    "uint32": (F.TYPE_UINT32, "int64", ints(0, 2**32 - 1)),
    "uint64": (F.TYPE_UINT64, "int64", ints(0, 2**63 - 1)),
    "sint32": (F.TYPE_SINT32, "int64", ints(-(2**31), 2**31 - 1)),
    "sint64": (F.TYPE_SINT64, "int64", ints(-(2**63), 2**63 - 1)),
    "fixed32": (F.TYPE_FIXED32, "int64", ints(0, 2**32 - 1)),
    "fixed64": (F.TYPE_FIXED64, "int64", ints(0, 2**63 - 1)),
    "sfixed32": (F.TYPE_SFIXED32, "int64", ints(-(2**31), 2**31 - 1)),
    "sfixed64": (F.TYPE_SFIXED64, "int64", ints(-(2**63), 2**63 - 1)),
    "bool": (F.TYPE_BOOL, "bool", st.booleans()),
    "float": (F.TYPE_FLOAT, "float64", finite(32)),
    "double": (F.TYPE_DOUBLE, "float64", finite(64)),
    "string": (F.TYPE_STRING, "string", texts),
    "enum": (F.TYPE_ENUM, "string", st.sampled_from([0, 1, -7])),
}
NAMES: Final = {0: "NONE", 1: "ONE", -7: "BACK"}
WRAPPED: Final = {
    "DoubleValue": "double",
    "FloatValue": "float",
    "Int64Value": "int64",
    "UInt64Value": "uint64",
    "Int32Value": "int32",
    "UInt32Value": "uint32",
    "BoolValue": "bool",
    "StringValue": "string",
}


def descriptors() -> FileDescriptorSet:
    """Event: each scalar without and with presence, wrapped, and in a message; two timestamps."""
    file = FileDescriptorProto(name="e.proto", package="e", syntax="proto3")
    event, inner = file.message_type.add(name="Event"), file.message_type.add(name="Inner")
    enum = file.enum_type.add(name="Kind")
    for number, name in NAMES.items():
        enum.value.add(name=name, number=number)

    def add(message: DescriptorProto, name: str, number: int, kind: F.Type.ValueType, of: str = "") -> F:
        field = message.field.add(name=name, number=number, type=kind, label=F.LABEL_OPTIONAL)
        if of or kind == F.TYPE_ENUM:
            field.type_name = of or ".e.Kind"
        return field

    for number, (name, (kind, _, _)) in enumerate(SCALARS.items(), start=1):
        add(event, name, number, kind)
        add(inner, name, number, kind)
        # Beyond the numbers that are looked up in a table.
        optional = add(event, f"maybe_{name}", 100 * number, kind)
        optional.proto3_optional, optional.oneof_index = True, len(event.oneof_decl)
        event.oneof_decl.add(name=f"_maybe_{name}")
    messages = {
        "at": ".google.protobuf.Timestamp",
        "moment": ".google.protobuf.Timestamp",
        "inner": ".e.Inner",
        **{f"some_{inner}": f".google.protobuf.{wrapper}" for wrapper, inner in WRAPPED.items()},
    }
    for number, (name, of) in enumerate(messages.items(), start=30):
        add(event, name, number, F.TYPE_MESSAGE, of)
    files = FileDescriptorSet()
    for module in (timestamp_pb2, wrappers_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
        file.dependency.append(files.file[-1].name)
    files.file.append(file)
    return files


FILES = descriptors()
POOL = descriptor_pool.DescriptorPool()
for _file in FILES.file:
    POOL.Add(_file)
EVENT: type[Message] = message_factory.GetMessageClass(POOL.FindMessageTypeByName("e.Event"))

COLUMNS: Final[dict[str, str]] = {
    "at": "timestamp",
    "moment": "timestamp",
    **{name: column for name, (_, column, _) in SCALARS.items()},
    **{f"maybe_{name}": column for name, (_, column, _) in SCALARS.items()},
    **{f"inner_{name}": column for name, (_, column, _) in SCALARS.items()},
    **{f"some_{name}": SCALARS[name][1] for name in WRAPPED.values()},
}
PLACES: Final = {f"inner_{name}": f"inner.{name}" for name in SCALARS}


def decoder(payload: Any) -> tuple[kernel.StreamDecoder, dict[str, Any]]:
    source = skewless.StreamSource("events", topic="events", columns=COLUMNS, event_time="at", payload=payload)
    (definition,) = skewless.Project("p", source).definitions()
    return kernel.StreamDecoder(definition.meaning_json, [("string", "string")], direct=False), json.loads(
        definition.meaning_json
    )["source"]


JSON_ROAD, _ = decoder("json")
PROTOBUF_ROAD, SOURCE = decoder(skewless.Protobuf(FILES.SerializeToString(), "e.Event", fields=PLACES))
FIELDS = {
    member["column"]: Field(
        tuple(member["path"]),
        member["type"],
        member["presence"],
        {each["number"]: each["name"] for each in member["names"] or []},
    )
    for member in SOURCE["payload"]["fields"]
}
ORACLE_COLUMNS = [Column(c["name"], c["type"], c["nullable"]) for c in SOURCE["columns"]]


def decoded(road: kernel.StreamDecoder, payload: bytes, append_time: int = LAST_INSTANT) -> dict[str, Any]:
    batch = pa.record_batch(road.decode([None], [payload], [append_time]))
    return {name: plain(batch.column(name)[0]) for name in batch.schema.names}


def scalars(draw: st.DrawFn, owner: Any, prefix: str, *, presence: bool) -> dict[str, Any]:
    """Sets scalar fields or leaves them out; the values that they then have."""
    row: dict[str, Any] = {}
    for kind in SCALARS:
        row[kind] = None if presence else {"bool": False, "string": ""}.get(kind, 0)
        if draw(st.integers(0, 3)):
            row[kind] = draw(SCALARS[kind][2])
            setattr(owner, f"{prefix}{kind}", row[kind])
    if row["enum"] is not None:
        row["enum"] = NAMES[row["enum"]]
    return row


@st.composite
def events(draw: st.DrawFn) -> tuple[Message, dict[str, Any]]:
    """A message, and the cells that it holds by the rules of protobuf: JSON values by column."""
    message: Any = EVENT()
    row = scalars(draw, message, "", presence=False)
    row |= {f"maybe_{name}": value for name, value in scalars(draw, message, "maybe_", presence=True).items()}
    if draw(st.booleans()):
        message.inner.SetInParent()
        row |= {f"inner_{name}": value for name, value in scalars(draw, message.inner, "", presence=False).items()}
    for kind in WRAPPED.values():
        if draw(st.booleans()):
            wrapper = getattr(message, f"some_{kind}")
            wrapper.value = row[f"some_{kind}"] = draw(SCALARS[kind][2])
            # A default is not written, but the message around it is.
            wrapper.SetInParent()
    for name in ("at", "moment"):
        if name == "at" or draw(st.booleans()):
            stamp = getattr(message, name)
            stamp.seconds = draw(ints(FIRST_INSTANT // 1_000_000, LAST_SECOND))
            stamp.nanos = draw(st.integers(0, 999_999_999))
            stamp.SetInParent()
            row[name] = stamp.seconds * 1_000_000 + stamp.nanos // 1_000
    return message, row


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other) and type(one) is type(other)


@given(events())
def test_a_message_has_the_cells_of_the_same_event_in_json(event: tuple[Message, dict[str, Any]]) -> None:
    message, row = event
    by_json = decoded(JSON_ROAD, json.dumps(row).encode())
    by_protobuf = decoded(PROTOBUF_ROAD, message.SerializeToString())
    assert by_json["verdict"] in {"accepted", "malformed"}
    assert (by_protobuf["verdict"], by_protobuf["reason"]) == (by_json["verdict"], by_json["reason"])
    different = [name for name in by_json if not same(by_json[name], by_protobuf[name])]
    assert different == []


def judged(payload: bytes, append_time: int) -> tuple[str, dict[str, Any]]:
    verdict = judge_protobuf(payload, append_time, ORACLE_COLUMNS, "at", fields=FIELDS, tolerance=5_000_000)
    return verdict.verdict, {**(verdict.row or {}), "at": verdict.t} if verdict.row is not None else {}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The bytes of a message, cut, joined with another one, or with bytes in between."""
    content = draw(events())[0].SerializeToString()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(content)))
        match draw(st.integers(0, 3)):
            case 0:
                content = content[:at]
            case 1:
                content = content[:at] + draw(st.binary(max_size=4)) + content[at:]
            case 2:
                content += draw(events())[0].SerializeToString()
            case _:
                content = content[:at] + draw(st.binary(min_size=1, max_size=3)) + content[at + 1 :]
    return content


@given(st.binary(max_size=60) | damaged(), st.sampled_from([NOW, LAST_INSTANT]))
def test_any_bytes_have_the_verdict_and_the_cells_of_the_definition(payload: bytes, append_time: int) -> None:
    verdict, row = judged(payload, append_time)
    got = decoded(PROTOBUF_ROAD, payload, append_time)
    # Keys are not the oracle's business here: a string may be too long for one.
    if got["reason"] == "KEY_TOO_LONG":
        return
    assert got["verdict"] == verdict, got
    assert (got["reason"] is None) == (verdict == "accepted")
    assert [name for name, cell in row.items() if not same(got[f"c_{name}"], cell)] == []


@given(damaged())
def test_what_is_accepted_is_what_pythons_protobuf_reads(payload: bytes) -> None:
    got = decoded(PROTOBUF_ROAD, payload)
    assume(got["verdict"] == "accepted")
    try:
        message = EVENT.FromString(payload)
    except DecodeError:
        # Text that is not UTF-8 and that another takes the place of; tags longer than they need to be.
        return
    again = decoded(PROTOBUF_ROAD, message.SerializeToString())
    assert [name for name in got if not same(got[name], again[name])] == []
