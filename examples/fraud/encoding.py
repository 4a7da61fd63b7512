"""Events as bytes, whole or spoilt by a `Fault`."""

from __future__ import annotations

import json
from typing import Any

from examples.fraud.generator import Event, Fault, Record

RUBBISH = b"<html><body>502 Bad Gateway</body></html>"


def encode(record: Record) -> bytes | None:
    """The value of a record as it is sent."""
    event = dict(record.event)
    match record.fault:
        case Fault.EMPTY:
            return None
        case Fault.RUBBISH:
            return RUBBISH
        case Fault.CUT_OFF:
            return _whole(event)[:-1]
        case Fault.NO_TIME:
            del event["event_time"]
        case Fault.NO_AMOUNT:
            del event["amount"]
        case Fault.WRONG_TYPE:
            event["amount"] = str(event["amount"])
    return _whole(event)


def decode(value: bytes) -> dict[str, Any]:
    """The columns of a whole event."""
    event: dict[str, Any] = json.loads(value)
    return event


def _whole(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()
