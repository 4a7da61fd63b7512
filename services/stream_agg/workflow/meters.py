"""The board as metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from services.stream_agg.ports import Topics
from services.stream_agg.workflow.board import Board, LogState
from skewless.errors import SkewlessError
from skewless.telemetry import metrics

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family


class Meters:
    """Computes the metrics of all logs when they are asked for.

    topics: asked for the ends of the logs. While it does not answer there is no lag to tell.
    """

    def __init__(self, board: Board, topics: Topics) -> None:
        self._board = board
        self._topics = topics

    def collect(self) -> Iterable[Family]:
        """All metrics as they stand now."""
        logs: list[_Seen] = []
        self._board.read("", lambda state: logs.append(_Seen(state)))
        yield metrics.FRESHNESS.spread(
            ((log.project, view), snapshot) for log in logs for view, snapshot in log.freshness.items()
        )
        yield metrics.LAG.of(sample for log in logs for sample in self._lags(log))
        yield metrics.EVENTS.of(((*log.labels, verdict), count) for log in logs for verdict, count in log.records)
        yield metrics.LATE.of((log.labels, log.late) for log in logs)
        yield metrics.DEAD_LETTERS.of((log.labels, log.dead_letters) for log in logs)
        yield metrics.STOPPED.of((log.labels, log.stopped) for log in logs)
        runs = {f"stream:{log.project}/{log.name}": (log.cycles, log.failures) for log in logs}
        yield from metrics.pipelines(runs)

    def _lags(self, log: _Seen) -> Iterable[tuple[tuple[str, ...], float]]:
        try:
            ends = self._topics.ends(log.name)
        except SkewlessError:
            return
        for partition, end in ends.items():
            if partition in log.next_offsets:
                yield (*log.labels, str(partition)), max(0, end - log.next_offsets[partition])


class _Seen:
    """What is told of a log, copied while the board is held."""

    def __init__(self, state: LogState) -> None:
        self.project = state.project
        self.name = state.log
        self.labels = (state.project, state.log)
        self.next_offsets = {partition: state.next_offset(partition) for partition in range(state.partitions)}
        self.records = sorted(state.account.verdicts.items())
        self.freshness = {view: histogram.snapshot() for view, histogram in sorted(state.freshness.items())}
        self.late = state.account.late
        self.dead_letters = state.dead_letters
        self.stopped = float(bool(state.stopped))
        self.cycles = state.cycles
        self.failures = state.failures
