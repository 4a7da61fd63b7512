"""The mesh as an application sees it: one object, one method per thing that can be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Concatenate, ParamSpec, Self, TypeVar

from skewless.client._call import Pages, Streamed, Unary, told_as
from skewless.client._calls import BULK_TIMEOUT_S, Calls
from skewless.client._client import Client
from skewless.client._peer import Peer

__all__ = ["BULK_TIMEOUT_S", "Store"]

P = ParamSpec("P")
T = TypeVar("T")


def _call(build: Callable[Concatenate[Calls, P], Unary[T]]) -> Callable[Concatenate[Store, P], T]:
    def method(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = build(self._calls, *args, **kwargs)
        if call.kept is not None:
            return call.kept
        return call.read(self._peers[call.peer].call(call.method, call.request, call.timeout_s))

    return told_as("Unary", build, method)


def _list(build: Callable[Concatenate[Calls, P], Pages[T]]) -> Callable[Concatenate[Store, P], Iterator[T]]:
    def method(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        call = build(self._calls, *args, **kwargs)
        pages = self._peers[call.peer].pages(call.method, call.request, call.timeout_s)
        return (item for page in pages for item in call.read(page))

    return told_as("Pages", build, method, gives="Iterator")


def _gather(build: Callable[Concatenate[Calls, P], Streamed[T]]) -> Callable[Concatenate[Store, P], T]:
    def method(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = build(self._calls, *args, **kwargs)
        return call.read(self._peers[call.peer].stream(call.method, call.request, call.timeout_s))

    return told_as("Streamed", build, method)


class Store(Client[Peer]):
    """One project's features: defined, served, trained on, replayed, explained.

    project: its name.
    registry, online, offline, stream_agg, validator: addresses, ``host:port``; only those that are used.
    timeout_s: the deadline of calls that answer at once.
    api_key: of the online service, where it asks for one; see `create_api_key`.
    tls, ca_file, cert_file, key_file: towards the online service. With ``tls`` or any of the files TLS is spoken; its
        certificate is to be signed by one of ``ca_file`` (without: those that gRPC brings); ``cert_file`` and
        ``key_file`` are this client's, for a service that asks for them. Files are PEM.

    cache: keeps answers of `get_online_features` about given request times; what that means is said by `AnswerCache`.

    Every method raises SkewlessError: by its class, `fault` and `retry` a caller tells what to do.
    Safe to use from several threads. Close it, or use it in a ``with``. For asyncio there is `AsyncStore`.
    """

    make_peer: ClassVar = Peer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all connections."""
        for peer in self._peers.values():
            peer.close()

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
