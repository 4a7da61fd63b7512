"""Runs of batch views in Delta tables: append-only, each row with the run that brought it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from skewless.columns import ARROW_TYPES, ArrowTypes
from skewless.definitions.meanings import LatestView
from skewless.lake import FEATURE_PREFIX, Lake, Table, dates_of
from skewless.telemetry import names
from skewless.telemetry.spans import span
from skewless.types import ValueType

_MARK: Final = "run"

ROW_TYPES: Final = ArrowTypes(ARROW_TYPES | {ValueType.TIMESTAMP: pa.int64()})
"""Timestamps are kept as microseconds, as the kernel takes them."""


def row_schema(view: LatestView) -> pa.Schema:
    """The columns of a view's rows as the kernel takes them."""
    fields = [
        pa.field("entity_id", pa.string(), nullable=False),
        pa.field("event_time_us", pa.int64(), nullable=False),
        pa.field("created_time_us", pa.int64()),
        pa.field("run_seq", pa.int64(), nullable=False),
        pa.field("deleted", pa.bool_(), nullable=False),
    ]
    fields += [pa.field(FEATURE_PREFIX + f.name, ROW_TYPES[f.type]) for f in view.features]
    return pa.schema(fields)


@dataclass(frozen=True)
class DeltaRuns:
    """The tables of batch views."""

    lake: Lake

    def rows(self, view: LatestView, *, after_run: int = 0) -> pa.Table:
        """As `services.offline.ports.Runs.rows`."""
        schema = row_schema(view)
        found = self._table(view).read(schema.names, where=[("run_seq", ">", after_run)])
        return schema.empty_table() if found is None else found.select(schema.names).cast(schema)

    def last_run(self, view: LatestView) -> int:
        """As `services.offline.ports.Runs.last_run`."""
        return self._table(view).marks([_MARK]).get(_MARK, 0)

    def publish(self, view: LatestView, rows: pa.Table, run_seq: int) -> None:
        """As `services.offline.ports.Runs.publish`."""
        stamped = rows.append_column("run_seq", pa.array([run_seq] * rows.num_rows, pa.int64()))
        stamped = stamped.select(row_schema(view).names).cast(row_schema(view))
        dated = stamped.append_column("date", dates_of(stamped["event_time_us"]))
        table = f"{view.project}/{view.name}/v{view.version.storage}"
        with span(names.TABLE_APPEND, {names.TABLE: table, names.ROWS: dated.num_rows}):
            self._table(view).append(dated, {_MARK: run_seq})

    def _table(self, view: LatestView) -> Table:
        return self.lake.view(view.project, view.name, view.version.storage)
