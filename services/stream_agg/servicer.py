"""The gRPC door: Status, Rewind, and the dead letters."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import cast

import grpc

from services.stream_agg.domain.account import ACCEPTED, DUPLICATE, MALFORMED, TOO_FAR_FUTURE
from services.stream_agg.domain.letters import DETAIL, REASON, VERDICT, KeptRecord, LetterPosition
from services.stream_agg.domain.rewinding import Rewind
from services.stream_agg.workflow.board import Awaited, Board, LogState
from services.stream_agg.workflow.dead_letters import PAYLOAD_BYTES, DeadLetters
from services.stream_agg.workflow.follow import Follower
from skewless.api.stream_agg.v1 import stream_agg_service_pb2 as pb
from skewless.api.stream_agg.v1 import stream_agg_service_pb2_grpc as stubs
from skewless.errors import InvalidArgumentError, TimedOutError, Violation

SERVICE = pb.DESCRIPTOR.services_by_name["StreamAggService"]
register = stubs.add_StreamAggServiceServicer_to_server

_LONGEST_WAIT_S = 600.0
_ANSWER_S = 0.05
"""Kept back of the caller's time, so that the answer still reaches it."""
_PAGE = 100


class StreamAggServicer(stubs.StreamAggServiceServicer):
    """Answers from the board, has readers moved, and reads and replays dead letters."""

    def __init__(self, board: Board, follower: Follower, letters: DeadLetters) -> None:
        self._board = board
        self._follower = follower
        self._letters = letters

    def Status(self, request: pb.StatusRequest, context: grpc.ServicerContext) -> pb.StatusResponse:
        if request.wait_for:
            self._wait(request, context)
        answer = pb.StatusResponse()
        speakers: dict[tuple[str, str], tuple[bool, str]] = {}
        sources: dict[tuple[str, str], pb.SourceStatus] = {}

        def look(state: LogState) -> None:
            answer.logs.append(_log_status(state))
            source, rank = (state.project, state.source), (not state.direct, state.log)  # as `Catalog.event_log` has it
            if rank <= speakers.get(source, rank):
                speakers[source], sources[source] = rank, _source_status(state)

        self._board.read(request.project, look)
        answer.sources.extend(sources[key] for key in sorted(sources))
        return answer

    def _wait(self, request: pb.StatusRequest, context: grpc.ServicerContext) -> None:
        awaited = [Awaited(w.project, w.source, w.partition, w.next_offset) for w in request.wait_for]
        if missing := self._board.wait(awaited, logged=request.wait_for_log, until=_left(context)):
            raise TimedOutError(what="what was awaited", detail=missing)

    def Rewind(self, request: pb.RewindRequest, context: grpc.ServicerContext) -> pb.RewindResponse:
        asked = Rewind(
            request.partition if request.HasField("partition") else None,
            request.records if request.HasField("records") else None,
            request.to_offset,
        )
        moved = self._follower.rewind(request.project, request.source, asked, until=_left(context))
        return pb.RewindResponse(
            moved=(
                pb.RewoundPartition(
                    log=one.log, partition=one.partition, from_offset=one.from_offset, to_offset=one.to_offset
                )
                for one in moved
            )
        )

    def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: grpc.ServicerContext
    ) -> pb.ListDeadLettersResponse:
        source = self._follower.source(request.project, request.source)
        after = _after(request.page_token, request.project, request.source)
        page = self._letters.page(source, after, request.page_size or _PAGE)
        return pb.ListDeadLettersResponse(
            letters=(_letter(one, replayed=one.position in page.replayed) for one in page.letters),
            next_page_token=_token(page.after, request.project, request.source) if page.after else "",
        )

    def ReplayDeadLetters(
        self, request: pb.ReplayDeadLettersRequest, context: grpc.ServicerContext
    ) -> pb.ReplayDeadLettersResponse:
        source = self._follower.source(request.project, request.source)
        positions = [LetterPosition(p.epoch, p.partition, p.offset) for p in request.at.positions]
        which = request.reason if request.HasField("reason") else positions
        done = self._letters.replay(source, which, until=_left(context))
        return pb.ReplayDeadLettersResponse(replayed=done.sent, already_replayed=done.before)


def _left(context: grpc.ServicerContext) -> Callable[[], float]:
    """The seconds in which an answer still reaches the caller; negative when it has gone."""

    def left() -> float:
        if not context.is_active():
            return -1.0
        remaining = cast("float | None", context.time_remaining())  # None without a deadline
        return _LONGEST_WAIT_S if remaining is None else remaining - _ANSWER_S

    return left


def _letter(record: KeptRecord, *, replayed: bool) -> pb.DeadLetter:
    position = record.position
    return pb.DeadLetter(
        position=pb.LetterPosition(epoch=position.epoch, partition=position.partition, offset=position.offset)
        if position is not None
        else None,
        verdict=record.text(VERDICT),
        reason=record.text(REASON),
        detail=record.text(DETAIL),
        refused_at_us=record.time_us,
        key=record.key,
        payload=None if record.value is None else record.value[:PAYLOAD_BYTES],
        payload_size=len(record.value or b""),
        replayed=replayed,
    )


def _token(after: Mapping[int, int], project: str, source: str) -> str:
    """A page token: where the next page begins, bound to the listing it belongs to."""
    return base64.urlsafe_b64encode(json.dumps([project, source, sorted(after.items())]).encode()).decode()


def _after(token: str, project: str, source: str) -> dict[int, int]:
    if not token:
        return {}
    try:
        of_project, of_source, after = json.loads(base64.urlsafe_b64decode(token))
        found = {int(partition): int(offset) for partition, offset in after}
    except (ValueError, TypeError, OverflowError, RecursionError):
        of_project = of_source = None
        found = {}
    forged = any(not (0 <= partition < 1 << 31 and 0 <= offset < 1 << 63) for partition, offset in found.items())
    if forged or (of_project, of_source) != (project, source):
        message = "not a token of this listing; give next_page_token of the page before, or nothing"
        raise InvalidArgumentError([Violation("page_token", message, "MALFORMED_PAGE_TOKEN")])
    return found


def _source_status(state: LogState) -> pb.SourceStatus:
    account = state.account
    return pb.SourceStatus(
        project=state.project,
        source=state.source,
        topic=state.topic,
        log=state.log,
        consumed=account.consumed,
        accepted=account.count(ACCEPTED),
        duplicate=account.count(DUPLICATE),
        malformed=account.count(MALFORMED),
        too_far_future=account.count(TOO_FAR_FUTURE),
        on_time=account.on_time,
        late=account.late,
    )


def _log_status(state: LogState) -> pb.InputLogStatus:
    return pb.InputLogStatus(
        project=state.project,
        log=state.log,
        source=state.source,
        views=sorted(ref for refs in state.views.values() for ref in refs),
        partitions=[_partition_status(state, partition) for partition in range(state.partitions)],
        records={verdict: count for verdict, count in state.account.verdicts.items() if count},
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
        reading_offset=state.reading.get(partition, state.next_offset(partition)),
    )
