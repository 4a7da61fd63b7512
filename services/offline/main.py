"""The offline service as a process: ``python -m services.offline.main``, settings from the environment."""

from __future__ import annotations

import queue
import sys
import threading
from functools import partial
from pathlib import Path

from services.offline.clients import RegistryCatalogs
from services.offline.consumer import ServedIngest
from services.offline.servicer import OfflineServicer
from services.offline.settings import Settings
from services.offline.store.events import DeltaEvents
from services.offline.store.online import ValkeyRows
from services.offline.store.runs import DeltaRuns
from services.offline.store.served import DeltaServed
from services.offline.store.sql import DuckTransforms
from services.offline.workflow.compute import Computer
from services.offline.workflow.explain import Explainer
from services.offline.workflow.frame import FrameMaker
from services.offline.workflow.materialize import Materializer, follow_views
from services.offline.workflow.meters import Meters
from services.offline.workflow.replay import Replayer
from skewless.bus import Bus
from skewless.clock import SystemClock
from skewless.definitions.catalog import Catalog
from skewless.functions.pool import FunctionPool
from skewless.lake import Lake
from skewless.rpc.process import run, tell_ready
from skewless.rpc.readiness import ready_worker
from skewless.rpc.server import Server
from skewless.rpc.worker import Worker
from skewless.telemetry import metrics
from skewless.telemetry.scrape import publish

_STOP_S = 5.0


def serve(settings: Settings, stop: threading.Event) -> bool:
    """Wires the service and serves until ``stop``."""
    lake = Lake(settings.lake)
    catalogs = RegistryCatalogs(settings.registry)
    events, runs, served = DeltaEvents(lake), DeltaRuns(lake), DeltaServed(lake)
    functions = FunctionPool(settings.function_modules, settings.function_workers)
    computer = Computer(events, runs, functions)
    meters = Meters()
    publish(lambda: [*meters.collect(), metrics.function_processes(functions.counts)])
    bus = Bus.of(settings)
    store = ValkeyRows(settings.store_url, settings.store_replicas, settings.store_files)
    materializer = Materializer(
        catalogs,
        events,
        runs,
        DuckTransforms(Path(settings.sources), settings.memory_mb),
        store,
        meters,
    )
    news: queue.SimpleQueue[Catalog] = queue.SimpleQueue()
    ingest = ServedIngest(bus, lake, meters, commit_ms=settings.served_commit_ms)
    workers = [
        Worker("served", ingest.run, stop),
        Worker("views", lambda until: follow_views(materializer, news, until), stop),
    ]
    server = Server(settings.listen, threads=settings.workers)
    needs = {"the registry": catalogs.ask, "the broker": bus.ask, "the store": store.ask}
    workers.append(ready_worker(needs, partial(server.set_serving, serving=True), stop))
    OfflineServicer(
        materializer,
        FrameMaker(catalogs, served, computer),
        Replayer(catalogs, served, computer),
        Explainer(catalogs, served, events, runs, computer),
        SystemClock(),
    ).register(server)
    address = server.start()
    catalogs.start(news.put)
    for worker in workers:
        worker.start()
    tell_ready(settings, address)
    stop.wait()
    catalogs.stop()
    server.stop()
    for worker in workers:
        worker.join(_STOP_S)
    functions.close()
    return not any(worker.failed for worker in workers)


if __name__ == "__main__":
    sys.exit(run("offline", Settings, serve))
