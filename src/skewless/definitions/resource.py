"""What every definition has: its place, its meaning as bytes, and the words beside it.

The meaning is one canonical JSON document (RFC 8785), fully defaulted. Its SHA-256 is the meaning's identity:
the bytes that are hashed are the bytes that the kernel compiles.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple, Self

import rfc8785

FORMAT: Final = 1
"""The format number of the documents."""

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""The grammar of names of projects and resources."""

FEATURE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
"""The grammar of names of features."""

_VERSION: Final = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")


class Kind(enum.StrEnum):
    """What a definition is, in the order of listings."""

    ENTITY = "entity"
    SOURCE = "source"
    WINDOW_VIEW = "window_view"
    LATEST_VIEW = "latest_view"
    ON_DEMAND_VIEW = "on_demand_view"
    FEATURE_SERVICE = "feature_service"

    @property
    def rank(self) -> int:
        """Its place in listings, from 0."""
        return list(Kind).index(self)

    @property
    def is_view(self) -> bool:
        """Whether it has features of its own; views share one space of names."""
        return self in {Kind.WINDOW_VIEW, Kind.LATEST_VIEW, Kind.ON_DEMAND_VIEW}

    @property
    def versioned(self) -> bool:
        """Whether it comes in versions; entities and sources do not."""
        return self not in {Kind.ENTITY, Kind.SOURCE}

    @property
    def words(self) -> str:
        """Its name in messages."""
        return self.value.replace("_", " ")


class Version(NamedTuple):
    """``MAJOR.MINOR.PATCH``, each 0 to 999999, ordered by number."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The version of this text. Raises ValueError that says the form."""
        found = _VERSION.fullmatch(text)
        if not found:
            raise ValueError(f"expected MAJOR.MINOR.PATCH such as 1.0.0, got {text!r}")
        return cls(*(int(part) for part in found.groups()))

    @property
    def storage(self) -> str:
        """``MAJOR.MINOR``: what keys and table paths carry. Patches share their storage."""
        return f"{self.major}.{self.minor}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def canonical(document: Mapping[str, Any]) -> bytes:
    """The RFC 8785 bytes of a document, whatever the order of its keys.

    Raises ValueError for what JSON cannot carry exactly: integers beyond 2^53, NaN, the infinities.
    """
    try:
        return rfc8785.dumps(dict(document))
    except rfc8785.CanonicalizationError as error:
        raise ValueError(str(error)) from error


def digest(meaning_json: bytes) -> bytes:
    """The 32 bytes that identify a meaning."""
    return hashlib.sha256(meaning_json).digest()


@dataclass(frozen=True)
class Definition:
    """One resource as it is sent, kept and compiled."""

    project: str
    kind: Kind
    name: str
    version: Version | None
    """None for entities and sources."""
    meaning_json: bytes = field(repr=False)
    """The canonical document; see docs/definitions.md for the shape per kind."""
    description: str = ""
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)

    @cached_property
    def meaning_hash(self) -> bytes:
        """SHA-256 of `meaning_json`, 32 bytes."""
        return digest(self.meaning_json)

    @property
    def ref(self) -> str:
        """``name@MAJOR.MINOR.PATCH``, or the bare name where there are no versions."""
        return f"{self.name}@{self.version}" if self.version else self.name

    @property
    def place(self) -> tuple[str, Kind, str, Version | None]:
        """What it is found by: project, kind, name, version."""
        return (self.project, self.kind, self.name, self.version)

    @property
    def order(self) -> tuple[str, int, str, Version]:
        """Sorts by project, kind, name and version by number."""
        return (self.project, self.kind.rank, self.name, self.version or Version(0, 0, 0))


def split_ref(text: str) -> tuple[str, Version]:
    """``name@MAJOR.MINOR.PATCH`` in its parts. Raises ValueError that says the form."""
    name, at, version = text.partition("@")
    if not at or not NAME.fullmatch(name):
        raise ValueError(f"expected name@MAJOR.MINOR.PATCH, got {text!r}")
    return name, Version.parse(version)


def split_feature_ref(text: str) -> tuple[str, Version, str]:
    """``view@MAJOR.MINOR.PATCH:feature`` in its parts. Raises ValueError that says the form."""
    view, colon, feature = text.partition(":")
    if not colon or not FEATURE_NAME.fullmatch(feature):
        raise ValueError(f"expected view@MAJOR.MINOR.PATCH:feature, got {text!r}")
    return (*split_ref(view), feature)
