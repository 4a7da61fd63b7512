"""Channels to other services: deadlines, retries where they are safe, rich errors back as exceptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from grpc_status import rpc_status

from skewless.codec.errors import error_from_code, error_from_status
from skewless.errors import SkewlessError
from skewless.rpc.access import ANYBODY, Access
from skewless.rpc.calling import calling
from skewless.rpc.limits import MAX_STATUS_BYTES, STATUS_BYTES_HEADER

MAX_MESSAGE_BYTES: Final = 64 << 20
T = TypeVar("T")
_PEER: Final = "the peer"
METADATA: Final = ((STATUS_BYTES_HEADER, str(MAX_STATUS_BYTES)),)
"""Metadata of every call: this side takes long statuses."""


def connect(address: str, *services: ServiceDescriptor, access: Access = ANYBODY) -> grpc.Channel:
    """A channel; it connects when it is first used, and again whenever the peer is back.

    Calls to an address that stands for several servers (a headless Service of Kubernetes, say, or
    ``ipv4:10.0.0.1:50052,10.0.0.2:50052``) are spread over them; servers that come and go are noticed within seconds.

    Methods of ``services`` that are declared free of side effects are tried again, at most 3 times in all,
    when the peer is UNAVAILABLE.
    """
    options, credentials = _options(address, services), access.credentials()
    if credentials is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, credentials, options=options)


def connect_async(address: str, *services: ServiceDescriptor, access: Access = ANYBODY) -> grpc.aio.Channel:
    """Likewise for asyncio: a channel for calls of the event loop that runs."""
    options, credentials = _options(address, services), access.credentials()
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


def _options(address: str, services: Sequence[ServiceDescriptor]) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_metadata_size", MAX_STATUS_BYTES),
        ("grpc.absolute_max_metadata_size", 2 * MAX_STATUS_BYTES),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        ("grpc.enable_retries", 1),
        ("grpc.service_config", json.dumps(_service_config(address, services))),
        # A list is no name that a server could take for its own.
        *((("grpc.default_authority", "localhost"),) if "," in address else ()),
    ]


def _service_config(address: str, services: Sequence[ServiceDescriptor]) -> dict[str, Any]:
    # Spreading keeps on connecting, and while it waits between attempts every call fails: of one server that comes
    # back the next call shall hear at once.
    spread = "pick_first" if _is_one_server(address) else "round_robin"
    config: dict[str, Any] = {"loadBalancingConfig": [{spread: {}}]}
    names = [
        {"service": service.full_name, "method": method.name}
        for service in services
        for method in service.methods
        if method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    ]
    if names:
        policy = {
            "maxAttempts": 3,
            "initialBackoff": "0.1s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        config["methodConfig"] = [{"name": names, "retryPolicy": policy}]
    return config


def _is_one_server(address: str) -> bool:
    """Whether it is an IP address with a port; a name may stand for several."""
    try:
        ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return False
    return True


def to_error(error: grpc.RpcError, address: str, service: str = _PEER) -> SkewlessError:
    """The failure behind a gRPC error, with the peer's reason if it gave one; ``service`` says what the peer is."""
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # a peer whose details contradict its code
        status = None
    if status is not None:
        return error_from_status(status, service=service, address=address)
    return error_from_code(error.code().value[0], error.details() or "", service=service, address=address)


@contextmanager
def rich_errors(address: str, service: str = _PEER) -> Iterator[None]:
    """Inside, gRPC errors become `SkewlessError`s."""
    try:
        yield
    except grpc.RpcError as error:
        raise to_error(error, address, service) from error


def call(
    method: Callable[..., Any],
    request: Any,
    *,
    address: str,
    timeout_s: float,
    service: str = _PEER,
    access: Access = ANYBODY,
) -> Any:
    """One unary call with a deadline. Raises SkewlessError."""
    with rich_errors(address, service), calling(method) as span:
        return method(request, timeout=timeout_s, metadata=(*METADATA, *access.headers, *span.headers().items()))


def stream(
    method: Callable[..., Any], request: Any, *, address: str, timeout_s: float | None, service: str = _PEER
) -> Iterator[Any]:
    """A call whose answer is streamed; ``request`` may be an iterator. Raises SkewlessError while consumed.

    Leaving the iteration early cancels the call.
    """
    with rich_errors(address, service), calling(method, current=False) as span:
        answers = method(request, timeout=timeout_s, metadata=(*METADATA, *span.headers().items()))
        try:
            yield from answers
        finally:
            answers.cancel()


async def call_async(
    method: Callable[..., Any],
    request: Any,
    *,
    address: str,
    timeout_s: float,
    service: str = _PEER,
    access: Access = ANYBODY,
) -> Any:
    """One unary call with a deadline, under asyncio. Raises SkewlessError."""
    with rich_errors(address, service), calling(method) as span:
        return await method(request, timeout=timeout_s, metadata=(*METADATA, *access.headers, *span.headers().items()))


async def gather_async(
    method: Callable[..., Any],
    request: Any,
    read: Callable[[Iterator[Any]], T],
    *,
    address: str,
    timeout_s: float | None,
    service: str = _PEER,
) -> T:
    """What ``read`` makes of the answers that are streamed; it runs in a thread, and waits for them there.

    Raises SkewlessError. Cancelling it cancels the call.
    """
    loop = asyncio.get_running_loop()
    with rich_errors(address, service), calling(method, current=False) as span:
        call = method(request, timeout=timeout_s, metadata=(*METADATA, *span.headers().items()))
        answers = aiter(call)

        async def following() -> Any:
            return await anext(answers, None)

        def arriving() -> Iterator[Any]:
            while (answer := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not None:
                yield answer

        reading = asyncio.ensure_future(asyncio.to_thread(read, arriving()))
        # Of a call that was given up nobody looks at what became of the thread.
        reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            return await asyncio.shield(reading)
        finally:
            call.cancel()
