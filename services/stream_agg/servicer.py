"""The gRPC door: Status."""

from __future__ import annotations

from typing import cast

import grpc

from services.stream_agg.workflow.board import Awaited, Board, LogState
from skewless.api.stream_agg.v1 import stream_agg_service_pb2 as pb
from skewless.api.stream_agg.v1 import stream_agg_service_pb2_grpc as stubs
from skewless.errors import TimedOutError

SERVICE = pb.DESCRIPTOR.services_by_name["StreamAggService"]
register = stubs.add_StreamAggServiceServicer_to_server

_LONGEST_WAIT_S = 600.0
_ANSWER_S = 0.05
"""Kept back of the caller's time, so that the answer still reaches it."""


class StreamAggServicer(stubs.StreamAggServiceServicer):
    """Answers from the board."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def Status(self, request: pb.StatusRequest, context: grpc.ServicerContext) -> pb.StatusResponse:
        if request.wait_for:
            self._wait(request, context)
        answer = pb.StatusResponse()
        self._board.read(request.project, lambda state: answer.logs.append(_log_status(state)))
        return answer

    def _wait(self, request: pb.StatusRequest, context: grpc.ServicerContext) -> None:
        awaited = [Awaited(w.project, w.source, w.partition, w.next_offset) for w in request.wait_for]

        def left() -> float:
            if not context.is_active():
                return -1.0
            remaining = cast("float | None", context.time_remaining())  # None without a deadline
            return _LONGEST_WAIT_S if remaining is None else remaining - _ANSWER_S

        if missing := self._board.wait(awaited, logged=request.wait_for_log, until=left):
            raise TimedOutError(what="what was awaited", detail=missing)


def _log_status(state: LogState) -> pb.InputLogStatus:
    return pb.InputLogStatus(
        project=state.project,
        log=state.log,
        source=state.source,
        views=sorted(ref for refs in state.views.values() for ref in refs),
        partitions=[_partition_status(state, partition) for partition in range(state.partitions)],
        records=dict(state.records),
        late=state.late,
        below_horizon=state.below_horizon,
        stopped=state.reason(),
    )


def _partition_status(state: LogState, partition: int) -> pb.LogPartitionStatus:
    return pb.LogPartitionStatus(
        partition=partition,
        epoch=state.epoch,
        next_offset=state.next_offset(partition),
        logged_offset=state.logged.get(partition, 0),
        committed_offset=state.committed.get(partition, 0),
        end_offset=state.ends.get(partition, 0),
        event_time_us=state.event_times.get(partition),
    )
