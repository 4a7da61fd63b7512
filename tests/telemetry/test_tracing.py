"""Tracing as code uses it: nothing without OpenTelemetry, links and contexts with it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from skewless.telemetry import names, spans, start
from skewless.telemetry.files import FileExporter, as_json
from skewless.telemetry.logs import JsonLines, TextLines
from skewless.telemetry.sampling import by_links

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
KEPT = {"traceparent": f"00-{TRACE}-{SPAN}-01".encode(), "tracestate": b"a=1"}
DROPPED = {"traceparent": f"00-{TRACE}-{SPAN}-00".encode()}


class Kept(SpanExporter):
    """Finished spans, in memory."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """What a process exports that keeps no trace of its own accord."""
    exporter = Kept()
    resource = Resource.create({"service.name": "test"})
    provider = TracerProvider(sampler=by_links(0.0), resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    monkeypatch.setattr(spans._Switch, "off", False)  # a service that another test ran in this process left it so
    token = context.attach(Context())
    yield exporter
    context.detach(token)
    provider.shutdown()


def test_the_client_imports_no_opentelemetry_and_works_without() -> None:
    code = (
        "import sys, skewless.client, skewless.rpc.channel, skewless.bus\n"
        "from skewless.telemetry import names, spans\n"
        "with spans.span(names.REPLAY, {names.PROJECT: 'p'}) as span:\n"
        "    span.set(names.REQUESTS, 1)\n"
        "    assert spans.ids() is None and spans.outgoing(None) is None and span.headers() == {}\n"
        "heavy = ('opentelemetry', 'prometheus_client', 'protovalidate', 'http.server')\n"
        "assert not [name for name in sys.modules if name.startswith(heavy)]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_service_that_exports_nothing_has_no_spans() -> None:
    code = (
        "import opentelemetry.trace\n"
        "from skewless.telemetry import names, spans, start\n"
        "assert spans.enabled()\n"
        "assert start.start('online') is None and start.running() is None\n"
        "assert spans.span(names.REPLAY) is spans.OFF\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_batch_is_kept_with_links_if_one_of_its_records_is(kept: Kept) -> None:
    with spans.consumed(names.FOLD, "payments", [[{}, DROPPED], [KEPT]], {names.PROJECT: "shop"}):
        assert spans.ids() is not None
    (span,) = kept.spans
    assert [f"{link.context.span_id:016x}" for link in span.links] == [SPAN, SPAN]
    assert span.parent is None
    assert dict(span.attributes or {}) == {
        "skewless.project": "shop",
        "messaging.system": "kafka",
        "messaging.destination.name": "payments",
        "messaging.batch.message_count": 3,
    }


def test_other_batches_go_by_the_ratio(kept: Kept) -> None:
    with spans.consumed(names.FOLD, "payments", [[{}], [DROPPED]]):
        pass
    assert spans.consumed(names.FOLD, "payments", [[]]) is spans.OFF
    assert kept.spans == []


def test_links_are_bounded_and_the_rest_is_counted(kept: Kept) -> None:
    with spans.consumed(names.FOLD, "payments", [[KEPT] * 130]):
        pass
    (span,) = kept.spans
    assert len(span.links) == spans.MOST_LINKS
    assert (span.attributes or {})[names.UNLINKED] == 2


@pytest.mark.parametrize("header", [b"", b"00", b"00-0-0-01", b"\xff" * 55, f"00-{'0' * 32}-{SPAN}-01".encode()])
def test_headers_that_are_no_context_are_no_link(header: bytes, kept: Kept) -> None:
    with spans.consumed(names.FOLD, "payments", [[{"traceparent": header}, KEPT]]):
        pass
    (span,) = kept.spans
    assert len(span.links) == 1


def test_a_record_goes_with_the_sampled_context_unless_it_has_one(kept: Kept) -> None:
    assert spans.outgoing({"a": b"1"}) == {"a": b"1"}
    with spans.consumed(names.REKEY, "payments", [[KEPT]]):
        found = spans.outgoing({"a": b"1"})
        assert found is not None
        assert found["a"] == b"1"
        assert int(found["traceparent"].split(b"-")[3], 16) & trace.TraceFlags.SAMPLED
        assert spans.outgoing(KEPT) is KEPT
    assert ids(kept.spans[0])[1] == found["traceparent"].split(b"-")[2].decode()
    with spans.span(names.REPLAY):  # not sampled
        assert spans.outgoing(None) is None


def test_what_is_made_of_a_record_carries_its_context_on() -> None:
    assert spans.carried({"other": b"x"}) == {}
    assert spans.carried({"other": b"x", **KEPT}) == KEPT


def test_a_failure_marks_the_span_and_goes_on(kept: Kept) -> None:
    with pytest.raises(ValueError, match="bad"), spans.consumed(names.INGEST, "served", [[KEPT]]):
        raise ValueError("bad")
    (span,) = kept.spans
    assert failure(span) == "bad"
    assert (span.attributes or {})["error.type"] == "ValueError"


def ids(span: ReadableSpan) -> tuple[str, str]:
    found = as_json(span)
    return found["trace_id"], found["span_id"]


def failure(span: ReadableSpan) -> str | None:
    return None if span.status.is_ok else span.status.description


def test_a_parent_that_the_caller_drops_is_dropped(kept: Kept) -> None:
    for flags, count in (("00", 0), ("01", 1)):
        with spans.span(names.RPC_SERVER, parent={"traceparent": f"00-{TRACE}-{SPAN}-{flags}"}):
            pass
        assert len(kept.spans) == count
    assert ids(kept.spans[0])[0] == TRACE


def test_lines_of_the_log_name_the_trace(kept: Kept) -> None:
    record = logging.LogRecord("services.online", logging.WARNING, "f.py", 1, "%s is away", ("the store",), None)
    assert TextLines().format(record).endswith("WARNING services.online the store is away")
    assert json.loads(JsonLines().format(record)).keys() == {"time", "level", "logger", "message"}
    with spans.consumed(names.FOLD, "payments", [[KEPT]]):
        found = spans.ids()
        assert found is not None
        line = json.loads(JsonLines().format(record))
        assert (line["message"], line["trace_id"], line["span_id"]) == ("the store is away", *found)
        assert TextLines().format(record).endswith(f"is away trace_id={found[0]} span_id={found[1]}")
    assert len(kept.spans) == 1


def test_a_span_measured_elsewhere_is_exported_as_it_was(tmp_path: Path) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    processor = SimpleSpanProcessor(FileExporter(tmp_path / "spans"))
    tracing = start.Tracing(provider, [processor])
    ids = (bytes.fromhex(TRACE), bytes.fromhex(SPAN))
    tracing.export(
        [
            start.Finished(names.STORE_READ, "", *ids, None, 1_000, 2_000, {names.DB_SYSTEM: "redis"}),
            start.Finished(names.RPC_SERVER, "s/m", ids[0], b"12345678", ids[1], 1, 2, {}, "gRPC code 14"),
        ]
    )
    processor.shutdown()
    first, second = map(json.loads, (tmp_path / "spans").read_text().splitlines())
    assert (first["name"], first["trace_id"], first["span_id"]) == ("store.read", TRACE, SPAN)
    assert (first["parent_id"], first["start_ns"], first["end_ns"], first["error"]) == (None, 1_000, 2_000, None)
    assert first["attributes"] == {"db.system.name": "redis"}
    assert (second["name"], second["kind"], second["parent_id"]) == ("s/m", "server", SPAN)
    assert second["error"] == "gRPC code 14"
