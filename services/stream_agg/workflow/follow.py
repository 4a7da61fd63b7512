"""From the catalogue to running threads: one worker per input log, and a re-keyer where the log is ours."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from services.stream_agg.ports import RekeyedLog
from services.stream_agg.workflow.log import LogWorker
from services.stream_agg.workflow.rekey import Rekeyer
from services.stream_agg.workflow.session import Limits, Outside
from skewless.definitions.catalog import Catalog

log = logging.getLogger(__name__)


class Follower:
    """Starts what the catalogue asks for, and stops all of it at the end. What runs is never taken away."""

    def __init__(self, outside: Outside, limits: Limits, rekeyed: Callable[[str, int], RekeyedLog]) -> None:
        self._outside = outside
        self._limits = limits
        self._rekeyed = rekeyed
        self._lock = threading.Lock()
        self._workers: dict[tuple[str, str], LogWorker] = {}
        self._rekeyers: list[Rekeyer] = []

    def take(self, catalog: Catalog) -> None:
        """Takes a revision of the catalogue over."""
        with self._lock:
            for input_log in catalog.input_logs():
                key = (input_log.project, input_log.name)
                worker = self._workers.get(key)
                if worker is not None:
                    worker.want(input_log.views)
                    continue
                speaker = catalog.event_log(input_log.project, input_log.source.name)
                worker = LogWorker(
                    input_log,
                    self._outside,
                    self._limits,
                    speaks_for_source=speaker is not None and speaker.name == input_log.name,
                )
                self._workers[key] = worker
                log.info("reading %s for %s", input_log.name, ", ".join(view.ref for view in input_log.views))
                if not input_log.direct:
                    rekeyer = Rekeyer(
                        input_log,
                        self._outside.topics,
                        self._rekeyed,
                        self._outside.board,
                        gather_s=self._limits.flush_s / 2,
                        gather_records=self._limits.flush_records,
                        commit_s=self._limits.commit_s,
                    )
                    self._rekeyers.append(rekeyer)
                    rekeyer.start()
                worker.start()

    def stop(self) -> None:
        """Stops everything after the records in hand."""
        with self._lock:
            for rekeyer in self._rekeyers:
                rekeyer.stop()
            for worker in self._workers.values():
                worker.stop()
