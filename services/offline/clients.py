"""The registry, as the offline service hears it."""

from __future__ import annotations

from collections.abc import Callable

from skewless.definitions.catalog import Catalog
from skewless.errors import NotReadyError
from skewless.rpc.watch import CatalogWatcher, watch_catalog


class RegistryCatalogs:
    """Keeps the newest catalogue; goes on with the last one while the registry is away."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._current: Catalog | None = None
        self._watcher: CatalogWatcher | None = None

    def start(self, on_catalog: Callable[[Catalog], None]) -> None:
        """Follows the registry; each new catalogue is kept and then handed on."""

        def take(catalog: Catalog) -> None:
            self._current = catalog
            on_catalog(catalog)

        self._watcher = watch_catalog(self._address, take)

    def stop(self) -> None:
        """Ends the watch."""
        if self._watcher is not None:
            self._watcher.stop()

    def ask(self) -> None:
        """Returns once there is a catalogue. Raises SkewlessError, saying why there is none, before."""
        if self._current is None and self._watcher is not None:
            self._watcher.ask()

    def current(self) -> Catalog:
        """As `services.offline.ports.Catalogs.current`."""
        if self._current is None:
            raise NotReadyError(waiting_for=f"definitions from the registry at {self._address}")
        return self._current
