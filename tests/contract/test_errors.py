"""Failures keep their reason, their fields and their code through each of the four shapes of calls."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.rpc import code_pb2

from skewless.api.errors.v1 import reason_pb2
from skewless.api.stream_agg.v1 import stream_agg_service_pb2 as pb
from skewless.codec.errors import CODES, DEFAULT_BUDGET, RETRY_AFTER_MS, error_from_status, error_to_status
from skewless.errors import (
    BY_REASON,
    DependencyUnavailableError,
    Fault,
    InternalError,
    InvalidArgumentError,
    InvalidDefinitionError,
    NaiveTimestampError,
    Reason,
    SkewlessError,
    StalePlanError,
    TimedOutError,
    TooLargeError,
    UnknownFeatureError,
    Violation,
    WrongTypeError,
)
from skewless.rpc.channel import METADATA, call, connect, rich_errors, stream
from skewless.rpc.server import ListenError, Server

SERVICE: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["StreamAggService"]
BAD = pb.StatusRequest(wait_for=[pb.SourcePosition(project="p", source="", partition=-1)])
SHAPES = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]


class Failing:
    """Four methods, one per shape; each fails with what it was given, streams after a first answer."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.outlived: threading.Event | None = None
        """If there is one, a single answer comes after the caller has gone, and sets it."""

    def unary_unary(self, _request: pb.StatusRequest, context: grpc.ServicerContext) -> pb.StatusResponse:
        if self.outlived is not None:
            while context.is_active():
                time.sleep(0.01)
            self.outlived.set()
        self.fail()
        return pb.StatusResponse()

    def unary_stream(self, _request: pb.StatusRequest, _context: grpc.ServicerContext) -> Iterator[pb.StatusResponse]:
        yield pb.StatusResponse()
        self.fail()

    def stream_unary(self, requests: Iterator[pb.StatusRequest], _context: grpc.ServicerContext) -> pb.StatusResponse:
        for _ in requests:
            pass
        self.fail()
        return pb.StatusResponse()

    def stream_stream(
        self, requests: Iterator[pb.StatusRequest], _context: grpc.ServicerContext
    ) -> Iterator[pb.StatusResponse]:
        for _ in requests:
            yield pb.StatusResponse()
        self.fail()

    def fail(self) -> None:
        if self.error is not None:
            raise self.error

    def register(self, _servicer: object, server: grpc.Server) -> None:
        handlers = {
            shape: getattr(grpc, f"{shape}_rpc_method_handler")(
                getattr(self, shape),
                request_deserializer=pb.StatusRequest.FromString,
                response_serializer=pb.StatusResponse.SerializeToString,
            )
            for shape in SHAPES
        }
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("skewless.test.Shapes", handlers)])


@pytest.fixture
def failing() -> Iterator[tuple[Failing, str]]:
    shapes = Failing()
    server = Server("127.0.0.1:0", threads=4)
    server.add(shapes.register, shapes, SERVICE)
    address = server.start()
    yield shapes, address
    server.stop(0)


