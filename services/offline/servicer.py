"""The gRPC door of the offline service."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import grpc
import pyarrow as pa

from services.offline.workflow.explain import Event, Explainer, Explanation, InputValue
from services.offline.workflow.frame import FrameMaker
from services.offline.workflow.materialize import Materializer
from services.offline.workflow.replay import Difference, Outcome, Replayer, Report
from skewless.api.offline.v1 import offline_service_pb2 as pb
from skewless.api.offline.v1 import offline_service_pb2_grpc as stubs
from skewless.clock import Clock
from skewless.codec.values import status_to_proto, value_to_proto
from skewless.errors import InvalidArgumentError, TooLargeError, Violation
from skewless.rpc.server import Server

PIECE_BYTES: Final = 1 << 20
MAX_FRAME_BYTES: Final = 512 << 20
_DEFAULT_EVENTS: Final = 100

_OUTCOMES: Final = {
    Outcome.EQUAL: pb.REPLAY_OUTCOME_EQUAL,
    Outcome.DIFFERENT: pb.REPLAY_OUTCOME_DIFFERENT,
    Outcome.NOT_YET_LOGGED: pb.REPLAY_OUTCOME_NOT_YET_LOGGED,
    Outcome.NOT_ANSWERED: pb.REPLAY_OUTCOME_NOT_ANSWERED,
    Outcome.NOT_REPLAYED: pb.REPLAY_OUTCOME_NOT_REPLAYED,
}


@dataclass(frozen=True)
class OfflineServicer(stubs.OfflineServiceServicer):
    """Messages to the workflow, answers to messages."""

    materializer: Materializer
    frames: FrameMaker
    replayer: Replayer
    explainer: Explainer
    clock: Clock

    def register(self, server: Server) -> None:
        """Makes the server answer for this service."""
        service = pb.DESCRIPTOR.services_by_name["OfflineService"]
        server.add(stubs.add_OfflineServiceServicer_to_server, self, service)

    def Materialize(self, request: pb.MaterializeRequest, context: grpc.ServicerContext) -> pb.MaterializeResponse:
        """See the contract."""
        as_of_us = request.as_of_us if request.HasField("as_of_us") else self.clock.now_us()
        run = self.materializer.materialize(request.project, request.view, as_of_us)
        return pb.MaterializeResponse(
            run_seq=run.run_seq,
            rows_read=run.rows_read,
            rows_written=run.rows_written,
            rows_dated_ahead=run.rows_dated_ahead,
            entities_online=run.entities_online,
        )

    def GetHistoricalFeatures(
        self, request_iterator: Iterator[pb.GetHistoricalFeaturesRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.GetHistoricalFeaturesResponse]:
        """See the contract."""
        header, frame = _read_frame(request_iterator)
        if header.knowledge == pb.KNOWLEDGE_AS_SERVED:
            answer = self.frames.as_served(
                header.project, header.feature_service, frame, with_statuses=header.with_statuses
            )
        else:
            answer = self.frames.event_time(
                header.project,
                header.feature_service,
                frame,
                header.request_time_column,
                with_statuses=header.with_statuses,
            )
        for piece in _pieces(answer):
            yield pb.GetHistoricalFeaturesResponse(arrow_ipc=piece)

    def Replay(self, request: pb.ReplayRequest, context: grpc.ServicerContext) -> Iterator[pb.ReplayResponse]:
        """See the contract."""
        from_us = request.served_from_us if request.HasField("served_from_us") else None
        until_us = request.served_until_us if request.HasField("served_until_us") else None
        ids = list(request.request_ids)
        for report in self.replayer.replay(request.project, ids, from_us, until_us):
            yield _report(report, with_outcomes=bool(ids))

    def Explain(self, request: pb.ExplainRequest, context: grpc.ServicerContext) -> pb.ExplainResponse:
        """See the contract."""
        found = self.explainer.explain(
            request.project,
            request.request_id,
            request.row,
            request.feature,
            request.max_events or _DEFAULT_EVENTS,
        )
        return _explanation(found, request.feature)


def _read_frame(parts: Iterator[pb.GetHistoricalFeaturesRequest]) -> tuple[pb.FrameHeader, pa.Table]:
    first = next(parts, None)
    if first is None or first.WhichOneof("part") != "header":
        text = "the first message of the call must carry the header"
        raise InvalidArgumentError([Violation("header", text, "MISSING_HEADER")])
    pieces = io.BytesIO()
    for part in parts:
        if part.WhichOneof("part") != "arrow_ipc":
            text = "every message after the first must carry a piece of the frame"
            raise InvalidArgumentError([Violation("arrow_ipc", text, "MISSING_FRAME")])
        pieces.write(part.arrow_ipc)
        if pieces.tell() > MAX_FRAME_BYTES:
            raise TooLargeError(what="bytes of the frame", size=pieces.tell(), limit=MAX_FRAME_BYTES)
    try:
        with pa.ipc.open_stream(pieces.getbuffer()) as reader:
            return first.header, reader.read_all()
    except (pa.ArrowInvalid, OSError) as error:
        text = f"the pieces are not one Arrow IPC stream: {error}"
        raise InvalidArgumentError([Violation("arrow_ipc", text, "NOT_ARROW_IPC")]) from error


def _pieces(table: pa.Table) -> Iterable[bytes]:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=65_536):
            writer.write_batch(batch)
            whole = sink.getvalue()
            yield from (whole[start : start + PIECE_BYTES] for start in range(0, len(whole), PIECE_BYTES))
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()


def _report(report: Report, *, with_outcomes: bool) -> pb.ReplayResponse:
    outcomes = report.outcomes if with_outcomes else {}
    return pb.ReplayResponse(
        vectors=report.vectors,
        replayed=report.replayed,
        equal=report.equal,
        different=report.different,
        not_yet_logged=report.not_yet_logged,
        not_answered=report.not_answered,
        unanswered=report.unanswered,
        not_replayed=report.not_replayed,
        differences=[_difference(found) for found in report.differences],
        outcomes={name: _OUTCOMES[outcome] for name, outcome in outcomes.items()},
        done=report.done,
    )


def _difference(found: Difference) -> pb.ReplayDifference:
    return pb.ReplayDifference(
        request_id=found.request_id,
        row=found.row,
        feature=found.feature,
        served=value_to_proto(found.served, found.type),
        served_status=status_to_proto(found.served_status),
        replayed=value_to_proto(found.replayed, found.type),
        replayed_status=status_to_proto(found.replayed_status),
    )


def _explanation(found: Explanation, feature: str) -> pb.ExplainResponse:
    name = feature.partition(":")[2]
    kind = found.view.by_name[name].type
    return pb.ExplainResponse(
        value=value_to_proto(found.value, kind),
        status=status_to_proto(found.status),
        replayed=value_to_proto(found.replayed, kind),
        replayed_status=status_to_proto(found.replayed_status),
        request_time_us=found.request_time_us,
        entity=found.entity,
        view=found.view.ref,
        meaning_hash=found.view.meaning_hash,
        knowledge=found.knowledge,
        event_count=found.origin.count,
        events=[_event(event) for event in found.origin.events],
        inputs=[_input(item) for item in found.inputs],
        predictions=[
            pb.PredictionRef(model=p.model, score=score, predicted_at_us=p.predicted_at_us)
            for p, score in found.predictions
        ],
    )


def _input(item: InputValue) -> pb.InputExplanation:
    return pb.InputExplanation(
        name=item.name,
        feature=item.feature,
        value=value_to_proto(item.value, item.type),
        status=status_to_proto(item.status),
        event_count=item.origin.count,
        events=[_event(event) for event in item.origin.events],
    )


def _event(event: Event) -> pb.ContributingEvent:
    return pb.ContributingEvent(
        event_time_us=event.event_time_us,
        log=event.log,
        partition=event.partition,
        offset=event.offset,
        source_partition=event.source_partition,
        source_offset=event.source_offset,
        payload=event.payload,
    )
