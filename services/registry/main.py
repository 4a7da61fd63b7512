"""Wires the registry: database → workflow → gRPC."""

from __future__ import annotations

import logging
import sys

from services.registry.servicer import REGISTER, SERVICE, RegistryServicer
from services.registry.settings import Settings
from services.registry.store import SqlStore
from services.registry.workflow import Workflow
from skewless.clock import SystemClock
from skewless.errors import SkewlessError
from skewless.rpc.server import Server, stop_on_signals, write_ready_file
from skewless.settings import SettingsError, load

log = logging.getLogger("skewless.registry")


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT."""
    stop = stop_on_signals()
    store = SqlStore(settings.database_url)
    workflow = Workflow(store, SystemClock())
    servicer = RegistryServicer(workflow, max_watchers=settings.max_watchers)
    server = Server(
        settings.listen,
        threads=settings.threads + settings.max_watchers,
        max_message_bytes=settings.max_message_bytes,
    )
    server.add(REGISTER, servicer, SERVICE)
    address = server.start()
    server.set_serving(serving=True)
    write_ready_file(settings.ready_file, address)
    log.info("serving on %s at revision %d", address, store.revision())
    stop.wait()
    workflow.close()
    server.stop(settings.stop_grace_s)
    store.close()


def main() -> int:
    try:
        settings = load(Settings)
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
        run(settings)
    except (SettingsError, SkewlessError, OSError, ValueError) as error:
        print(f"registry: {error}", file=sys.stderr)  # noqa: T201 (there may be no log yet)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
