"""Training frames: the caller's rows in their order, with feature columns appended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from services.offline.domain.compare import NOT_ANSWERED
from services.offline.domain.features import needed_views
from services.offline.domain.instants import check_instant
from services.offline.domain.rows import TYPE_NAMES, Column, Rows
from services.offline.ports import Catalogs, ServedLog
from services.offline.workflow.compute import Computer
from services.offline.workflow.functions import SameEnvironment
from services.offline.workflow.vectors import Group, group_of
from skewless.columns import ARROW_TYPES
from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import OnDemandView, Pin
from skewless.errors import InvalidArgumentError, NotReadyError, UnknownRequestIdError, Violation
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
        _check_new(frame, pins, with_statuses=with_statuses)
        rows = _rows(catalog, pins, frame, time_column)
        answer = self.computer.compute(catalog, pins, rows, {})
        return _with_features(frame, pins, answer, with_statuses=with_statuses)

    def as_served(self, project: str, service: str, frame: pa.Table, *, with_statuses: bool) -> pa.Table:
        """Exactly what the server knew: each row names a served request, and its row there.

        Raises NotReadyError while the event logs lack records that the server knew.
        """
        catalog = self.catalogs.current()
        pins = catalog.service(project, service).pins
        _need(frame, {"request_id": pa.string()})
        _check_new(frame, pins, with_statuses=with_statuses)
        wanted = _cast(frame, "request_id", pa.string()).to_pylist()
        places = [0] * frame.num_rows
        if "row" in frame.schema.names:
            places = _cast(frame, "row", pa.int64()).to_pylist()
        if None in wanted:
            text = f"{wanted.count(None)} row(s) name no served request; leave them out or fill it in"
            raise InvalidArgumentError([Violation("frame.request_id", text, "NULL_REQUEST_ID")])
        ids = sorted(set(wanted))
        found = self.served.vectors(project, request_ids=ids, from_us=None, until_us=None)
        vectors = list(found) if ids else []
        group = group_of(catalog, pins, vectors)
        where = {(vector.request_id, row): place for place, (vector, row) in enumerate(group.places)}
        order = [where.get((name, row)) for name, row in zip(wanted, places, strict=True)]
        unknown = set(ids).difference(vector.request_id for vector in vectors)
        if unknown:
            raise UnknownRequestIdError(name=", ".join(sorted(unknown)[:5]))
        if None in order:
            text = f"row {places[order.index(None)]} of {wanted[order.index(None)]} was not served; rows count from 0"
            raise InvalidArgumentError([Violation("frame.row", text, "OUT_OF_RANGE")])
        self._check_logged(catalog, group)
        functions = SameEnvironment(self.computer.functions, group.environment)
        computed = self.computer.compute(catalog, pins, group.rows, group.knowledge, functions=functions)
        statuses = _statuses(group)
        answer = {pin: _as_answered(statuses.get(pin.label), column) for pin, column in computed.items()}
        picked = {pin: _take(column, pa.array(order, pa.int64())) for pin, column in answer.items()}
        return _with_features(frame, pins, picked, with_statuses=with_statuses)

    def _check_logged(self, catalog: Catalog, group: Group) -> None:
        waiting = self.computer.not_yet_logged(catalog, group.knowledge, group.rows.count)
        late = pc.indices_nonzero(waiting).to_pylist()
        if late:
            vector, _ = group.places[late[0]]
            text = f"the event log to have what {len(late)} served row(s) knew, among them {vector.request_id}"
            raise NotReadyError(waiting_for=text)


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
    instants = times.cast(pa.int64())
    for bound in pc.min_max(instants).as_py().values():
        if bound is not None:
            check_instant(bound, f"frame.{time_column}")
    return Rows(columns, instants)


def _need(frame: pa.Table, kinds: dict[str, pa.DataType]) -> None:
    have = set(frame.schema.names)
    missing = [
        Violation(f"frame.{name}", f"the frame needs this column, of type {_name(kind)}", "MISSING_COLUMN")
        for name, kind in kinds.items()
        if name not in have
    ]
    if missing:
        raise InvalidArgumentError(missing)


def _check_new(frame: pa.Table, pins: tuple[Pin, ...], *, with_statuses: bool) -> None:
    """Raises InvalidArgumentError if the frame has columns of the names that are to be appended."""
    new = {pin.label for pin in pins}
    if with_statuses:
        new |= {f"{name}__status" for name in new}
    taken = [
        Violation(f"frame.{name}", "the answer brings a column of this name; rename or drop it", "COLUMN_EXISTS")
        for name in frame.schema.names
        if name in new
    ]
    if taken:
        raise InvalidArgumentError(taken)


def _cast(frame: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    found = frame[name].combine_chunks()
    found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    if pa.types.is_timestamp(kind) and (not pa.types.is_timestamp(found.type) or found.type.tz is None):
        text = f"expected timestamps with a zone, got {found.type}; e.g. Series.dt.tz_localize('UTC')"
        raise InvalidArgumentError([Violation(f"frame.{name}", text, "NAIVE_TIMESTAMP")])
    if not _akin(found.type, kind):
        raise InvalidArgumentError([_wrong_type(name, kind, found)])
    try:
        cast = found.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InvalidArgumentError([_wrong_type(name, kind, found)]) from None
    if pa.types.is_floating(kind) and not pc.all(pc.is_finite(cast.drop_null()), min_count=0).as_py():
        text = "NaN or infinity; write null where there is no number"
        raise InvalidArgumentError([Violation(f"frame.{name}", text, "WRONG_TYPE")])
    return cast


def _akin(found: pa.DataType, kind: pa.DataType) -> bool:
    """Whether cells of the one may become cells of the other: numbers numbers, texts texts; nulls anything."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_null(found) or found == kind:
        return True
    if pa.types.is_string(kind):
        return bool(pa.types.is_large_string(found) or pa.types.is_string_view(found))
    if pa.types.is_timestamp(kind):
        return bool(pa.types.is_timestamp(found))
    number = pa.types.is_integer(found) or pa.types.is_floating(found)
    return bool(number) and not pa.types.is_boolean(kind)


def _wrong_type(name: str, kind: pa.DataType, found: pa.Array) -> Violation:
    text = f"expected {_name(kind)}, got {_name(found.type)}; cast the column"
    return Violation(f"frame.{name}", text, "WRONG_TYPE")


def _name(kind: pa.DataType) -> str:
    return TYPE_NAMES.get(str(kind), str(kind))


def _statuses(group: Group) -> dict[str, list[int | None]]:
    """The statuses that were served by feature, one per row; None where the feature was not in the answer."""
    found: dict[str, list[int | None]] = {}
    done = 0
    for vector in group.vectors:
        for column in vector.columns:
            own = found.setdefault(column.feature, [])
            own.extend([None] * (done - len(own)))
            own.extend(column.statuses)
        done += vector.rows
    for own in found.values():
        own.extend([None] * (done - len(own)))
    return found


def _as_answered(statuses: Sequence[int | None] | None, computed: Column) -> Column:
    """The column with no value where the server gave none because it could not know it."""
    if statuses is None:
        return computed
    given = pa.array(statuses, pa.uint8())
    unknown = pc.is_in(given, value_set=pa.array([int(status) for status in NOT_ANSWERED], pa.uint8()))
    return Column(
        pc.if_else(unknown, pa.scalar(None, computed.values.type), computed.values),
        pc.if_else(unknown, given, computed.statuses),
        pc.if_else(unknown, pa.scalar(None, pa.int64()), computed.event_times_us),
    )


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
