"""Tracing, as code uses it.

    with spans.span(names.STORE_WRITE, {names.DB_BATCH: len(writes)}):
        ...

A process that never imported OpenTelemetry has no span to continue and nobody to give one to: then all of this does
nothing, and OpenTelemetry is not imported here either. An application that traces itself sees the client's calls
among its own spans; a service is set up by `skewless.telemetry.start`.

Contexts travel as W3C ``traceparent`` and ``tracestate``: in the metadata of calls, and in the headers of records if
their trace is sampled.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias

from skewless.telemetry import names
from skewless.telemetry.names import SpanName

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext

Attribute: TypeAlias = str | int | float | bool | Sequence[str]
Headers: TypeAlias = Mapping[str, bytes]

MOST_LINKS: Final = 128
"""Links of one span; of a batch with more producers the others are counted only."""

HEADERS: Final = ("traceparent", "tracestate")
"""The names under which a context travels."""
_NONE: Final[Mapping[str, bytes]] = MappingProxyType({})


class Active(Protocol):
    """A span that has begun, for a ``with``. What is raised inside makes it one that failed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None: ...

    def set(self, name: str, value: Attribute) -> None:
        """An attribute that was not known at the start."""

    def fail(self, kind: str, text: str) -> None:
        """It has failed, although nothing is raised."""

    def headers(self) -> Mapping[str, str]:
        """Its context, for whoever continues it in another process; empty if there is none."""


class _Off:
    """No span."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        pass

    def set(self, name: str, value: Attribute) -> None:
        pass

    def fail(self, kind: str, text: str) -> None:
        pass

    def headers(self) -> Mapping[str, str]:
        return {}


OFF: Final[Active] = _Off()


class _Switch:
    off = False


def enabled() -> bool:
    """Whether somebody in this process may be tracing."""
    return not _Switch.off and "opentelemetry.trace" in sys.modules


def switch_off() -> None:
    """Nothing is traced in this process, although a library may have imported OpenTelemetry."""
    _Switch.off = True


def span(
    declared: SpanName,
    attributes: Mapping[str, Attribute] = MappingProxyType({}),
    *,
    name: str = "",
    parent: Mapping[str, str] | None = None,
    current: bool = True,
) -> Active:
    """A span of the current one.

    name: if the declaration leaves it open.
    parent: the span that a caller told in these headers; a root if they tell none. None: the current one.
    current: whether it is the current one inside the ``with``. Not so in generators, whose callers run in between.
    """
    if not enabled():
        return OFF
    return _Span(declared, name, attributes, None if parent is None else _extract(parent), (), current=current)


def consumed(
    declared: SpanName,
    topic: str,
    headers: Iterable[Iterable[Headers]],
    attributes: Mapping[str, Attribute] = MappingProxyType({}),
) -> Active:
    """A span around the handling of records, a root that links to the spans that their headers tell.

    headers: of each record, record by record, part by part. No span without records.
    """
    if not enabled():
        return OFF
    links: list[Link] = []
    count = unlinked = 0
    for part in headers:
        for one in part:
            count += 1
            if HEADERS[0] in one and (link := _link(one)) is not None:
                if len(links) < MOST_LINKS:
                    links.append(link)
                else:
                    unlinked += 1
    if not count:
        return OFF
    told = {
        **attributes,
        names.MESSAGING_SYSTEM: "kafka",
        names.TOPIC: topic,
        names.RECORDS: count,
        **({names.UNLINKED: unlinked} if unlinked else {}),
    }
    return _Span(declared, "", told, _root(), links, current=True)


def carried(headers: Headers) -> Headers:
    """The trace context among the headers of a record, for the record that is made of it."""
    if HEADERS[0] not in headers:
        return _NONE
    return {name: headers[name] for name in HEADERS if name in headers}


def outgoing(headers: Headers | None) -> Headers | None:
    """Headers of a record that is sent now: those given, and the current context if it is sampled and none is given."""
    if not enabled() or (headers is not None and HEADERS[0] in headers):
        return headers
    from opentelemetry import trace  # noqa: PLC0415 (imported already)

    if not trace.get_current_span().get_span_context().trace_flags.sampled:
        return headers
    return {**(headers or {}), **{name: value.encode() for name, value in _inject(None).items()}}


def ids() -> tuple[str, str] | None:
    """Trace and span of the current span, in hex; None without one."""
    if not enabled():
        return None
    from opentelemetry import trace  # noqa: PLC0415 (imported already)

    context = trace.get_current_span().get_span_context()
    return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else None


class _Span:
    """A span of OpenTelemetry, by its declaration."""

    __slots__ = ("_begin", "_current", "_span", "_token")

    def __init__(
        self,
        declared: SpanName,
        name: str,
        attributes: Mapping[str, Attribute],
        parent: Context | None,
        links: Sequence[Link],
        *,
        current: bool,
    ) -> None:
        self._begin = (declared, name, attributes, parent, links)
        self._current = current
        self._token: Token[Context] | None = None

    def __enter__(self) -> Self:
        from opentelemetry import context, trace  # noqa: PLC0415 (imported already)

        declared, name, attributes, parent, links = self._begin
        self._span: Span = trace.get_tracer("skewless").start_span(
            name or declared.id,
            context=parent,
            kind=trace.SpanKind[declared.kind.upper()],
            attributes=dict(attributes),
            links=links,
        )
        if self._current:
            self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from opentelemetry import context  # noqa: PLC0415 (imported already)

        if self._token is not None:
            context.detach(self._token)
        if kind is not None and not issubclass(kind, GeneratorExit):
            self.fail(kind.__name__, str(error))
        self._span.end()

    def set(self, name: str, value: Attribute) -> None:
        self._span.set_attribute(name, value)

    def fail(self, kind: str, text: str) -> None:
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 (imported already)

        self._span.set_attribute(names.ERROR_TYPE, kind)
        self._span.set_status(Status(StatusCode.ERROR, text))

    def headers(self) -> Mapping[str, str]:
        from opentelemetry import trace  # noqa: PLC0415 (imported already)

        return _inject(trace.set_span_in_context(self._span))


def _inject(context: Context | None) -> dict[str, str]:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, context)
    return carrier


def _extract(headers: Mapping[str, Any]) -> Context:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    return TraceContextTextMapPropagator().extract(headers, _root())


def _root() -> Context:
    """A context without a current span."""
    from opentelemetry.context import Context  # noqa: PLC0415 (imported already)

    return Context()


def _link(headers: Headers) -> Link | None:
    from opentelemetry import trace  # noqa: PLC0415 (imported already)

    told = {name: headers[name].decode("ascii", "replace") for name in HEADERS if name in headers}
    found: SpanContext = trace.get_current_span(_extract(told)).get_span_context()
    return trace.Link(found) if found.is_valid else None