def invoke(address: str, shape: str, *requests: pb.StatusRequest, timeout_s: float = 10) -> list[Any]:
    with connect(address) as channel:
        method = getattr(channel, shape)(
            f"/skewless.test.Shapes/{shape}",
            request_serializer=pb.StatusRequest.SerializeToString,
            response_deserializer=pb.StatusResponse.FromString,
        )
        request = iter(requests) if shape.startswith("stream") else requests[0]
        if shape.endswith("stream"):
            return list(stream(method, request, address=address, timeout_s=timeout_s))
        return [call(method, request, address=address, timeout_s=timeout_s)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_failure_arrives_whole(failing: tuple[Failing, str], shape: str) -> None:
    shapes, address = failing
    shapes.error = StalePlanError(expected=3, actual=5)
    with pytest.raises(StalePlanError) as caught:
        invoke(address, shape, pb.StatusRequest())
    assert caught.value.metadata == {"expected": "3", "actual": "5"}
    assert (caught.value.fault, caught.value.retry) == (Fault.USER, True)
    assert caught.value.retry_after_s == RETRY_AFTER_MS / 1_000
    assert shapes.error.retry_after_s is None
    assert str(caught.value) == str(shapes.error)


@pytest.mark.parametrize("shape", SHAPES)
def test_fields_at_fault_are_named(failing: tuple[Failing, str], shape: str) -> None:
    shapes, address = failing
    requests = [pb.StatusRequest(), BAD] if shape.startswith("stream") else [BAD]
    with pytest.raises(InvalidArgumentError) as caught:
        invoke(address, shape, *requests)
    assert [violation.path for violation in caught.value.violations] == [
        "wait_for[0].source",
        "wait_for[0].partition",
    ]
    assert shapes.error is None


def test_a_refusal_for_a_caller_that_has_gone_is_no_fault(
    failing: tuple[Failing, str], caplog: pytest.LogCaptureFixture
) -> None:
    shapes, address = failing
    shapes.outlived = threading.Event()
    shapes.error = TimedOutError(what="what was awaited", detail="nothing")
    with pytest.raises(TimedOutError):
        invoke(address, "unary_unary", pb.StatusRequest(), timeout_s=0.2)
    assert shapes.outlived.wait(5)
    time.sleep(0.2)  # what is logged follows
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("shape", SHAPES)
def test_a_fault_of_the_service_does_not_tell_its_insides(
    failing: tuple[Failing, str], shape: str, caplog: pytest.LogCaptureFixture
) -> None:
    shapes, address = failing
    shapes.error = KeyError("the password is swordfish")
    with pytest.raises(InternalError) as caught:
        invoke(address, shape, pb.StatusRequest())
    assert "swordfish" not in str(caught.value)
    assert f"incident {caught.value.metadata['incident']}" in caplog.text
    assert "swordfish" in caplog.text


@pytest.mark.parametrize("shape", SHAPES)
def test_without_a_failure_nothing_is_changed(failing: tuple[Failing, str], shape: str) -> None:
    assert invoke(failing[1], shape, pb.StatusRequest()) == [pb.StatusResponse()]


def test_many_violations_arrive_whole_where_the_caller_takes_them(failing: tuple[Failing, str]) -> None:
    shapes, address = failing
    shapes.error = InvalidDefinitionError(Violation(f"definitions[{i}]", "x" * 100) for i in range(1000))
    with pytest.raises(InvalidDefinitionError) as caught:
        invoke(address, "unary_unary", pb.StatusRequest())
    assert caught.value.violations == shapes.error.violations


def test_other_clients_get_what_fits_their_limits(failing: tuple[Failing, str]) -> None:
    shapes, address = failing
    shapes.error = InvalidDefinitionError(Violation(f"definitions[{i}]", "x" * 100) for i in range(1000))
    with grpc.insecure_channel(address) as channel:
        method: Callable[..., Any] = channel.unary_unary("/skewless.test.Shapes/unary_unary")
        with pytest.raises(InvalidDefinitionError) as caught, rich_errors(address):
            method(b"", timeout=10)
    assert 10 < len(caught.value.violations) < 100
    left = 1001 - len(caught.value.violations)
    assert caught.value.violations[-1].message == f"... and {left} more"


def test_a_message_that_is_too_large_is_no_overload() -> None:
    server = Server("127.0.0.1:0", threads=1, max_message_bytes=1 << 10)
    shapes = Failing()
    server.add(shapes.register, shapes, SERVICE)
    address = server.start()
    with pytest.raises(TooLargeError, match=r"larger than max .* smaller parts") as caught:
        invoke(address, "unary_unary", pb.StatusRequest(project="x" * 2_000))
    assert not caught.value.retry
    server.stop(0)


def test_a_peer_that_is_not_there_is_named() -> None:
    with connect("127.0.0.1:1") as channel:
        method: Callable[..., Any] = channel.unary_unary("/skewless.test.Shapes/unary_unary")
        with pytest.raises(DependencyUnavailableError, match=r"127\.0\.0\.1:1") as caught:
            call(method, b"", address="127.0.0.1:1", timeout_s=10)
    assert caught.value.retry


def test_a_taken_port_is_refused_with_advice() -> None:
    first = Server("127.0.0.1:0", threads=1)
    address = first.start()
    try:
        second = Server(address, threads=1)
        with pytest.raises(ListenError, match=f"cannot listen on {address}.*SKEWLESS_LISTEN"):
            second.start()
        second.stop(0)
    finally:
        first.stop(0)


def test_a_running_call_ends_within_the_grace() -> None:
    running, ended = threading.Event(), threading.Event()
    server = Server("127.0.0.1:0", threads=2)

    class Slow(Failing):
        def fail(self) -> None:
            running.set()
            ended.wait(5)

    slow = Slow()
    server.add(slow.register, slow, SERVICE)
    address = server.start()
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.extend(invoke(address, "unary_unary", pb.StatusRequest())))
    thread.start()
    assert running.wait(5)
    threading.Timer(0.2, ended.set).start()
    server.stop(5)
    thread.join(5)
    assert answers == [pb.StatusResponse()]


