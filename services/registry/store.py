"""The catalogue in a relational database, through SQLAlchemy: SQLite embedded; nothing here is SQLite's alone
but the two statements that set up a connection.

Tables: `catalogue` (one row: the schema's version and the revision), `meanings` (bytes by hash), `definitions`
(what has which meaning), `audit` (who changed what, when and why; only ever added to).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa

from services.registry.domain.plan import Change
from services.registry.ports import Found, ListKey, Reason, Snapshot
from skewless.definitions.resource import Definition, Kind, Version
from skewless.errors import DependencyUnavailableError
from skewless.settings import Secret

SCHEMA_VERSION: Final = 1
BUSY_WAIT_S: Final = 30

_meta = sa.MetaData()
_catalogue = sa.Table(
    "catalogue",
    _meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
)
_meanings = sa.Table(
    "meanings",
    _meta,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("json", sa.LargeBinary, nullable=False),
)
_definitions = sa.Table(
    "definitions",
    _meta,
    sa.Column("project", sa.String(64), primary_key=True),
    sa.Column("kind_rank", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("major", sa.Integer, primary_key=True),
    sa.Column("minor", sa.Integer, primary_key=True),
    sa.Column("patch", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("meaning_hash", sa.String(64), sa.ForeignKey("meanings.hash"), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
)
_audit = sa.Table(
    "audit",
    _meta,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("change", sa.String(32), nullable=False),
    sa.Column("project", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("ref", sa.String(160), nullable=False),
    sa.Column("meaning_hash", sa.String(64), nullable=False),
    sa.Column("differences", sa.Text, nullable=False),
)
_ORDER: Final = tuple(_definitions.c[name] for name in ("project", "kind_rank", "name", "major", "minor", "patch"))


class SqlStore:
    """Implements `ports.CatalogStore`.

    url: SQLAlchemy's; the tables are made if they are not there.

    Raises DependencyUnavailableError if the database cannot be opened, ValueError if its tables are of another
    version of this schema.
    """

    def __init__(self, url: Secret) -> None:
        parsed = sa.make_url(url.reveal())
        self._address = parsed.render_as_string(hide_password=True)
        options = {"timeout": BUSY_WAIT_S} if parsed.get_backend_name() == "sqlite" else {}
        self._engine = sa.create_engine(parsed, connect_args=options, pool_size=8, max_overflow=32)
        if parsed.get_backend_name() == "sqlite":
            _set_up_sqlite(self._engine)
        with self._reachable():
            self._create()

    def _create(self) -> None:
        with self._engine.begin() as connection:
            _meta.create_all(connection)
            found = connection.execute(sa.select(_catalogue.c.schema_version)).scalar()
            if found is None:
                row = {"id": 1, "schema_version": SCHEMA_VERSION, "revision": 0}
                connection.execute(sa.insert(_catalogue).values(row))
            elif found != SCHEMA_VERSION:
                raise ValueError(
                    f"the tables in {self._address} have schema version {found}, this registry "
                    f"reads {SCHEMA_VERSION}; run the registry of that version, or another database"
                )

    def close(self) -> None:
        """Lets all connections go."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        with self._reachable(), self._engine.begin() as connection:
            # Taken first, the row's lock lets transactions run one after the other.
            connection.execute(sa.update(_catalogue).values(revision=_catalogue.c.revision))
            yield SqlTransaction(connection)

    def revision(self) -> int:
        with self._reachable(), self._engine.connect() as connection:
            return int(connection.execute(sa.select(_catalogue.c.revision)).scalar_one())

    def read(self, projects: Collection[str] | None) -> Snapshot:
        with self._reachable(), self._engine.connect() as connection:
            return _read(connection, projects)

    def get(self, project: str, kind: Kind, name: str, version: Version | None) -> Found | None:
        c = _definitions.c
        query = _select(_definitions.c.revision).where(c.project == project, c.kind_rank == kind.rank, c.name == name)
        if version is not None:
            query = query.where(c.major == version.major, c.minor == version.minor, c.patch == version.patch)
        query = query.order_by(*(column.desc() for column in _ORDER)).limit(1)
        with self._reachable(), self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else Found(_definition(row), int(row["revision"]))

    def list(self, project: str, kind: Kind | None, after: ListKey | None, limit: int) -> Sequence[Definition]:
        query = _select().where(_definitions.c.project == project)
        if kind is not None:
            query = query.where(_definitions.c.kind_rank == kind.rank)
        if after is not None:
            place = (after.kind.rank, after.name, *(after.version or Version(0, 0, 0)))
            query = query.where(sa.tuple_(*_ORDER[1:]) > sa.tuple_(*place))
        with self._reachable(), self._engine.connect() as connection:
            rows = connection.execute(query.order_by(*_ORDER).limit(limit)).mappings().all()
        return [_definition(row) for row in rows]

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            detail = str(getattr(error, "orig", None) or error)
            raise DependencyUnavailableError(
                what="the registry's database", address=self._address, detail=detail
            ) from error


