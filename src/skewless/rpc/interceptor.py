"""What stands between the wire and every handler: rules of the fields checked, failures made rich.

Works for the four shapes of calls. Requests of a stream are checked one by one as they are taken, and a failure
raised while an answer is being streamed is mapped like any other.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NoReturn, TypeAlias

import grpc
import protovalidate
from google.protobuf.message import Message
from grpc_status import rpc_status

from skewless.codec.errors import DEFAULT_BUDGET, error_to_status
from skewless.errors import InternalError, InvalidArgumentError, SkewlessError, Violation
from skewless.rpc.limits import MAX_STATUS_BYTES, STATUS_BYTES_HEADER

log = logging.getLogger(__name__)

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Wrap: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

_UNCHECKED: Final = ("/grpc.health.", "/grpc.reflection.")


def check_message(message: Message) -> None:
    """Raises InvalidArgumentError with every field that breaks a rule of its contract."""
    found = protovalidate.collect_violations(message)
    if found:
        raise InvalidArgumentError(
            Violation(_path(violation.proto.field), violation.proto.message, violation.proto.rule_id)
            for violation in found
        )


def _path(field: Any) -> str:
    """``definitions[3].tags["team"]``."""
    parts: list[str] = []
    for element in field.elements if field is not None else ():
        parts.append(element.field_name)
        if element.subscript is not None:
            key = element.subscript.value
            parts[-1] += f'["{key}"]' if isinstance(key, str) else f"[{key}]"
    return ".".join(parts)


class RichErrors(grpc.ServerInterceptor):
    """Checks requests and turns failures into statuses with details."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_UNCHECKED):
            return handler
        method = handler_call_details.method
        streamed_in = handler.request_streaming
        return wrapped(
            handler,
            single=partial(_single, method=method, streamed_in=streamed_in),
            streaming=partial(_streaming, method=method, streamed_in=streamed_in),
        )


def wrapped(handler: Any, *, single: Wrap, streaming: Wrap) -> Handler:
    """A handler of the same kind that calls what ``single`` makes, or ``streaming`` for a stream of answers."""
    behaviour, make = _shape(handler)
    wrap = streaming if handler.response_streaming else single
    return make(
        wrap(behaviour),
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def _shape(handler: Any) -> tuple[Callable[..., Any], Callable[..., Handler]]:
    """What a handler calls, and what makes a handler of its kind."""
    match (handler.request_streaming, handler.response_streaming):
        case (False, False):
            return handler.unary_unary, grpc.unary_unary_rpc_method_handler
        case (False, True):
            return handler.unary_stream, grpc.unary_stream_rpc_method_handler
        case (True, False):
            return handler.stream_unary, grpc.stream_unary_rpc_method_handler
        case _:
            return handler.stream_stream, grpc.stream_stream_rpc_method_handler


def _checked(request: Any, *, streamed: bool) -> Any:
    if not streamed:
        check_message(request)
        return request
    return _checked_each(request)


def _checked_each(requests: Iterator[Message]) -> Iterator[Message]:
    for request in requests:
        check_message(request)
        yield request


def _single(behaviour: Callable[..., Any], method: str, *, streamed_in: bool) -> Callable[..., Any]:
    def handle(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return behaviour(_checked(request, streamed=streamed_in), context)
        except Exception as error:  # noqa: BLE001 (the last place that can answer; `_abort` logs it)
            _abort(error, context, method)

    return handle


def _streaming(behaviour: Callable[..., Any], method: str, *, streamed_in: bool) -> Callable[..., Any]:
    def handle(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from behaviour(_checked(request, streamed=streamed_in), context)
        except Exception as error:  # noqa: BLE001 (likewise)
            _abort(error, context, method)

    return handle


def _abort(error: Exception, context: Any, method: str) -> NoReturn:
    if context.code() is not None:
        raise error  # the handler has called abort itself
    if not context.is_active():  # nobody is there any more
        if isinstance(error, SkewlessError):
            context.abort(grpc.StatusCode.CANCELLED, "the caller has gone")  # gRPC would log what is raised otherwise
        raise error
    if not isinstance(error, SkewlessError):
        incident = secrets.token_hex(4)
        log.error("incident %s in %s", incident, method, exc_info=error)
        error = InternalError(incident=incident)
    else:
        log.debug("%s is refused: %s", method, error)
    status = error_to_status(error, budget=_budget(context))
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError  # abort_with_status always raises


def _budget(context: grpc.ServicerContext) -> int:
    for key, value in context.invocation_metadata() or ():
        if key == STATUS_BYTES_HEADER and str(value).isdecimal():
            return min(max(int(str(value)), DEFAULT_BUDGET), MAX_STATUS_BYTES)
    return DEFAULT_BUDGET
