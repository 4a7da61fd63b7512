"""The validator as a process: ``python -m services.validator.main``, settings from the environment."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from services.validator.clients import OfflineClient
from services.validator.consumer import ServedReader
from services.validator.domain.queue import Rules
from services.validator.servicer.metrics import serve_metrics
from services.validator.servicer.report import ValidatorServicer
from services.validator.settings import Settings
from services.validator.workflow import Validation
from skewless.bus import Bus
from skewless.clock import SystemClock
from skewless.rpc.server import ListenError, Server, stop_on_signals, write_ready_file
from skewless.rpc.worker import Worker
from skewless.settings import SettingsError, describe, load

log = logging.getLogger("services.validator")

_BROKER_S = 5.0
_STOP_S = 4.0


def main() -> int:
    """Runs until SIGTERM or SIGINT. Exit status 1: a fault of its own; 2: settings or addresses are of no use."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = load(Settings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.info("settings\n%s", describe(settings))
    stop = stop_on_signals()

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
    reader = ServedReader(Bus(settings.broker, timeout_s=_BROKER_S), validation)
    workers = [
        Worker("served", reader.read_until, stop),
        Worker("replay", validation.replay_until, stop),
    ]
    server = Server(settings.listen, threads=settings.workers)
    ValidatorServicer(validation).register(server)
    stop_metrics: Callable[[], None] | None = None
    try:
        if settings.metrics_listen:
            metrics, stop_metrics = serve_metrics(settings.metrics_listen, validation)
            log.info("metrics at http://%s/metrics", metrics)
        address = server.start()
    except ListenError as error:
        log.error("%s", error)  # noqa: TRY400 (the message says all there is)
        return 2

    for worker in workers:
        worker.start()
    server.set_serving(serving=True)
    write_ready_file(Path(settings.ready_file) if settings.ready_file else None, address)
    log.info("ready at %s", address)
    stop.wait()
    server.stop(grace_s=2.0)
    for worker in workers:
        worker.join(_STOP_S / 2)
    offline.close()  # ends a call that has not ended by itself
    for worker in workers:
        worker.join(_STOP_S / 2)
    if stop_metrics is not None:
        stop_metrics()
    return 1 if any(worker.failed for worker in workers) else 0


if __name__ == "__main__":
    sys.exit(main())