class SqlTransaction:
    """Implements `ports.Transaction`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def read(self, projects: Collection[str]) -> Snapshot:
        return _read(self._connection, projects)

    def write(self, changes: Sequence[Change], reason: Reason) -> int:
        self._connection.execute(sa.update(_catalogue).values(revision=_catalogue.c.revision + 1))
        revision = int(self._connection.execute(sa.select(_catalogue.c.revision)).scalar_one())
        for change in changes:
            self._put(change.definition, revision)
            self._connection.execute(sa.insert(_audit).values(_audit_row(change, revision, reason)))
        return revision

    def _put(self, definition: Definition, revision: int) -> None:
        digest = definition.meaning_hash.hex()
        known = sa.select(_meanings.c.hash).where(_meanings.c.hash == digest)
        if self._connection.execute(known).first() is None:
            self._connection.execute(sa.insert(_meanings).values(hash=digest, json=definition.meaning_json))
        place = _place(definition)
        words = {
            "description": definition.description,
            "owner": definition.owner,
            "tags": json.dumps(dict(definition.tags), sort_keys=True),
            "revision": revision,
        }
        here = [_definitions.c[name] == value for name, value in place.items()]
        # The hash is part of the condition: a row never gets another meaning, whatever the caller believes.
        changed = self._connection.execute(
            sa.update(_definitions).where(*here, _definitions.c.meaning_hash == digest).values(words)
        )
        if changed.rowcount == 0:
            row = {**place, "kind": definition.kind.value, "meaning_hash": digest, **words}
            self._connection.execute(sa.insert(_definitions).values(row))


def _set_up_sqlite(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver would begin transactions too late
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")


def _select(*more: sa.ColumnElement[Any]) -> sa.Select[Any]:
    columns = [column for column in _definitions.c if column.name != "revision"]
    return sa.select(*columns, _meanings.c.json, *more).join_from(_definitions, _meanings)


def _read(connection: sa.Connection, projects: Collection[str] | None) -> Snapshot:
    """Definitions and revision by one statement, so that they are of one moment in every database."""
    condition = _definitions.c.meaning_hash == _meanings.c.hash
    joined = sa.outerjoin(
        _catalogue,
        sa.join(_definitions, _meanings, condition),
        sa.true() if projects is None else _definitions.c.project.in_(sorted(projects)),
    )
    columns = [column for column in _definitions.c if column.name != "revision"]
    query = sa.select(_catalogue.c.revision, *columns, _meanings.c.json).select_from(joined).order_by(*_ORDER)
    rows = connection.execute(query).mappings().all()
    found = tuple(_definition(row) for row in rows if row["name"] is not None)
    return Snapshot(int(rows[0]["revision"]), found)


def _place(definition: Definition) -> dict[str, Any]:
    version = definition.version or Version(0, 0, 0)
    return {
        "project": definition.project,
        "kind_rank": definition.kind.rank,
        "name": definition.name,
        "major": version.major,
        "minor": version.minor,
        "patch": version.patch,
    }


def _definition(row: Mapping[Any, Any]) -> Definition:
    kind = Kind(row["kind"])
    return Definition(
        project=row["project"],
        kind=kind,
        name=row["name"],
        version=Version(row["major"], row["minor"], row["patch"]) if kind.versioned else None,
        meaning_json=bytes(row["json"]),
        description=row["description"],
        owner=row["owner"],
        tags=json.loads(row["tags"]),
    )


def _audit_row(change: Change, revision: int, reason: Reason) -> dict[str, Any]:
    definition = change.definition
    return {
        "revision": revision,
        "at_us": reason.at_us,
        "actor": reason.actor,
        "reason": reason.text,
        "change": change.kind.value,
        "project": definition.project,
        "kind": definition.kind.value,
        "ref": definition.ref,
        "meaning_hash": definition.meaning_hash.hex(),
        "differences": "\n".join(change.differences),
    }
