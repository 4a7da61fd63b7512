"""Calls as traces see them, at the client. Importing it is cheap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Self

import grpc

from skewless.telemetry import names, spans

_OK: Final = grpc.StatusCode.OK


def calling(method: Callable[..., Any], *, current: bool = True) -> spans.Active:
    """A span around a call of a stub's method."""
    if not spans.enabled():
        return spans.OFF
    path: bytes = getattr(method, "_method", b"unknown/unknown")  # the stub knows it, and tells nobody
    return _Calling(rpc_span(names.RPC_CLIENT, path.decode(), current=current))


class _Calling:
    """One call of a client."""

    def __init__(self, span: spans.Active) -> None:
        self._span = span
        self.set = span.set
        self.fail = span.fail
        self.headers = span.headers

    def __enter__(self) -> Self:
        self._span.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, grpc.RpcError):
            code: grpc.StatusCode = error.code()
            self.set(names.RPC_STATUS, code.value[0])
            self.fail(code.name, error.details() or "")
            kind = error = None
        else:
            left = kind is not None and issubclass(kind, GeneratorExit | asyncio.CancelledError)
            self.set(names.RPC_STATUS, (grpc.StatusCode.CANCELLED if left else _OK).value[0])
        self._span.__exit__(kind, error, trace)


def rpc_span(declared: names.SpanName, method: str, **options: Any) -> spans.Active:
    """A span of a call of ``/package.Service/Method``; options as of `skewless.telemetry.spans.span`."""
    path = method.lstrip("/")
    service, _, name = path.partition("/")
    attributes = {names.RPC_SYSTEM: "grpc", names.RPC_SERVICE: service, names.RPC_METHOD: name}
    return spans.span(declared, attributes, name=path, **options)
