"""Definitions as messages, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from skewless.api.definitions.v1 import definition_pb2 as pb
from skewless.definitions.catalog import Catalog
from skewless.definitions.resource import Definition, Kind, Version
from skewless.errors import InvalidArgumentError, Violation

_KINDS: Final[dict[Kind, pb.ResourceKind]] = {
    Kind.ENTITY: pb.RESOURCE_KIND_ENTITY,
    Kind.SOURCE: pb.RESOURCE_KIND_SOURCE,
    Kind.WINDOW_VIEW: pb.RESOURCE_KIND_WINDOW_VIEW,
    Kind.LATEST_VIEW: pb.RESOURCE_KIND_LATEST_VIEW,
    Kind.ON_DEMAND_VIEW: pb.RESOURCE_KIND_ON_DEMAND_VIEW,
    Kind.FEATURE_SERVICE: pb.RESOURCE_KIND_FEATURE_SERVICE,
}
_KINDS_BACK: Final = {value: kind for kind, value in _KINDS.items()}


def kind_to_proto(kind: Kind) -> pb.ResourceKind:
    return _KINDS[kind]


def kind_from_proto(kind: pb.ResourceKind) -> Kind | None:
    """The kind; None for UNSPECIFIED and for kinds that are not known here."""
    return _KINDS_BACK.get(kind)


def definition_to_proto(definition: Definition) -> pb.Definition:
    return pb.Definition(
        project=definition.project,
        kind=_KINDS[definition.kind],
        name=definition.name,
        version=str(definition.version) if definition.version else "",
        meaning_json=definition.meaning_json.decode(),
        meaning_hash=definition.meaning_hash,
        description=definition.description,
        owner=definition.owner,
        tags=dict(definition.tags),
    )


def definition_from_proto(message: pb.Definition, *, path: str = "definition") -> Definition:
    """The definition; its hash is computed anew. Raises InvalidArgumentError at ``path``."""
    kind = _KINDS_BACK.get(message.kind)
    if kind is None:
        raise InvalidArgumentError([Violation(f"{path}.kind", f"unknown kind {message.kind}", "UNKNOWN_KIND")])
    try:
        version = Version.parse(message.version) if message.version else None
    except ValueError as error:
        raise InvalidArgumentError([Violation(f"{path}.version", str(error), "MALFORMED_VERSION")]) from None
    return Definition(
        project=message.project,
        kind=kind,
        name=message.name,
        version=version,
        meaning_json=message.meaning_json.encode(),
        description=message.description,
        owner=message.owner,
        tags=dict(message.tags),
    )


def catalog_from_proto(definitions: Iterable[pb.Definition], revision: int) -> Catalog:
    """The catalogue of a snapshot, as `RegistryService.Watch` sends it."""
    return Catalog((definition_from_proto(message) for message in definitions), revision)
