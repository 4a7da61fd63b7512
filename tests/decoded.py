"""Records as the stream aggregator holds them between decoding and the event log."""

import json
from collections.abc import Sequence

import rfc8785

from services.stream_agg.domain.sources import SOURCE_HEADER
from services.stream_agg.workflow.fold import Decoded
from skewless.bus import Part
from skewless.definitions.catalog import InputLog
from skewless.definitions.meanings import Column, Entity, Key, StreamSource
from skewless.kernel import StreamDecoder
from skewless.types import ValueType

_COLUMNS = (("user", "string"), ("t", "timestamp"), ("x", "int64"))
_DOCUMENT = rfc8785.dumps(
    {
        "kind": "stream",
        "name": "src",
        "topic": "log",
        "payload": "json",
        "record_key": ["user"],
        "columns": [{"name": name, "type": kind, "nullable": name == "user"} for name, kind in _COLUMNS],
        "event_time": "t",
        "future_tolerance_us": 0,
    }
)
_DECODER = StreamDecoder(_DOCUMENT, [("user", "string")], False)
_ENTITY = Entity("p", "user", (Key("user", ValueType.STRING),))


def input_log(*, direct: bool) -> InputLog:
    """The log ``log`` of project ``p`` that the records are of."""
    columns = tuple(Column(name, ValueType(kind)) for name, kind in _COLUMNS)
    source = StreamSource("p", "src", "log", "json", ("user",), columns, "t", 0, _DOCUMENT)
    return InputLog("p", "log", direct, source, _ENTITY, ())


def payload(user: str | None, t: int, x: int) -> bytes:
    """A record that is accepted, unless it is dated ahead of its append time."""
    return json.dumps({"user": user, "t": t, "x": x}).encode()


def decoded(
    partition: int, first: int, payloads: Sequence[bytes], *, append_us: int, repeated: Sequence[int] = ()
) -> Decoded:
    """Records at offsets from ``first`` on; those at the indices ``repeated`` have been in the log before."""
    records = Part(partition)
    for n, value in enumerate(payloads):
        records.offsets.append(first + n)
        records.keys.append(b"k%d" % n)
        records.values.append(value)
        records.times_us.append(append_us)
        records.headers.append({SOURCE_HEADER: b"1/0/%d" % n})
    fresh = [n for n in range(len(payloads)) if n not in repeated]
    batch = _DECODER.decode(
        [records.keys[n] for n in fresh], [records.values[n] for n in fresh], [records.times_us[n] for n in fresh]
    )
    others = [(n, (0, n), "duplicate", None) for n in repeated]
    return Decoded(records, fresh, batch, [(0, n) for n in fresh], others)
