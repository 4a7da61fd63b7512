"""Threads that a service cannot do without."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from skewless.errors import SkewlessError

log = logging.getLogger(__name__)


class Worker:
    """A thread whose failure ends the process: a part that died in silence would be missed too late.

    work: runs until it returns; it is given the event that asks it to.
    stop: set when the work fails, so that the owner, who waits for it, ends as well; see `failed`.
    """

    def __init__(self, name: str, work: Callable[[threading.Event], None], stop: threading.Event) -> None:
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._work = work
        self._stop = stop
        self.failed = False

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float | None = None) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except Exception as error:
            expected = isinstance(error, SkewlessError)  # says by itself what is wrong; others need the trace
            log.error("%s failed, the service ends: %s", self._thread.name, error, exc_info=not expected)  # noqa: TRY400
            self.failed = True
            self._stop.set()
