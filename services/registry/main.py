"""Wires the registry: database → workflow → gRPC."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import threading
from collections.abc import Sequence
from typing import Final

from services.registry.servicer import REGISTER, SERVICE, RegistryServicer
from services.registry.settings import DatabaseSettings, Settings
from services.registry.store.database import Database
from services.registry.store.sql import SqlStore
from services.registry.workflow import Workflow
from skewless.clock import SystemClock
from skewless.errors import BusyError, DependencyUnavailableError, SkewlessError
from skewless.rpc.server import Server, stop_on_signals, write_ready_file
from skewless.settings import SettingsError, load

log = logging.getLogger("skewless.registry")

RETRY_S: Final = 1.0


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT."""
    stop = stop_on_signals()
    store = _store(settings, connections=settings.threads + 2)
    workflow = Workflow(store, SystemClock())
    server = Server(
        settings.listen,
        threads=settings.threads + settings.max_watchers,
        max_message_bytes=settings.max_message_bytes,
    )
    server.add(REGISTER, RegistryServicer(workflow, max_watchers=settings.max_watchers), SERVICE)
    address = server.start()
    looking = Looking(workflow, server, settings.look_every_s, stop)
    try:
        if _prepare(store, settings, stop):
            server.set_serving(serving=True)
            looking.start()
            write_ready_file(settings.ready_file, address)
            log.info("serving on %s", address)
            stop.wait()
    finally:
        workflow.close()
        server.stop(settings.stop_grace_s)
        store.close()
    if looking.failure is not None:
        raise looking.failure


class Looking(threading.Thread):
    """Keeps health and followers up to date. Ends the service if it cannot go on."""

    def __init__(self, workflow: Workflow, server: Server, every_s: float, stop: threading.Event) -> None:
        # Nobody waits for it at the end: it may be stuck in a call to a database that is out of reach.
        super().__init__(name="looking", daemon=True)
        self._workflow = workflow
        self._server = server
        self._every_s = every_s
        self._stop_service = stop
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self._workflow.keep_looking(self._every_s, self._tell)
        except Exception as error:  # noqa: BLE001 (raised again by the thread that waits for the end)
            self.failure = error
            self._stop_service.set()

    def _tell(self, away: SkewlessError | None) -> None:
        if away is None:
            log.info("serving again: the database answers")
        else:
            log.error("not serving: %s", away)
        self._server.set_serving(serving=away is None)


def _store(settings: DatabaseSettings, *, connections: int) -> SqlStore:
    return SqlStore(Database(settings.database_url, connections=connections, lock_wait_s=settings.lock_wait_s))


def _prepare(store: SqlStore, settings: Settings, stop: threading.Event) -> bool:
    """Prepares the store; a database server may come up later than this one. Whether there was time for it."""
    while not stop.is_set():
        try:
            store.prepare(migrate=settings.migrate == "auto")
        except (DependencyUnavailableError, BusyError) as error:
            if store.embedded:
                raise
            log.warning("waiting: %s", error)
            stop.wait(RETRY_S)
        else:
            return True
    return False


def migrate(settings: DatabaseSettings) -> None:
    """Brings the database up to date and ends."""
    with contextlib.closing(_store(settings, connections=1)) as store:
        store.prepare(migrate=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Status 0 after an orderly end, 2 if it could not begin; the reason goes to stderr."""
    parser = argparse.ArgumentParser(prog="registry", description="Keeps definitions. Settings: SKEWLESS_<NAME>.")
    parser.add_argument(
        "command",
        nargs="?",
        choices=("serve", "migrate"),
        default="serve",
        help="serve (if nothing is said), or bring the database's schema up to date and end",
    )
    command = parser.parse_args(arguments).command
    try:
        settings = load(Settings) if command == "serve" else load(DatabaseSettings)
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
        if isinstance(settings, Settings):
            run(settings)
        else:
            migrate(settings)
    except (SettingsError, SkewlessError, OSError, ValueError) as error:
        print(f"registry: {error}", file=sys.stderr)  # noqa: T201 (there may be no log yet)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
