"""Explanation: what one served value was made of, down to its raw events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from services.offline.domain.rows import Column, LogKnowledge, RunKnowledge
from services.offline.ports import Catalogs, EventLogs, Runs, ServedLog
from services.offline.workflow.compute import FRAME_COLUMNS, Computer
from services.offline.workflow.functions import SameEnvironment
from services.offline.workflow.replay import plain, served_column
from services.offline.workflow.vectors import Group, group_of, pins_of, served_cells
from skewless import kernel
from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import LatestView, OnDemandView, Pin, StreamView, View, WindowView
from skewless.errors import (
    InvalidArgumentError,
    NotReadyError,
    UnknownFeatureError,
    UnknownRequestIdError,
    Violation,
)
from skewless.lake import COLUMN_PREFIX, FEATURE_PREFIX
from skewless.served import Prediction, ServedVector
from skewless.types import Cell, Status, ValueType


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a log, or row of a run, behind a value."""

    event_time_us: int
    log: str
    partition: int
    offset: int
    source_partition: int
    source_offset: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Origin:
    """The events or rows behind a value: how many, and the newest of them, newest first."""

    count: int = 0
    events: Sequence[Event] = ()


@dataclass(frozen=True, slots=True)
class InputValue:
    """One input of an on-demand feature. feature: ``view:feature``; empty for a request field."""

    name: str
    feature: str
    type: ValueType
    value: Cell
    status: Status
    origin: Origin


@dataclass(frozen=True)
class Explanation:
    """What a served value was made of."""

    value: Cell
    status: Status
    replayed: Cell
    replayed_status: Status
    request_time_us: int
    entity: str
    view: View
    knowledge: str
    origin: Origin
    inputs: Sequence[InputValue] = ()
    predictions: Sequence[tuple[Prediction, float]] = field(default_factory=tuple)


@dataclass(frozen=True)
class _Place:
    """The row that is explained, and how many events to list."""

    catalog: Catalog
    group: Group
    row: int
    max_events: int


