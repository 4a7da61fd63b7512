"""Training frames: the caller's rows in their order, with feature columns appended."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from services.offline.domain.features import needed_views
from services.offline.domain.rows import ARROW_TYPES, Column, Rows
from services.offline.ports import Catalogs, ServedLog
from services.offline.workflow.compute import Computer
from services.offline.workflow.vectors import group_of
from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import OnDemandView, Pin
from skewless.errors import InvalidArgumentError, UnknownRequestIdError, Violation
from skewless.types import ValueType


@dataclass(frozen=True)
class FrameMaker:
    """Computes the features of a frame."""

    catalogs: Catalogs
    served: ServedLog
    computer: Computer

    def event_time(
        self, project: str, service: str, frame: pa.Table, time_column: str, *, with_statuses: bool
    ) -> pa.Table:
        """Everything known today about the time before each row's request time."""
        catalog = self.catalogs.current()
        pins = catalog.service(project, service).pins
        rows = _rows(catalog, pins, frame, time_column)
        answer = self.computer.compute(catalog, pins, rows, {})
        return _with_features(frame, pins, answer, with_statuses=with_statuses)

    def as_served(self, project: str, service: str, frame: pa.Table, *, with_statuses: bool) -> pa.Table:
        """Exactly what the server knew: each row names a served request, and its row there."""
        catalog = self.catalogs.current()
        pins = catalog.service(project, service).pins
        _need(frame, {"request_id": pa.string()})
        wanted = frame["request_id"].to_pylist()
        places = frame["row"].to_pylist() if "row" in frame.schema.names else [0] * frame.num_rows
        ids = sorted({name for name in wanted if name is not None})
        found = self.served.vectors(project, request_ids=ids, from_us=None, until_us=None)
        vectors = list(found) if ids else []
        group = group_of(catalog, pins, vectors)
        where = {(vector.request_id, row): place for place, (vector, row) in enumerate(group.places)}
        order = [where.get((name, row)) for name, row in zip(wanted, places, strict=True)]
        unknown = [str(name) for name, place in zip(wanted, order, strict=True) if place is None]
        if unknown:
            raise UnknownRequestIdError(name=", ".join(sorted(set(unknown))[:5]))
        answer = self.computer.compute(catalog, pins, group.rows, group.knowledge)
        picked = {pin: _take(column, pa.array(order, pa.int64())) for pin, column in answer.items()}
        return _with_features(frame, pins, picked, with_statuses=with_statuses)


def _rows(catalog: Catalog, pins: tuple[Pin, ...], frame: pa.Table, time_column: str) -> Rows:
    kinds: dict[str, pa.DataType] = {}
    for view in needed_views(catalog, pins):
        read = view.request if isinstance(view, OnDemandView) else view.entity.keys
        kinds.update({column.name: ARROW_TYPES[column.type] for column in read})
    _need(frame, {time_column: ARROW_TYPES[ValueType.TIMESTAMP]} | kinds)
    times = _cast(frame, time_column, ARROW_TYPES[ValueType.TIMESTAMP])
    if times.null_count:
        text = f"{times.null_count} row(s) have no request time; leave them out or fill it in"
        raise InvalidArgumentError([Violation(f"frame.{time_column}", text, "NULL_REQUEST_TIME")])
    columns = {name: _cast(frame, name, kind) for name, kind in kinds.items()}
    return Rows(columns, times.cast(pa.int64()))


def _need(frame: pa.Table, kinds: dict[str, pa.DataType]) -> None:
    have = set(frame.schema.names)
    missing = [
        Violation(f"frame.{name}", f"the frame needs this column, of type {kind}", "MISSING_COLUMN")
        for name, kind in kinds.items()
        if name not in have
    ]
    if missing:
        raise InvalidArgumentError(missing)


def _cast(frame: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    found = frame[name].combine_chunks()
    found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    if pa.types.is_timestamp(kind) and (not pa.types.is_timestamp(found.type) or found.type.tz is None):
        text = f"expected timestamps with a zone, got {found.type}; e.g. Series.dt.tz_localize('UTC')"
        raise InvalidArgumentError([Violation(f"frame.{name}", text, "NAIVE_TIMESTAMP")])
    if pa.types.is_string(found.type) and not pa.types.is_string(kind):
        raise InvalidArgumentError([_wrong_type(name, kind, found)])
    try:
        cast = found.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InvalidArgumentError([_wrong_type(name, kind, found)]) from None
    if pa.types.is_floating(kind) and not pc.all(pc.is_finite(cast.drop_null())).as_py():
        text = "NaN or infinity; write null where there is no number"
        raise InvalidArgumentError([Violation(f"frame.{name}", text, "WRONG_TYPE")])
    return cast


def _wrong_type(name: str, kind: pa.DataType, found: pa.Array) -> Violation:
    return Violation(f"frame.{name}", f"expected {kind}, got {found.type}; cast the column", "WRONG_TYPE")


def _take(column: Column, order: pa.Array) -> Column:
    return Column(column.values.take(order), column.statuses.take(order), column.event_times_us.take(order))


def _with_features(
    frame: pa.Table, pins: tuple[Pin, ...], answer: dict[Pin, Column], *, with_statuses: bool
) -> pa.Table:
    for pin in pins:
        frame = frame.append_column(pin.label, answer[pin].values)
        if with_statuses:
            frame = frame.append_column(f"{pin.label}__status", pc.cast(answer[pin].statuses, pa.uint8()))
    return frame
