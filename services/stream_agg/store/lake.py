"""Event logs and the progress table as Delta tables."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from services.stream_agg.ports import Progress
from skewless.lake import EPOCH, PROGRESS_COLUMNS, Lake, Table, date_of, dates_of, log_mark


class LakeEvents:
    """`EventLog` of one input log."""

    def __init__(self, lake: Lake, project: str, log: str) -> None:
        self._table: Table = lake.events(project, log)

    def logged(self, partitions: int) -> dict[int, int]:
        names = {log_mark(EPOCH, partition): partition for partition in range(partitions)}
        return {names[name]: position for name, position in self._table.marks(list(names)).items()}

    def append(self, rows: pa.Table, logged: Mapping[int, int]) -> None:
        times = pc.coalesce(rows["event_time_us"], rows["append_time_us"]).combine_chunks()
        dated = rows.append_column(pa.field("date", pa.string(), nullable=False), dates_of(times))
        self._table.append(dated, {log_mark(EPOCH, partition): at for partition, at in logged.items()})


class LakeProgress:
    """`ProgressLog` of every project. One writer at a time: appends to one table would only wait for each other."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = threading.Lock()

    def append(self, project: str, rows: Sequence[Progress]) -> None:
        table = pa.table(
            {
                "view": [row.view for row in rows],
                "log": [row.log for row in rows],
                "epoch": [row.epoch for row in rows],
                "partition": [row.partition for row in rows],
                "next_offset": [row.next_offset for row in rows],
                "visible_at_us": [row.visible_at_us for row in rows],
                "date": [date_of(row.visible_at_us) for row in rows],
            },
            schema=PROGRESS_COLUMNS,
        )
        with self._lock:
            self._lake.progress(project).append(table, {})
