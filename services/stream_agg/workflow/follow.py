"""From the catalogue to running threads: one worker per input log, and a re-keyer where the log is ours."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from services.stream_agg.domain.rewinding import Rewind, Rewound
from services.stream_agg.ports import RekeyedLog
from services.stream_agg.workflow.log import LogWorker
from services.stream_agg.workflow.rekey import Rekeyer
from services.stream_agg.workflow.rewind import Rewinding, SourceReader
from services.stream_agg.workflow.task import Limits, Outside
from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import StreamSource
from skewless.errors import BusyError, NotReadyError, UnknownResourceError

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
        self._catalog: Catalog | None = None
        self._readers: dict[tuple[str, str], list[SourceReader]] = {}
        self._rewinding = threading.Lock()

    def take(self, catalog: Catalog) -> None:
        """Takes a revision of the catalogue over."""
        with self._lock:
            self._catalog = catalog
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
                errands = worker.errands
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
                    errands = rekeyer.errands
                    rekeyer.start()
                self._readers.setdefault((input_log.project, input_log.source.name), []).append(
                    SourceReader(input_log.project, input_log.name, input_log.direct, errands)
                )
                worker.start()

    def source(self, project: str, name: str) -> StreamSource:
        """The stream source of this name. Raises UnknownResourceError, and NotReadyError before the first catalogue."""
        with self._lock:
            catalog = self._catalog
        if catalog is None:
            raise NotReadyError(waiting_for="the catalogue of the registry")
        sources = {s.name: s for s in catalog.sources(project) if isinstance(s, StreamSource)}
        if name not in sources:
            raise UnknownResourceError(name=name, known=sources, kind="stream source")
        return sources[name]

    def rewind(self, project: str, source: str, asked: Rewind, *, until: Callable[[], float]) -> list[Rewound]:
        """Has every reader of a source's topic read it again; gives what was moved, by log and partition.

        until: the seconds left. Raises UnknownResourceError, InvalidArgumentError, BusyError and TimedOutError.
        """
        topic = self.source(project, source).topic
        with self._lock:
            readers = sorted(self._readers.get((project, source), []), key=lambda reader: reader.log)
            known = sorted(name for of_project, name in self._readers if of_project == project)
        if not readers:
            raise UnknownResourceError(name=source, known=known, kind="stream source that a view reads")
        if not self._rewinding.acquire(timeout=max(0.0, until())):
            raise BusyError(what="a rewind")
        try:
            return Rewinding(topic, asked, self._outside.topics, self._outside.board, until).run(readers)
        finally:
            self._rewinding.release()

    def stop(self) -> None:
        """Stops everything after the records in hand."""
        with self._lock:
            for rekeyer in self._rekeyers:
                rekeyer.stop()
            for worker in self._workers.values():
                worker.stop()
