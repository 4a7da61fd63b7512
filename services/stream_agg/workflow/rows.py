"""Decoded records as rows of the event log, and the refused ones as letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

import pyarrow as pa

from services.stream_agg.domain.sources import Position
from services.stream_agg.ports import Letter
from services.stream_agg.workflow.fold import DUPLICATE, Decoded
from skewless.definitions.catalog import InputLog
from skewless.lake import EPOCH, EVENT_COLUMNS

COLUMNS = pa.schema([field for field in EVENT_COLUMNS if field.name != "date"])
_DECODED = ("event_time_us", "entity_id", "verdict", "reason")


def event_rows(decoded: Decoded, logged: int) -> list[pa.RecordBatch]:
    """The rows of the records at and above ``logged``, without their date. At most two batches."""
    records = decoded.records
    batches = []
    first = next((n for n, index in enumerate(decoded.indices) if records.offsets[index] >= logged), None)
    if first is not None:
        indices, positions = decoded.indices[first:], decoded.positions[first:]
        kept = decoded.batch.slice(first)
        columns = _places(decoded, list(indices), list(positions))
        columns |= {name: kept[name].cast(COLUMNS.field(name).type) for name in _DECODED}
        extra = {name: kept[name] for name in kept.schema.names if name.startswith("c_")}
        fields = [*COLUMNS, *(pa.field(name, column.type) for name, column in extra.items())]
        arrays = [*(columns[field.name] for field in COLUMNS), *extra.values()]
        batches.append(pa.record_batch(arrays, schema=pa.schema(fields)))
    others = [other for other in decoded.others if records.offsets[other[0]] >= logged]
    if others:
        columns = _places(decoded, [other[0] for other in others], [other[1] for other in others])
        size = len(others)
        columns |= {
            "event_time_us": pa.nulls(size, pa.int64()),
            "entity_id": pa.nulls(size, pa.string()),
            "verdict": pa.array([other[2] for other in others], pa.string()),
            "reason": pa.array([other[3] for other in others], pa.string()),
        }
        batches.append(pa.record_batch([columns[field.name] for field in COLUMNS], schema=COLUMNS))
    return batches


def _places(decoded: Decoded, indices: list[int], positions: list[tuple[int, int]]) -> dict[str, pa.Array]:
    records = decoded.records
    return {
        "partition": pa.array([records.partition] * len(indices), pa.int32()),
        "offset": pa.array([records.offsets[index] for index in indices], pa.int64()),
        "source_partition": pa.array([partition for partition, _ in positions], pa.int32()),
        "source_offset": pa.array([offset for _, offset in positions], pa.int64()),
        "append_time_us": pa.array([records.times_us[index] for index in indices], pa.int64()),
        "raw": pa.array([records.values[index] for index in indices], pa.binary()),
    }


def letters(log: InputLog, decoded: Decoded, logged: int) -> Iterator[Letter]:
    """The refused records at and above ``logged``, with verdict, reason, detail, source and position as headers."""
    verdicts = decoded.batch["verdict"].to_pylist()
    refused = [verdict != "accepted" for verdict in verdicts]
    if any(refused):
        reasons, details = decoded.batch["reason"].to_pylist(), decoded.batch["detail"].to_pylist()
        rows = zip(decoded.indices, decoded.positions, verdicts, reasons, details, strict=True)
        for index, position, *why in compress(rows, refused):
            if decoded.records.offsets[index] >= logged:
                yield _letter(log, decoded, index, position, why)
    for index, position, verdict, reason in decoded.others:
        if verdict != DUPLICATE and decoded.records.offsets[index] >= logged:
            yield _letter(log, decoded, index, position, (verdict, reason, "its header skewless-source is missing"))


def _letter(log: InputLog, decoded: Decoded, index: int, position: Position, why: Sequence[str | None]) -> Letter:
    records = decoded.records
    verdict, reason, detail = (text or "" for text in why)
    return Letter(
        records.keys[index],
        records.values[index],
        {
            "skewless-verdict": verdict.encode(),
            "skewless-reason": reason.encode(),
            "skewless-detail": detail.encode(),
            "skewless-project": log.project.encode(),
            "skewless-source": log.source.name.encode(),
            "skewless-position": f"{EPOCH}/{position[0]}/{position[1]}".encode(),
            "skewless-log": f"{log.name}/{EPOCH}/{records.partition}/{records.offsets[index]}".encode(),
        },
    )
