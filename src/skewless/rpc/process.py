"""A service as a process: settings, log, signals, ready file, exit status."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, TypeVar

from skewless.errors import SkewlessError
from skewless.rpc.server import ListenError, Server, stop_on_signals, write_ready_file
from skewless.settings import SecretsAwaitedError, ServiceSettings, SettingsError, describe, load
from skewless.telemetry import endpoint, logs, start

log = logging.getLogger(__name__)

S = TypeVar("S", bound=ServiceSettings)


class StartError(Exception):
    """A service cannot begin with what it was told; the message says why, and how to put it right."""


_LOOK_S: Final = 1.0
_REPEAT_S: Final = 30.0
"""Between two looks for a secret that is not there, and between two lines of the log that say so."""


def run(
    name: str,
    kind: type[S],
    serve: Callable[[S, threading.Event], bool],
    *,
    listens: bool = True,
    within_s: float | None = None,
) -> int:
    """Runs a service until SIGTERM or SIGINT; call it from the main thread. Gives the exit status.

    name: as in ``services/<name>``; names the log.
    kind: its settings, read as `skewless.settings` says. While the file of a secret is not there the process waits; it
        says so in its log, and its health answers at the address ``listen``.
    serve: wires the service and serves until the event is set; whether all of its parts worked to the end.
    listens: False for a command that ends by itself and is asked nothing.
    within_s: seconds after which a command that still waits is ended, with status 1; None: it waits for ever.

    0: ended as it was told. 1: a part failed; the log says which. 2: settings or addresses are of no use.
    """
    stop, late = stop_on_signals(), threading.Event()
    if within_s is not None:
        _after(within_s, late, stop)
    log = logging.getLogger(f"services.{name}")
    try:
        settings = _load(kind, log, stop, listens=listens)
        if settings is None:
            return 1 if late.is_set() else 0
        logs.set_up(settings.log_level, settings.log_format)
        log.info("settings\n%s", describe(settings))
        with telling(name, settings):
            return 0 if serve(settings, stop) else 1
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (StartError, ListenError, SkewlessError) as error:
        log.error("%s", error)  # noqa: TRY400 (the message says all there is)
        return 2


def _after(seconds: float, late: threading.Event, stop: threading.Event) -> None:
    """Says after so long that it is late, and sets ``stop``."""

    def give_up() -> None:
        late.set()
        log.error("given up after %g s", seconds)
        stop.set()

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()


def _load(kind: type[S], log: logging.Logger, stop: threading.Event, *, listens: bool) -> S | None:
    """The settings, waiting for the files of secrets; None if the end came first. Raises SettingsError, ListenError."""
    with ExitStack() as waiting:
        told: float | None = None
        while not stop.is_set():
            try:
                return load(kind)
            except SecretsAwaitedError as error:
                if told is None:
                    logs.set_up(error.provisional.log_level, error.provisional.log_format)
                    if listens:
                        server = Server(error.provisional.listen, threads=2)
                        server.start()
                        waiting.callback(server.stop, 0)
                if told is None or time.monotonic() - told >= _REPEAT_S:
                    log.warning("not serving yet, waiting for secrets: %s", "; ".join(error.awaited))
                    told = time.monotonic()
            stop.wait(_LOOK_S)
    return None


@contextmanager
def telling(name: str, settings: ServiceSettings) -> Iterator[None]:
    """Inside, the service traces and answers scrapes as its settings say. Raises ListenError.

    Spans that were not exported yet are when it ends.
    """
    tracing = start.start(
        name,
        otlp_endpoint=settings.otlp_endpoint.reveal(),
        ratio=settings.trace_ratio,
        spans_file=settings.spans_file,
    )
    stop_scrapes: Callable[[], None] | None = None
    try:
        if settings.metrics_listen:
            try:
                address, stop_scrapes = endpoint.serve(settings.metrics_listen)
            except (OSError, ValueError, OverflowError) as error:
                raise ListenError(settings.metrics_listen, "SKEWLESS_METRICS_LISTEN") from error
            log.info("metrics at http://%s%s", address, endpoint.PATH)
            write_ready_file(settings.metrics_file, address)
        yield
    finally:
        if stop_scrapes is not None:
            stop_scrapes()
        if tracing is not None:
            tracing.stop()


def tell_ready(settings: ServiceSettings, address: str) -> None:
    """Tells whoever started this process that it answers, in the log and in the ready file."""
    logging.getLogger("services").info("ready at %s", address)
    write_ready_file(settings.ready_file, address)
