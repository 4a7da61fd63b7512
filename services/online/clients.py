"""The registry, as the online service hears it."""

from __future__ import annotations

import itertools
import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from services.online.domain.plan import plan_of
from services.online.ports import ReadPath
from services.online.workflow import tell_refused
from skewless.api.registry.v1 import registry_service_pb2 as pb
from skewless.api.registry.v1 import registry_service_pb2_grpc as stubs
from skewless.definitions.catalog import Catalog
from skewless.errors import SkewlessError
from skewless.functions.pool import FunctionPool
from skewless.rpc.channel import call, connect
from skewless.rpc.watch import CatalogWatcher, watch_catalog

log = logging.getLogger(__name__)

_TELL_S: Final = 10.0
_MOST_USES: Final = 10_000


def follow_registry(
    address: str, read_path: ReadPath, functions: FunctionPool, keep: Path | None = None
) -> CatalogWatcher:
    """Hands every catalogue to the read path, which goes on with its last plan while the registry is away.

    keep: a file for the last answer, so that a start without the registry goes on with it, too.
    """
    read_path.say_waiting_for(f"definitions from the registry at {address}")
    keys: list[dict[str, Any]] = []

    def take_keys(messages: Sequence[pb.ApiKey]) -> None:
        keys[:] = map(_key, messages)

    def take(catalog: Catalog) -> None:
        lists = {"projects": sorted(catalog.projects()), "keys": keys}
        read_path.publish_access(json.dumps(lists).encode())
        for fault in read_path.publish(plan_of(catalog)):
            log.error("not served: %s", fault)
        tell_refused(catalog, functions)
        log.info("revision %d of the definitions", catalog.revision)

    return watch_catalog(address, take, keep=keep, on_api_keys=take_keys)


def _key(message: pb.ApiKey) -> dict[str, Any]:
    return {
        "id": message.id,
        "project": message.project,
        "hash": message.hash.hex(),
        "feature_services": list(message.feature_services),
        "expires_at_us": message.expires_at_us if message.HasField("expires_at_us") else None,
        "revoked": message.HasField("revoked_at_us"),
    }


class KeyUses:
    """Tells the registry now and then when API keys were last used."""

    def __init__(self, address: str, read_path: ReadPath) -> None:
        self._address = address
        self._read_path = read_path
        self._untold: dict[str, int] = {}

    def tell_until(self, stop: threading.Event) -> None:
        """Every ten seconds, and at the end."""
        with connect(self._address) as channel:
            stub = stubs.RegistryServiceStub(channel)
            while not stop.wait(_TELL_S):
                self._tell(stub)
            self._tell(stub)

    def _tell(self, stub: stubs.RegistryServiceStub) -> None:
        self._untold.update(self._read_path.drain_key_uses())
        if not self._untold:
            return
        told = dict(itertools.islice(self._untold.items(), _MOST_USES))
        request = pb.NoteApiKeyUseRequest(uses=(pb.ApiKeyUse(id=key, used_at_us=at) for key, at in told.items()))
        try:
            call(stub.NoteApiKeyUse, request, address=self._address, timeout_s=_TELL_S / 2, service="the registry")
        except SkewlessError as error:
            log.warning("the registry does not know yet when %d API keys were used: %s", len(self._untold), error)
        else:
            for key in told:
                del self._untold[key]
