"""Event logs in Delta tables, as the stream aggregator commits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from services.offline.domain.instants import clamp
from skewless.columns import ARROW_TYPES
from skewless.definitions.catalog import InputLog
from skewless.lake import COLUMN_PREFIX, EPOCH, EVENT_COLUMNS, Condition, Lake, date_of, log_mark


@dataclass(frozen=True)
class DeltaEvents:
    """Reads what is committed at the time of the call."""

    lake: Lake

    def events(
        self,
        log: InputLog,
        *,
        columns: Sequence[str],
        from_us: int | None,
        until_us: int | None,
        entity_ids: Sequence[str] | None,
        keyed: bool = True,
    ) -> pa.Table:
        """As `services.offline.ports.EventLogs.events`."""
        where: list[Condition] = [("verdict", "=", "accepted")]
        if keyed:
            where.append(("entity_id", "is not", None))
        if from_us is not None:
            where.append(("event_time_us", ">=", clamp(from_us)))
        if until_us is not None:
            where.append(("event_time_us", "<", until_us))
        if entity_ids is not None:
            where.append(("entity_id", "in", entity_ids))
        dates = (
            "0000" if from_us is None else date_of(clamp(from_us)),
            "9999" if until_us is None else date_of(clamp(until_us)),
        )
        found = self.lake.events(log.project, log.name).read(columns, dates=dates, where=where)
        kinds = _kinds(log)
        if found is None:
            return pa.table({name: pa.array([], kinds[name]) for name in columns})
        for name in set(columns).difference(found.schema.names):  # no record has been decoded yet
            found = found.append_column(name, pa.nulls(found.num_rows, kinds[name]))
        return found.select(list(columns))

    def logged(self, log: InputLog, partitions: Sequence[int]) -> Mapping[int, int]:
        """As `services.offline.ports.EventLogs.logged`."""
        names = {log_mark(EPOCH, partition): partition for partition in partitions}
        marks = self.lake.events(log.project, log.name).marks(list(names))
        return {names[name]: position for name, position in marks.items()}


def _kinds(log: InputLog) -> Mapping[str, pa.DataType]:
    """The type of each column that the event log has or will have."""
    decoded = {COLUMN_PREFIX + column.name: ARROW_TYPES[column.type] for column in log.source.columns}
    return {field.name: field.type for field in EVENT_COLUMNS} | decoded
