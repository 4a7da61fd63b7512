"""The mesh as an application sees it: one object, one method per thing that can be asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Self

from skewless.api.offline.v1 import offline_service_pb2 as offline_pb
from skewless.api.offline.v1 import offline_service_pb2_grpc as offline_stubs
from skewless.api.online.v1 import online_service_pb2 as online_pb
from skewless.api.online.v1 import online_service_pb2_grpc as online_stubs
from skewless.api.registry.v1 import registry_service_pb2 as registry_pb
from skewless.api.registry.v1 import registry_service_pb2_grpc as registry_stubs
from skewless.api.stream_agg.v1 import stream_agg_service_pb2 as stream_pb
from skewless.api.stream_agg.v1 import stream_agg_service_pb2_grpc as stream_stubs
from skewless.api.validator.v1 import validator_service_pb2 as validator_pb
from skewless.api.validator.v1 import validator_service_pb2_grpc as validator_stubs
from skewless.client import _asking, _reading, results
from skewless.client._peer import Peer
from skewless.codec.definitions import definition_from_proto, kind_to_proto
from skewless.definitions.project import Project
from skewless.definitions.resource import Definition, Kind
from skewless.rpc.access import Access

if TYPE_CHECKING:
    import pyarrow as pa

BULK_TIMEOUT_S: Final = 3_600.0

_KNOWLEDGE: Final = {
    "event_time": offline_pb.KNOWLEDGE_EVENT_TIME,
    "as_served": offline_pb.KNOWLEDGE_AS_SERVED,
}


class Store:
    """One project's features: defined, served, trained on, replayed, explained.

    project: its name.
    registry, online, offline, stream_agg, validator: addresses, ``host:port``; only those that are used.
    timeout_s: the deadline of calls that answer at once.
    api_key: of the online service, where it asks for one; see `create_api_key`.
    tls, ca_file, cert_file, key_file: towards the online service. With ``tls`` or any of the files TLS is spoken; its
        certificate is to be signed by one of ``ca_file`` (without: those that gRPC brings); ``cert_file`` and
        ``key_file`` are this client's, for a service that asks for them. Files are PEM.

    Every method raises SkewlessError: by its class, `fault` and `retry` a caller tells what to do.
    Safe to use from several threads. Close it, or use it in a ``with``.
    """

    def __init__(
        self,
        project: str,
        *,
        registry: str | None = None,
        online: str | None = None,
        offline: str | None = None,
        stream_agg: str | None = None,
        validator: str | None = None,
        timeout_s: float = 10.0,
        api_key: str | None = None,
        tls: bool = False,
        ca_file: str | PathLike[str] | None = None,
        cert_file: str | PathLike[str] | None = None,
        key_file: str | PathLike[str] | None = None,
    ) -> None:
        self.project = _asking.text(project, "project")
        self.timeout_s = _asking.seconds(timeout_s)
        self._revision = 0
        self._registry = Peer("registry", registry, registry_pb, "RegistryService", registry_stubs)
        access = Access(
            _asking.flag(tls, "tls"),
            _asking.path(ca_file, "ca_file"),
            _asking.path(cert_file, "cert_file"),
            _asking.path(key_file, "key_file"),
            None if api_key is None else _asking.text(api_key, "api_key"),
        )
        self._online = Peer("online", online, online_pb, "OnlineService", online_stubs, access=access)
        self._offline = Peer("offline", offline, offline_pb, "OfflineService", offline_stubs)
        self._stream_agg = Peer("stream_agg", stream_agg, stream_pb, "StreamAggService", stream_stubs)
        self._validator = Peer("validator", validator, validator_pb, "ValidatorService", validator_stubs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all connections."""
        for peer in (self._registry, self._online, self._offline, self._stream_agg, self._validator):
            peer.close()

    def plan(self, definitions: Project | Iterable[Definition]) -> results.Plan:
        """What applying would change. Changes nothing. Raises InvalidDefinitionError with every fault."""
        request = registry_pb.PlanRequest(definitions=_asking.definitions(definitions))
        answer = self._registry.call("Plan", request, self.timeout_s)
        return _reading.plan(answer.changes, answer.revision)

    def apply(
        self, definitions: Project | Iterable[Definition], *, reason: str = "", after: results.Plan | None = None
    ) -> results.Plan:
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
        answer = self._registry.call("Apply", request, self.timeout_s)
        self._revision = max(self._revision, answer.revision)
        return _reading.plan(answer.changes, answer.revision)

    def get_definition(self, kind: Kind, name: str, version: str = "") -> Definition:
        """One definition; without a version the newest. Raises UnknownResourceError."""
        request = registry_pb.GetDefinitionRequest(
            project=self.project,
            kind=kind_to_proto(_asking.kind(kind)),
            name=_asking.text(name, "name"),
            version=_asking.text(version, "version"),
        )
        return definition_from_proto(self._registry.call("GetDefinition", request, self.timeout_s).definition)

    def list_definitions(self, kind: Kind | None = None) -> Iterator[Definition]:
        """The project's definitions in the order of kind, name and version, fetched page by page."""
        request = registry_pb.ListDefinitionsRequest(
            project=self.project, kind=None if kind is None else kind_to_proto(_asking.kind(kind))
        )
        pages = self._registry.pages("ListDefinitions", request, self.timeout_s)
        return (definition_from_proto(definition) for page in pages for definition in page.definitions)

    def create_api_key(
        self, name: str, *, feature_services: Sequence[str] = (), expires_at: dt.datetime | int | None = None
    ) -> results.NewApiKey:
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
        answer = self._registry.call("CreateApiKey", request, self.timeout_s)
        return results.NewApiKey(_reading.api_key(answer.api_key), answer.key)

    def list_api_keys(self) -> list[results.ApiKey]:
        """All keys of this project, revoked and expired ones too, in the order in which they were made."""
        request = registry_pb.ListApiKeysRequest(project=self.project)
        answer = self._registry.call("ListApiKeys", request, self.timeout_s)
        return [_reading.api_key(message) for message in answer.api_keys]

    def revoke_api_key(self, key_id: str) -> results.ApiKey:
        """Revokes a key of this project; the online service refuses it some seconds later. UnknownResourceError."""
        request = registry_pb.RevokeApiKeyRequest(project=self.project, id=_asking.text(key_id, "key_id"))
        return _reading.api_key(self._registry.call("RevokeApiKey", request, self.timeout_s).api_key)

    def get_online_features(
        self,
        features: str | Sequence[str],
        entities: Mapping[str, object],
        *,
        request: Mapping[str, object] | None = None,
        request_time: dt.datetime | int | None = None,
        timeout_s: float | None = None,
    ) -> results.OnlineFeatures:
        """Feature vectors for inference.

        features: a feature service as ``name@1.0.0``, or a list of ``view@1.0.0:feature``.
        entities: key columns by name; a single value is one row.
        request: request fields by name, likewise.
        request_time: the moment the prediction is about, an aware ``datetime`` or microseconds; None: now.

        Knows what this object has applied: the service waits for it, for a short while, and raises NotReadyError else.
        """
        message = online_pb.GetOnlineFeaturesRequest(
            project=self.project,
            feature_service=_asking.text(features, "features") if isinstance(features, str) else "",
            features=[] if isinstance(features, str) else _asking.texts(features, "features"),
            entities=_asking.columns(entities, "entities"),
            request_fields=_asking.columns({} if request is None else request, "request", lists=True),
            request_time_us=_asking.instant(request_time, "request_time"),
            min_revision=self._revision,
        )
        return _reading.online(self._online.call("GetOnlineFeatures", message, self._deadline(timeout_s)))

    def log_prediction(
        self,
        request_id: str,
        model: str,
        scores: Iterable[float],
        *,
        predicted_at: dt.datetime | int | None = None,
    ) -> None:
        """Ties a model's scores, one per row, to the answer they were made from."""
        message = online_pb.LogPredictionRequest(
            request_id=_asking.text(request_id, "request_id"),
            project=self.project,
            model=_asking.text(model, "model"),
            scores=_asking.numbers(scores, "scores"),
            predicted_at_us=_asking.instant(predicted_at, "predicted_at"),
        )
        self._online.call("LogPrediction", message, self.timeout_s)

    def get_historical_features(
        self,
        frame: Any,
        feature_service: str,
        *,
        knowledge: str = "event_time",
        request_time_column: str = "request_time",
        with_statuses: bool = False,
        timeout_s: float = BULK_TIMEOUT_S,
    ) -> pa.Table:
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

        answers = self._offline.stream("GetHistoricalFeatures", requests(), _asking.seconds(timeout_s))
        return _frames.from_pieces(answer.arrow_ipc for answer in answers)

    def materialize(
        self, view: str, *, as_of: dt.datetime | int | None = None, timeout_s: float = BULK_TIMEOUT_S
    ) -> results.Run:
        """Brings a batch view, ``name@1.0.0``, up to an instant (None: now) and online."""
        message = offline_pb.MaterializeRequest(
            project=self.project, view=_asking.text(view, "view"), as_of_us=_asking.instant(as_of, "as_of")
        )
        return _reading.run(self._offline.call("Materialize", message, _asking.seconds(timeout_s)))

    def replay(
        self,
        request_ids: str | Iterable[str] = (),
        *,
        served_from: dt.datetime | int | None = None,
        served_until: dt.datetime | int | None = None,
        on_progress: Callable[[results.Replay], None] | None = None,
        timeout_s: float = BULK_TIMEOUT_S,
    ) -> results.Replay:
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
        differences: list[results.Difference] = []
        outcomes: dict[str, str] = {}
        so_far = results.Replay(0, 0, 0, 0, 0, 0, 0, (), {}, done=False)
        for answer in self._offline.stream("Replay", message, _asking.seconds(timeout_s)):
            differences += map(_reading.difference, answer.differences)
            outcomes |= {name: _reading.outcome(outcome) for name, outcome in answer.outcomes.items()}
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

    def explain(self, request_id: str, feature: str, *, row: int = 0, max_events: int = 0) -> results.Explanation:
        """What one served value, ``view:feature`` of a row, was made of; at most ``max_events`` events (0: 100)."""
        message = offline_pb.ExplainRequest(
            project=self.project,
            request_id=_asking.text(request_id, "request_id"),
            row=_asking.whole(row, "row"),
            feature=_asking.text(feature, "feature"),
            max_events=_asking.whole(max_events, "max_events"),
        )
        return _reading.explanation(self._offline.call("Explain", message, 6 * self.timeout_s))

    def stream_status(
        self,
        *,
        wait_for: Iterable[tuple[str, int, int]] = (),
        wait_for_log: bool = False,
        timeout_s: float | None = None,
    ) -> tuple[results.InputLogStatus, ...]:
        """Where the stream views are.

        wait_for: (source, partition, next offset): answer when every record below is readable online.
        wait_for_log: and in the event log.
        timeout_s: how long to wait; beyond it TimedOutError.
        """
        return _reading.stream_status(self._status(wait_for, wait_for_log, timeout_s))

    def source_status(
        self,
        *,
        wait_for: Iterable[tuple[str, int, int]] = (),
        wait_for_log: bool = True,
        timeout_s: float | None = None,
    ) -> tuple[results.SourceStatus, ...]:
        """What has come of the records of each source, ordered by its name; the arguments as for `stream_status`."""
        return _reading.source_status(self._status(wait_for, wait_for_log, timeout_s))

    def rewind(
        self,
        source: str,
        *,
        records: int | None = None,
        to_offset: int | None = None,
        partition: int | None = None,
        timeout_s: float | None = None,
    ) -> tuple[results.Rewound, ...]:
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
        return _reading.rewound(self._stream_agg.call("Rewind", message, self._deadline(timeout_s)))

    def dead_letters(self, source: str) -> Iterator[results.DeadLetter]:
        """The refused records of a source, oldest first, each position once, fetched page by page."""
        request = stream_pb.ListDeadLettersRequest(project=self.project, source=_asking.text(source, "source"))
        return self._letters(request)

    def _letters(self, request: stream_pb.ListDeadLettersRequest) -> Iterator[results.DeadLetter]:
        seen: set[tuple[int, int, int]] = set()
        for page in self._stream_agg.pages("ListDeadLetters", request, self.timeout_s):
            for letter in map(_reading.dead_letter, page.letters):
                if letter.position not in seen:  # after a crash a letter may be there twice
                    yield letter
                if letter.position is not None:
                    seen.add(letter.position)

    def replay_dead_letters(
        self,
        source: str,
        positions: Iterable[tuple[int, int, int]] = (),
        *,
        reason: str = "",
        timeout_s: float = BULK_TIMEOUT_S,
    ) -> results.LetterReplay:
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
        answer = self._stream_agg.call("ReplayDeadLetters", message, self._deadline(timeout_s))
        return results.LetterReplay(answer.replayed, answer.already_replayed)

    def _status(
        self, wait_for: Iterable[tuple[str, int, int]], wait_for_log: bool, timeout_s: float | None
    ) -> stream_pb.StatusResponse:
        message = stream_pb.StatusRequest(
            project=self.project,
            wait_for=[
                stream_pb.SourcePosition(project=self.project, source=source, partition=partition, next_offset=offset)
                for source, partition, offset in _asking.positions(wait_for, "wait_for")
            ],
            wait_for_log=_asking.flag(wait_for_log, "wait_for_log"),
        )
        answer: stream_pb.StatusResponse = self._stream_agg.call("Status", message, self._deadline(timeout_s))
        return answer

    def report(self) -> results.Report:
        """The validator's newest account: consistency of what was served, and its profile."""
        message = validator_pb.GetReportRequest(project=self.project)
        return _reading.report(self._validator.call("GetReport", message, self.timeout_s))

    def _deadline(self, timeout_s: float | None) -> float:
        return self.timeout_s if timeout_s is None else _asking.seconds(timeout_s)