@dataclass(frozen=True)
class Explainer:
    """Explains served values."""

    catalogs: Catalogs
    served: ServedLog
    events: EventLogs
    runs: Runs
    computer: Computer

    def explain(self, project: str, request_id: str, row: int, feature: str, max_events: int) -> Explanation:
        """Raises UnknownRequestIdError or UnknownFeatureError for what was not served, NotReadyError while the event
        log lacks what the server knew."""
        catalog = self.catalogs.current()
        vector = self._vector(project, request_id, row)
        pins = pins_of(catalog, vector)
        place = next((n for n, pin in enumerate(pins) if pin.label == feature), None)
        if place is None:
            raise UnknownFeatureError(name=feature, known=[pin.label for pin in pins])
        group = group_of(catalog, pins, [vector])
        pin = pins[place]
        view = catalog.view_by_hash(pin.meaning)
        if view is None:
            raise UnknownFeatureError(name=feature)
        if self.computer.not_yet_logged(catalog, group.knowledge, group.rows.count)[row].as_py():
            raise NotReadyError(waiting_for=f"the event log to have what {request_id} knew")
        functions = SameEnvironment(self.computer.functions, group.environment)
        computed = self.computer.compute(catalog, [pin], group.rows, group.knowledge, functions=functions)[pin]
        served = served_column(served_cells([vector])[place], computed.values.type)
        origin, inputs = Origin(), list[InputValue]()
        here = _Place(catalog, group, row, max_events)
        if isinstance(view, OnDemandView):
            inputs = self._inputs(view, here)
        else:
            origin = self._origin(pin, view, here, _cell(computed, row)[1])
        scored = self.served.predictions(project, request_id)
        return Explanation(
            value=plain(served.values[row]),
            status=Status(served.statuses[row].as_py()),
            replayed=plain(computed.values[row]),
            replayed_status=Status(computed.statuses[row].as_py()),
            request_time_us=vector.request_time_us,
            entity="" if isinstance(view, OnDemandView) else _entity(view, vector, row),
            view=view,
            knowledge=_knowledge(group, view, row),
            origin=origin,
            inputs=inputs,
            predictions=[(p, p.scores[row]) for p in scored if row < len(p.scores)],
        )

    def _vector(self, project: str, request_id: str, row: int) -> ServedVector:
        found = self.served.vectors(project, request_ids=[request_id], from_us=None, until_us=None)
        vector = next(iter(found), None)
        if vector is None:
            raise UnknownRequestIdError(name=request_id)
        if row >= vector.rows:
            text = f"the request has {vector.rows} row(s), counted from 0; got {row}"
            raise InvalidArgumentError([Violation("row", text, "OUT_OF_RANGE")])
        return vector

    def _inputs(self, view: OnDemandView, here: _Place) -> list[InputValue]:
        pins = [item.pin for item in view.inputs]
        functions = SameEnvironment(self.computer.functions, here.group.environment)
        answers = self.computer.compute(here.catalog, pins, here.group.rows, here.group.knowledge, functions=functions)
        found = []
        for item in view.inputs:
            source = here.catalog.view_by_hash(item.pin.meaning)
            value, status = _cell(answers[item.pin], here.row)
            origin = Origin()
            if isinstance(source, WindowView | LatestView):
                origin = self._origin(item.pin, source, here, status)
            found.append(InputValue(item.name, item.pin.label, item.type, value, status, origin))
        for request_field in view.request:
            value = plain(here.group.rows.columns[request_field.name][here.row])
            status = Status.NULL if value is None else Status.PRESENT
            found.append(InputValue(request_field.name, "", request_field.type, value, status, Origin()))
        return found

    def _origin(self, pin: Pin, view: StreamView, here: _Place, status: Status) -> Origin:
        """status: what the kernel computed; it says whether a row of a table was found and is young enough."""
        if not isinstance(view, LatestView) or view.streamed:
            return self._events(pin, view, here)
        if status in {Status.NOT_FOUND, Status.OUTSIDE_TTL}:
            return Origin()
        return self._row(view, here.group, here.row)

    def _events(self, pin: Pin, view: StreamView, here: _Place) -> Origin:
        row = here.row
        known = here.group.knowledge[view.meaning_hash]
        entity = here.group.rows.entity_ids(view.entity.key_names)[row].as_py()
        if entity is None or not isinstance(known, LogKnowledge):
            return Origin()
        log = here.catalog.input_log(view)
        at = here.group.rows.request_times_us[row].as_py()
        extra = ["source_partition", "source_offset", "raw"]
        decoded = [COLUMN_PREFIX + column.name for column in view.source.columns]
        events = self.events.events(
            log,
            columns=[*FRAME_COLUMNS, *decoded, *extra],
            from_us=None,
            until_us=at,
            entity_ids=[entity],
        )
        compiled = kernel.StreamView(view.meaning_json)
        partition, next_offset = known.partition[row].as_py(), known.next_offset[row].as_py()
        batch = compiled.contributing(pin.feature, events.to_reader(), entity, at, partition, next_offset)
        rows = pa.record_batch(batch)
        newest = rows.slice(max(0, rows.num_rows - here.max_events)).to_pylist()
        return Origin(rows.num_rows, [_event(log.name, found) for found in reversed(newest)])

    def _row(self, view: LatestView, group: Group, row: int) -> Origin:
        known = group.knowledge[view.meaning_hash]
        entity = group.rows.entity_ids(view.entity.key_names)[row].as_py()
        run = known.run_seq[row].as_py() if isinstance(known, RunKnowledge) else None
        at = group.rows.request_times_us[row].as_py()
        rows = self.runs.rows(view)
        mine = rows.filter(
            pc.and_(
                pc.equal(rows["entity_id"], entity),
                pc.and_(pc.less_equal(rows["run_seq"], run or 0), pc.less_equal(rows["event_time_us"], at)),
            )
        )
        if not mine.num_rows:
            return Origin()
        order = [(name, "descending") for name in ("event_time_us", "created_time_us", "run_seq")]
        best = mine.sort_by(order).slice(0, 1).to_pylist()[0]
        cells = {name.removeprefix(FEATURE_PREFIX): cell for name, cell in best.items()}
        payload = json.dumps(cells, default=str).encode()
        table = f"{view.name}/v{view.version.storage}"
        return Origin(1, [Event(best["event_time_us"], table, 0, best["run_seq"], 0, 0, payload)])


def _event(log: str, found: Mapping[str, Any]) -> Event:
    return Event(
        event_time_us=found["event_time_us"],
        log=log,
        partition=found["partition"],
        offset=found["offset"],
        source_partition=found["source_partition"],
        source_offset=found["source_offset"],
        payload=found["raw"],
    )


def _cell(column: Column, row: int) -> tuple[Cell, Status]:
    return plain(column.values[row]), Status(column.statuses[row].as_py())


def _entity(view: StreamView, vector: ServedVector, row: int) -> str:
    return ",".join(f"{key}={vector.entities[key][row]}" for key in view.entity.key_names)


def _knowledge(group: Group, view: View, row: int) -> str:
    match group.knowledge.get(view.meaning_hash):
        case LogKnowledge() as known:
            partition, offset = known.partition[row].as_py(), known.next_offset[row].as_py()
            return f"epoch 1, partition {partition}, below offset {offset}" if partition is not None else "nothing"
        case RunKnowledge() as known:
            return f"run {known.run_seq[row].as_py()}"
        case None:
            return "its inputs"
