"""Runs of batch views: compute, publish, bring online. A run is visible whole or not at all; a rerun is safe."""

from __future__ import annotations

import logging
import queue
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from services.offline.domain.instants import check_instant
from services.offline.domain.rows import Rows
from services.offline.ports import Catalogs, EventLogs, OnlineRows, Runs, Transforms
from services.offline.workflow.meters import Meters
from skewless import kernel
from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import BatchSource, LatestView
from skewless.errors import BusyError, InvalidArgumentError, SkewlessError, UnknownResourceError, Violation
from skewless.lake import COLUMN_PREFIX, FEATURE_PREFIX
from skewless.types import TIMELESS_US

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did."""

    run_seq: int
    rows_read: int
    rows_written: int
    rows_dated_ahead: int
    entities_online: int


@dataclass
class _Locks:
    """One at a time per view."""

    guard: threading.Lock = field(default_factory=threading.Lock)
    held: dict[bytes, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    @contextmanager
    def only(self, view: LatestView, *, wait: bool = True) -> Iterator[None]:
        with self.guard:
            lock = self.held[view.meaning_hash]
        if not lock.acquire(blocking=wait):
            raise BusyError(what=f"materializing {view.ref}")
        try:
            yield
        finally:
            lock.release()


@dataclass(frozen=True)
class Materializer:
    """Computes batch views and keeps their newest rows online."""

    catalogs: Catalogs
    events: EventLogs
    runs: Runs
    transforms: Transforms
    online: OnlineRows
    meters: Meters
    running: _Locks = field(default_factory=_Locks)
    syncing: _Locks = field(default_factory=_Locks)

    def materialize(self, project: str, ref: str, as_of_us: int) -> Run:
        """One run of the view. Raises BusyError while another is running."""
        check_instant(as_of_us, "as_of_us")
        catalog = self.catalogs.current()
        view = catalog.view_ref(project, ref)
        if not isinstance(view, LatestView) or not isinstance(view.source, BatchSource):
            text = f"{ref} is not a latest view over a batch source; streams are materialized as they come"
            raise InvalidArgumentError([Violation("view", text, "NOT_A_BATCH_VIEW")])
        with self.running.only(view, wait=False), self.meters.run(view) as meter:
            inputs = {name: self._input(catalog, project, name, as_of_us) for name in view.source.inputs}
            read = self.transforms.rows(view.source, inputs, as_of_us)
            rows = _stamped(view, view.source, read)
            current = rows.filter(pc.less_equal(rows["event_time_us"], as_of_us))
            run_seq = self.runs.last_run(view) + 1
            self.runs.publish(view, current, run_seq)
            meter.run_seq, meter.rows = run_seq, current.num_rows
            won = self.bring_online(view)
        return Run(run_seq, read.num_rows, current.num_rows, rows.num_rows - current.num_rows, won)

    def bring_online(self, view: LatestView) -> int:
        """Writes what is not online yet: after a crash, a lost store, or for a view that is new."""
        with self.syncing.only(view):
            return self._bring_online(view)

    def is_online(self, view: LatestView) -> bool:
        """Whether the store says that it has the view's rows of all runs; False as well when it does not answer.

        A store that lost its last second may have the view, but not its last run.
        """
        try:
            return self.online.holds(_marker(view), self.runs.last_run(view), view.sentinel_key)
        except SkewlessError as error:
            log.warning("cannot ask for %s: %s", view.ref, error)
            return False

    def _bring_online(self, view: LatestView) -> int:
        marker, last = _marker(view), self.runs.last_run(view)
        with self.online.open() as sync:
            rows = self.runs.rows(view, after_run=sync.synced(marker))
            encoded = kernel.LatestView(view.meaning_json).encode(_newest(rows))
            version = str(view.version)
            keyed = [
                (kernel.state_key(view.project, view.entity.name, entity, view.name, version), value, expiry)
                for entity, value, expiry in encoded
            ]
            won = sync.write(keyed)
            sync.mark(marker, last, view.sentinel_key, view.meaning_hash)
        return won

    def _input(self, catalog: Catalog, project: str, source: str, as_of_us: int) -> pa.Table:
        log = catalog.event_log(project, source)
        if log is None:
            raise UnknownResourceError(name=source, kind="source with an event log (no view reads it)")
        names = [column.name for column in log.source.columns]
        found = self.events.events(
            log,
            columns=[COLUMN_PREFIX + name for name in names],
            from_us=None,
            until_us=as_of_us,
            entity_ids=None,
            keyed=False,
        )
        return found.rename_columns(names)


def _marker(view: LatestView) -> str:
    """The store's key of the run up to which the view is online."""
    return f"skewless:synced:{view.project}:{view.name}:v{view.version.storage}"


def _newest(rows: pa.Table) -> pa.RecordBatch:
    """One batch, ordered so that the kernel's own order decides last."""
    batch = rows.combine_chunks().to_batches()
    return batch[0] if batch else pa.RecordBatch.from_pylist([], schema=rows.schema)


def _stamped(view: LatestView, source: BatchSource, read: pa.Table) -> pa.Table:
    """Rows of the source as rows of the view: entity id, times, features. The run is not known yet."""
    columns = {name: read[name].combine_chunks() for name in read.schema.names}
    ids = Rows(columns, pa.nulls(read.num_rows, pa.int64())).entity_ids(view.entity.key_names)
    if ids.null_count:
        keys = ", ".join(view.entity.key_names)
        text = f"{ids.null_count} row(s) have a null in the entity key ({keys}); filter them out in the source"
        raise InvalidArgumentError([Violation(f"source.{source.name}", text, "NULL_ENTITY_KEY")])
    timeless = pa.array([TIMELESS_US] * read.num_rows, pa.int64())
    times = columns[source.event_time].cast(pa.int64()) if source.event_time else timeless
    if times.null_count:
        text = f"{times.null_count} row(s) have no event time in column {source.event_time!r}"
        raise InvalidArgumentError([Violation(f"source.{source.name}", text, "NULL_EVENT_TIME")])
    created = source.created_time
    stamped = {
        "entity_id": ids,
        "event_time_us": times,
        "created_time_us": columns[created].cast(pa.int64()) if created else pa.nulls(len(ids), pa.int64()),
        "deleted": pa.array([False] * read.num_rows, pa.bool_()),
    }
    for feature in view.features:
        cells = columns[feature.column]
        stamped[FEATURE_PREFIX + feature.name] = cells.cast(pa.int64()) if pa.types.is_timestamp(cells.type) else cells
    return pa.table(stamped)


def follow_views(
    materializer: Materializer, news: queue.SimpleQueue[Catalog], stop: threading.Event, *, again_s: float = 2.0
) -> None:
    """Brings batch views online as catalogues come, and again whenever the store has lost them; until ``stop``."""
    catalog: Catalog | None = None
    done: set[bytes] = set()
    while not stop.is_set():
        with suppress(queue.Empty):
            catalog = news.get(timeout=again_s)
        for view in catalog.batch_views() if catalog else ():
            if view.meaning_hash in done and materializer.is_online(view):
                continue
            try:
                materializer.bring_online(view)
                done.add(view.meaning_hash)
            except SkewlessError as error:
                log.warning("%s is not online yet, trying again: %s", view.ref, error)
