"""Features of rows at their knowledge: the one road that frames, replay and explanations share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from services.offline.domain.features import check_columns, needed_functions, needed_views
from services.offline.domain.rows import Column, LogKnowledge, Rows, RunKnowledge
from services.offline.ports import EventLogs, Runs
from skewless import kernel
from skewless.definitions.catalog import Catalog, is_stream_view
from skewless.definitions.meanings import LatestView, OnDemandView, Pin, StreamView, WindowView
from skewless.functions.environment import Runner

Knowledge = Mapping[bytes, LogKnowledge | RunKnowledge]
"""By the view's meaning hash; a view that is not in it knows everything."""

Digests = dict[tuple[bytes, str], bytes]
"""By the meaning of an on-demand view and the name of a function in it, 16 bytes per row."""

FRAME_COLUMNS = ("entity_id", "event_time_us", "partition", "offset")
"""The columns of an event log that the kernel's frames read, before the decoded ones."""

_PIECE: Final = 1_000
"""Rows that a Python function is called for at once."""
_TRIES: Final = 3
"""How often a row over the budget of its function is called: a pause of the machine must not decide a frame."""


@dataclass(frozen=True)
class Computer:
    """Computes features from the logs and tables, by the kernel.

    functions: runs the Python functions among them.
    """

    events: EventLogs
    runs: Runs
    functions: Runner

    def compute(
        self,
        catalog: Catalog,
        pins: Sequence[Pin],
        rows: Rows,
        knowledge: Knowledge,
        *,
        functions: Runner | None = None,
        digests: Digests | None = None,
    ) -> dict[Pin, Column]:
        """A column per feature. Raises where an entity key or request field is absent or a view unknown, and where a
        Python function is not run here. functions: runs them instead of the service's own. digests: gets what tells
        the arguments of each called function from others."""
        views = needed_views(catalog, pins)
        check_columns(views, rows.columns)
        called = needed_functions(views, pins)
        answers: dict[bytes, pa.RecordBatch] = {}
        for view in views:
            if isinstance(view, OnDemandView):
                names = called[view.meaning_hash]
                answer, told = _on_demand(view, rows, answers, names, functions or self.functions)
                answers[view.meaning_hash] = answer
                if digests is not None:
                    digests.update({(view.meaning_hash, name): found for name, found in told.items()})
            else:
                known = knowledge.get(view.meaning_hash)
                answers[view.meaning_hash] = self._stored(catalog, view, rows, known)
        return {pin: column_of(answers[pin.meaning], pin.feature) for pin in pins}

    def not_yet_logged(self, catalog: Catalog, knowledge: Knowledge, count: int) -> pa.Array:
        """True for the rows that knew what the event logs do not have yet: what is computed for them is no answer."""
        waiting = pa.array([False] * count)
        for meaning, known in knowledge.items():
            view = catalog.view_by_hash(meaning)
            if view is None or not is_stream_view(view) or not isinstance(known, LogKnowledge):
                continue
            logged = self.events.logged(catalog.input_log(view), known.partitions())
            waiting = pc.or_(waiting, known.beyond(logged))
        return waiting

    def _stored(
        self, catalog: Catalog, view: StreamView, rows: Rows, known: LogKnowledge | RunKnowledge | None
    ) -> pa.RecordBatch:
        if isinstance(view, LatestView) and not view.streamed:
            runs = known if isinstance(known, RunKnowledge) else RunKnowledge.everything(rows.count)
            return self._runs(view, rows, runs)
        log = known if isinstance(known, LogKnowledge) else LogKnowledge.everything(rows.count)
        return self._stream(catalog, view, rows, log)

    def _stream(self, catalog: Catalog, view: StreamView, rows: Rows, known: LogKnowledge) -> pa.RecordBatch:
        ids = rows.entity_ids(view.entity.key_names)
        events = self.view_events(catalog, view, rows.request_times_us, ids)
        asked = pa.record_batch(
            {
                "entity_id": ids,
                "request_time_us": rows.request_times_us,
                "partition": known.partition,
                "next_offset": known.next_offset,
            }
        )
        answer = kernel.StreamView(view.meaning_json).frame(events.to_reader(), asked)
        return pa.record_batch(answer)

    def view_events(
        self, catalog: Catalog, view: StreamView, request_times_us: pa.Array, entity_ids: pa.Array
    ) -> pa.Table:
        """The events that may matter to these requests, with the columns that the kernel reads."""
        span = pc.min_max(request_times_us).as_py()
        if span["min"] is None:
            span = {"min": 0, "max": 0}
        compiled = kernel.StreamView(view.meaning_json)
        return self.events.events(
            catalog.input_log(view),
            columns=[*FRAME_COLUMNS, *compiled.columns],
            from_us=compiled.earliest_needed(span["min"]),
            until_us=span["max"] + (0 if isinstance(view, WindowView) else 1),
            entity_ids=pc.unique(entity_ids.drop_null()).to_pylist(),
        )

    def _runs(self, view: LatestView, rows: Rows, known: RunKnowledge) -> pa.RecordBatch:
        asked = pa.record_batch(
            {
                "entity_id": rows.entity_ids(view.entity.key_names),
                "request_time_us": rows.request_times_us,
                "run_seq": known.run_seq,
            }
        )
        table = self.runs.rows(view)
        return pa.record_batch(kernel.LatestView(view.meaning_json).frame(table.to_reader(), asked))


