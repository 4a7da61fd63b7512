"""Reads what is applied, asks the domain what would change, and carries it out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from services.registry.domain.keys import MOST_KEYS, ApiKey, make_key
from services.registry.domain.plan import Change, ChangeKind, plan, refuse_changed_meaning
from services.registry.ports import CatalogStore, Found, ListKey, Reason, Snapshot
from skewless.clock import Clock
from skewless.definitions.resource import Definition, Kind, Version
from skewless.errors import (
    BusyError,
    InvalidArgumentError,
    SkewlessError,
    StalePlanError,
    TooLargeError,
    UnknownResourceError,
    Violation,
)

log = logging.getLogger(__name__)

APPLY_ATTEMPTS: Final = 3


class Workflow:
    """The registry's work, apart from wire and database."""

    def __init__(self, store: CatalogStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._looking = threading.Lock()
        """Held while the revision is read and noted, so that it is noted in the order of the database."""
        self._changed = threading.Condition()
        """Guards what follows: what is known of the database."""
        self._revision = -1
        self._away: SkewlessError | None = None
        self._latest: Snapshot | None = None
        self._closed = threading.Event()
        self._due = threading.Event()

    @property
    def revision(self) -> int | None:
        """The greatest revision known; None before the first look at the database."""
        return None if self._revision < 0 else self._revision

    def plan(self, wanted: Sequence[Definition]) -> tuple[tuple[Change, ...], int]:
        """What applying would change, and the revision it would change. Raises InvalidDefinitionError."""
        snapshot = self._store.read({definition.project for definition in wanted})
        return plan(wanted, snapshot.definitions), snapshot.revision

    def apply(
        self, wanted: Sequence[Definition], *, expected_revision: int | None, actor: str, reason: str
    ) -> tuple[tuple[Change, ...], int]:
        """Applies all definitions or none; what was changed, and the revision after it.

        Raises InvalidDefinitionError, MeaningChangedError, StalePlanError if the catalogue has moved on since
        ``expected_revision``, or BusyError if other changes do not let it through, several times over.
        """
        for _ in range(APPLY_ATTEMPTS - 1):
            try:
                return self._apply(wanted, expected_revision, actor, reason)
            except BusyError as error:
                log.warning("an apply of %s begins again: %s", actor, error)
        return self._apply(wanted, expected_revision, actor, reason)

    def _apply(
        self, wanted: Sequence[Definition], expected_revision: int | None, actor: str, reason: str
    ) -> tuple[tuple[Change, ...], int]:
        with self._store.transaction() as transaction:
            snapshot = transaction.read({definition.project for definition in wanted})
            if expected_revision is not None and expected_revision != snapshot.revision:
                raise StalePlanError(expected=expected_revision, actual=snapshot.revision)
            changes = plan(wanted, snapshot.definitions)
            refuse_changed_meaning(changes)
            written = [c for c in changes if c.kind in {ChangeKind.ADD, ChangeKind.DESCRIBE}]
            if not written:
                return changes, snapshot.revision
            revision = transaction.write(written, Reason(actor, self._clock.now_us(), reason))
        self._due.set()
        return changes, revision

    def get(self, project: str, kind: Kind, name: str, version: Version | None) -> Found:
        """One definition; without a version the newest. Raises UnknownResourceError."""
        found = self._store.get(project, kind, name, version)
        if found is None:
            there = self._store.list(project, kind, None, 50)
            ref = f"{name}@{version}" if version else name
            raise UnknownResourceError(name=ref, kind=kind.words, known=[d.ref for d in there])
        return found

    def list(self, project: str, kind: Kind | None, after: ListKey | None, limit: int) -> Sequence[Definition]:
        """At most ``limit`` definitions behind ``after``."""
        return self._store.list(project, kind, after, limit)

    def create_key(
        self, project: str, name: str, services: Sequence[str], expires_at_us: int | None, *, actor: str
    ) -> tuple[ApiKey, str, int]:
        """What is kept of a new key, the key itself, and the revision. Raises InvalidArgumentError, TooLargeError."""
        now_us = self._clock.now_us()
        if expires_at_us is not None and expires_at_us <= now_us:
            raise InvalidArgumentError([Violation("expires_at_us", "must be to come", "PAST")])
        key_id, key, digest = make_key()
        made = ApiKey(key_id, project, name, tuple(sorted(services)), digest, now_us, expires_at_us)
        with self._store.transaction() as transaction:
            held = sum(known.revoked_at_us is None for known in transaction.keys(project))
            if held >= MOST_KEYS:
                raise TooLargeError(what=f"API keys of project {project!r}", size=held + 1, limit=MOST_KEYS)
            revision = transaction.add_key(made, Reason(actor, now_us, ""))
        self._due.set()
        return made, key, revision

    def keys(self, projects: Collection[str]) -> Sequence[ApiKey]:
        """The API keys of these projects (none: of all)."""
        return self._store.keys(projects or None)

    def revoke_key(self, project: str, key_id: str, *, actor: str) -> tuple[ApiKey, int]:
        """The key, and the revision from which on it is revoked. Raises UnknownResourceError."""
        now_us = self._clock.now_us()
        with self._store.transaction() as transaction:
            known = {key.id: key for key in transaction.keys(project)}
            found = known.get(key_id)
            if found is None:
                raise UnknownResourceError(name=key_id, kind="API key", known=known)
            if found.revoked_at_us is not None:
                return found, transaction.read(()).revision
            revision = transaction.revoke_key(found, Reason(actor, now_us, ""))
        self._due.set()
        return replace(found, revoked_at_us=now_us), revision

    def note_use(self, uses: Mapping[str, int]) -> None:
        """Notes when keys were last used, by id."""
        self._store.note_use(uses)

    def keep_looking(self, every_s: float, on_health: Callable[[SkewlessError | None], None]) -> None:
        """Looks at the database every ``every_s`` seconds and after each apply, until `close`: so followers hear of
        what other registries applied as well.

        on_health: told when the database goes away, with the reason, and None when it is back.
        """
        while not self._closed.is_set():
            self._due.clear()
            try:
                self._look()
                found = None
            except SkewlessError as error:
                found = error
            with self._changed:
                before, self._away = self._away, found
            if (found is None) != (before is None):
                on_health(found)
            self._due.wait(every_s)

    def follow(self, projects: Collection[str], known_revision: int, wanted: Callable[[], bool]) -> Iterator[Snapshot]:
        """A snapshot of these projects (none: of all) now, unless ``known_revision`` is current, and after each
        change, until `close` or until ``wanted`` says no (asked again at every `poke`).

        A slow reader skips revisions, never the last one. While the database is away, who follows hears nothing, and
        who begins to gets the reason as an error.
        """
        with self._changed:
            if self._away is not None:
                raise self._away.with_traceback(None)
        self._look()
        sent = known_revision if known_revision > 0 else None
        while True:
            with self._changed:
                while self._revision == sent and not self._closed.is_set() and wanted():
                    self._changed.wait()
            if self._closed.is_set() or not wanted():
                return
            snapshot = self._snapshot()
            sent = snapshot.revision
            definitions = snapshot.definitions
            if projects:
                definitions = tuple(d for d in definitions if d.project in projects)
            yield Snapshot(snapshot.revision, definitions)

    def poke(self) -> None:
        """Wakes every follower, to see whether it is to go."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Ends every `follow`, and `keep_looking`."""
        self._closed.set()
        self._due.set()
        self.poke()

    def _look(self) -> None:
        with self._looking:
            self._note(self._store.revision())

    def _snapshot(self) -> Snapshot:
        """The whole catalogue; read once per revision, however many follow."""
        with self._looking:
            if self._latest is None or self._latest.revision != self._revision:
                self._latest = self._store.read(None)
                self._note(self._latest.revision)
            return self._latest

    def _note(self, revision: int) -> None:
        with self._changed:
            if revision != self._revision:
                self._revision = revision
                self._changed.notify_all()
