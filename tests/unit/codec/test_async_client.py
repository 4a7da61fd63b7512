"""What only the client of asyncio does: many calls at once, and calls that are given up."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from skewless.api.offline.v1 import offline_service_pb2 as offline_pb
from skewless.api.offline.v1 import offline_service_pb2_grpc as offline_stubs
from skewless.api.online.v1 import online_service_pb2 as online_pb
from skewless.api.online.v1 import online_service_pb2_grpc as online_stubs
from skewless.client import AsyncStore, Store
from skewless.errors import DependencyUnavailableError, InvalidArgumentError, TimedOutError, WrongTypeError
from skewless.rpc.server import Server

AT_ONCE = 8


class Peer(online_stubs.OnlineServiceServicer, offline_stubs.OfflineServiceServicer):
    """Answers when it is told to, and keeps who asked."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.callers: set[str] = set()
        self.calls = 0
        self.away = 0
        """So many calls are answered as if nobody were there."""

    def _begin(self, context: grpc.ServicerContext) -> None:
        self.calls += 1
        self.callers.add(context.peer())
        context.add_callback(self.ended.release)
        self.asked.release()
        if self.calls <= self.away:
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        self.go_on.wait(20)

    def GetOnlineFeatures(  # noqa: N802
        self, request: online_pb.GetOnlineFeaturesRequest, context: grpc.ServicerContext
    ) -> online_pb.GetOnlineFeaturesResponse:
        self._begin(context)
        return online_pb.GetOnlineFeaturesResponse(request_time_us=request.request_time_us)

    def LogPrediction(  # noqa: N802
        self,
        request: online_pb.LogPredictionRequest,  # noqa: ARG002
        context: grpc.ServicerContext,
    ) -> online_pb.LogPredictionResponse:
        self._begin(context)
        return online_pb.LogPredictionResponse()

    def Replay(  # noqa: N802
        self,
        request: offline_pb.ReplayRequest,  # noqa: ARG002
        context: grpc.ServicerContext,
    ) -> Iterator[offline_pb.ReplayResponse]:
        context.add_callback(self.ended.release)
        yield offline_pb.ReplayResponse(replayed=1)
        self.go_on.wait(20)
        yield offline_pb.ReplayResponse(replayed=2, done=True)


@contextmanager
def serving(peer: Peer) -> Iterator[str]:
    server = Server("127.0.0.1:0", threads=2 * AT_ONCE)
    server.add(
        online_stubs.add_OnlineServiceServicer_to_server,
        peer,
        online_pb.DESCRIPTOR.services_by_name["OnlineService"],
    )
    server.add(
        offline_stubs.add_OfflineServiceServicer_to_server,
        peer,
        offline_pb.DESCRIPTOR.services_by_name["OfflineService"],
    )
    try:
        yield server.start()
    finally:
        peer.go_on.set()
        server.stop(0)


@pytest.fixture
def peer() -> Peer:
    return Peer()  # type: ignore[abstract]  # only what is called here is there


@pytest.fixture
def address(peer: Peer) -> Iterator[str]:
    with serving(peer) as address:
        yield address


def public(kind: type) -> dict[str, list[str]]:
    found = inspect.getmembers(kind, callable)
    return {name: list(inspect.signature(method).parameters) for name, method in found if not name.startswith("_")}


def test_both_clients_have_the_same_calls_with_the_same_arguments() -> None:
    assert public(Store) == public(AsyncStore)
    assert len(public(Store)) > 15
    assert inspect.signature(Store) == inspect.signature(AsyncStore)
    for name in set(public(Store)) - {"close", "make_peer"}:
        assert getattr(Store, name).__doc__ == getattr(AsyncStore, name).__doc__
        assert getattr(Store, name).__doc__


def test_calls_run_side_by_side_over_one_connection(peer: Peer, address: str) -> None:
    async def run() -> list[int]:
        async with AsyncStore("p", online=address) as store:
            calls = [
                asyncio.create_task(store.get_online_features("m@1.0.0", {"k": 1}, request_time=n))
                for n in range(AT_ONCE)
            ]
            for _ in calls:  # all have arrived before one is answered
                await asyncio.to_thread(peer.asked.acquire, timeout=20)
            peer.go_on.set()
            return [answer.request_time_us for answer in await asyncio.gather(*calls)]

    assert asyncio.run(run()) == list(range(AT_ONCE))
    assert peer.calls == AT_ONCE
    assert len(peer.callers) == 1


def test_a_call_that_is_given_up_ends_at_the_service(peer: Peer, address: str) -> None:
    told = threading.Semaphore(0)

    async def run() -> None:
        async with AsyncStore("p", online=address, offline=address) as store:
            for call, begun in (
                (store.get_online_features("m@1.0.0", {"k": 1}), peer.asked),
                (store.replay("a", on_progress=lambda _: told.release()), told),
            ):
                task = asyncio.create_task(call)
                assert await asyncio.to_thread(begun.acquire, timeout=20)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await asyncio.to_thread(peer.ended.acquire, timeout=20)

    asyncio.run(run())


def test_a_deadline_holds(address: str) -> None:
    async def run() -> None:
        async with AsyncStore("p", online=address, timeout_s=0.05) as store:
            await store.get_online_features("m@1.0.0", {"k": 1})

    with pytest.raises(TimedOutError):
        asyncio.run(run())


def test_only_what_changes_nothing_is_tried_again(peer: Peer, address: str) -> None:
    peer.away = 1
    peer.go_on.set()

    async def get() -> None:
        async with AsyncStore("p", online=address) as store:
            await store.get_online_features("m@1.0.0", {"k": 1})

    async def log() -> None:
        async with AsyncStore("p", online=address) as store:
            await store.log_prediction("0" * 26, "m", [0.5])

    asyncio.run(get())
    assert peer.calls == 2
    peer.away = 3
    with pytest.raises(DependencyUnavailableError):
        asyncio.run(log())
    assert peer.calls == 3


def test_what_is_wrong_is_told_when_the_call_is_awaited(address: str) -> None:
    async def run() -> None:
        async with AsyncStore("p", online=address) as store:
            with pytest.raises(WrongTypeError, match="timeout_s"):
                await store.get_online_features("m@1.0.0", {"k": 1}, timeout_s=0)
            with pytest.raises(InvalidArgumentError, match=r"registry='host:port'"):
                await store.list_api_keys()

    asyncio.run(run())


def test_a_store_is_of_one_event_loop(peer: Peer, address: str) -> None:
    peer.go_on.set()
    store = AsyncStore("p", online=address)

    async def ask() -> None:
        await store.get_online_features("m@1.0.0", {"k": 1})

    async def ask_and_close() -> None:
        await ask()
        await store.close()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(ask())
        with pytest.raises(RuntimeError, match="belongs to the event loop"):
            second.run(ask())
        first.run(ask_and_close())
        second.run(ask_and_close())  # one that was closed may begin anew
