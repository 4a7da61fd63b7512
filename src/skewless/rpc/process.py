"""A service as a process: settings, log, signals, ready file, exit status."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from skewless.errors import SkewlessError
from skewless.rpc.server import ListenError, stop_on_signals, write_ready_file
from skewless.settings import ServiceSettings, SettingsError, describe, load
from skewless.telemetry import endpoint, logs, start

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
    logs.set_up(settings.log_level, settings.log_format)
    log = logging.getLogger(f"services.{name}")
    log.info("settings\n%s", describe(settings))
    stop = stop_on_signals()
    try:
        with telling(name, settings):
            return 0 if serve(settings, stop) else 1
    except (StartError, ListenError, SkewlessError) as error:
        log.error("%s", error)  # noqa: TRY400 (the message says all there is)
        return 2


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
            endpoint.tell(settings.metrics_file, address)
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
