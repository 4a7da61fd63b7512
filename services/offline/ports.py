"""What the workflow demands of storage and of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from skewless.definitions.catalog import Catalog, InputLog
from skewless.definitions.meanings import BatchSource, LatestView
from skewless.served import Prediction, ServedVector


class Catalogs(Protocol):
    """Where definitions come from."""

    def current(self) -> Catalog:
        """The newest catalogue received. Raises NotReadyError before the first."""


class EventLogs(Protocol):
    """The event logs, as the stream aggregator commits them."""

    def events(
        self,
        log: InputLog,
        *,
        columns: Sequence[str],
        from_us: int | None,
        until_us: int | None,
        entity_ids: Sequence[str] | None,
        keyed: bool = True,
    ) -> pa.Table:
        """Accepted events with ``from_us <= event time < until_us``, in any order.

        columns: names as in `skewless.lake`; all of them are in the answer, in this order.
        entity_ids: only these entities; None: all.
        keyed: leave out events whose key in the log is null, which belong to no entity of it.
        """

    def logged(self, log: InputLog, partitions: Sequence[int]) -> Mapping[int, int]:
        """Below which offset each partition is complete; a partition never logged is absent."""


class Runs(Protocol):
    """The tables of batch views: append-only, each row with its run."""

    def rows(self, view: LatestView, *, after_run: int = 0) -> pa.Table:
        """Rows of runs after this one: entity_id, event_time_us, created_time_us, run_seq, deleted, f_*."""

    def last_run(self, view: LatestView) -> int:
        """The greatest run committed; 0: none."""

    def publish(self, view: LatestView, rows: pa.Table, run_seq: int) -> None:
        """Commits the rows (without run_seq) as this run, all or nothing."""


class ServedLog(Protocol):
    """The served log."""

    def vectors(
        self, project: str, *, request_ids: Sequence[str], from_us: int | None, until_us: int | None
    ) -> Iterator[ServedVector]:
        """Answers by id, or served in ``[from_us, until_us)`` if no ids are given; each id once, by id."""

    def predictions(self, project: str, request_id: str) -> Sequence[Prediction]:
        """What models made of an answer, by time."""


class OnlineRows(Protocol):
    """The online store, for batch views. Raises SkewlessError where it does not answer or refuses."""

    def holds(self, marker: str, run_seq: int, sentinel: str) -> bool:
        """Whether the store has the view's keys and this run's rows, as far as a short look can tell."""

    def open(self) -> RowSync:
        """A connection for one view's rows."""


class RowSync(Protocol):
    """Brings rows of one view online."""

    def __enter__(self) -> RowSync: ...

    def __exit__(self, *_error: object) -> None: ...

    def synced(self, marker: str) -> int:
        """The run up to which rows are online; 0: none, or the store has lost them."""

    def write(self, rows: Sequence[tuple[str, bytes, int | None]]) -> int:
        """Writes (key, value, expiry in ms since 1970 or None); gives how many keys have another row now."""

    def mark(self, marker: str, run_seq: int, sentinel: str, meaning_hash: bytes) -> None:
        """Says that all runs up to this one are online, once what was written is durable."""


class Transforms(Protocol):
    """Reads tables and runs the queries of batch sources."""

    def rows(self, source: BatchSource, inputs: Mapping[str, pa.Table], as_of_us: int) -> pa.Table:
        """The source's declared columns as of an instant. Raises InvalidArgumentError where they do not fit."""
