"""Calls as traces and metrics see them, at the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import grpc

from skewless.rpc.calling import rpc_span
from skewless.rpc.interceptor import Handler, wrapped
from skewless.telemetry import metrics, names, scrape, spans
from skewless.telemetry.measures import Histogram

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

# A watch lasts as long as the watcher; a span of it would end with the process.
_UNTRACED: Final = ("/grpc.health.", "/grpc.reflection.", "/skewless.api.registry.v1.RegistryService/Watch")
_OK: Final = grpc.StatusCode.OK


class Observed(grpc.ServerInterceptor):
    """Continues the caller's trace, and publishes how long calls took. Stands before whatever makes statuses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[tuple[str, str], Histogram] = {}
        scrape.publish(self.collect)

    def collect(self) -> Iterable[Family]:
        """The metrics of the calls so far."""
        with self._lock:
            found = sorted(self._seconds.items())
        yield metrics.RPC_SECONDS.spread((labels, histogram.snapshot()) for labels, histogram in found)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_UNTRACED):
            return handler
        method = handler_call_details.method
        return wrapped(
            handler, single=partial(self._single, method=method), streaming=partial(self._streaming, method=method)
        )

    def _single(self, behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
        def handle(request: Any, context: Any) -> Any:
            with _Call(self, method, context):
                return behaviour(request, context)

        return handle

    def _streaming(self, behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
        def handle(request: Any, context: Any) -> Iterator[Any]:
            with _Call(self, method, context):
                yield from behaviour(request, context)

        return handle

    def took(self, method: str, code: grpc.StatusCode, seconds: float) -> None:
        """Counts a call."""
        labels = (method.rpartition("/")[2], code.name)
        with self._lock:
            histogram = self._seconds.get(labels)
            if histogram is None:
                histogram = self._seconds[labels] = Histogram(metrics.DURATION_S)
        histogram.add(seconds)


class _Call:
    """One call on the server."""

    def __init__(self, observed: Observed, method: str, context: Any) -> None:
        self._observed = observed
        self._method = method
        self._context = context

    def __enter__(self) -> None:
        parent = {key: value for key, value in self._context.invocation_metadata() or () if key in spans.HEADERS}
        self._span = rpc_span(names.RPC_SERVER, self._method, parent=parent)
        self._began = time.monotonic()
        self._span.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # The code is set before the exception that ends the handler; without a code gRPC answers UNKNOWN.
        code = self._context.code() or (_OK if kind is None else grpc.StatusCode.UNKNOWN)
        if kind is not None and issubclass(kind, GeneratorExit):
            code = grpc.StatusCode.CANCELLED
        self._observed.took(self._method, code, time.monotonic() - self._began)
        self._span.set(names.RPC_STATUS, code.value[0])
        if code is not _OK:
            details = self._context.details() or ""
            self._span.fail(code.name, details.decode() if isinstance(details, bytes) else details)
        self._span.__exit__(None, None, None)
