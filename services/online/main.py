"""The online service as a process: ``python -m services.online.main``, settings from the environment."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from services.online.clients import follow_registry
from services.online.publisher import ServedPublisher
from services.online.settings import Settings
from services.online.store import StoreWatch
from skewless.bus import Bus
from skewless.kernel import OnlineServer
from skewless.rpc.server import stop_on_signals, write_ready_file
from skewless.settings import SettingsError, describe, load

log = logging.getLogger("services.online")


def main() -> int:
    """Runs until SIGTERM or SIGINT.

    Exit status 1: answers could not be logged. 2: the settings or the address are of no use.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = load(Settings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.info("settings\n%s", describe(settings))
    stop = stop_on_signals()

    try:
        server = OnlineServer(
            listen=settings.listen,
            store_url=settings.store_url.reveal(),
            store_timeout_ms=settings.store_timeout_ms,
            max_in_flight=settings.max_in_flight,
            max_message_bytes=settings.max_message_bytes,
            served_queue=settings.served_queue,
            served_log=settings.served_log,
            threads=settings.threads,
        )
        port = server.start()
    except (OSError, ValueError) as error:
        log.error("%s", error)  # noqa: TRY400 (the message says all there is)
        return 2
    address = f"{settings.listen.rpartition(':')[0]}:{port}"
    publisher = ServedPublisher(server, Bus(settings.broker), on_failure=stop.set)
    publisher.start()
    store_watch = StoreWatch(server)
    store_watch.start()
    registry = follow_registry(settings.registry, server)
    write_ready_file(Path(settings.ready_file) if settings.ready_file else None, address)
    log.info("ready at %s", address)
    stop.wait()
    registry.stop()
    server.stop(settings.grace_ms)
    publisher.stop()
    store_watch.stop()
    return 1 if publisher.failed else 0


if __name__ == "__main__":
    sys.exit(main())
