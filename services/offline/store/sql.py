"""Tables and queries of batch sources, read by DuckDB and Arrow.

A query is part of a definition and runs with no access to files or network: it sees its declared inputs only.
The instant of the run is bound as a parameter, never written into the text. Inside a query every timestamp is a plain
``TIMESTAMP`` in UTC, since arithmetic with zones needs a part of DuckDB that is fetched when it is first used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from skewless.columns import ARROW_TYPES
from skewless.definitions.meanings import BatchSource
from skewless.errors import InvalidArgumentError, Violation
from skewless.types import ValueType, from_micros

_PLAIN: Final = pa.timestamp("us")
_ZONED: Final = ARROW_TYPES[ValueType.TIMESTAMP]


@dataclass(frozen=True)
class DuckTransforms:
    """root: where paths of tables begin; none may leave it. memory_mb: what a query may use, in MiB."""

    root: Path
    memory_mb: int = 2048

    def rows(self, source: BatchSource, inputs: Mapping[str, pa.Table], as_of_us: int) -> pa.Table:
        """As `services.offline.ports.Transforms.rows`."""
        found = (
            _read(source, self.root, source.path) if source.path is not None else self._query(source, inputs, as_of_us)
        )
        return _declared(source, found)

    def _query(self, source: BatchSource, inputs: Mapping[str, pa.Table], as_of_us: int) -> pa.Table:
        config: dict[str, str | bool | int | float | list[str]] = {"memory_limit": f"{self.memory_mb}MB"}
        with duckdb.connect(":memory:", config=config) as connection:
            for name, table in inputs.items():
                connection.register(name, _restamped(table, _ZONED, _PLAIN))
            connection.execute("SET enable_external_access = false; SET lock_configuration = true")
            as_of = from_micros(as_of_us).replace(tzinfo=None)
            try:
                statements = connection.extract_statements(source.query or "")
                _check_statements(source, statements)
                named = dict.fromkeys(statements[0].named_parameters, as_of)
                found = connection.sql(statements[0], params=named).to_arrow_table()
            except duckdb.Error as error:
                raise InvalidArgumentError(
                    [Violation(f"source.{source.name}.query", str(error), "QUERY_FAILED")]
                ) from error
        return _restamped(found, _PLAIN, _ZONED)


def _restamped(table: pa.Table, old: pa.DataType, new: pa.DataType) -> pa.Table:
    """The same instants under the other type; a plain timestamp is in UTC."""
    fields = [field.with_type(new) if field.type == old else field for field in table.schema]
    return table.cast(pa.schema(fields))


def _check_statements(source: BatchSource, statements: list[duckdb.Statement]) -> None:
    place = f"source.{source.name}.query"
    if len(statements) != 1:
        text = f"expected one SELECT statement, got {len(statements)}"
        raise InvalidArgumentError([Violation(place, text, "QUERY_FAILED")])
    unknown = statements[0].named_parameters - {"as_of"}
    if unknown or statements[0].type != duckdb.StatementType.SELECT:
        text = f"expected one SELECT with no parameter but $as_of, got {', '.join(sorted(unknown)) or 'another kind'}"
        raise InvalidArgumentError([Violation(place, text, "QUERY_FAILED")])


def _read(source: BatchSource, root: Path, text_path: str) -> pa.Table:
    place = f"source.{source.name}.path"
    base = root.resolve()
    path = (base / text_path).resolve()
    if not path.is_relative_to(base):
        text = f"{text_path} leads out of the directory of sources; give a path below it"
        raise InvalidArgumentError([Violation(place, text, "OUTSIDE_ROOT")])
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.read_table(path)
        if path.suffix == ".csv":
            kinds = {column.name: ARROW_TYPES[column.type] for column in source.columns}
            options = pyarrow.csv.ConvertOptions(column_types=kinds, strings_can_be_null=True)
            return pyarrow.csv.read_csv(path, convert_options=options)
        if path.is_dir():
            return DeltaTable(path).to_pyarrow_table()
    except (OSError, pa.ArrowInvalid, TableNotFoundError) as error:
        raise InvalidArgumentError([Violation(place, f"cannot read {text_path}: {error}", "UNREADABLE")]) from error
    text = f"{text_path}: expected a .parquet or .csv file, or the directory of a Delta table"
    raise InvalidArgumentError([Violation(place, text, "UNREADABLE")])


def _declared(source: BatchSource, found: pa.Table) -> pa.Table:
    """The declared columns, in order and type. Every fault at once."""
    faults: list[Violation] = []
    columns: dict[str, pa.ChunkedArray] = {}
    for column in source.columns:
        place = f"source.{source.name}.{column.name}"
        if column.name not in found.schema.names:
            text = f"declared, but not in the data; it has: {', '.join(found.schema.names)}"
            faults.append(Violation(place, text, "UNKNOWN_COLUMN"))
            continue
        cells = found[column.name]
        naive = pa.types.is_timestamp(cells.type) and cells.type.tz is None
        if column.type is ValueType.TIMESTAMP and naive:
            text = "a timestamp without a zone; convert it in the source, e.g. AT TIME ZONE 'UTC'"
            faults.append(Violation(place, text, "NAIVE_TIMESTAMP"))
            continue
        if column.type.decimal is not None and pa.types.is_floating(cells.type):
            text = (
                f"declared {column.type}, but the data is {cells.type}; round it in the source, e.g. CAST(x AS DECIMAL)"
            )
            faults.append(Violation(place, text, "WRONG_TYPE"))
            continue
        try:
            columns[column.name] = cells.cast(ARROW_TYPES[column.type])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            text = f"declared {column.type}, but the data is {cells.type}: {error}"
            faults.append(Violation(place, text, "WRONG_TYPE"))
            continue
        if not column.nullable and columns[column.name].null_count:
            faults.append(Violation(place, "declared not nullable, but has nulls", "NULL_CELL"))
    if faults:
        raise InvalidArgumentError(faults)
    return pa.table(columns)
