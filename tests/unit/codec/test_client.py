"""The client: what it asks on the wire, what it makes of the answers. The peer is a real server on a free port."""

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from skewless.api.offline.v1 import offline_service_pb2 as offline_pb
from skewless.api.offline.v1 import offline_service_pb2_grpc as offline_stubs
from skewless.api.online.v1 import online_service_pb2 as online_pb
from skewless.api.online.v1 import online_service_pb2_grpc as online_stubs
from skewless.api.stream_agg.v1 import stream_agg_service_pb2 as stream_pb
from skewless.api.stream_agg.v1 import stream_agg_service_pb2_grpc as stream_stubs
from skewless.api.types.v1 import value_pb2
from skewless.api.validator.v1 import validator_service_pb2 as validator_pb
from skewless.api.validator.v1 import validator_service_pb2_grpc as validator_stubs
from skewless.client import Store, _frames, results
from skewless.errors import (
    EntityMismatchError,
    InvalidArgumentError,
    NaiveTimestampError,
    UnknownFeatureServiceError,
    WrongTypeError,
)
from skewless.rpc.server import Server
from skewless.types import Status
from tests.unit.codec.awaited import Awaited

EQUAL, DIFFERENT = offline_pb.REPLAY_OUTCOME_EQUAL, offline_pb.REPLAY_OUTCOME_DIFFERENT
INSTANT = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)


