"""Decoded records as rows of the event log, and the refused ones as letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress

import pyarrow as pa

from services.stream_agg.domain.account import ACCEPTED, DUPLICATE
from services.stream_agg.domain.letters import DETAIL, LOG, POSITION, PROJECT, REASON, SOURCE, VERDICT
from services.stream_agg.domain.sources import Position, write_position
from services.stream_agg.ports import Letter, Records
from services.stream_agg.workflow.fold import Decoded
from skewless.definitions.catalog import InputLog
from skewless.lake import EPOCH, EVENT_COLUMNS
from skewless.telemetry.spans import carried

COLUMNS = pa.schema([field for field in EVENT_COLUMNS if field.name != "date"])
_PLACE = ("partition", "offset", "source_partition", "source_offset", "append_time_us", "raw")
_DECODED = ("event_time_us", "entity_id", "verdict", "reason")


def event_rows(decoded: Iterable[Decoded], logged: Mapping[int, int]) -> pa.Table | None:
    """The rows of the records at and above what is logged of their partition, without their date; None without any.

    logged: per partition, the offset below which every row is there. Taken for many reads at once: a call costs far
    more than a row.
    """
    places, other_places = _Places(), _Places()
    batches: list[pa.RecordBatch] = []
    verdicts: list[str] = []
    reasons: list[str | None] = []
    for part in decoded:
        start = logged.get(part.records.partition, 0)
        kept = [n for n, index in enumerate(part.indices) if part.records.offsets[index] >= start]
        if kept:
            batches.append(pa.record_batch(part.batch).slice(kept[0]))
            places.add(part.records, [(part.indices[n], part.positions[n]) for n in kept])
        for index, position, verdict, reason in part.others:
            if part.records.offsets[index] >= start:
                other_places.add(part.records, [(index, position)])
                verdicts.append(verdict)
                reasons.append(reason)
    tables = []
    if batches:
        rows = pa.Table.from_batches(batches)
        columns = places.arrays() | {name: rows[name].cast(COLUMNS.field(name).type) for name in _DECODED}
        extra = {name: rows[name] for name in rows.schema.names if name.startswith("c_")}
        fields = [*COLUMNS, *(pa.field(name, column.type) for name, column in extra.items())]
        tables.append(pa.table([*(columns[f.name] for f in COLUMNS), *extra.values()], schema=pa.schema(fields)))
    if verdicts:
        columns = other_places.arrays() | {
            "event_time_us": pa.nulls(len(verdicts), pa.int64()),
            "entity_id": pa.nulls(len(verdicts), pa.string()),
            "verdict": pa.array(verdicts, pa.string()),
            "reason": pa.array(reasons, pa.string()),
        }
        tables.append(pa.table([columns[f.name] for f in COLUMNS], schema=COLUMNS))
    return pa.concat_tables(tables, promote_options="default") if tables else None


class _Places:
    """Where records stand and what they are, in columns."""

    def __init__(self) -> None:
        self._columns: dict[str, list[object]] = {name: [] for name in _PLACE}

    def add(self, records: Records, rows: Sequence[tuple[int, Position]]) -> None:
        columns, indices = self._columns, [index for index, _ in rows]
        columns["partition"] += [records.partition] * len(rows)
        columns["offset"] += [records.offsets[index] for index in indices]
        columns["source_partition"] += [partition for _, (partition, _) in rows]
        columns["source_offset"] += [offset for _, (_, offset) in rows]
        columns["append_time_us"] += [records.times_us[index] for index in indices]
        columns["raw"] += [records.values[index] for index in indices]

    def arrays(self) -> dict[str, pa.Array]:
        return {name: pa.array(cells, COLUMNS.field(name).type) for name, cells in self._columns.items()}


def letters(log: InputLog, decoded: Decoded, logged: int) -> Iterator[Letter]:
    """The refused records at and above ``logged``, with verdict, reason, detail, source and position as headers."""
    if decoded.batch.refused:
        batch = pa.record_batch(decoded.batch)
        verdicts, reasons, details = (batch[name].to_pylist() for name in ("verdict", "reason", "detail"))
        refused = [verdict != ACCEPTED for verdict in verdicts]
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
            VERDICT: verdict.encode(),
            REASON: reason.encode(),
            DETAIL: detail.encode(),
            PROJECT: log.project.encode(),
            SOURCE: log.source.name.encode(),
            POSITION: write_position(EPOCH, *position),
            LOG: f"{log.name}/{EPOCH}/{records.partition}/{records.offsets[index]}".encode(),
            **carried(records.headers[index]),
        },
    )
