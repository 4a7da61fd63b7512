"""The thread of one input log: sessions one after the other, with a wait between, until it is told to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from services.stream_agg.ports import WrongPartitionError
from services.stream_agg.workflow.board import LogState
from services.stream_agg.workflow.fold import storage_name
from services.stream_agg.workflow.rereading import Errands
from services.stream_agg.workflow.session import LogStoppedError, Session
from services.stream_agg.workflow.task import Limits, Outside, Task, Wanted
from skewless.clock import AWAY
from skewless.definitions.catalog import InputLog
from skewless.definitions.meanings import StreamView
from skewless.errors import SkewlessError
from skewless.lake import EPOCH

log = logging.getLogger(__name__)


class LogWorker:
    """The thread of one input log.

    speaks_for_source: whether refused records of the source are sent to the dead letters by this log.
    """

    def __init__(self, input_log: InputLog, outside: Outside, limits: Limits, *, speaks_for_source: bool) -> None:
        self._log = input_log
        self._stop = threading.Event()
        self._refs: dict[str, tuple[str, ...]] = {}
        self._task = Task(
            input_log,
            f"skewless.stream_agg.{input_log.project}",
            speaks_for_source,
            outside,
            limits,
            Wanted(),
            Errands(),
            self._stop,
        )
        source = input_log.source
        outside.board.open(
            LogState(input_log.project, input_log.name, source.name, source.topic, input_log.direct, EPOCH)
        )
        self.want(input_log.views)
        self._thread = threading.Thread(target=self._run, name=f"log-{input_log.name}", daemon=True)

    @property
    def errands(self) -> Errands:
        """What is to be done with the log's reader."""
        return self._task.errands

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the records in hand; what is written is committed."""
        self._stop.set()
        self._thread.join()

    def want(self, views: Sequence[StreamView]) -> None:
        """Which views the log is folded into; new ones are taken up while it runs."""
        refs: dict[str, tuple[str, ...]] = {}
        for view in views:
            refs[storage_name(view)] = (*refs.get(storage_name(view), ()), view.ref)
        if refs != self._refs:
            self._refs = refs
            self._task.change(lambda state: state.views.update(refs))
            self._task.wanted.add(views)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                Session(self._task).run()
            except (LogStoppedError, WrongPartitionError) as error:
                self._say(str(error))
                log.error("%s is stopped: %s", self._log.name, error)  # noqa: TRY400 (the message is all)
                self._stop.wait()
            except SkewlessError as error:
                self._say(f"trying again: {error}")
                log.warning("%s: %s; trying again", self._log.name, error)
            except Exception as error:
                self._say(f"trying again after a fault: {error}")
                log.exception("%s: a fault; trying again from the committed offsets", self._log.name)
            long = time.monotonic() - began > 2 * AWAY.longest_s
            failures = 1 if long else failures + 1
            self._stop.wait(AWAY.after(failures))

    def _say(self, reason: str) -> None:
        def say(state: LogState) -> None:
            state.stopped["log"] = reason
            state.failures += 1

        self._task.change(say)
