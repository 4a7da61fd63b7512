"""The Prometheus door of a process: one address for whatever its parts publish."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from skewless.telemetry.scrape import everything

log = logging.getLogger(__name__)

PATH: Final = "/metrics"
OPENMETRICS: Final = "application/openmetrics-text"
"""The format with exemplars, for those who say that they take it."""


def serve(listen: str) -> tuple[str, Callable[[], None]]:
    """Answers scrapes at ``http://host:port/metrics`` (port 0: any free one); gives ``host:port`` and what stops it.

    A host of IPv6 stands in brackets; ``[::]`` is every address of either kind.

    Raises OSError, ValueError or OverflowError if the address cannot be listened on.
    """
    host, _, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        server: ThreadingHTTPServer = _SixServer((host[1:-1], int(port)), _Handler)
    else:
        server = ThreadingHTTPServer((host, int(port)), _Handler)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return f"{host}:{server.server_address[1]}", stop


class _SixServer(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    """Seconds that a client has for its request."""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, f"metrics are at {PATH}")
            return
        openmetrics = OPENMETRICS in self.headers.get("Accept", "")
        try:
            body = everything(openmetrics=openmetrics)
        except Exception:
            log.exception("the metrics cannot be told")
            self.send_error(500, "the metrics cannot be told; see the log of the service")
            return
        self.send_response(200)
        kind = f"{OPENMETRICS}; version=1.0.0" if openmetrics else "text/plain; version=0.0.4"
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        log.debug(format, *args)
