"""The online service as a process: ``python -m services.online.main``, settings from the environment."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial

from services.online.clients import KeyUses, follow_registry
from services.online.publisher import ServedPublisher
from services.online.servicer import collect
from services.online.settings import Settings
from services.online.store import ask_store, watch_store
from services.online.workflow import call_functions, finished_spans, open_functions
from skewless.bus import Bus
from skewless.functions.pool import FunctionPool
from skewless.kernel import OnlineServer
from skewless.rpc.process import StartError, run, tell_ready
from skewless.rpc.readiness import ready_worker
from skewless.rpc.worker import Worker
from skewless.telemetry.scrape import publish
from skewless.telemetry.start import QUEUE, running


def serve(settings: Settings, stop: threading.Event) -> bool:
    """Wires the service and serves until ``stop``; False: answers were not logged."""
    try:
        server = OnlineServer(
            listen=settings.listen,
            tls_identity=settings.tls_identity,
            tls_client_ca_file=settings.tls_client_ca_file,
            health_listen=settings.health_listen or None,
            store_url=settings.store_url.reveal(),
            api_keys_required=settings.api_keys.lower() == "required",
            key_rate=settings.key_rate,
            project_rate=settings.project_rate,
            queue_target_ms=settings.queue_target_ms,
            store_ca_file=settings.store_ca_file,
            store_identity=settings.store_identity,
            store_timeout_ms=settings.store_timeout_ms,
            max_in_flight=settings.max_in_flight,
            max_message_bytes=settings.max_message_bytes,
            served_queue=settings.served_queue,
            served_log=settings.served_log,
            function_timeout_ms=settings.function_timeout_ms,
            function_queue=settings.function_queue,
            threads=settings.threads,
        )
    except ValueError as error:
        raise StartError(str(error)) from error
    functions = FunctionPool(settings.function_modules, settings.function_workers)
    publish(lambda: collect(server, functions))
    try:
        port = server.start()
    except OSError as error:
        raise StartError(str(error)) from error
    address = f"{settings.listen.rpartition(':')[0]}:{port}"
    answered = threading.Event()  # no request is answered any more
    bus = Bus.of(settings)
    publisher = ServedPublisher(server, bus, traced=settings.traced)
    registry = follow_registry(settings.registry, server, functions, settings.definitions_file)
    needs: dict[str, Callable[[], None]] = {"the registry": registry.ask, "the store": partial(ask_store, server)}
    if settings.served_log:
        needs["the broker"] = bus.ask
    if settings.function_modules:
        needs["the Python functions"] = partial(open_functions, server, functions)
    workers = [
        Worker("served", lambda _stop: publisher.publish_until(answered), stop),
        Worker("store-watch", lambda until: watch_store(server, until), stop),
        ready_worker(needs, partial(server.set_serving, True), stop),
    ]
    if settings.api_keys.lower() == "required":
        workers.append(Worker("key-uses", KeyUses(settings.registry, server).tell_until, stop))
    if settings.function_modules:
        workers += [
            Worker(f"functions-{place}", lambda until: call_functions(server, functions, until), stop)
            for place in range(settings.function_workers)
        ]
    if (tracing := running()) is not None:
        server.trace(QUEUE, settings.trace_ratio)
        export = partial(tracing.export_until, answered, partial(finished_spans, server))
        workers.append(Worker("spans", lambda _stop: export(), stop))
    for worker in workers:
        worker.start()
    tell_ready(settings, address)
    stop.wait()
    registry.stop()
    server.stop(settings.grace_ms)
    answered.set()
    for worker in workers:
        worker.join()
    functions.close()
    return not any(worker.failed for worker in workers)


if __name__ == "__main__":
    sys.exit(run("online", Settings, serve))
