"""The registry as a process: ``python -m services.registry.main [serve | migrate]``, settings from the environment."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import threading
from collections.abc import Iterator, Sequence

from services.registry.servicer import REGISTER, SERVICE, RegistryServicer
from services.registry.settings import Settings
from services.registry.store.database import Database
from services.registry.store.migrating import SchemaOlderError
from services.registry.store.sql import SqlStore
from services.registry.workflow import Workflow
from skewless.clock import AWAY, SystemClock
from skewless.errors import BusyError, DependencyUnavailableError, SkewlessError
from skewless.rpc.process import StartError, run, tell_ready
from skewless.rpc.server import Server
from skewless.rpc.worker import Worker
from skewless.telemetry import metrics
from skewless.telemetry.scrape import publish

log = logging.getLogger("services.registry")


def serve(settings: Settings, stop: threading.Event) -> bool:
    """Wires the service and serves until ``stop``."""
    store = _store(settings, connections=settings.threads + 2)
    workflow = Workflow(store, SystemClock())
    publish(lambda: [metrics.REVISION.of([] if workflow.revision is None else [((), workflow.revision)])])
    server = Server(
        settings.listen,
        threads=settings.threads + settings.max_watchers,
        max_message_bytes=settings.max_message_bytes,
    )
    server.add(REGISTER, RegistryServicer(workflow, max_watchers=settings.max_watchers), SERVICE)
    address = server.start()
    # Not joined at the end: it may be stuck in a call to a database that is out of reach.
    looking = Worker("looking", lambda _stop: _follow_database(workflow, server, settings.look_every_s), stop)
    try:
        if _prepare(store, stop, migrate=settings.migrate == "auto"):
            server.set_serving(serving=True)
            looking.start()
            tell_ready(settings, address)
            stop.wait()
    finally:
        workflow.close()
        server.stop(settings.stop_grace_s)
        store.close()
    return not looking.failed


def _follow_database(workflow: Workflow, server: Server, every_s: float) -> None:
    """Keeps health and followers up to date."""

    def tell(away: SkewlessError | None) -> None:
        if away is None:
            log.info("serving again: the database answers")
        else:
            log.error("not serving: %s", away)
        server.set_serving(serving=away is None)

    workflow.keep_looking(every_s, tell)


@contextlib.contextmanager
def _of_use() -> Iterator[None]:
    """A database that is not ours to use, or no address of one, is told without a trace."""
    try:
        yield
    except SchemaOlderError:  # is waited out
        raise
    except ValueError as error:
        raise StartError(str(error)) from error


def _store(settings: Settings, *, connections: int) -> SqlStore:
    with _of_use():
        return SqlStore(Database(settings.database_url, connections=connections, lock_wait_s=settings.lock_wait_s))


def _prepare(store: SqlStore, stop: threading.Event, *, migrate: bool) -> bool:
    """Prepares the store; a database server, or who migrates it, may come later. Whether there was time for it."""
    failures = 0
    while not stop.is_set():
        try:
            with _of_use():
                store.prepare(migrate=migrate)
        except (DependencyUnavailableError, BusyError, SchemaOlderError) as error:
            if store.embedded and not isinstance(error, SchemaOlderError):
                raise
            failures += 1
            wait = AWAY.after(failures)
            log.warning("waiting: %s; trying again in %.1f s", error, wait)
            stop.wait(wait)
        else:
            return True
    return False


def migrate(settings: Settings, stop: threading.Event) -> bool:
    """Brings the database up to date and ends; False if it was ended before."""
    with contextlib.closing(_store(settings, connections=1)) as store:
        return _prepare(store, stop, migrate=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status, as `skewless.rpc.process.run` gives it."""
    parser = argparse.ArgumentParser(prog="registry", description="Keeps definitions. Settings: SKEWLESS_<NAME>.")
    parser.add_argument(
        "command",
        nargs="?",
        choices=("serve", "migrate"),
        default="serve",
        help="serve (if nothing is said), or bring the database's schema up to date and end",
    )
    parser.add_argument("--within", type=float, metavar="SECONDS", help="migrate: give up after so long, with status 1")
    given = parser.parse_args(arguments)
    if given.command == "serve":
        if given.within is not None:
            parser.error("--within belongs to migrate")
        return run("registry", Settings, serve)
    return run("registry", Settings, migrate, listens=False, within_s=given.within)


if __name__ == "__main__":
    sys.exit(main())
