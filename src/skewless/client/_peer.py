"""One service, as a client calls it: blocking, or under asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from skewless.errors import InvalidArgumentError, Violation
from skewless.rpc import channel as rpc
from skewless.rpc.access import Access

T = TypeVar("T")


class _Named:
    """access: TLS and key, if it asks for them."""

    def __init__(
        self,
        name: str,
        address: str | None,
        descriptor: ServiceDescriptor,
        make_stub: Callable[[Any], Any],
        access: Access,
    ) -> None:
        self._name: Final = name
        self._address: Final = address
        self._descriptor: Final = descriptor
        self._make_stub: Final = make_stub
        self._access: Final = access

    def _known_address(self) -> str:
        if self._address is None:
            advice = f"this needs its address: Store(..., {self._name}='host:port')"
            raise InvalidArgumentError([Violation(self._name, advice, "REQUIRED")])
        return self._address


class Peer(_Named):
    """A service, connected when it is first called."""

    def __init__(self, *named: Any) -> None:
        super().__init__(*named)
        self._channel: grpc.Channel | None = None
        self._lock = threading.Lock()

    def call(self, method: str, request: Any, timeout_s: float) -> Any:
        stub, address = self._stub()
        return rpc.call(
            getattr(stub, method),
            request,
            address=address,
            timeout_s=timeout_s,
            service=self._name,
            access=self._access,
        )

    def pages(self, method: str, request: Any, timeout_s: float) -> Iterator[Any]:
        """The answers to a listing, page by page. timeout_s: for each."""
        while True:
            page = self.call(method, request, timeout_s)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def stream(self, method: str, request: Any, timeout_s: float) -> Iterator[Any]:
        stub, address = self._stub()
        return rpc.stream(getattr(stub, method), request, address=address, timeout_s=timeout_s, service=self._name)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _stub(self) -> tuple[Any, str]:
        address = self._known_address()
        with self._lock:
            if self._channel is None:
                self._channel = rpc.connect(address, self._descriptor, access=self._access)
            return self._make_stub(self._channel), address


class AsyncPeer(_Named):
    """A service, connected when it is first called; for the event loop of that call."""

    def __init__(self, *named: Any) -> None:
        super().__init__(*named)
        self._channel: grpc.aio.Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stub_of_it: Any = None

    async def call(self, method: str, request: Any, timeout_s: float) -> Any:
        stub, address = self._stub()
        return await rpc.call_async(
            getattr(stub, method),
            request,
            address=address,
            timeout_s=timeout_s,
            service=self._name,
            access=self._access,
        )

    async def pages(self, method: str, request: Any, timeout_s: float) -> AsyncIterator[Any]:
        """The answers to a listing, page by page. timeout_s: for each."""
        while True:
            page = await self.call(method, request, timeout_s)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def gather(self, method: str, request: Any, timeout_s: float, read: Callable[[Iterator[Any]], T]) -> T:
        """What ``read`` makes of streamed answers, in a thread, as they come."""
        stub, address = self._stub()
        return await rpc.gather_async(
            getattr(stub, method), request, read, address=address, timeout_s=timeout_s, service=self._name
        )

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    def _stub(self) -> tuple[Any, str]:
        address = self._known_address()
        loop = asyncio.get_running_loop()
        if self._channel is None:
            self._channel = rpc.connect_async(address, self._descriptor, access=self._access)
            self._loop, self._stub_of_it = loop, self._make_stub(self._channel)
        elif self._loop is not loop:
            raise RuntimeError("an AsyncStore belongs to the event loop that it was first used in; make one for each")
        return self._stub_of_it, address
