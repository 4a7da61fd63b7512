"""One service, as a `Store` calls it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from skewless.client import _asking
from skewless.errors import InvalidArgumentError, Violation
from skewless.rpc.access import ANYBODY, Access
from skewless.rpc.channel import call, connect, stream


class Peer:
    """One service, connected when it is first called; access: TLS and key, if it asks for them."""

    def __init__(
        self, name: str, address: str | None, messages: Any, service: str, stubs: Any, *, access: Access = ANYBODY
    ) -> None:
        self._name = name
        self._address = None if address is None else _asking.text(address, name)
        self._descriptor: ServiceDescriptor = messages.DESCRIPTOR.services_by_name[service]
        self._make_stub = getattr(stubs, f"{service}Stub")
        self._access = access
        self._channel: grpc.Channel | None = None
        self._lock = threading.Lock()

    def call(self, method: str, request: Any, timeout_s: float) -> Any:
        stub, address = self._stub()
        return call(
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
        return stream(getattr(stub, method), request, address=address, timeout_s=timeout_s, service=self._name)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _stub(self) -> tuple[Any, str]:
        if self._address is None:
            advice = f"this needs its address: Store(..., {self._name}='host:port')"
            raise InvalidArgumentError([Violation(self._name, advice, "REQUIRED")])
        with self._lock:
            if self._channel is None:
                self._channel = connect(self._address, self._descriptor, access=self._access)
            return self._make_stub(self._channel), self._address