def _on_demand(
    view: OnDemandView,
    rows: Rows,
    answers: Mapping[bytes, pa.RecordBatch],
    called: Collection[str],
    functions: Runner,
) -> tuple[pa.RecordBatch, dict[str, bytes]]:
    """The features, and per Python function what tells its arguments from others.

    called: the features that are Python functions and are needed; others of them are NOT_COMPUTED.
    """
    compiled = kernel.OnDemandView(view.meaning_json)
    batch, times = inputs_of(view, rows, answers), rows.request_times_us
    if not called:
        return pa.record_batch(compiled.evaluate(batch, times)), {}

    def piece(start: int) -> tuple[pa.RecordBatch, dict[str, bytes]]:
        own, own_times = batch.slice(start, _PIECE), times.slice(start, _PIECE)
        results, told = dict[str, bytes](), dict[str, bytes]()
        for name in sorted(called):
            function = view.by_name[name].function
            arguments, told[name] = compiled.arguments(name, own, own_times)
            if function is not None and arguments is not None:
                results[name] = functions.run(function, arguments, tries=_TRIES)
        return pa.record_batch(compiled.evaluate(own, own_times, results)), told

    with ThreadPoolExecutor(functions.size) as threads:
        pieces = list(threads.map(piece, range(0, max(rows.count, 1), _PIECE)))
    digests = {name: b"".join(told[name] for _, told in pieces) for name in called}
    if not rows.count:
        return pieces[0][0], digests
    return pa.Table.from_batches([answer for answer, _ in pieces]).combine_chunks().to_batches()[0], digests


def inputs_of(view: OnDemandView, rows: Rows, answers: Mapping[bytes, pa.RecordBatch]) -> pa.RecordBatch:
    """The columns that an on-demand view reads, out of what was computed for the views that it reads."""
    columns: dict[str, pa.Array] = {field.name: rows.columns[field.name] for field in view.request}
    for item in view.inputs:
        column = column_of(answers[item.pin.meaning], item.pin.feature)
        columns[item.name] = column.values
        columns[f"{item.name}__status"] = column.statuses
    return pa.record_batch(columns)


def column_of(answer: pa.RecordBatch, feature: str) -> Column:
    """One feature of a kernel's answer."""
    values = answer.column(feature)
    timed = f"{feature}__event_time_us"
    has_times = timed in answer.schema.names
    times = answer.column(timed) if has_times else pa.nulls(len(values), pa.int64())
    return Column(values, answer.column(f"{feature}__status"), times)
