"""Events as protobuf messages, whole or spoilt by a `Fault`.

``payments.proto`` describes the messages; ``payments.binpb`` is the same as a descriptor set, which the producer reads
here and the product reads in the definitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from examples.fraud.definitions import DESCRIPTORS
from examples.fraud.generator import CHARGEBACKS, TRANSACTIONS, Event, Fault, Record

MESSAGES: Mapping[str, str] = {TRANSACTIONS: "fraud.v1.Transaction", CHARGEBACKS: "fraud.v1.Chargeback"}
"""The message of each source."""

RUBBISH = b"<html><body>502 Bad Gateway</body></html>"
_NESTED = ("lat", "lon")
_BYTES = 2
"""The wire type of a text."""


def encode(record: Record) -> bytes | None:
    """The value of a record as it is sent."""
    message = _message(record.source, record.event)
    match record.fault:
        case Fault.EMPTY:
            return None
        case Fault.RUBBISH:
            return RUBBISH
        case Fault.CUT_OFF:
            return _serialized(message)[:-1]
        case Fault.NO_TIME:
            message.ClearField("event_time")
        case Fault.NO_AMOUNT:
            message.ClearField("amount")
        case Fault.WRONG_TYPE:
            return _serialized(message) + _amount_as_text(message)
    return _serialized(message)


def decode(source: str, value: bytes) -> dict[str, Any]:
    """The columns of a whole message, in the order of its fields."""
    message = _class(source).FromString(value)
    event: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        part = getattr(message, field.name)
        if field.name == "location":
            event |= {name: getattr(part, name) for name in _NESTED}
        else:
            event[field.name] = part.ToMicroseconds() if field.name == "event_time" else part
    return event


def _message(source: str, event: Event) -> Any:
    """A message whose fields are the columns of an event."""
    plain = {name: cell for name, cell in event.items() if name not in {*_NESTED, "event_time"}}
    message = _class(source)(**plain)
    message.event_time.FromMicroseconds(event["event_time"])
    for name in _NESTED:
        if name in event:
            setattr(message.location, name, event[name])
    return message


def _serialized(message: Any) -> bytes:
    content: bytes = message.SerializeToString(deterministic=True)
    return content


def _amount_as_text(message: Any) -> bytes:
    """The field ``amount`` once more, as the text that it was in the last release."""
    text = str(message.amount).encode()
    return bytes((message.DESCRIPTOR.fields_by_name["amount"].number << 3 | _BYTES, len(text))) + text


@cache
def _class(source: str) -> Any:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(MESSAGES[source]))


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        pool.Add(file)
    return pool
