"""The offline tables: where each lies, what its columns are, and how it is appended to and read.

Tables are Delta tables below one root, a local directory or an object-store URL. A commit is atomic: rows and
the positions they bring a reader to (``marks``) become visible together or not at all.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Transaction, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

EPOCH: Final = 1
"""The epoch of every input log: epochs are opened in the registry, which cannot do so yet."""

COLUMN_PREFIX: Final = "c_"
"""Decoded source columns of an event log stand behind this."""
FEATURE_PREFIX: Final = "f_"
"""Feature columns of a batch view's table stand behind this."""

EVENT_COLUMNS: Final = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("source_partition", pa.int32(), nullable=False),
        pa.field("source_offset", pa.int64(), nullable=False),
        pa.field("append_time_us", pa.int64(), nullable=False),
        pa.field("event_time_us", pa.int64()),
        pa.field("entity_id", pa.string()),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("raw", pa.binary()),
        pa.field("date", pa.string(), nullable=False),
    ]
)
"""An event log before its decoded columns. ``date``: of the event time; without one, of the append time."""

SERVED_COLUMNS: Final = pa.schema(
    [
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("feature_service", pa.string(), nullable=False),
        pa.field("request_time_us", pa.int64()),
        pa.field("at_us", pa.int64(), nullable=False),
        pa.field("rows", pa.int32(), nullable=False),
        pa.field("record", pa.binary(), nullable=False),
        pa.field("date", pa.string(), nullable=False),
    ]
)
"""The served log: one row per answer (kind ``vector``) and per logged prediction (kind ``prediction``).

``at_us``: the server's clock; ``record``: the serialized `skewless.api.events.v1.ServedRecord`.
"""

