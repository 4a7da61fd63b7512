"""The Prometheus door of a service: metrics computed when they are asked for."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.registry import Collector

from skewless.rpc.server import ListenError


def serve_metrics(listen: str, collector: Collector) -> tuple[str, Callable[[], None]]:
    """Answers scrapes at ``host:port`` (port 0: any free one); gives the address and what stops it.

    Raises ListenError.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host, registry)
    except (OSError, ValueError, OverflowError) as error:
        raise ListenError(listen, "SKEWLESS_METRICS_LISTEN") from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return f"{host}:{server.server_address[1]}", stop
