"""The registry, as the online service hears it."""

from __future__ import annotations

import logging
from pathlib import Path

from services.online.domain.plan import plan_of
from services.online.ports import ReadPath
from services.online.workflow import tell_refused
from skewless.definitions.catalog import Catalog
from skewless.functions.pool import FunctionPool
from skewless.rpc.watch import CatalogWatcher, watch_catalog

log = logging.getLogger(__name__)


def follow_registry(
    address: str, read_path: ReadPath, functions: FunctionPool, keep: Path | None = None
) -> CatalogWatcher:
    """Hands every catalogue to the read path, which goes on with its last plan while the registry is away.

    keep: a file for the last answer, so that a start without the registry goes on with it, too.
    """
    read_path.say_waiting_for(f"definitions from the registry at {address}")

    def take(catalog: Catalog) -> None:
        for fault in read_path.publish(plan_of(catalog)):
            log.error("not served: %s", fault)
        tell_refused(catalog, functions)
        log.info("revision %d of the definitions", catalog.revision)

    return watch_catalog(address, take, keep=keep)