PROGRESS_COLUMNS: Final = pa.schema(
    [
        pa.field("view", pa.string(), nullable=False),
        pa.field("log", pa.string(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("next_offset", pa.int64(), nullable=False),
        pa.field("visible_at_us", pa.int64(), nullable=False),
        pa.field("date", pa.string(), nullable=False),
    ]
)
"""When which position of an input log became readable online, per view."""


Condition: TypeAlias = (
    tuple[str, Literal["=", "<", "<=", ">", ">="], str | int]
    | tuple[str, Literal["in"], Sequence[str]]
    | tuple[str, Literal["is not"], None]
)
"""Column, operator, value. A null fulfils none."""

_COMPARISONS: Final = {
    "=": pc.equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def date_of(time_us: int) -> str:
    """The partition of an instant: its day in UTC, ``YYYY-MM-DD``."""
    day = dt.date(1970, 1, 1) + dt.timedelta(days=time_us // 86_400_000_000)
    return day.isoformat()


def dates_of(times_us: pa.Array) -> pa.Array:
    """`date_of` for a column of int64 microseconds."""
    return pc.strftime(times_us.cast(pa.timestamp("us")), format="%Y-%m-%d")


def log_mark(epoch: int, partition: int) -> str:
    """The mark of an event log that says below which offset of a log partition every row is there."""
    return f"{epoch}/{partition}"


@dataclass(frozen=True)
class Lake:
    """The root of all tables.

    root: a local directory or an object-store URL.
    options: credentials and endpoint for an object store, as `deltalake` takes them.
    """

    root: str
    options: Mapping[str, str] | None = None
    _tables: dict[str, Table] = field(default_factory=dict, repr=False, compare=False)

    def events(self, project: str, log: str) -> Table:
        """The event log of an input log."""
        return self._table(project, "_events", log)

    def progress(self, project: str) -> Table:
        """The progress table."""
        return self._table(project, "_progress")

    def served(self, project: str) -> Table:
        """The served log."""
        return self._table(project, "_served")

    def view(self, project: str, view: str, storage: str) -> Table:
        """The runs of a batch view. storage: ``MAJOR.MINOR``; patches of a version share one table."""
        return self._table(project, view, f"v{storage}")

    def _table(self, *parts: str) -> Table:
        uri = "/".join((self.root.rstrip("/"), *parts))
        return self._tables.setdefault(uri, Table(uri, dict(self.options or {})))


class Table:
    """One Delta table, partitioned by ``date``. It comes to be with its first append. Safe for many threads.

    Readers keep the newest version they have seen and follow the table's log from there: reading all of it costs more
    than most of what is asked. Where that fails, the next one begins anew.
    """

    def __init__(self, uri: str, options: dict[str, str]) -> None:
        self.uri = uri
        self.options = options
        self._seen: DeltaTable | None = None

    def append(self, rows: pa.Table, marks: Mapping[str, int]) -> None:
        """Appends rows and records each mark (name to position) in the same commit. New columns are added."""
        write_deltalake(
            self.uri,
            rows,
            mode="append",
            partition_by=["date"],
            schema_mode="merge",
            storage_options=self.options,
            commit_properties=CommitProperties(
                app_transactions=[Transaction(name, position) for name, position in marks.items()]
            ),
        )

    def marks(self, names: Sequence[str]) -> dict[str, int]:
        """The recorded position of each mark; one never recorded is absent."""
        table = self._open()
        if table is None:
            return {}
        found = {name: table.transaction_version(name) for name in names}
        return {name: position for name, position in found.items() if position is not None}

    def read(
        self,
        columns: Sequence[str],
        *,
        dates: tuple[str, str] | None = None,
        where: Sequence[Condition] = (),
    ) -> pa.Table | None:
        """The rows, in no order; None if the table is not there yet.

        columns: those wanted; one that the table does not have (yet) is left out.
        dates: only partitions from the first to the second, both included; files of others are not opened.
        where: only rows for which all of these hold. Without dates, files that cannot have such rows are not opened.
        """
        table = self._open()
        if table is None:
            return None
        schema = pa.schema(table.schema().to_arrow())
        wanted = [name for name in columns if name in schema.names]
        read = pa.schema([field for field in schema if field.name in {*wanted, *(name for name, _, _ in where)}])
        bounds = (
            list(_bounds(where)) if dates is None else [f'"date" BETWEEN {_literal(dates[0])} AND {_literal(dates[1])}']
        )
        try:
            kept = [_fulfilling(batch.cast(read), where) for batch in _batches(table, read.names, bounds)]
        except (OSError, pa.ArrowException, DeltaError):
            self._seen = None
            raise
        return pa.Table.from_batches(kept, read).select(wanted)

    def _open(self) -> DeltaTable | None:
        table = self._seen
        try:
            if table is None:
                table = DeltaTable(self.uri, storage_options=self.options)
            else:
                table.update_incremental()
        except TableNotFoundError:
            self._seen = None
            return None
        except (OSError, DeltaError):
            self._seen = None
            raise
        self._seen = table
        return table


def _batches(table: DeltaTable, names: Sequence[str], bounds: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The columns of the files that may have rows within the bounds. Each bound costs some time per file."""
    query = f"SELECT {', '.join(map(_quoted, names))} FROM rows"  # noqa: S608 (names are quoted, values are literals)
    if bounds:
        query += f" WHERE {' AND '.join(bounds)}"
    yield from pa.RecordBatchReader.from_stream(QueryBuilder().register("rows", table).execute(query))


def _bounds(where: Sequence[Condition]) -> Iterator[str]:
    """What the least and greatest values of a file can be held against."""
    for name, operator, value in where:
        if isinstance(value, str | int):
            yield f"{_quoted(name)} {operator} {_literal(value)}"
        elif value:
            yield f"{_quoted(name)} BETWEEN {_literal(min(value))} AND {_literal(max(value))}"


def _fulfilling(batch: pa.RecordBatch, where: Sequence[Condition]) -> pa.RecordBatch:
    for name, operator, value in where:
        cells = batch.column(name)
        if value is None:
            batch = batch.filter(cells.is_valid())
        elif isinstance(value, str | int):
            batch = batch.filter(_COMPARISONS[operator](cells, value))
        else:
            batch = batch.filter(pc.is_in(cells, value_set=pa.array(value, cells.type)))
    return batch


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
