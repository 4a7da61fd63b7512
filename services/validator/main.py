"""The validator as a process: ``python -m services.validator.main``, settings from the environment."""

from __future__ import annotations

import sys
import threading
from functools import partial

from services.validator.clients import OfflineClient
from services.validator.consumer import ServedReader
from services.validator.domain.queue import Rules
from services.validator.servicer.metrics import collect
from services.validator.servicer.report import ValidatorServicer
from services.validator.settings import Settings
from services.validator.workflow import Validation
from skewless.bus import Bus
from skewless.clock import SystemClock
from skewless.rpc.process import run, tell_ready
from skewless.rpc.readiness import ready_worker
from skewless.rpc.server import Server
from skewless.rpc.worker import Worker
from skewless.telemetry.scrape import publish

_BROKER_S = 5.0
_STOP_S = 4.0


def serve(settings: Settings, stop: threading.Event) -> bool:
    """Wires the service and serves until ``stop``."""
    offline = OfflineClient(settings.offline, timeout_s=settings.replay_timeout_s)
    rules = Rules(
        batch=settings.replay_batch,
        capacity=settings.replay_queue,
        settle_s=settings.replay_settle_ms / 1_000,
        give_up_s=settings.replay_give_up_s,
    )
    validation = Validation(
        offline,
        SystemClock(),
        rules,
        share=settings.replay_share,
        interval_s=settings.replay_interval_ms / 1_000,
        profile_features=settings.profile_features,
    )
    bus = Bus.of(settings, timeout_s=_BROKER_S)
    reader = ServedReader(bus, validation)
    workers = [
        Worker("served", reader.read_until, stop),
        Worker("replay", validation.replay_until, stop),
    ]
    server = Server(settings.listen, threads=settings.workers)
    needs = {"the broker": bus.ask}
    workers.append(ready_worker(needs, partial(server.set_serving, serving=True), stop))
    ValidatorServicer(validation).register(server)
    publish(lambda: collect(validation))
    address = server.start()
    for worker in workers:
        worker.start()
    tell_ready(settings, address)
    stop.wait()
    server.stop(grace_s=2.0)
    for worker in workers:
        worker.join(_STOP_S / 2)
    offline.close()  # ends a call that has not ended by itself
    for worker in workers:
        worker.join(_STOP_S / 2)
    return not any(worker.failed for worker in workers)


if __name__ == "__main__":
    sys.exit(run("validator", Settings, serve))
