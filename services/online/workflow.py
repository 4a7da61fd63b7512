"""What the read path measured, as spans: a request, and the read of the store within it."""

from __future__ import annotations

from services.online.ports import ReadPath, SpanTuple
from skewless.telemetry import names
from skewless.telemetry.start import Finished


def finished_spans(read_path: ReadPath, most: int) -> list[Finished]:
    """Takes up to ``most`` spans from the read path."""
    return [_finished(span) for span in read_path.drain_spans(most)]


def _finished(span: SpanTuple) -> Finished:
    name, trace_id, span_id, parent_id, start_ns, end_ns, code, request_id = span
    ids = (trace_id, span_id, parent_id, start_ns, end_ns)
    if name == names.STORE_READ.id:
        failure = "the store did not answer" if code else None
        return Finished(names.STORE_READ, "", *ids, {names.DB_SYSTEM: "redis"}, failure)
    service, _, method = name.partition("/")
    attributes: dict[str, str | int] = {
        names.RPC_SYSTEM: "grpc",
        names.RPC_SERVICE: service,
        names.RPC_METHOD: method,
        names.RPC_STATUS: code,
    }
    if request_id is not None:
        attributes[names.REQUEST_ID] = request_id.decode()
    return Finished(names.RPC_SERVER, name, *ids, attributes, f"gRPC code {code}" if code else None)
