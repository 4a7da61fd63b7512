"""Tracing of a service, from its settings. OpenTelemetry's SDK is imported only if something is exported."""

from __future__ import annotations

import importlib.metadata
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from skewless.telemetry import spans
from skewless.telemetry.names import SpanName

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

log = logging.getLogger(__name__)

QUEUE: Final = 8_192
"""Finished spans that wait to be exported; what finds no room is dropped."""
_BATCH: Final = 512
_DELAY_MS: Final = 500
_STOP_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Finished:
    """A span that was measured elsewhere in this process.

    declared, name: as for `skewless.telemetry.spans.span`. trace_id, span_id, parent_id: 16, 8 and 8 bytes;
    no parent: a root. start_ns, end_ns: nanoseconds since 1970. failure: None if it went well. events: names, each with
    when, likewise.
    """

    declared: SpanName
    name: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None
    start_ns: int
    end_ns: int
    attributes: dict[str, str | int]
    failure: str | None = None
    events: tuple[tuple[str, int], ...] = ()


class Tracing:
    """The tracing of this process, made by `start`."""

    def __init__(self, provider: TracerProvider, processors: Sequence[SpanProcessor]) -> None:
        self._provider = provider
        self._processors = processors

    def export(self, finished: Iterable[Finished]) -> None:
        """Exports spans that were measured elsewhere, all of which are sampled."""
        from opentelemetry import trace  # noqa: PLC0415 (imported already)
        from opentelemetry.sdk.trace import Event, ReadableSpan  # noqa: PLC0415

        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)

        def context(trace_id: bytes, span_id: bytes, *, remote: bool) -> trace.SpanContext:
            numbers = int.from_bytes(trace_id, "big"), int.from_bytes(span_id, "big")
            return trace.SpanContext(*numbers, is_remote=remote, trace_flags=flags)

        for span in finished:
            failed = span.failure is not None
            made = ReadableSpan(
                span.name or span.declared.id,
                context=context(span.trace_id, span.span_id, remote=False),
                parent=None if span.parent_id is None else context(span.trace_id, span.parent_id, remote=True),
                resource=self._provider.resource,
                attributes=span.attributes,
                events=[Event(name, timestamp=at_ns) for name, at_ns in span.events],
                kind=trace.SpanKind[span.declared.kind.upper()],
                status=trace.Status(trace.StatusCode.ERROR if failed else trace.StatusCode.UNSET, span.failure),
                start_time=span.start_ns,
                end_time=span.end_ns,
            )
            for processor in self._processors:
                processor.on_end(made)

    def export_until(
        self, stop: threading.Event, drain: Callable[[int], Iterable[Finished]], *, every_s: float = 0.25
    ) -> None:
        """Exports what is drained until ``stop``, and then what is left."""
        while not stop.wait(every_s):
            self.export(drain(QUEUE))
        self.export(drain(QUEUE))

    def stop(self) -> None:
        """Exports what waits, within some seconds."""
        self._provider.force_flush(_STOP_MS)
        self._provider.shutdown()


def start(
    service: str, *, otlp_endpoint: str = "", ratio: float = 0.0, spans_file: Path | None = None
) -> Tracing | None:
    """Traces from now on; None if there is nowhere to export to: nothing is done then.

    service: its name, the resource attribute ``service.name``.
    otlp_endpoint: of a collector that takes OTLP over gRPC, e.g. ``http://127.0.0.1:4317``.
    ratio: share of the traces begun here that are sampled, 0 to 1. Sampled traces of callers are always continued,
        and a batch is sampled if one of its records is.
    spans_file: spans are appended to it as JSON, one a line; several processes may share it.
    """
    if not otlp_endpoint and spans_file is None:
        spans.switch_off()
        return None
    from opentelemetry import trace  # noqa: PLC0415 (200 ms that only tracing pays)
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter  # noqa: PLC0415

    from skewless.telemetry.sampling import by_links  # noqa: PLC0415

    exporters: list[SpanExporter] = []
    if otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        exporters.append(OTLPSpanExporter(otlp_endpoint, insecure=not otlp_endpoint.startswith("https://")))
    if spans_file is not None:
        from skewless.telemetry.files import FileExporter  # noqa: PLC0415

        exporters.append(FileExporter(spans_file))
    resource = Resource.create(
        {
            "service.namespace": "skewless",
            "service.name": service,
            "service.version": importlib.metadata.version("skewless"),
        }
    )
    provider = TracerProvider(sampler=by_links(ratio), resource=resource, shutdown_on_exit=False)
    processors = [
        BatchSpanProcessor(
            exporter, max_queue_size=QUEUE, schedule_delay_millis=_DELAY_MS, max_export_batch_size=_BATCH
        )
        for exporter in exporters
    ]
    for processor in processors:
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    _Running.tracing = Tracing(provider, processors)
    collector = "the collector" if otlp_endpoint else ""  # its URL may hold what is not for the log
    log.info("tracing to %s", ", ".join(filter(None, (collector, str(spans_file or "")))))
    return _Running.tracing


def running() -> Tracing | None:
    """The tracing of this process, if it was started."""
    return _Running.tracing


class _Running:
    tracing: Tracing | None = None
