"""What can be asked of the mesh: from arguments to messages, and from messages to results. Nothing is sent here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from skewless.api.offline.v1 import offline_service_pb2 as offline_pb
from skewless.api.online.v1 import online_service_pb2 as online_pb
from skewless.api.registry.v1 import registry_service_pb2 as registry_pb
from skewless.api.stream_agg.v1 import stream_agg_service_pb2 as stream_pb
from skewless.api.validator.v1 import validator_service_pb2 as validator_pb
from skewless.client import _asking, _reading, results
from skewless.client._call import Pages, Streamed, Unary
from skewless.client.cache import AnswerCache
from skewless.codec.definitions import definition_from_proto, kind_to_proto
from skewless.definitions.project import Project
from skewless.definitions.resource import Definition, Kind

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

BULK_TIMEOUT_S: Final = 3_600.0
REGISTRY: Final = "registry"
ONLINE: Final = "online"
OFFLINE: Final = "offline"
STREAM_AGG: Final = "stream_agg"
VALIDATOR: Final = "validator"

_KNOWLEDGE: Final = {
    "event_time": offline_pb.KNOWLEDGE_EVENT_TIME,
    "as_served": offline_pb.KNOWLEDGE_AS_SERVED,
}
_PARTIAL: Final = {
    "status": online_pb.PARTIAL_RESULTS_UNSPECIFIED,
    "fail": online_pb.PARTIAL_RESULTS_FAIL,
}


class Calls:
    """Every call of a client, as it is to be made."""

    def __init__(self, project: str, timeout_s: float, cache: AnswerCache | None) -> None:
        self.project: Final = _asking.text(project, "project")
        self.timeout_s: Final = _asking.seconds(timeout_s)
        self._cache = cache
        self.revision = 0
        """The newest that was applied by these calls."""

    def plan(self, definitions: Project | Iterable[Definition]) -> Unary[results.Plan]:
        """What applying would change. Changes nothing. Raises InvalidDefinitionError with every fault."""
        request = registry_pb.PlanRequest(definitions=_asking.definitions(definitions))
        return Unary(REGISTRY, "Plan", request, self.timeout_s, _reading.plan)

    def apply(
        self, definitions: Project | Iterable[Definition], *, reason: str = "", after: results.Plan | None = None
    ) -> Unary[results.Plan]:
        """Applies all definitions or none.

        reason: why, for the audit.
        after: the plan this follows; if the catalogue has moved on since, StalePlanError.

        Raises InvalidDefinitionError, or MeaningChangedError if an applied version would change its meaning.
        """
        request = registry_pb.ApplyRequest(
            definitions=_asking.definitions(definitions),
            reason=_asking.text(reason, "reason"),
            expected_revision=None if after is None else _asking.revision(after, "after"),
        )

        def read(answer: registry_pb.ApplyResponse) -> results.Plan:
            self.revision = max(self.revision, answer.revision)
            return _reading.plan(answer)

        return Unary(REGISTRY, "Apply", request, self.timeout_s, read)

    def get_definition(self, kind: Kind, name: str, version: str = "") -> Unary[Definition]:
        """One definition; without a version the newest. Raises UnknownResourceError."""
        request = registry_pb.GetDefinitionRequest(
            project=self.project,
            kind=kind_to_proto(_asking.kind(kind)),
            name=_asking.text(name, "name"),
            version=_asking.text(version, "version"),
        )
        return Unary(
            REGISTRY, "GetDefinition", request, self.timeout_s, lambda answer: definition_from_proto(answer.definition)
        )

    def list_definitions(self, kind: Kind | None = None) -> Pages[Definition]:
        """The project's definitions in the order of kind, name and version, fetched page by page."""
        request = registry_pb.ListDefinitionsRequest(
            project=self.project, kind=None if kind is None else kind_to_proto(_asking.kind(kind))
        )
        return Pages(
            REGISTRY,
            "ListDefinitions",
            request,
            self.timeout_s,
            lambda page: map(definition_from_proto, page.definitions),
        )

    def create_api_key(
        self, name: str, *, feature_services: Sequence[str] = (), expires_at: dt.datetime | int | None = None
    ) -> Unary[results.NewApiKey]:
        """Makes a key of this project for the online service, which knows it some seconds later.

        feature_services: names of those that it may ask for, without version; none: everything of the project.
        expires_at: when it ends, an aware ``datetime`` or microseconds; None: never.
        """
        request = registry_pb.CreateApiKeyRequest(
            project=self.project,
            name=_asking.text(name, "name"),
            feature_services=_asking.texts(feature_services, "feature_services"),
            expires_at_us=_asking.instant(expires_at, "expires_at"),
        )
        return Unary(
            REGISTRY,
            "CreateApiKey",
            request,
            self.timeout_s,
            lambda answer: results.NewApiKey(_reading.api_key(answer.api_key), answer.key),
        )

    def list_api_keys(self) -> Unary[list[results.ApiKey]]:
        """All keys of this project, revoked and expired ones too, in the order in which they were made."""
        request = registry_pb.ListApiKeysRequest(project=self.project)
        return Unary(
            REGISTRY,
            "ListApiKeys",
            request,
            self.timeout_s,
            lambda answer: list(map(_reading.api_key, answer.api_keys)),
        )

    def revoke_api_key(self, key_id: str) -> Unary[results.ApiKey]:
        """Revokes a key of this project; the online service refuses it some seconds later. UnknownResourceError."""
        request = registry_pb.RevokeApiKeyRequest(project=self.project, id=_asking.text(key_id, "key_id"))
        return Unary(REGISTRY, "RevokeApiKey", request, self.timeout_s, lambda answer: _reading.api_key(answer.api_key))

    def get_online_features(
        self,
        features: str | Sequence[str],
        entities: Mapping[str, object],
        *,
        request: Mapping[str, object] | None = None,
        request_time: dt.datetime | int | None = None,
        partial_results: str = "status",
        timeout_s: float | None = None,
    ) -> Unary[results.OnlineFeatures]:
        """Feature vectors for inference.

        features: a feature service as ``name@1.0.0``, or a list of ``view@1.0.0:feature``.
        entities: key columns by name; a single value is one row.
        request: request fields by name, likewise.
        request_time: the moment the prediction is about, an aware ``datetime`` or microseconds; None: now.
        partial_results: "status": values that could not be had are None, and their statuses say why; "fail":
            IncompleteError, which names them.

        Knows what this object has applied: the service waits for it, for a short while, and raises NotReadyError else.
        """
        message = online_pb.GetOnlineFeaturesRequest(
            project=self.project,
            feature_service=_asking.text(features, "features") if isinstance(features, str) else "",
            features=[] if isinstance(features, str) else _asking.texts(features, "features"),
            entities=_asking.columns(entities, "entities"),
            request_fields=_asking.columns({} if request is None else request, "request", lists=True),
            request_time_us=_asking.instant(request_time, "request_time"),
            min_revision=self.revision,
            partial_results=_PARTIAL[_asking.word(partial_results, "partial_results", _PARTIAL)],
        )
        deadline = self._deadline(timeout_s)
        if self._cache is None:
            return Unary(ONLINE, "GetOnlineFeatures", message, deadline, _reading.online)
        kept, keep = self._cache.find(message)

        def read(answer: online_pb.GetOnlineFeaturesResponse) -> results.OnlineFeatures:
            result = _reading.online(answer)
            keep(result, answer.ByteSize())
            return result

        return Unary(ONLINE, "GetOnlineFeatures", message, deadline, read, kept)

    def log_prediction(
        self,
        request_id: str,
        model: str,
        scores: Iterable[float],
        *,
        predicted_at: dt.datetime | int | None = None,
    ) -> Unary[None]:
        """Ties a model's scores, one per row, to the answer they were made from."""
        message = online_pb.LogPredictionRequest(
            request_id=_asking.text(request_id, "request_id"),
            project=self.project,
            model=_asking.text(model, "model"),
            scores=_asking.numbers(scores, "scores"),
            predicted_at_us=_asking.instant(predicted_at, "predicted_at"),
        )
        return Unary(ONLINE, "LogPrediction", message, self.timeout_s, lambda _: None)

    def get_historical_features(
        self,
        frame: Any,
        feature_service: str,
        *,
        knowledge: str = "event_time",
        request_time_column: str = "request_time",
        with_statuses: bool = False,
        timeout_s: float = BULK_TIMEOUT_S,
    ) -> Streamed[pa.Table]:
        """The frame with the service's features appended, one column ``view:feature`` each, same rows and order.

        frame: a pyarrow table, a pandas frame, or whatever speaks Arrow's PyCapsule interface, with the columns
            of entity keys and request fields.
        knowledge: "event_time": everything known today about the time before each row's request time, in
            ``request_time_column``; "as_served": what the server knew when it answered ``request_id`` (and
            ``row``, from 0).
        with_statuses: append ``<feature>__status`` as well.
        """
        from skewless.client import _frames  # noqa: PLC0415 (frames are not imported until one is asked for)

        _asking.word(knowledge, "knowledge", _KNOWLEDGE)
        _asking.text(request_time_column, "request_time_column")
        table = _frames.to_table(frame)
        if knowledge == "event_time":
            table = _frames.with_instants(table, request_time_column)
        header = offline_pb.FrameHeader(
            project=self.project,
            feature_service=_asking.text(feature_service, "feature_service"),
            knowledge=_KNOWLEDGE[knowledge],
            request_time_column=request_time_column,
            with_statuses=_asking.flag(with_statuses, "with_statuses"),
        )

        def requests() -> Iterator[offline_pb.GetHistoricalFeaturesRequest]:
            yield offline_pb.GetHistoricalFeaturesRequest(header=header)
            for piece in _frames.to_pieces(table):
                yield offline_pb.GetHistoricalFeaturesRequest(arrow_ipc=piece)

        return Streamed(
            OFFLINE,
            "GetHistoricalFeatures",
            requests(),
            _asking.seconds(timeout_s),
            lambda answers: _frames.from_pieces(answer.arrow_ipc for answer in answers),
        )

    def materialize(
        self, view: str, *, as_of: dt.datetime | int | None = None, timeout_s: float = BULK_TIMEOUT_S
    ) -> Unary[results.Run]:
        """Brings a batch view, ``name@1.0.0``, up to an instant (None: now) and online."""
        message = offline_pb.MaterializeRequest(
            project=self.project, view=_asking.text(view, "view"), as_of_us=_asking.instant(as_of, "as_of")
        )
        return Unary(OFFLINE, "Materialize", message, _asking.seconds(timeout_s), _reading.run)

    def replay(
        self,
        request_ids: str | Iterable[str] = (),
        *,
        served_from: dt.datetime | int | None = None,
        served_until: dt.datetime | int | None = None,
        on_progress: Callable[[results.Replay], None] | None = None,
        timeout_s: float = BULK_TIMEOUT_S,
    ) -> Streamed[results.Replay]:
        """Recomputes served vectors at their own knowledge and compares bit by bit.

        request_ids: only these, or this one, at most 10,000; none: all that were served in the range.
        on_progress: called with the account so far, now and then.
        """
        message = offline_pb.ReplayRequest(
            project=self.project,
            request_ids=_asking.texts([request_ids] if isinstance(request_ids, str) else request_ids, "request_ids"),
            served_from_us=_asking.instant(served_from, "served_from"),
            served_until_us=_asking.instant(served_until, "served_until"),
        )
        _asking.callback(on_progress, "on_progress")
        return Streamed(
            OFFLINE,
            "Replay",
            message,
            _asking.seconds(timeout_s),
            lambda answers: _reading.replay(answers, on_progress),
        )

    def explain(
        self, request_id: str, feature: str, *, row: int = 0, max_events: int = 0
    ) -> Unary[results.Explanation]:
        """What one served value, ``view:feature`` of a row, was made of; at most ``max_events`` events (0: 100)."""
        message = offline_pb.ExplainRequest(
            project=self.project,
            request_id=_asking.text(request_id, "request_id"),
            row=_asking.whole(row, "row"),
            feature=_asking.text(feature, "feature"),
            max_events=_asking.whole(max_events, "max_events"),
        )
        return Unary(OFFLINE, "Explain", message, 6 * self.timeout_s, _reading.explanation)

    def stream_status(
        self,
        *,
        wait_for: Iterable[tuple[str, int, int]] = (),
        wait_for_log: bool = False,
        timeout_s: float | None = None,
    ) -> Unary[tuple[results.InputLogStatus, ...]]:
        """Where the stream views are.

        wait_for: (source, partition, next offset): answer when every record below is readable online.
        wait_for_log: and in the event log.
        timeout_s: how long to wait; beyond it TimedOutError.
        """
        return self._status(wait_for, wait_for_log, timeout_s, _reading.stream_status)

    def source_status(
        self,
        *,
        wait_for: Iterable[tuple[str, int, int]] = (),
        wait_for_log: bool = True,
        timeout_s: float | None = None,
    ) -> Unary[tuple[results.SourceStatus, ...]]:
        """What has come of the records of each source, ordered by its name; the arguments as for `stream_status`."""
        return self._status(wait_for, wait_for_log, timeout_s, _reading.source_status)

    def rewind(
        self,
        source: str,
        *,
        records: int | None = None,
        to_offset: int | None = None,
        partition: int | None = None,
        timeout_s: float | None = None,
    ) -> Unary[tuple[results.Rewound, ...]]:
        """Has a source read again. What is delivered again is counted as duplicate and changes nothing else.

        records: so many offsets back from the next record to be read; or to_offset: from this offset on. One of them.
        partition: only this one of the source topic; None: each.

        Gives the readers that were moved, at once; `stream_status` with ``wait_for`` answers when they are back.
        Raises UnknownResourceError, and InvalidArgumentError for a place that was never read or is gone.
        """
        if (records is None) == (to_offset is None):
            raise _asking.one_of("records", "to_offset")
        message = stream_pb.RewindRequest(
            project=self.project,
            source=_asking.text(source, "source"),
            partition=None if partition is None else _asking.whole(partition, "partition"),
            records=None if records is None else _asking.whole(records, "records", least=1, most=_asking.INT64_MAX),
            to_offset=None if to_offset is None else _asking.whole(to_offset, "to_offset", most=_asking.INT64_MAX),
        )
        return Unary(STREAM_AGG, "Rewind", message, self._deadline(timeout_s), _reading.rewound)

    def dead_letters(self, source: str) -> Pages[results.DeadLetter]:
        """The refused records of a source, oldest first, each position once, fetched page by page."""
        request = stream_pb.ListDeadLettersRequest(project=self.project, source=_asking.text(source, "source"))
        seen: set[tuple[int, int, int]] = set()

        def fresh(page: stream_pb.ListDeadLettersResponse) -> Iterator[results.DeadLetter]:
            for letter in map(_reading.dead_letter, page.letters):
                if letter.position not in seen:  # after a crash a letter may be there twice
                    yield letter
                if letter.position is not None:
                    seen.add(letter.position)

        return Pages(STREAM_AGG, "ListDeadLetters", request, self.timeout_s, fresh)

    def replay_dead_letters(
        self,
        source: str,
        positions: Iterable[tuple[int, int, int]] = (),
        *,
        reason: str = "",
        timeout_s: float = BULK_TIMEOUT_S,
    ) -> Unary[results.LetterReplay]:
        """Sends refused records to their source again, as new events; one that is refused again is a new letter.

        positions: of the letters, (epoch, partition, offset), at most 10,000; or reason: all letters of it.

        A letter is replayed once; asked for again it is counted in ``already_replayed`` and not sent. Raises
        InvalidArgumentError for a position, and UnknownResourceError for a reason, without a letter; then none is sent.
        """
        places = _asking.places(positions, "positions")
        if bool(places) == bool(_asking.text(reason, "reason")):
            raise _asking.one_of("positions", "reason")
        at = stream_pb.LetterPositions(
            positions=(stream_pb.LetterPosition(epoch=e, partition=p, offset=o) for e, p, o in places)
        )
        message = stream_pb.ReplayDeadLettersRequest(
            project=self.project,
            source=_asking.text(source, "source"),
            at=at if places else None,
            reason=reason or None,
        )
        return Unary(
            STREAM_AGG,
            "ReplayDeadLetters",
            message,
            self._deadline(timeout_s),
            lambda answer: results.LetterReplay(answer.replayed, answer.already_replayed),
        )

    def report(self) -> Unary[results.Report]:
        """The validator's newest account: consistency of what was served, and its profile."""
        message = validator_pb.GetReportRequest(project=self.project)
        return Unary(VALIDATOR, "GetReport", message, self.timeout_s, _reading.report)

    def _status(
        self,
        wait_for: Iterable[tuple[str, int, int]],
        wait_for_log: bool,
        timeout_s: float | None,
        read: Callable[[stream_pb.StatusResponse], T],
    ) -> Unary[T]:
        message = stream_pb.StatusRequest(
            project=self.project,
            wait_for=[
                stream_pb.SourcePosition(project=self.project, source=source, partition=partition, next_offset=offset)
                for source, partition, offset in _asking.positions(wait_for, "wait_for")
            ],
            wait_for_log=_asking.flag(wait_for_log, "wait_for_log"),
        )
        return Unary(STREAM_AGG, "Status", message, self._deadline(timeout_s), read)

    def _deadline(self, timeout_s: float | None) -> float:
        return self.timeout_s if timeout_s is None else _asking.seconds(timeout_s)
