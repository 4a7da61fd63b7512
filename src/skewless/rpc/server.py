"""A gRPC server as every service runs it: health, reflection, checked requests, rich errors, graceful stop."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from skewless.rpc.interceptor import RichErrors
from skewless.rpc.limits import MAX_MESSAGE_BYTES, MAX_STATUS_BYTES
from skewless.rpc.observed import Observed

log = logging.getLogger(__name__)

LIVE: Final = "live"
"""The name under which health says that the process lives, whether or not it can answer anything."""


class ListenError(OSError):
    """The address cannot be listened on.

    setting: the variable that chooses it.
    """

    def __init__(self, address: str, setting: str = "SKEWLESS_LISTEN") -> None:
        super().__init__(
            f"cannot listen on {address}: is the port taken, or the host not of this machine? "
            f"Choose another with {setting}; port 0 takes a free one"
        )


class Server:
    """Listens on one address.

    listen: ``host:port``; port 0 takes a free one.
    threads: calls handled at once; a streaming call holds its thread until it ends.
    max_message_bytes: the largest message taken or sent; larger ones are refused by gRPC.

    `add` services, `start`, `set_serving` when the service can answer, `stop` at the end.
    """

    def __init__(self, listen: str, *, threads: int = 16, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._listen = listen
        self._pool = futures.ThreadPoolExecutor(threads, thread_name_prefix="rpc")
        self._server = grpc.server(
            self._pool,
            interceptors=[Observed(), RichErrors()],
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", max_message_bytes),
                ("grpc.max_metadata_size", MAX_STATUS_BYTES),
                ("grpc.absolute_max_metadata_size", 2 * MAX_STATUS_BYTES),
                # A watcher whose machine is gone is noticed, and its thread is free again.
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
                # Less than the time between a client's own keepalive pings, or it is hung up on for too many of them.
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ],
            maximum_concurrent_rpcs=4 * threads,
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names = [health.SERVICE_NAME, reflection.SERVICE_NAME]
        self._own: list[str] = []
        self.address = ""
        """``host:port`` with the port that was bound; empty before `start`."""

    def add(self, register: Callable[[Any, grpc.Server], None], servicer: object, service: ServiceDescriptor) -> None:
        """Adds a service: its generated ``add_...Servicer_to_server``, the servicer and the descriptor."""
        register(servicer, self._server)
        self._names.append(service.full_name)
        self._own.append(service.full_name)

    def start(self) -> str:
        """Listens, not yet serving by its health. Gives ``host:port``. Raises ListenError."""
        reflection.enable_server_reflection(self._names, self._server)
        self.set_serving(serving=False)
        self._health.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        try:
            port = self._server.add_insecure_port(self._listen)
        except RuntimeError as error:
            raise ListenError(self._listen) from error
        if port == 0:
            raise ListenError(self._listen)
        self._server.start()
        host, _, _ = self._listen.rpartition(":")
        self.address = f"{host}:{port}"
        return self.address

    def set_serving(self, *, serving: bool) -> None:
        """What the health of the server and of each of its services says."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ["", *self._own]:
            self._health.set(name, status)

    def stop(self, grace_s: float = 5.0) -> None:
        """Says NOT_SERVING, takes no new calls, lets running ones end within ``grace_s`` seconds."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_s).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)


def write_ready_file(path: Path | None, address: str) -> None:
    """Tells whoever started this process that it serves: one line, ``host:port``. Appears at once, whole."""
    if path is None:
        return
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(address + "\n", encoding="utf-8")
    fresh.replace(path)


def stop_on_signals(stop: threading.Event | None = None) -> threading.Event:
    """An event that SIGTERM and SIGINT set. Call it from the main thread."""
    event = stop or threading.Event()

    def told(number: int) -> None:
        log.info("stopping on %s", signal.Signals(number).name)
        event.set()

    def handle(number: int, _frame: object) -> None:
        # The code that the signal interrupts may hold the lock of the event or of the log: this thread would wait
        # for itself.
        threading.Thread(target=told, args=(number,), name="stop").start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return event
