"""Follows the registry: each new revision of the catalogue, as long as the process lives.

The registry may be away at the start or go away later: the watcher tries again, waiting longer each time, says
which address it waits for, and the owner keeps the last catalogue it was given. With a file that keeps the last answer
a start without the registry begins with that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import grpc

from skewless.api.registry.v1 import registry_service_pb2 as pb
from skewless.api.registry.v1 import registry_service_pb2_grpc as stubs
from skewless.clock import Backoff
from skewless.codec.definitions import catalog_from_proto
from skewless.definitions.catalog import Catalog
from skewless.errors import NotReadyError, SkewlessError
from skewless.rpc.channel import METADATA, connect, to_error
from skewless.rpc.kept import KeptAnswer

log = logging.getLogger(__name__)

_AWAY: Final = Backoff(0.1, 5.0)
_KEPT_AFTER_S: Final = 2.0
"""So long the registry is waited for at the start before its kept answer is taken."""
_START_S: Final = 10.0
"""Parts that start together find one another within this time; until then there is nothing to warn of."""


class CatalogWatcher:
    """A thread that hands each catalogue to ``on_catalog``, one after the other.

    on_catalog: called from the watcher's thread. What it raises is logged, and the same catalogue is handed to
    it again after a wait.
    keep: a file for the last answer; None: it is not kept.
    on_api_keys: called before it with the API keys, with their hashes; None: they are not asked for.
    """

    def __init__(
        self,
        address: str,
        on_catalog: Callable[[Catalog], None],
        projects: Iterable[str] = (),
        keep: Path | None = None,
        on_api_keys: Callable[[Sequence[pb.ApiKey]], None] | None = None,
    ) -> None:
        self._address = address
        self._kept = None if keep is None else KeptAnswer(keep)
        self._kept_after: float | None = time.monotonic() + _KEPT_AFTER_S
        self._on_catalog = on_catalog
        self._projects = tuple(projects)
        self._on_api_keys = on_api_keys
        self._stop = threading.Event()
        self._first = threading.Event()
        self._call: grpc.Call | None = None
        self._lock = threading.Lock()
        self._quiet_until = time.monotonic() + _START_S
        self._thread = threading.Thread(target=self._run, name="watch-catalog", daemon=True)
        self.revision = 0
        """The revision of the last catalogue that was taken; 0 before the first."""
        self.last_error: SkewlessError | None = None
        """Why the registry cannot be heard just now; None while it can."""

    def start(self) -> CatalogWatcher:
        self._thread.start()
        return self

    def ask(self) -> None:
        """Returns once a first catalogue was taken. Raises SkewlessError, saying why there is none, before."""
        if not self._first.is_set():
            raise self.last_error or NotReadyError(waiting_for=f"definitions from the registry at {self._address}")

    def wait_first(self, timeout_s: float) -> bool:
        """Whether a first catalogue was taken, waiting for it if need be."""
        return self._first.wait(timeout_s)

    def stop(self) -> None:
        """Ends the watch; ``on_catalog`` is not called afterwards."""
        self._stop.set()
        with self._lock:
            if self._call is not None:
                self._call.cancel()
        if self._thread is not threading.current_thread() and self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            before = self.revision
            try:
                self._follow()
            except Exception:
                log.exception("the catalogue of %s could not be taken over", self._address)
            self._begin_with_kept()
            failures = 1 if self.revision != before else failures + 1
            self._stop.wait(_AWAY.after(failures))

    def _follow(self) -> None:
        """One call: until it fails or the watcher is stopped."""
        with connect(self._address) as channel:
            call = stubs.RegistryServiceStub(channel).Watch(
                pb.WatchRequest(
                    projects=self._projects,
                    known_revision=self.revision,
                    with_api_keys=self._on_api_keys is not None,
                ),
                metadata=METADATA,
            )
            with self._lock:
                self._call = call
            if self._stop.is_set():
                call.cancel()
            try:
                call.initial_metadata()  # the registry hears us, whether or not it has news
                self.last_error = None
                for answer in call:
                    self._take(answer)
            except grpc.RpcError as error:
                if self._stop.is_set():
                    return
                self.last_error = to_error(error, self._address, "the registry")
                log.log(
                    logging.INFO if time.monotonic() < self._quiet_until else logging.WARNING,
                    "going on with revision %d of the catalogue: %s",
                    self.revision,
                    self.last_error,
                )

    def _take(self, answer: pb.WatchResponse) -> None:
        if self._stop.is_set():
            return
        self._quiet_until = 0.0
        self._hand_over(answer)
        if self._kept is not None:
            self._kept.keep(answer)

    def _hand_over(self, answer: pb.WatchResponse) -> None:
        if self._on_api_keys is not None:
            self._on_api_keys(answer.api_keys)
        self._on_catalog(catalog_from_proto(answer.definitions, answer.revision))
        self.revision = answer.revision
        self._first.set()

    def _begin_with_kept(self) -> None:
        """Takes the kept answer once, if the registry has not been heard by now."""
        if self._kept is None or self._first.is_set() or self._kept_after is None:
            return
        if time.monotonic() < self._kept_after:
            return
        self._kept_after = None
        answer = self._kept.read()
        if answer is None:
            return
        try:
            self._hand_over(answer)
        except Exception:
            log.exception("the kept definitions could not be taken over")
            return
        log.warning(
            "beginning with revision %d of the catalogue as it was kept: the registry at %s is away",
            self.revision,
            self._address,
        )


def watch_catalog(
    address: str,
    on_catalog: Callable[[Catalog], None],
    *,
    projects: Iterable[str] = (),
    keep: Path | None = None,
    on_api_keys: Callable[[Sequence[pb.ApiKey]], None] | None = None,
) -> CatalogWatcher:
    """Starts following the registry at ``address`` for ``projects`` (none: all)."""
    return CatalogWatcher(address, on_catalog, projects, keep, on_api_keys).start()
