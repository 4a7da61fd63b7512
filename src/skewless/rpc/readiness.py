"""Whether a service may be asked already: what it cannot do without answers for the first time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from skewless.clock import AWAY
from skewless.errors import SkewlessError
from skewless.rpc.worker import Worker

log = logging.getLogger(__name__)

_QUIET: Final = 3
"""Attempts that may fail without a warning: parts that start together find one another within seconds."""


def ready_worker(needs: Mapping[str, Callable[[], None]], ready: Callable[[], None], stop: threading.Event) -> Worker:
    """A worker that waits for each need in turn, saying for which, or until ``stop``.

    needs: by what is waited for: raises SkewlessError as long as it is not there.
    ready: has health say SERVING.

    A need that goes away later changes nothing here: answers say themselves what they lack.
    """
    return Worker("ready", lambda until: _wait(needs, ready, until), stop)


def _wait(needs: Mapping[str, Callable[[], None]], ready: Callable[[], None], stop: threading.Event) -> None:
    if all(_there(what, ask, stop) for what, ask in needs.items()) and not stop.is_set():
        ready()
        log.info("serving")


def _there(what: str, ask: Callable[[], None], stop: threading.Event) -> bool:
    """Whether it came before the end."""
    failures = 0
    while not stop.is_set():
        try:
            ask()
        except SkewlessError as error:
            failures += 1
            wait = AWAY.after(failures)
            level = logging.WARNING if failures > _QUIET else logging.INFO
            log.log(level, "not serving yet, waiting for %s: %s", what, error)
            stop.wait(wait)
        else:
            return True
    return False
