"""Spans reach a collector that speaks OTLP over gRPC."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as stubs

_EXPORTS = """
import sys
from skewless.telemetry import names, spans, start
tracing = start.start("offline", otlp_endpoint=sys.argv[1], ratio=1.0)
with spans.span(names.REPLAY, {names.PROJECT: "p"}):
    pass
tracing.stop()
"""


class Collector(stubs.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 (the RPC's name and signature)
        self.requests.append(request)
        return pb.ExportTraceServiceResponse()


def test_a_collector_gets_the_spans_with_the_name_of_the_service() -> None:
    collector, server = Collector(), grpc.server(ThreadPoolExecutor(2))
    stubs.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        subprocess.run([sys.executable, "-c", _EXPORTS, f"http://127.0.0.1:{port}"], check=True, timeout=60)
    finally:
        server.stop(1).wait()
    resources = [resource for request in collector.requests for resource in request.resource_spans]
    assert [{a.key: a.value.string_value for a in r.resource.attributes}["service.name"] for r in resources] == [
        "offline"
    ]
    found = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    assert [(span.name, len(span.trace_id)) for span in found] == [("replay", 16)]
