"""An `AsyncStore` behind the face of a `Store`, so that one test says what both do."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from skewless.client import AsyncStore

T = TypeVar("T")


class Awaited:
    """Every call waits for what it gives; an event loop of its own runs in a thread."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._store = AsyncStore(*arguments, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def waited(*arguments: Any, **options: Any) -> Any:
            given = method(*arguments, **options)
            return self._wait(given if inspect.iscoroutine(given) else _listed(given))

        return waited

    def __enter__(self) -> Awaited:
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._store.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)


async def _listed(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]
