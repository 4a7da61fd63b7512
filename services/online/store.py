"""The online store, as the service sees it: its read path tells whether the store answers; this tells people."""

from __future__ import annotations

import logging
import threading
from typing import Final

from services.online.ports import ReadPath
from skewless.errors import NotReadyError

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.5


def ask_store(read_path: ReadPath) -> None:
    """Returns once the store answers. Raises SkewlessError, saying what is wrong with it, before."""
    error = read_path.store_error
    if error is not None:
        raise NotReadyError(waiting_for=f"the online store ({error})")
    if read_path.counters()["store.connections"] == 0:
        raise NotReadyError(waiting_for="the first connection to the online store")


def watch_store(read_path: ReadPath, stop: threading.Event) -> None:
    """Logs when the store stops answering, and when it answers again; until ``stop``. The same of certificates."""
    told: str | None = None
    told_of_tls: str | None = None
    while not stop.wait(_LOOK_S):
        tls = read_path.tls_error
        if tls is not None and tls != told_of_tls:
            log.error("renewed certificates are not taken, those before stay: %s", tls)
        told_of_tls = tls
        error = read_path.store_error
        if error is not None and error != told:
            log.warning("%s; values are UNAVAILABLE meanwhile", error)
        elif error is None and told is not None:
            log.info("the store answers again")
        told = error
