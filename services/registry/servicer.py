"""The gRPC door: messages to definitions, the workflow's answers to messages."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import grpc

from services.registry.domain.keys import ApiKey
from services.registry.domain.plan import Change, ChangeKind
from services.registry.ports import ListKey
from services.registry.workflow import Workflow
from skewless.api.definitions.v1 import definition_pb2
from skewless.api.registry.v1 import registry_service_pb2 as pb
from skewless.api.registry.v1 import registry_service_pb2_grpc as stubs
from skewless.codec.definitions import definition_from_proto, definition_to_proto, kind_from_proto
from skewless.definitions.resource import Definition, Kind, Version
from skewless.errors import InvalidArgumentError, OverloadedError, Violation

REGISTER: Final = stubs.add_RegistryServiceServicer_to_server
SERVICE: Final = pb.DESCRIPTOR.services_by_name["RegistryService"]
DEFAULT_PAGE: Final = 100

_CHANGES: Final[dict[ChangeKind, pb.ChangeKind]] = {
    ChangeKind.ADD: pb.CHANGE_KIND_ADD,
    ChangeKind.DESCRIBE: pb.CHANGE_KIND_DESCRIBE,
    ChangeKind.UNCHANGED: pb.CHANGE_KIND_UNCHANGED,
    ChangeKind.REFUSED: pb.CHANGE_KIND_REFUSED,
}


class RegistryServicer(stubs.RegistryServiceServicer):
    """Implements `RegistryService`.

    max_watchers: watchers at once; one more is refused, so that other calls always find a thread.
    """

    def __init__(self, workflow: Workflow, *, max_watchers: int) -> None:
        self._workflow = workflow
        self._max_watchers = max_watchers
        self._watchers = threading.BoundedSemaphore(max_watchers)

    def Plan(self, request: pb.PlanRequest, context: grpc.ServicerContext) -> pb.PlanResponse:
        changes, revision = self._workflow.plan(_definitions(request.definitions))
        return pb.PlanResponse(changes=map(_change, changes), revision=revision)

    def Apply(self, request: pb.ApplyRequest, context: grpc.ServicerContext) -> pb.ApplyResponse:
        _refuse_nul({"reason": request.reason})
        changes, revision = self._workflow.apply(
            _definitions(request.definitions),
            expected_revision=request.expected_revision if request.HasField("expected_revision") else None,
            actor=context.peer(),
            reason=request.reason,
        )
        return pb.ApplyResponse(changes=map(_change, changes), revision=revision)

    def GetDefinition(
        self,
        request: pb.GetDefinitionRequest,
        context: grpc.ServicerContext,
    ) -> pb.GetDefinitionResponse:
        _refuse_nul({"project": request.project, "name": request.name})
        found = self._workflow.get(request.project, _kind(request.kind), request.name, _version(request.version))
        return pb.GetDefinitionResponse(definition=definition_to_proto(found.definition), revision=found.revision)

    def ListDefinitions(
        self,
        request: pb.ListDefinitionsRequest,
        context: grpc.ServicerContext,
    ) -> pb.ListDefinitionsResponse:
        _refuse_nul({"project": request.project})
        size = request.page_size or DEFAULT_PAGE
        kind = kind_from_proto(request.kind)
        after = _after(request.page_token, request.project, kind)
        found = self._workflow.list(request.project, kind, after, size + 1)
        page = found[:size]
        return pb.ListDefinitionsResponse(
            definitions=map(definition_to_proto, page),
            next_page_token=_token(page[-1], request.project, kind) if len(found) > size else "",
        )

    def Watch(self, request: pb.WatchRequest, context: grpc.ServicerContext) -> Iterator[pb.WatchResponse]:
        if not self._watchers.acquire(blocking=False):
            raise OverloadedError(what="watchers", limit=self._max_watchers)
        try:
            context.add_callback(self._workflow.poke)
            context.send_initial_metadata(())  # the caller learns at once that it is heard
            projects = frozenset(request.projects)
            for snapshot in self._workflow.follow(projects, request.known_revision, context.is_active):
                # Keys are at least as new as the revision; if newer, another one follows.
                keys = self._workflow.keys(projects) if request.with_api_keys else ()
                yield pb.WatchResponse(
                    revision=snapshot.revision,
                    definitions=map(definition_to_proto, snapshot.definitions),
                    api_keys=(_key(key, digest=key.hash) for key in keys),
                )
        finally:
            self._watchers.release()

    def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: grpc.ServicerContext) -> pb.CreateApiKeyResponse:
        _refuse_nul({"project": request.project, "name": request.name})
        made, key, revision = self._workflow.create_key(
            request.project,
            request.name,
            request.feature_services,
            request.expires_at_us if request.HasField("expires_at_us") else None,
            actor=context.peer(),
        )
        return pb.CreateApiKeyResponse(api_key=_key(made), key=key, revision=revision)

    def ListApiKeys(self, request: pb.ListApiKeysRequest, context: grpc.ServicerContext) -> pb.ListApiKeysResponse:
        _refuse_nul({"project": request.project})
        return pb.ListApiKeysResponse(api_keys=map(_key, self._workflow.keys({request.project})))

    def RevokeApiKey(self, request: pb.RevokeApiKeyRequest, context: grpc.ServicerContext) -> pb.RevokeApiKeyResponse:
        _refuse_nul({"project": request.project, "id": request.id})
        key, revision = self._workflow.revoke_key(request.project, request.id, actor=context.peer())
        return pb.RevokeApiKeyResponse(api_key=_key(key), revision=revision)

    def NoteApiKeyUse(
        self, request: pb.NoteApiKeyUseRequest, context: grpc.ServicerContext
    ) -> pb.NoteApiKeyUseResponse:
        _refuse_nul({f"uses[{place}].id": use.id for place, use in enumerate(request.uses)})
        self._workflow.note_use({use.id: use.used_at_us for use in request.uses})
        return pb.NoteApiKeyUseResponse()


def _key(key: ApiKey, digest: bytes = b"") -> pb.ApiKey:
    return pb.ApiKey(
        id=key.id,
        project=key.project,
        name=key.name,
        feature_services=key.feature_services,
        created_at_us=key.created_at_us,
        expires_at_us=key.expires_at_us,
        revoked_at_us=key.revoked_at_us,
        last_used_at_us=key.last_used_at_us,
        hash=digest,
    )


def _definitions(messages: Sequence[definition_pb2.Definition]) -> list[Definition]:
    """The definitions; every one that cannot be read is told, not only the first."""
    definitions: list[Definition] = []
    faults: list[Violation] = []
    for place, message in enumerate(messages):
        path = f"definitions[{place}]"
        try:
            _refuse_nul({f"{path}.description": message.description, f"{path}.owner": message.owner})
            definitions.append(definition_from_proto(message, path=path))
        except InvalidArgumentError as error:
            faults += error.violations
    if faults:
        raise InvalidArgumentError(faults)
    return definitions


def _refuse_nul(fields: Mapping[str, str]) -> None:
    """Not every database keeps the character NUL, so that none is asked to, not even to look for it."""
    if found := [path for path, text in fields.items() if "\0" in text]:
        raise InvalidArgumentError(
            Violation(path, "must not have the character NUL (U+0000); take it out", "NUL_CHARACTER") for path in found
        )


def _change(change: Change) -> pb.Change:
    return pb.Change(
        kind=_CHANGES[change.kind],
        definition=definition_to_proto(change.definition),
        differences=change.differences,
        next_version=str(change.next_version) if change.next_version else "",
        state_bytes_per_key=change.state_bytes_per_key,
    )


def _kind(kind: definition_pb2.ResourceKind) -> Kind:
    found = kind_from_proto(kind)
    if found is None:
        raise InvalidArgumentError([Violation("kind", f"unknown kind {kind}", "UNKNOWN_KIND")])
    return found


def _version(text: str) -> Version | None:
    try:
        return Version.parse(text) if text else None
    except ValueError as error:
        raise InvalidArgumentError([Violation("version", str(error), "MALFORMED_VERSION")]) from None


def _token(last: Definition, project: str, kind: Kind | None) -> str:
    """A page token: the last definition of the page, bound to the listing it belongs to."""
    place = [project, kind or "", last.kind, last.name, str(last.version or "")]
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _after(token: str, project: str, kind: Kind | None) -> ListKey | None:
    if not token:
        return None
    try:
        of_project, of_kind, last_kind, name, version = json.loads(base64.urlsafe_b64decode(token))
        key = ListKey(Kind(last_kind), str(name), Version.parse(version) if version else None)
    except (ValueError, TypeError):
        of_project, of_kind, key = None, None, None
    if key is None or "\0" in key.name or (of_project, of_kind) != (project, kind or ""):
        message = "not a token of this listing; give next_page_token of the page before, or nothing"
        raise InvalidArgumentError([Violation("page_token", message, "MALFORMED_PAGE_TOKEN")])
    return key