class Peer(
    online_stubs.OnlineServiceServicer,
    offline_stubs.OfflineServiceServicer,
    stream_stubs.StreamAggServiceServicer,
    validator_stubs.ValidatorServiceServicer,
):
    """Keeps what it is asked; answers a fixed vector, and frames with one column appended."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.fail_after_frame = False

    def GetOnlineFeatures(  # noqa: N802
        self,
        request: online_pb.GetOnlineFeaturesRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> online_pb.GetOnlineFeaturesResponse:
        self.asked.append(request)
        if not request.entities:
            raise EntityMismatchError(missing=["origin"])
        column = online_pb.FeatureColumn(
            values=[value_pb2.Value(timestamp_us_value=1_000_000), value_pb2.Value()],
            statuses=[value_pb2.STATUS_PRESENT, value_pb2.STATUS_NOT_ANSWERABLE],
            event_times_us=[5, 0],
        )
        return online_pb.GetOnlineFeaturesResponse(
            request_id="0" * 26,
            request_time_us=request.request_time_us,
            feature_names=["v:f"],
            columns=[column],
            as_of_token=b"token",
            earliest_answerable_us=7,
        )

    def LogPrediction(  # noqa: N802
        self,
        request: online_pb.LogPredictionRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> online_pb.LogPredictionResponse:
        self.asked.append(request)
        return online_pb.LogPredictionResponse()

    def GetHistoricalFeatures(  # noqa: N802
        self,
        requests: Iterator[offline_pb.GetHistoricalFeaturesRequest],
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> Iterator[offline_pb.GetHistoricalFeaturesResponse]:
        header = next(requests).header
        self.asked.append(header)
        pieces = [request.arrow_ipc for request in requests]
        assert all(len(piece) <= 1 << 20 for piece in pieces)
        table = _frames.from_pieces(pieces)
        answer = table.append_column("v:f", pa.array(range(len(table)), pa.int64()))
        for piece in _frames.to_pieces(answer):
            yield offline_pb.GetHistoricalFeaturesResponse(arrow_ipc=piece)
        if self.fail_after_frame:
            raise UnknownFeatureServiceError(name=header.feature_service)

    def Materialize(  # noqa: N802
        self,
        request: offline_pb.MaterializeRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> offline_pb.MaterializeResponse:
        self.asked.append(request)
        return offline_pb.MaterializeResponse(
            run_seq=3, rows_read=10, rows_written=8, rows_dated_ahead=2, entities_online=5
        )

    def Replay(  # noqa: N802
        self,
        request: offline_pb.ReplayRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> Iterator[offline_pb.ReplayResponse]:
        self.asked.append(request)
        difference = offline_pb.ReplayDifference(
            request_id="b",
            feature="v:f",
            served=value_pb2.Value(float64_value=0.5),
            served_status=value_pb2.STATUS_PRESENT,
            replayed_status=value_pb2.STATUS_NULL,
        )
        yield offline_pb.ReplayResponse(vectors=2, replayed=1, equal=1, outcomes={"a": EQUAL})
        yield offline_pb.ReplayResponse(
            vectors=2, replayed=2, equal=1, different=1, differences=[difference], outcomes={"b": DIFFERENT}, done=True
        )

    def Explain(  # noqa: N802
        self,
        request: offline_pb.ExplainRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> offline_pb.ExplainResponse:
        self.asked.append(request)
        event = offline_pb.ContributingEvent(event_time_us=4, log="l", partition=1, offset=2, payload=b"{}")
        stored = offline_pb.InputExplanation(name="x", feature="v:f", event_count=1, events=[event])
        return offline_pb.ExplainResponse(
            value=value_pb2.Value(int64_value=1),
            status=value_pb2.STATUS_PRESENT,
            request_time_us=9,
            view="v@1.0.0",
            inputs=[stored],
            predictions=[offline_pb.PredictionRef(model="m", score=0.5, predicted_at_us=8)],
        )

    def Status(  # noqa: N802
        self,
        request: stream_pb.StatusRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> stream_pb.StatusResponse:
        self.asked.append(request)
        part = stream_pb.LogPartitionStatus(partition=1, epoch=1, next_offset=7, end_offset=9)
        log = stream_pb.InputLogStatus(
            project="flights", log="l", source="s", views=["v@1.0.0"], partitions=[part], records={"accepted": 7}
        )
        return stream_pb.StatusResponse(logs=[log])

    def Rewind(  # noqa: N802
        self,
        request: stream_pb.RewindRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> stream_pb.RewindResponse:
        self.asked.append(request)
        return stream_pb.RewindResponse(
            moved=[stream_pb.RewoundPartition(log="l", partition=2, from_offset=9, to_offset=4)]
        )

    def ListDeadLetters(  # noqa: N802
        self,
        request: stream_pb.ListDeadLettersRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> stream_pb.ListDeadLettersResponse:
        """Two pages: the first letter is there twice, the second has no position and no payload."""
        self.asked.append(request)
        place = stream_pb.LetterPosition(epoch=1, partition=2, offset=3)
        first = stream_pb.DeadLetter(position=place, reason="NOT_JSON", refused_at_us=5, payload=b"{", payload_size=1)
        if not request.page_token:
            return stream_pb.ListDeadLettersResponse(letters=[first, first], next_page_token="more")  # noqa: S106
        return stream_pb.ListDeadLettersResponse(letters=[first, stream_pb.DeadLetter(reason="NO_SOURCE_POSITION")])

    def ReplayDeadLetters(  # noqa: N802
        self,
        request: stream_pb.ReplayDeadLettersRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> stream_pb.ReplayDeadLettersResponse:
        self.asked.append(request)
        return stream_pb.ReplayDeadLettersResponse(replayed=3, already_replayed=1)

    def GetReport(  # noqa: N802
        self,
        request: validator_pb.GetReportRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> validator_pb.GetReportResponse:
        self.asked.append(request)
        profile = validator_pb.FeatureProfile(feature="v:f", served=2, statuses={1: 1, 2: 1}, coverage=0.5, min=0.0)
        return validator_pb.GetReportResponse(seen=5, replayed=4, mismatches=0, pending=1, profiles=[profile])


SERVICES = [
    (online_stubs, online_pb, "OnlineService"),
    (offline_stubs, offline_pb, "OfflineService"),
    (stream_stubs, stream_pb, "StreamAggService"),
    (validator_stubs, validator_pb, "ValidatorService"),
]


@pytest.fixture(params=[Store, Awaited], ids=["blocking", "asyncio"])
def peer(request: pytest.FixtureRequest) -> Iterator[tuple[Peer, Store]]:
    peer = Peer()
    server = Server("127.0.0.1:0", threads=4)
    for stubs, messages, service in SERVICES:
        register = getattr(stubs, f"add_{service}Servicer_to_server")
        server.add(register, peer, messages.DESCRIPTOR.services_by_name[service])
    address = server.start()
    with request.param("flights", online=address, offline=address, stream_agg=address, validator=address) as store:
        yield peer, store
    server.stop(0)


def test_a_request_goes_out_as_columns_and_comes_back_as_values(peer: tuple[Peer, Store]) -> None:
    asked, store = peer
    answer = store.get_online_features(
        "model@1.0.0",
        {"origin": ["JFK", "EWR"], "id": np.array([1, 2])},
        request={"scheduled": [INSTANT, None]},
        request_time=INSTANT,
    )
    (request,) = asked.asked
    assert request.feature_service == "model@1.0.0"
    assert [value.string_value for value in request.entities["origin"].values] == ["JFK", "EWR"]
    assert [value.int64_value for value in request.entities["id"].values] == [1, 2]
    assert request.request_fields["scheduled"].values[0].timestamp_us_value == 1_372_680_000_000_000
    assert request.request_fields["scheduled"].values[1] == value_pb2.Value()
    assert answer.request_time == INSTANT
    assert answer.to_dict() == {"v:f": [dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC), None]}
    assert answer.to_rows()[1] == {"v:f": None}
    assert answer.statuses == {"v:f": (Status.PRESENT, Status.NOT_ANSWERABLE)}
    assert answer.event_times_us == {"v:f": (5, None)}
    assert (len(answer), answer.token, answer.earliest_answerable_us) == (2, b"token", 7)


def test_single_values_are_one_row_and_lists_of_features_are_lists(peer: tuple[Peer, Store]) -> None:
    asked, store = peer
    store.get_online_features(["v@1.0.0:f"], {"origin": "JFK"})
    (request,) = asked.asked
    assert list(request.features) == ["v@1.0.0:f"]
    assert len(request.entities["origin"].values) == 1
    assert not request.HasField("request_time_us")
    assert request.partial_results == online_pb.PARTIAL_RESULTS_UNSPECIFIED
    store.get_online_features(["v@1.0.0:f"], {"origin": "JFK"}, partial_results="fail")
    assert asked.asked[1].partial_results == online_pb.PARTIAL_RESULTS_FAIL


def test_wrong_values_never_leave(peer: tuple[Peer, Store]) -> None:
    asked, store = peer
    with pytest.raises(NaiveTimestampError, match="request_time"):
        store.get_online_features("m@1.0.0", {"origin": "JFK"}, request_time=INSTANT.replace(tzinfo=None))
    with pytest.raises(WrongTypeError, match=r"amount\[1\]: expected .* got nan"):
        store.get_online_features("m@1.0.0", {"origin": "JFK"}, request={"amount": [1.0, float("nan")]})
    with pytest.raises(EntityMismatchError, match="missing: origin"):
        store.get_online_features("m@1.0.0", {})
    assert len(asked.asked) == 1


def test_predictions_are_numbers(peer: tuple[Peer, Store]) -> None:
    asked, store = peer
    store.log_prediction("0" * 26, "delay@1", np.array([0.25, 1.0]), predicted_at=5)
    assert list(asked.asked[0].scores) == [0.25, 1.0]
    assert asked.asked[0].predicted_at_us == 5
    with pytest.raises(InvalidArgumentError) as caught:
        store.log_prediction("short", "delay@1", [float("inf")])
    assert [violation.path for violation in caught.value.violations] == ["request_id", "scores[0]"]


def test_a_frame_comes_back_whole_and_in_order(peer: tuple[Peer, Store]) -> None:
    asked, store = peer
    rows = 200_000
    frame = pa.table(
        {
            "origin": pa.array(["JFK", None] * (rows // 2)),
            "request_time": pa.array(range(rows), pa.timestamp("ms", tz="America/New_York")),
        }
    )
    answer = store.get_historical_features(frame, "model@1.0.0", with_statuses=True)
    (header,) = asked.asked
    assert header.knowledge == offline_pb.KNOWLEDGE_EVENT_TIME
    assert (header.request_time_column, header.with_statuses) == ("request_time", True)
    assert answer.column_names == ["origin", "request_time", "v:f"]
    assert answer.schema.field("request_time").type == pa.timestamp("us", tz="UTC")
    assert answer["request_time"].cast(pa.int64())[7].as_py() == 7_000
    assert answer["v:f"].to_pylist() == list(range(rows))


@pytest.mark.parametrize("rows", [0, 1])
def test_small_frames_of_pandas_travel_too(peer: tuple[Peer, Store], rows: int) -> None:
    frame = pd.DataFrame({"request_id": ["x"][:rows], "row": [0][:rows]}, index=[9][:rows])
    answer = peer[1].get_historical_features(frame, "model@1.0.0", knowledge="as_served")
    assert answer.column_names == ["request_id", "row", "v:f"]
    assert len(answer) == rows


def test_a_failure_behind_the_last_row_is_not_missed(peer: tuple[Peer, Store]) -> None:
    peer[0].fail_after_frame = True
    with pytest.raises(UnknownFeatureServiceError, match="model@9"):
        peer[1].get_historical_features(pa.table({"request_id": ["x"]}), "model@9.0.0", knowledge="as_served")


@pytest.mark.parametrize(
    ("column", "error", "words"),
    [
        (pa.array([0], pa.timestamp("us")), NaiveTimestampError, "tz_localize"),
        (pa.array([1], pa.timestamp("ns", tz="UTC")), WrongTypeError, "whole microseconds"),
        (pa.array([None], pa.timestamp("us", tz="UTC")), WrongTypeError, "1 nulls"),
        (pa.array(["2013-01-01"]), WrongTypeError, "timestamps with a zone, got string"),
    ],
)
def test_request_times_of_a_frame_are_instants(
    peer: tuple[Peer, Store], column: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        peer[1].get_historical_features(pa.table({"request_time": column}), "model@1.0.0")
    with pytest.raises(WrongTypeError, match="only the columns request_time"):
        peer[1].get_historical_features(pa.table({"request_time": column}), "model@1.0.0", request_time_column="at")
    with pytest.raises(InvalidArgumentError, match="event_time, as_served"):
        peer[1].get_historical_features(pa.table({"request_time": column}), "m@1.0.0", knowledge="now")
    assert peer[0].asked == []


def test_the_client_pulls_no_frames_until_one_is_asked_for() -> None:
    heavy = ("pandas", "pyarrow", "numpy", "protovalidate", "sqlalchemy")
    code = f"import sys, skewless.client; print(*(name for name in {heavy} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@pytest.mark.parametrize("bad", ["2013-07-01", 1.5, True, 2**63, dt.date(2013, 7, 1)])
def test_what_is_no_instant_is_refused_by_name(peer: tuple[Peer, Store], bad: Any) -> None:
    with pytest.raises(WrongTypeError, match="as_of: expected timestamp, got"):
        peer[1].materialize("planes@1.0.0", as_of=bad)
    with pytest.raises(WrongTypeError, match="request_time: expected timestamp, got"):
        peer[1].get_online_features("model@1.0.0", {"user": "ann"}, request_time=bad)
    assert peer[0].asked == []


def test_a_run_a_replay_and_an_explanation_are_plain_objects(peer: tuple[Peer, Store]) -> None:
    asked, store = peer
    run = store.materialize("planes@1.0.0", as_of=INSTANT)
    assert (run.run_seq, run.rows_dated_ahead, run.entities_online) == (3, 2, 5)
    assert asked.asked[-1].as_of_us == 1_372_680_000_000_000
    progress: list[int] = []
    replay = store.replay(["a", "b"], served_until=9, on_progress=lambda so_far: progress.append(so_far.replayed))
    assert not asked.asked[-1].HasField("served_from_us")
    assert progress == [1, 2]
    assert (replay.done, replay.different) == (True, 1)
    assert replay.outcomes == {"a": "EQUAL", "b": "DIFFERENT"}
    (difference,) = replay.differences
    assert (difference.served, difference.served_status) == (0.5, Status.PRESENT)
    assert (difference.replayed, difference.replayed_status) == (None, Status.NULL)
    store.replay("a")
    assert list(asked.asked[-1].request_ids) == ["a"]
    explained = store.explain("a", "v:f", row=1, max_events=5)
    assert (asked.asked[-1].row, asked.asked[-1].max_events) == (1, 5)
    assert (explained.value, explained.status, explained.replayed_status) == (1, Status.PRESENT, None)
    assert explained.inputs[0].events[0].offset == 2
    assert explained.predictions == (("m", 0.5, 8),)


def test_positions_and_reports_are_plain_objects(peer: tuple[Peer, Store]) -> None:
    asked, store = peer
    (log,) = store.stream_status(wait_for=[("s", 1, 7)], wait_for_log=True)
    request = asked.asked[-1]
    assert (request.wait_for[0].project, request.wait_for[0].next_offset) == ("flights", 7)
    assert request.wait_for_log
    assert (log.views, log.records, log.stopped) == (("v@1.0.0",), {"accepted": 7}, "")
    assert (log.partitions[0].next_offset, log.partitions[0].event_time_us) == (7, None)
    report = store.report()
    assert (report.seen, report.mismatches, report.pending) == (5, 0, 1)
    (profile,) = report.profiles
    assert profile.statuses == {Status.PRESENT: 1, Status.NULL: 1}
    assert (profile.min, profile.max) == (0.0, None)


def test_a_rewind_says_from_where(peer: tuple[Peer, Store]) -> None:
    asked, store = peer
    assert store.rewind("s", records=5, partition=0) == (results.Rewound("l", 2, 9, 4),)
    assert store.rewind("s", to_offset=0) == (results.Rewound("l", 2, 9, 4),)
    first, second = asked.asked
    assert (first.partition, first.records, first.WhichOneof("from")) == (0, 5, "records")
    assert (second.HasField("partition"), second.to_offset, second.WhichOneof("from")) == (False, 0, "to_offset")


def test_dead_letters_come_page_by_page_and_each_position_once(peer: tuple[Peer, Store]) -> None:
    asked, store = peer
    first, second = store.dead_letters("s")
    assert (first.position, first.payload, first.key) == ((1, 2, 3), b"{", None)
    assert first.refused_at == dt.datetime(1970, 1, 1, 0, 0, 0, 5, tzinfo=dt.UTC)
    assert (second.position, second.reason, second.payload) == (None, "NO_SOURCE_POSITION", None)
    assert [request.page_token for request in asked.asked] == ["", "more"]


def test_letters_are_replayed_by_position_or_by_reason(peer: tuple[Peer, Store]) -> None:
    asked, store = peer
    assert store.replay_dead_letters("s", [(1, 2, 3)]) == results.LetterReplay(3, 1)
    assert store.replay_dead_letters("s", reason="NOT_JSON") == results.LetterReplay(3, 1)
    (one,) = asked.asked[0].at.positions
    assert (one.epoch, one.partition, one.offset) == (1, 2, 3)
    assert (asked.asked[1].WhichOneof("which"), asked.asked[1].reason) == ("reason", "NOT_JSON")
    for positions, reason in (([], ""), ([(1, 2, 3)], "NOT_JSON")):
        with pytest.raises(InvalidArgumentError, match="give one of positions and reason"):
            store.replay_dead_letters("s", positions, reason=reason)
