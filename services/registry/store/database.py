"""A connection to the database: what its URL may be, what is set up, and what its failures mean."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from psycopg import conninfo

from skewless.errors import BusyError, DependencyUnavailableError, OverloadedError
from skewless.settings import Secret

POOL_WAIT_S: Final = 10
STUCK_S: Final = 60
_WRITE_AHEAD_S: Final = 10
_KEPT_CONNECTIONS: Final = 4
_FORMS: Final = "sqlite:///path/of/a/file or postgresql://user:password@host:port/database"
_SECRET_OPTIONS: Final = ("password", "sslpassword", "passfile")
_POSTGRES: Final = {"postgresql", "postgres", "postgresql+psycopg"}
_BEGIN: Final = "sqlite_begin"
_BUSY_STATES: Final = {"40001", "40P01", "55P03"}
"""Serialization failure, deadlock, lock not available."""
_LOST_STATES: Final = {"25006", "25P03", "3F000", "42501", "42P01", "57014"}
"""Not a primary any more, idle for too long, without schema, privilege or table, cancelled by its owner."""


class Database:
    """Connections to one database.

    url: see `_FORMS`; `postgres://` is understood as well.
    connections: the most at once, at least 1; one more waits for `POOL_WAIT_S` and is refused as OverloadedError.
    lock_wait_s: how long a change waits for another's end; then it is refused as BusyError.

    Raises ValueError for a URL that is none of these. Nothing is connected yet.
    """

    def __init__(self, url: Secret, *, connections: int, lock_wait_s: float) -> None:
        parsed = _parsed(url)
        self.embedded: Final = parsed.get_backend_name() == "sqlite"
        """Whether it is a file of this machine, so that waiting for it to come up is of no use."""
        self.address: Final = _address(parsed)
        given = (parsed.password, *(parsed.query.get(option) for option in _SECRET_OPTIONS))
        self._secrets = [text for text in given if isinstance(text, str) and text]
        self._connections = connections
        self._lock_wait_s = lock_wait_s
        kept = min(connections, _KEPT_CONNECTIONS)
        options: dict[str, Any] = {"connect_args": {"timeout": lock_wait_s}}
        if not self.embedded:
            # A connection that died in the pool is found out and replaced before it is used.
            options = {
                "connect_args": _patience(parsed.query),
                "isolation_level": "READ COMMITTED",
                "pool_pre_ping": True,
            }
        self.engine: Final = sa.create_engine(
            parsed,
            pool_size=kept,
            max_overflow=connections - kept,
            pool_timeout=POOL_WAIT_S,
            **options,
        )
        if self.embedded:
            _set_up_sqlite(self.engine)

    def close(self) -> None:
        """Lets all connections go."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read by. Each statement sees what was committed before it."""
        with self._named(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that commits at the end. On SQLite it has the only lock that there is."""
        engine = self.engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        with self._named(), engine.begin() as connection:
            if not self.embedded:
                _limit(connection, "lock_timeout", self._lock_wait_s)
                # A registry that was cut off in the middle of a change does not stop the others for ever.
                _limit(connection, "idle_in_transaction_session_timeout", STUCK_S)
            yield connection

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Failures of the database as failures of Skewless; they name the address and no secret."""
        try:
            yield
        except sa.exc.TimeoutError as error:
            raise OverloadedError(
                what=f"connections to the registry's database at {self.address}", limit=self._connections
            ) from error
        except sa.exc.DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            if state in _BUSY_STATES or getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise BusyError(what="another change of the catalogue") from error
            if state in _LOST_STATES or _unreachable(error):
                raise self.away(str(error.orig)) from error
            raise

    def away(self, detail: str) -> DependencyUnavailableError:
        """The failure of a database that does not answer; without the secrets that ``detail`` may hold."""
        words = " ".join(detail.split())
        for secret in self._secrets:
            words = words.replace(secret, "***")
        return DependencyUnavailableError(what="the registry's database", address=self.address, detail=words)


def _parsed(url: Secret) -> sa.URL:
    try:
        parsed = sa.make_url(url.reveal())
    except (sa.exc.ArgumentError, ValueError):
        parsed = None  # what they say may quote the URL
    if parsed is not None:
        if parsed.drivername in _POSTGRES and parsed.database:
            try:
                conninfo.make_conninfo(**{name: str(value) for name, value in parsed.query.items()})
            except psycopg.ProgrammingError as error:
                raise ValueError(f"SKEWLESS_DATABASE_URL: {' '.join(str(error).split())}") from None
            return parsed.set(drivername="postgresql+psycopg")
        # In memory, every connection would have a database of its own.
        if parsed.drivername == "sqlite" and parsed.database not in {None, "", ":memory:"}:
            return parsed
    raise ValueError(f"SKEWLESS_DATABASE_URL: expected {_FORMS}, got something else")


def _address(url: sa.URL) -> str:
    """The URL without password and options."""
    bare = sa.URL.create(
        url.get_backend_name(), username=url.username, host=url.host, port=url.port, database=url.database
    )
    return bare.render_as_string()


def _patience(given: Mapping[str, Any]) -> dict[str, Any]:
    """How long PostgreSQL's client waits before it takes a connection for lost; what the URL says counts more."""
    usual = {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        "application_name": "skewless-registry",
        # Statements are prepared by name otherwise, which a pool in front of the server may not carry over.
        "prepare_threshold": None,
    }
    return {name: value for name, value in usual.items() if name not in given}


def _unreachable(error: sa.exc.DBAPIError) -> bool:
    if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_ERROR":  # a statement at fault, or a file put in between
        return "no such table" in str(error.orig)
    return error.connection_invalidated or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)


def _limit(connection: sa.Connection, name: str, seconds: float) -> None:
    """Sets one of PostgreSQL's limits of time for this transaction."""
    connection.execute(sa.select(sa.func.set_config(name, f"{int(seconds * 1000)}ms", True)))


def _write_ahead(connection: Any) -> None:
    """Sets the journal's mode. While another process is setting it in a new file this fails without waiting."""
    deadline = time.monotonic() + _WRITE_AHEAD_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _set_up_sqlite(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver would begin transactions too late
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
