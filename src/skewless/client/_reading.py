"""From messages to the objects of `results`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Final, cast

from skewless.api.offline.v1 import offline_service_pb2 as offline_pb
from skewless.api.online.v1 import online_service_pb2 as online_pb
from skewless.api.registry.v1 import registry_service_pb2 as registry_pb
from skewless.api.stream_agg.v1 import stream_agg_service_pb2 as stream_pb
from skewless.api.types.v1 import value_pb2
from skewless.api.validator.v1 import validator_service_pb2 as validator_pb
from skewless.client import results
from skewless.codec.definitions import definition_from_proto
from skewless.codec.values import value_from_proto
from skewless.types import Status, from_micros

_CHANGES: Final[dict[int, str]] = {
    registry_pb.CHANGE_KIND_ADD: "add",
    registry_pb.CHANGE_KIND_DESCRIBE: "describe",
    registry_pb.CHANGE_KIND_UNCHANGED: "unchanged",
    registry_pb.CHANGE_KIND_REFUSED: "refused",
}

_STATUSES: Final = {status.value: status for status in Status}


def value(message: value_pb2.Value) -> results.Value:
    """The value as users see it; an instant outside the years 1 to 9999 stays a number."""
    cell = value_from_proto(message)
    match message.WhichOneof("kind"):
        case "timestamp_us_value":
            return _instant(message.timestamp_us_value)
        case "timestamp_us_list":
            return [_instant(micros) for micros in message.timestamp_us_list.values]
    return cast("results.Value", cell)


def _instant(micros: int) -> dt.datetime | int:
    try:
        return from_micros(micros)
    except OverflowError:
        return micros


def status(number: int) -> Status | None:
    """The status; None where there is none."""
    return Status(number) if number else None


def plan(answer: registry_pb.PlanResponse | registry_pb.ApplyResponse) -> results.Plan:
    return results.Plan(
        tuple(
            results.Change(
                kind=_CHANGES[change.kind],
                definition=definition_from_proto(change.definition),
                differences=tuple(change.differences),
                next_version=change.next_version,
                state_bytes_per_key=change.state_bytes_per_key,
            )
            for change in answer.changes
        ),
        answer.revision,
    )


def online(answer: online_pb.GetOnlineFeaturesResponse) -> results.OnlineFeatures:
    columns = dict(zip(answer.feature_names, answer.columns, strict=True))
    return results.OnlineFeatures(
        request_id=answer.request_id,
        request_time_us=answer.request_time_us,
        values={name: tuple(map(value, column.values)) for name, column in columns.items()},
        statuses={name: tuple(map(_STATUSES.__getitem__, column.statuses)) for name, column in columns.items()},
        event_times_us={
            name: tuple(time or None for time in column.event_times_us) for name, column in columns.items()
        },
        token=answer.as_of_token,
        earliest_answerable_us=answer.earliest_answerable_us or None,
        failures={name: column.failure for name, column in columns.items() if column.failure},
    )


def run(answer: offline_pb.MaterializeResponse) -> results.Run:
    return results.Run(
        answer.run_seq,
        answer.rows_read,
        answer.rows_written,
        answer.rows_dated_ahead,
        answer.entities_online,
    )


def difference(message: offline_pb.ReplayDifference) -> results.Difference:
    return results.Difference(
        request_id=message.request_id,
        row=message.row,
        feature=message.feature,
        served=value(message.served),
        served_status=Status(message.served_status),
        replayed=value(message.replayed),
        replayed_status=Status(message.replayed_status),
    )


def outcome(number: offline_pb.ReplayOutcome) -> str:
    return offline_pb.ReplayOutcome.Name(number).removeprefix("REPLAY_OUTCOME_")


def replay(
    answers: Iterable[offline_pb.ReplayResponse], on_progress: Callable[[results.Replay], None] | None
) -> results.Replay:
    """The account after the last answer; the one after each goes to ``on_progress``."""
    differences: list[results.Difference] = []
    outcomes: dict[str, str] = {}
    so_far = results.Replay(0, 0, 0, 0, 0, 0, 0, (), {}, done=False)
    for answer in answers:
        differences += map(difference, answer.differences)
        outcomes |= {name: outcome(found) for name, found in answer.outcomes.items()}
        so_far = results.Replay(
            vectors=answer.vectors,
            replayed=answer.replayed,
            equal=answer.equal,
            different=answer.different,
            not_yet_logged=answer.not_yet_logged,
            unanswered=answer.unanswered,
            not_answered=answer.not_answered,
            differences=tuple(differences),
            outcomes=dict(outcomes),
            done=answer.done,
            not_replayed=answer.not_replayed,
        )
        if on_progress is not None:
            on_progress(so_far)
    return so_far


def _event(message: offline_pb.ContributingEvent) -> results.Event:
    return results.Event(
        message.event_time_us,
        message.log,
        message.partition,
        message.offset,
        message.source_partition,
        message.source_offset,
        message.payload,
    )


def explanation(answer: offline_pb.ExplainResponse) -> results.Explanation:
    return results.Explanation(
        value=value(answer.value),
        status=status(answer.status),
        replayed=value(answer.replayed),
        replayed_status=status(answer.replayed_status),
        request_time_us=answer.request_time_us,
        entity=answer.entity,
        view=answer.view,
        meaning_hash=answer.meaning_hash,
        knowledge=answer.knowledge,
        event_count=answer.event_count,
        events=tuple(map(_event, answer.events)),
        inputs=tuple(
            results.InputExplanation(
                name=item.name,
                feature=item.feature,
                value=value(item.value),
                status=status(item.status),
                event_count=item.event_count,
                events=tuple(map(_event, item.events)),
            )
            for item in answer.inputs
        ),
        predictions=tuple((p.model, p.score, p.predicted_at_us) for p in answer.predictions),
    )


def stream_status(answer: stream_pb.StatusResponse) -> tuple[results.InputLogStatus, ...]:
    return tuple(
        results.InputLogStatus(
            project=log.project,
            log=log.log,
            source=log.source,
            views=tuple(log.views),
            partitions=tuple(
                results.LogPartition(
                    partition=part.partition,
                    epoch=part.epoch,
                    next_offset=part.next_offset,
                    logged_offset=part.logged_offset,
                    committed_offset=part.committed_offset,
                    end_offset=part.end_offset,
                    event_time_us=part.event_time_us if part.HasField("event_time_us") else None,
                    reading_offset=part.reading_offset,
                )
                for part in log.partitions
            ),
            records=dict(log.records),
            late=log.late,
            below_horizon=log.below_horizon,
            stopped=log.stopped,
        )
        for log in answer.logs
    )


def source_status(answer: stream_pb.StatusResponse) -> tuple[results.SourceStatus, ...]:
    return tuple(
        results.SourceStatus(
            project=source.project,
            source=source.source,
            topic=source.topic,
            log=source.log,
            consumed=source.consumed,
            accepted=source.accepted,
            duplicate=source.duplicate,
            malformed=source.malformed,
            too_far_future=source.too_far_future,
            on_time=source.on_time,
            late=source.late,
        )
        for source in answer.sources
    )


def rewound(answer: stream_pb.RewindResponse) -> tuple[results.Rewound, ...]:
    return tuple(results.Rewound(one.log, one.partition, one.from_offset, one.to_offset) for one in answer.moved)


def dead_letter(message: stream_pb.DeadLetter) -> results.DeadLetter:
    position = message.position
    return results.DeadLetter(
        position=(position.epoch, position.partition, position.offset) if message.HasField("position") else None,
        verdict=message.verdict,
        reason=message.reason,
        detail=message.detail,
        refused_at_us=message.refused_at_us,
        key=message.key if message.HasField("key") else None,
        payload=message.payload if message.HasField("payload") else None,
        payload_size=message.payload_size,
        replayed=message.replayed,
    )


def report(answer: validator_pb.GetReportResponse) -> results.Report:
    return results.Report(
        seen=answer.seen,
        replayed=answer.replayed,
        mismatches=answer.mismatches,
        pending=answer.pending,
        profiles=tuple(
            results.FeatureProfile(
                feature=profile.feature,
                feature_service=profile.feature_service,
                served=profile.served,
                statuses={Status(number): count for number, count in profile.statuses.items()},
                coverage=profile.coverage,
                min=profile.min if profile.HasField("min") else None,
                max=profile.max if profile.HasField("max") else None,
                mean=profile.mean if profile.HasField("mean") else None,
            )
            for profile in answer.profiles
        ),
        examples=tuple(answer.examples),
        left_out=answer.left_out,
        given_up=answer.given_up,
        not_replayed=answer.not_replayed,
        unread=answer.unread,
    )


def api_key(message: registry_pb.ApiKey) -> results.ApiKey:
    """What is kept of a key."""

    def optional(name: str) -> int | None:
        return getattr(message, name) if message.HasField(name) else None

    return results.ApiKey(
        message.id,
        message.name,
        tuple(message.feature_services),
        message.created_at_us,
        optional("expires_at_us"),
        optional("revoked_at_us"),
        optional("last_used_at_us"),
    )
