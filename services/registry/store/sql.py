"""Reading and writing the catalogue."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from services.registry.domain.keys import ApiKey
from services.registry.domain.plan import Change
from services.registry.ports import Found, ListKey, Reason, Snapshot
from services.registry.store import keys
from services.registry.store.database import Database
from services.registry.store.migrating import prepare
from services.registry.store.tables import AUDIT, CATALOGUE, DEFINITIONS, MEANINGS, ORDER
from skewless.definitions.resource import Definition, Kind, Version
from skewless.errors import NotReadyError


class SqlStore:
    """Implements `ports.CatalogStore`. `prepare` it before it is used."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.embedded = database.embedded
        self._prepared = False

    def prepare(self, *, migrate: bool) -> None:
        """Brings the schema up to date, or checks it; see `migrating.prepare`. Until then everything else raises
        NotReadyError.
        """
        prepare(self._database, migrate=migrate)
        self._prepared = True

    def close(self) -> None:
        """Lets all connections go."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        self._require_schema()
        with self._database.writing() as connection:
            # Taken first, the row's lock lets transactions run one after the other.
            connection.execute(sa.select(CATALOGUE.c.revision).with_for_update()).scalar_one()
            yield SqlTransaction(connection)

    def revision(self) -> int:
        with self._reading() as connection:
            return int(connection.execute(sa.select(CATALOGUE.c.revision)).scalar_one())

    def read(self, projects: Collection[str] | None) -> Snapshot:
        with self._reading() as connection:
            return _read(connection, projects)

    def get(self, project: str, kind: Kind, name: str, version: Version | None) -> Found | None:
        c = DEFINITIONS.c
        query = _select(DEFINITIONS.c.revision).where(c.project == project, c.kind_rank == kind.rank, c.name == name)
        if version is not None:
            query = query.where(c.major == version.major, c.minor == version.minor, c.patch == version.patch)
        query = query.order_by(*(column.desc() for column in ORDER)).limit(1)
        with self._reading() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else Found(_definition(row), int(row["revision"]))

    def list(self, project: str, kind: Kind | None, after: ListKey | None, limit: int) -> Sequence[Definition]:
        query = _select().where(DEFINITIONS.c.project == project)
        if kind is not None:
            query = query.where(DEFINITIONS.c.kind_rank == kind.rank)
        if after is not None:
            place = (after.kind.rank, after.name, *(after.version or Version(0, 0, 0)))
            query = query.where(sa.tuple_(*ORDER[1:]) > sa.tuple_(*place))
        with self._reading() as connection:
            rows = connection.execute(query.order_by(*ORDER).limit(limit)).mappings().all()
        return [_definition(row) for row in rows]

    def keys(self, projects: Collection[str] | None) -> Sequence[ApiKey]:
        with self._reading() as connection:
            return keys.read_keys(connection, projects)

    def note_use(self, uses: Mapping[str, int]) -> None:
        self._require_schema()
        with self._database.writing() as connection:
            keys.note_use(connection, uses)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        self._require_schema()
        with self._database.reading() as connection:
            yield connection

    def _require_schema(self) -> None:
        if not self._prepared:
            raise NotReadyError(waiting_for=f"the registry's database at {self._database.address}")


class SqlTransaction:
    """Implements `ports.Transaction`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def read(self, projects: Collection[str]) -> Snapshot:
        return _read(self._connection, projects)

    def keys(self, project: str) -> Sequence[ApiKey]:
        return keys.read_keys(self._connection, {project})

    def add_key(self, key: ApiKey, reason: Reason) -> int:
        keys.add_key(self._connection, key)
        return self._note_key("create_key", key, reason)

    def revoke_key(self, key: ApiKey, reason: Reason) -> int:
        keys.revoke_key(self._connection, key.id, reason.at_us)
        return self._note_key("revoke_key", key, reason)

    def _note_key(self, change: str, key: ApiKey, reason: Reason) -> int:
        revision = self._next()
        row = {"revision": revision, "at_us": reason.at_us, "actor": reason.actor, "reason": reason.text}
        of_key = {"change": change, "project": key.project, "kind": "api_key", "ref": key.id, "meaning_hash": ""}
        self._connection.execute(sa.insert(AUDIT).values({**row, **of_key, "differences": key.name}))
        return revision

    def _next(self) -> int:
        self._connection.execute(sa.update(CATALOGUE).values(revision=CATALOGUE.c.revision + 1))
        return int(self._connection.execute(sa.select(CATALOGUE.c.revision)).scalar_one())

    def write(self, changes: Sequence[Change], reason: Reason) -> int:
        revision = self._next()
        for change in changes:
            self._put(change.definition, revision)
            self._connection.execute(sa.insert(AUDIT).values(_audit_row(change, revision, reason)))
        return revision

    def _put(self, definition: Definition, revision: int) -> None:
        digest = definition.meaning_hash.hex()
        known = sa.select(MEANINGS.c.hash).where(MEANINGS.c.hash == digest)
        if self._connection.execute(known).first() is None:
            self._connection.execute(sa.insert(MEANINGS).values(hash=digest, json=definition.meaning_json))
        place = _place(definition)
        words = {
            "description": definition.description,
            "owner": definition.owner,
            "tags": json.dumps(dict(definition.tags), sort_keys=True),
            "revision": revision,
        }
        here = [DEFINITIONS.c[name] == value for name, value in place.items()]
        # The hash is part of the condition: a row never gets another meaning, whatever the caller believes.
        changed = self._connection.execute(
            sa.update(DEFINITIONS).where(*here, DEFINITIONS.c.meaning_hash == digest).values(words)
        )
        if changed.rowcount == 0:
            row = {**place, "kind": definition.kind.value, "meaning_hash": digest, **words}
            self._connection.execute(sa.insert(DEFINITIONS).values(row))


def _select(*more: sa.ColumnElement[Any]) -> sa.Select[Any]:
    columns = [column for column in DEFINITIONS.c if column.name != "revision"]
    return sa.select(*columns, MEANINGS.c.json, *more).join_from(DEFINITIONS, MEANINGS)


def _read(connection: sa.Connection, projects: Collection[str] | None) -> Snapshot:
    """Definitions and revision by one statement, so that they are of one moment in every database."""
    condition = DEFINITIONS.c.meaning_hash == MEANINGS.c.hash
    joined = sa.outerjoin(
        CATALOGUE,
        sa.join(DEFINITIONS, MEANINGS, condition),
        sa.true() if projects is None else DEFINITIONS.c.project.in_(sorted(projects)),
    )
    columns = [column for column in DEFINITIONS.c if column.name != "revision"]
    query = sa.select(CATALOGUE.c.revision, *columns, MEANINGS.c.json).select_from(joined).order_by(*ORDER)
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
