"""Brings a database to the newest schema, or says what is in the way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from services.registry.store.database import Database

log = logging.getLogger(__name__)

FOLDER: Final = Path(__file__).parent / "migrations"
STEPS: Final = ("r0001", "r0002", "r0003")
"""The schemas that this code knows, each by the step in `migrations/versions` that leads to it."""
NEWEST: Final = STEPS[-1]
FIRST: Final = STEPS[0]
"""The schema that the first registry made, without Alembic."""
_LOCK: Final = int.from_bytes(b"skewless", "big")
"""The number of the lock, in PostgreSQL's space of advisory locks."""

_LOOK: Final = sa.select(sa.func.pg_try_advisory_xact_lock_shared(_LOCK))
"""The lock for those who only look, if nobody migrates; until the end of the transaction."""


class SchemaError(ValueError):
    """The database has a schema that this registry cannot serve."""


class SchemaOlderError(SchemaError):
    """The database has an older schema, or none, and is not to be migrated here."""


def prepare(database: Database, *, migrate: bool) -> None:
    """Makes sure that the schema is the newest; migrated once, however many registries begin at the same time.

    migrate: whether to change an older schema, or only to look.

    Raises SchemaOlderError if it is older, or is just being migrated, and is not to be migrated here; SchemaError if it
    is newer than this code, is of another making, or if a step fails, which leaves everything as it was;
    DependencyUnavailableError if the database does not answer; BusyError if another migration takes too long.
    """
    with database.reading() as connection:
        # Another registry may be migrating: what stands in tables before Alembic's is looked at under the lock only.
        if not migrate and not database.embedded and not connection.execute(_LOOK).scalar_one():
            raise SchemaOlderError(f"another registry migrates {database.address}, and SKEWLESS_MIGRATE is never here")
        found = _noted(connection) if migrate else _schema(database, connection)
    if found == NEWEST:
        return
    if not migrate:
        raise SchemaOlderError(
            f"{database.address} has schema {found or 'none'}, this registry needs {NEWEST} and SKEWLESS_MIGRATE is "
            "never: run `python -m services.registry.main migrate`"
        )
    try:
        with database.writing() as connection:
            if not database.embedded:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            found = _schema(database, connection)
            if found != NEWEST:  # no other registry was faster
                _migrate(connection, found)
                log.info("migrated %s from schema %s to %s", database.address, found or "none", NEWEST)
    except sa.exc.DBAPIError as error:
        raise SchemaError(f"{database.address} cannot be migrated to schema {NEWEST}: {error.orig}") from error


def _schema(database: Database, connection: sa.Connection) -> str | None:
    """The schema that is there; None in an empty database. Raises SchemaError for one that this code does not know."""
    found = _noted(connection)
    if found is None and sa.inspect(connection).has_table("catalogue"):
        version = connection.execute(sa.text("SELECT schema_version FROM catalogue")).scalar_one()
        found = FIRST if version == 1 else f"version {version}"
    if found is not None and found not in STEPS:
        raise SchemaError(
            f"{database.address} has schema {found}, this registry knows up to {NEWEST}: a newer one made it; "
            "run that, or use another database"
        )
    return found


def _noted(connection: sa.Connection) -> str | None:
    """What Alembic noted; None if it was never there."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _migrate(connection: sa.Connection, found: str | None) -> None:
    # Its import takes a third of the registry's start, and it is hardly ever needed.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    if found is not None and _noted(connection) is None:
        command.stamp(config, found)
    command.upgrade(config, NEWEST)
