"""Kafka in: served vectors and predictions to their table, each record once.

Rows and the position behind them are one commit of the table; the broker is told afterwards. After a crash the
topic is read again from what the broker was told, and rows that the table has are left out.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from deltalake.exceptions import DeltaError

from services.offline.domain.served_rows import row_of, table_of
from services.offline.workflow.meters import Meters
from skewless.bus import Bus, Committed, Part, Reader
from skewless.clock import AWAY
from skewless.codec.served import decode_served
from skewless.errors import SkewlessError
from skewless.lake import EPOCH, Lake, log_mark
from skewless.telemetry import names, spans

log = logging.getLogger(__name__)

TOPIC: Final = "skewless.served"
GROUP: Final = "skewless.offline"
_MOST_RECORDS: Final = 10_000


class ServedIngest:
    """Keeps the served log up to date.

    commit_ms: how often rows are committed.
    """

    def __init__(self, bus: Bus, lake: Lake, meters: Meters, *, commit_ms: int) -> None:
        self._meters = meters
        self._bus = bus
        self._lake = lake
        self._commit_s = commit_ms / 1_000
        self._failures = 0

    def run(self, stop: threading.Event) -> None:
        """Follows the topic until ``stop``, through absences of the broker; ends after the commit at hand."""
        while not stop.is_set():
            try:
                self._follow(stop)
            except (SkewlessError, OSError, DeltaError) as error:
                self._meters.committed(ok=False)
                self._failures += 1
                wait_s = AWAY.after(self._failures)
                log.warning("served records cannot be logged, trying again in %.1f s: %s", wait_s, error)
                stop.wait(wait_s)

    def _follow(self, stop: threading.Event) -> None:
        self._bus.ensure_topic(TOPIC)
        found = self._bus.topic(TOPIC)
        partitions = range(found.partitions if found else 0)
        committed = self._bus.committed(GROUP, TOPIC, partitions)
        starts = self._bus.starts(TOPIC, partitions)
        ends = {p: committed[p].next_offset if p in committed else starts[p] for p in partitions}
        with self._bus.reader(TOPIC, ends) as reader:
            while not stop.is_set():
                self._step(reader, ends)
                self._failures = 0

    def _step(self, reader: Reader, ends: dict[int, int]) -> None:
        read = reader.read(max_records=_MOST_RECORDS, wait_s=self._commit_s)
        if not read.parts:
            return
        with spans.consumed(names.INGEST, TOPIC, [part.headers for part in read.parts]):
            rows: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
            for part in read.parts:
                self._collect(part, rows)
                ends[part.partition] = part.offsets[-1] + 1
            marks = {log_mark(EPOCH, partition): end for partition, end in ends.items()}
            for project, found in rows.items():
                self._append(project, found, marks)
            self._bus.commit(GROUP, TOPIC, {partition: Committed(end) for partition, end in ends.items()})
        self._meters.committed(ok=True)

    def _collect(self, part: Part, rows: dict[str, list[Mapping[str, Any]]]) -> None:
        for offset, value in zip(part.offsets, part.values, strict=True):
            try:
                record = decode_served(value or b"")
            except ValueError as error:
                log.error("%s/%d offset %d is left out: %s", TOPIC, part.partition, offset, error)  # noqa: TRY400
                continue
            row = {**row_of(record, value or b""), "partition": part.partition, "offset": offset}
            rows[record.project].append(row)

    def _append(self, project: str, found: list[Mapping[str, Any]], marks: Mapping[str, int]) -> None:
        table = self._lake.served(project)
        have = table.marks(list(marks))
        fresh = [row for row in found if row["offset"] >= have.get(log_mark(EPOCH, row["partition"]), 0)]
        if fresh:
            with spans.span(names.TABLE_APPEND, {names.TABLE: f"{project}/_served", names.ROWS: len(fresh)}):
                table.append(table_of(fresh), marks)
            self._meters.logged(project, len(fresh))
