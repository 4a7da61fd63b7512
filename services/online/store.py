"""The online store, as the service sees it: its read path tells whether the store answers; this tells people."""

from __future__ import annotations

import logging
import threading
from typing import Final

from services.online.ports import ReadPath

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.5


class StoreWatch:
    """A thread that logs when the store stops answering, and when it answers again."""

    def __init__(self, read_path: ReadPath) -> None:
        self._read_path = read_path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        told: str | None = None
        while not self._stop.wait(_LOOK_S):
            error = self._read_path.store_error
            if error is not None and error != told:
                log.warning("%s; values are UNAVAILABLE meanwhile", error)
            elif error is None and told is not None:
                log.info("the store answers again")
            told = error
