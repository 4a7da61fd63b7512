"""Event logs and the progress table as Delta tables."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from services.stream_agg.domain.account import ACCEPTED, DUPLICATE, MALFORMED, TOO_FAR_FUTURE, Account
from services.stream_agg.ports import Progress
from skewless.lake import EPOCH, EVENT_COLUMNS, PROGRESS_COLUMNS, Lake, Table, date_of, dates_of, log_mark
from skewless.telemetry import names
from skewless.telemetry.spans import span

_NO_ROWS = pa.schema([field for field in EVENT_COLUMNS if field.name != "date"]).empty_table()
_VERDICTS = (ACCEPTED, DUPLICATE, MALFORMED, TOO_FAR_FUTURE)


class LakeEvents:
    """`EventLog` of one input log. The account lies beside the offsets as marks of the same commits."""

    def __init__(self, lake: Lake, project: str, log: str) -> None:
        self._table: Table = lake.events(project, log)
        self._name = f"{project}/_events/{log}"

    def logged(self, partitions: int) -> dict[int, int]:
        names = {log_mark(EPOCH, partition): partition for partition in range(partitions)}
        return {names[name]: position for name, position in self._table.marks(list(names)).items()}

    def account(self, partitions: int) -> Account:
        newest = {_newest_mark(partition): partition for partition in range(partitions)}
        found = self._table.marks(["account/consumed", "account/late", *map(_verdict_mark, _VERDICTS), *newest])
        return Account(
            consumed=found.get("account/consumed", 0),
            verdicts={verdict: found.get(_verdict_mark(verdict), 0) for verdict in _VERDICTS},
            late=found.get("account/late", 0),
            newest_us={partition: found[mark] for mark, partition in newest.items() if mark in found},
        )

    def append(self, rows: pa.Table | None, logged: Mapping[int, int], account: Account) -> None:
        table = _NO_ROWS if rows is None else rows
        times = pc.coalesce(table["event_time_us"], table["append_time_us"]).combine_chunks()
        dated = table.append_column(pa.field("date", pa.string(), nullable=False), dates_of(times))
        marks = {log_mark(EPOCH, partition): at for partition, at in logged.items()} | _marks(account)
        with span(names.TABLE_APPEND, {names.TABLE: self._name, names.ROWS: len(dated)}):
            self._table.append(dated, marks)


def _marks(account: Account) -> dict[str, int]:
    return {
        "account/consumed": account.consumed,
        "account/late": account.late,
        **{_verdict_mark(verdict): count for verdict, count in account.verdicts.items()},
        **{_newest_mark(partition): time_us for partition, time_us in account.newest_us.items()},
    }


def _verdict_mark(verdict: str) -> str:
    return f"account/{verdict}"


def _newest_mark(partition: int) -> str:
    return f"account/newest/{log_mark(EPOCH, partition)}"


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
