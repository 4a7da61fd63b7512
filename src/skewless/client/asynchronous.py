"""The mesh as an application of asyncio sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

from skewless.client._call import Pages, Streamed, Unary, told_as
from skewless.client._calls import Calls
from skewless.client._client import Client
from skewless.client._peer import AsyncPeer

P = ParamSpec("P")
T = TypeVar("T")


def _call(
    build: Callable[Concatenate[Calls, P], Unary[T]],
) -> Callable[Concatenate[AsyncStore, P], Coroutine[Any, Any, T]]:
    async def method(self: AsyncStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = build(self._calls, *args, **kwargs)
        if call.kept is not None:
            return call.kept
        return call.read(await self._peers[call.peer].call(call.method, call.request, call.timeout_s))

    return told_as("Unary", build, method)


def _list(build: Callable[Concatenate[Calls, P], Pages[T]]) -> Callable[Concatenate[AsyncStore, P], AsyncIterator[T]]:
    def method(self: AsyncStore, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        call = build(self._calls, *args, **kwargs)

        async def items() -> AsyncIterator[T]:
            async for page in self._peers[call.peer].pages(call.method, call.request, call.timeout_s):
                for item in call.read(page):
                    yield item

        return items()

    return told_as("Pages", build, method, gives="AsyncIterator")


def _gather(
    build: Callable[Concatenate[Calls, P], Streamed[T]],
) -> Callable[Concatenate[AsyncStore, P], Coroutine[Any, Any, T]]:
    async def method(self: AsyncStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = build(self._calls, *args, **kwargs)
        return await self._peers[call.peer].gather(call.method, call.request, call.timeout_s, call.read)

    return told_as("Streamed", build, method)


class AsyncStore(Client[AsyncPeer]):
    """What `Store` is, for asyncio: the same arguments and methods, which are awaited; listings are ``async for``.

    It belongs to the event loop that it is first used in, where all calls share one connection to each service. A call
    that is cancelled is ended at the service, too. ``on_progress`` of `replay` is called in another thread.

    Every method raises SkewlessError: by its class, `fault` and `retry` a caller tells what to do.
    Close it, or use it in an ``async with``.
    """

    make_peer: ClassVar = AsyncPeer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all connections."""
        for peer in self._peers.values():
            await peer.close()

    plan = _call(Calls.plan)
    apply = _call(Calls.apply)
    get_definition = _call(Calls.get_definition)
    list_definitions = _list(Calls.list_definitions)
    create_api_key = _call(Calls.create_api_key)
    list_api_keys = _call(Calls.list_api_keys)
    revoke_api_key = _call(Calls.revoke_api_key)
    get_online_features = _call(Calls.get_online_features)
    log_prediction = _call(Calls.log_prediction)
    get_historical_features = _gather(Calls.get_historical_features)
    materialize = _call(Calls.materialize)
    replay = _gather(Calls.replay)
    explain = _call(Calls.explain)
    stream_status = _call(Calls.stream_status)
    source_status = _call(Calls.source_status)
    rewind = _call(Calls.rewind)
    dead_letters = _list(Calls.dead_letters)
    replay_dead_letters = _call(Calls.replay_dead_letters)
    report = _call(Calls.report)
