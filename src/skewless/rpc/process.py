"""A service as a process: settings, log, signals, ready file, exit status."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from skewless.errors import SkewlessError
from skewless.rpc.server import ListenError, stop_on_signals, write_ready_file
from skewless.settings import ServiceSettings, SettingsError, describe, load

S = TypeVar("S", bound=ServiceSettings)


class StartError(Exception):
    """A service cannot begin with what it was told; the message says why, and how to put it right."""


def run(name: str, kind: type[S], serve: Callable[[S, threading.Event], bool]) -> int:
    """Runs a service until SIGTERM or SIGINT; call it from the main thread. Gives the exit status.

    name: as in ``services/<name>``; names the log.
    kind: its settings, read from the environment.
    serve: wires the service and serves until the event is set; whether all of its parts worked to the end.

    0: ended as it was told. 1: a part failed; the log says which. 2: settings or addresses are of no use.
    """
    try:
        settings = load(kind)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    log = logging.getLogger(f"services.{name}")
    log.info("settings\n%s", describe(settings))
    try:
        return 0 if serve(settings, stop_on_signals()) else 1
    except (StartError, ListenError, SkewlessError) as error:
        log.error("%s", error)  # noqa: TRY400 (the message says all there is)
        return 2


def tell_ready(settings: ServiceSettings, address: str) -> None:
    """Tells whoever started this process that it answers, in the log and in the ready file."""
    logging.getLogger("services").info("ready at %s", address)
    write_ready_file(settings.ready_file, address)