def test_reasons_are_those_of_the_contract() -> None:
    declared = {name.removeprefix("REASON_") for name in reason_pb2.Reason.keys()}  # noqa: SIM118
    assert set(Reason) == declared - {"UNSPECIFIED"}
    assert set(BY_REASON) == set(CODES) == set(Reason)


def samples() -> Iterator[SkewlessError]:
    violation = Violation("a.b", "is wrong", "WRONG")
    yield InvalidArgumentError([violation])
    yield InvalidDefinitionError([violation])
    yield StalePlanError(expected=1, actual=2)
    yield UnknownFeatureError(name="v@1.0.0:f", known=["v@1.0.0:g"])
    yield WrongTypeError(field="x", expected="int64", got="str 'a'")
    yield DependencyUnavailableError(what="store", address="127.0.0.1:6379", detail="refused")
    yield InternalError(incident="abcd")


def test_what_the_message_says_is_not_said_again() -> None:
    violations = [Violation("a.b", "is wrong"), Violation("c", "as well")]
    one = InvalidArgumentError.received("a.b: is wrong", {}, violations[:1])
    assert str(one) == "a.b: is wrong"
    two = InvalidArgumentError.received("a.b: is wrong (and 1 more)", {}, violations)
    assert str(two) == "a.b: is wrong (and 1 more)\n  c: as well"


@pytest.mark.parametrize("error", list(samples()), ids=lambda error: error.reason)
def test_a_failure_survives_the_wire(error: SkewlessError) -> None:
    back = error_from_status(error_to_status(error))
    assert type(back) is type(error)
    assert (str(back), back.metadata, back.violations) == (str(error), error.metadata, error.violations)


def test_a_subclass_without_a_reason_of_its_own_comes_back_as_the_reason() -> None:
    back = error_from_status(error_to_status(NaiveTimestampError(field="t", value="2013-01-01 00:00:00")))
    assert type(back) is WrongTypeError
    assert "tz_localize" in str(back)


def test_a_long_message_is_cut_to_the_budget() -> None:
    status = error_to_status(UnknownFeatureError(name="x" * 100_000))
    assert status.code == code_pb2.NOT_FOUND
    assert status.ByteSize() < DEFAULT_BUDGET


def test_a_reason_that_is_not_known_here_is_told_by_its_code() -> None:
    status = error_to_status(StalePlanError(expected=1, actual=2))
    status.details[0].value = status.details[0].value.replace(b"STALE_PLAN", b"NEW_THINGS")
    back = error_from_status(status, service="online", address="127.0.0.1:5")
    assert isinstance(back, InternalError)
    assert "online at 127.0.0.1:5 answered ABORTED" in str(back)


def test_calls_ask_for_long_statuses() -> None:
    assert dict(METADATA)["skewless-status-bytes"].isdecimal()
