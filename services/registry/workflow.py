"""Reads what is applied, asks the domain what would change, and carries it out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence

from services.registry.domain.plan import Change, ChangeKind, plan, refuse_changed_meaning
from services.registry.ports import CatalogStore, Found, ListKey, Reason, Snapshot
from skewless.clock import Clock
from skewless.definitions.resource import Definition, Kind, Version
from skewless.errors import StalePlanError, UnknownResourceError


class Workflow:
    """The registry's work, apart from wire and database."""

    def __init__(self, store: CatalogStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._changed = threading.Condition()
        self._closed = False
        self._latest: Snapshot | None = None

    def plan(self, wanted: Sequence[Definition]) -> tuple[tuple[Change, ...], int]:
        """What applying would change, and the revision it would change. Raises InvalidDefinitionError."""
        snapshot = self._store.read({definition.project for definition in wanted})
        return plan(wanted, snapshot.definitions), snapshot.revision

    def apply(
        self, wanted: Sequence[Definition], *, expected_revision: int | None, actor: str, reason: str
    ) -> tuple[tuple[Change, ...], int]:
        """Applies all definitions or none; what was changed, and the revision after it.

        Raises InvalidDefinitionError, MeaningChangedError, or StalePlanError if the catalogue has moved on since
        ``expected_revision``.
        """
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
        self.poke()
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

    def follow(self, projects: Collection[str], known_revision: int, wanted: Callable[[], bool]) -> Iterator[Snapshot]:
        """A snapshot of these projects (none: of all) now, unless ``known_revision`` is current, and after each
        change, until `close` or until ``wanted`` says no (asked again at every `poke`).

        A slow reader skips revisions, never the last one.
        """
        sent = known_revision if known_revision > 0 else None
        while True:
            with self._changed:
                revision = self._store.revision()
                while revision == sent and not self._closed and wanted():
                    self._changed.wait()
                    revision = self._store.revision()
            if self._closed or not wanted():
                return
            snapshot = self._snapshot()
            sent = snapshot.revision
            definitions = snapshot.definitions
            if projects:
                definitions = tuple(d for d in definitions if d.project in projects)
            yield Snapshot(snapshot.revision, definitions)

    def poke(self) -> None:
        """Wakes every follower, to look whether there is news or whether to go."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Ends every `follow`."""
        self._closed = True
        self.poke()

    def _snapshot(self) -> Snapshot:
        """The whole catalogue; read once per revision, however many follow."""
        with self._changed:
            if self._latest is None or self._latest.revision != self._store.revision():
                self._latest = self._store.read(None)
            return self._latest
