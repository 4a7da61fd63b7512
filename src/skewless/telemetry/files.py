"""Spans in a file, one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class FileExporter(SpanExporter):
    """Appends to a file, made if missing, each batch in one write: processes that share it do not mix their lines."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        os.write(self._file, b"".join(json.dumps(as_json(span)).encode() + b"\n" for span in spans))
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        os.close(self._file)


def as_json(span: ReadableSpan) -> dict[str, Any]:
    """Ids in hex, times in nanoseconds since 1970, attributes, events and links by name."""
    context = span.get_span_context()
    assert context is not None  # noqa: S101 (a finished span has one)
    return {
        "service": span.resource.attributes["service.name"],
        "name": span.name,
        "kind": span.kind.name.lower(),
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "error": span.status.description or "failed" if not span.status.is_ok else None,
        "attributes": {
            name: list(value) if isinstance(value, tuple) else value for name, value in (span.attributes or {}).items()
        },
        "events": [{"name": event.name, "at_ns": event.timestamp} for event in span.events],
        "links": [
            {"trace_id": f"{link.context.trace_id:032x}", "span_id": f"{link.context.span_id:016x}"}
            for link in span.links
        ],
    }
