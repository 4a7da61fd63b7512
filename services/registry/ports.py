"""What the workflow needs of a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from services.registry.domain.keys import ApiKey
from services.registry.domain.plan import Change
from skewless.definitions.resource import Definition, Kind, Version


@dataclass(frozen=True)
class Snapshot:
    """The catalogue at one revision."""

    revision: int
    definitions: tuple[Definition, ...]
    """In the order of listings."""


@dataclass(frozen=True)
class Reason:
    """Who changes the catalogue, when and why; for the audit."""

    actor: str
    at_us: int
    text: str


@dataclass(frozen=True)
class Found:
    """A definition and the revision at which it last changed."""

    definition: Definition
    revision: int


class Transaction(Protocol):
    """The catalogue while nobody else can change it."""

    def read(self, projects: Collection[str]) -> Snapshot:
        """All definitions of these projects, with the changes of this transaction."""

    def write(self, changes: Sequence[Change], reason: Reason) -> int:
        """Adds and describes, notes each in the audit, and gives the new revision, greater by one.

        ``changes`` are only ADD and DESCRIBE, at least one.
        """

    def keys(self, project: str) -> Sequence[ApiKey]:
        """All API keys of a project, in the order in which they were made."""

    def add_key(self, key: ApiKey, reason: Reason) -> int:
        """Keeps a key, notes it in the audit, and gives the new revision, greater by one."""

    def revoke_key(self, key: ApiKey, reason: Reason) -> int:
        """Revokes a key that is there, likewise."""


class CatalogStore(Protocol):
    """Keeps definitions.

    Every method raises DependencyUnavailableError if the database does not answer. What one transaction wrote is
    visible to every read that begins after it ended, and nothing of one that raised ever is.
    """

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Waits until no other transaction runs, in this process or another; commits at the end."""

    def revision(self) -> int:
        """The revision; 0 while nothing was applied. It only grows."""

    def read(self, projects: Collection[str] | None) -> Snapshot:
        """All definitions of these projects (None: of all) and the revision, of one moment."""

    def get(self, project: str, kind: Kind, name: str, version: Version | None) -> Found | None:
        """One definition; of kinds with versions, without a version, the newest. None if there is none."""

    def keys(self, projects: Collection[str] | None) -> Sequence[ApiKey]:
        """All API keys of these projects (None: of all), in the order in which they were made."""

    def note_use(self, uses: Mapping[str, int]) -> None:
        """Notes when keys were last used, by id; ids that are not there are skipped. The revision stays."""

    def list(self, project: str, kind: Kind | None, after: ListKey | None, limit: int) -> Sequence[Definition]:
        """At most ``limit`` definitions of a project (of one kind) behind ``after``, in the order of listings."""


@dataclass(frozen=True)
class ListKey:
    """A place in a listing: right behind this definition, there or not."""

    kind: Kind
    name: str
    version: Version | None
