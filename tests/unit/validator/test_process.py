"""The validator as a process, on a real broker, with an offline service that comes late, goes away and lags."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from skewless.api.offline.v1 import offline_service_pb2 as offline_pb
from skewless.api.offline.v1 import offline_service_pb2_grpc as offline_stubs
from skewless.api.validator.v1 import validator_service_pb2 as pb
from skewless.api.validator.v1 import validator_service_pb2_grpc as stubs
from skewless.bus import Bus
from skewless.local import BROKER, LocalMesh
from skewless.local.ports import free_port
from skewless.rpc.server import Server
from tests.unit.validator.served import record

TOPIC = "skewless.served"


class Offline(offline_stubs.OfflineServiceServicer):
    """Speaks the contract of `Replay`; says of each id what the test wants."""

    def __init__(self, address: str) -> None:
        self.unlogged: set[str] = set()
        self.different: set[str] = set()
        self.asked: list[str] = []
        self._server = Server(address)
        service = offline_pb.DESCRIPTOR.services_by_name["OfflineService"]
        self._server.add(offline_stubs.add_OfflineServiceServicer_to_server, self, service)

    def Replay(  # noqa: N802 (named after the call)
        self, request: offline_pb.ReplayRequest, context: grpc.ServicerContext
    ) -> Iterator[offline_pb.ReplayResponse]:
        assert context.is_active()
        assert (request.served_from_us, request.served_until_us) == (1_000_000, 1_000_001)
        self.asked += request.request_ids
        answer = offline_pb.ReplayResponse(done=True)
        for name in request.request_ids:
            outcome = offline_pb.REPLAY_OUTCOME_EQUAL
            if name in self.unlogged:
                outcome = offline_pb.REPLAY_OUTCOME_NOT_YET_LOGGED
            elif name in self.different:
                outcome = offline_pb.REPLAY_OUTCOME_DIFFERENT
                answer.different += 1
                answer.differences.add(request_id=name, row=0, feature="v:f")
            answer.outcomes[name] = outcome
        yield answer

    def Materialize(  # noqa: N802
        self, request: offline_pb.MaterializeRequest, context: grpc.ServicerContext
    ) -> offline_pb.MaterializeResponse:
        raise NotImplementedError

    def GetHistoricalFeatures(  # noqa: N802
        self, request_iterator: Iterator[offline_pb.GetHistoricalFeaturesRequest], context: grpc.ServicerContext
    ) -> Iterator[offline_pb.GetHistoricalFeaturesResponse]:
        raise NotImplementedError

    def Explain(  # noqa: N802
        self, request: offline_pb.ExplainRequest, context: grpc.ServicerContext
    ) -> offline_pb.ExplainResponse:
        raise NotImplementedError

    def __enter__(self) -> Offline:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0.1)


class Validator:
    """The process and a channel to it."""

    def __init__(self, directory: Path, broker: str, offline: str, **settings: str) -> None:
        self._ready = directory / "ready"
        self.log = directory / "validator.log"
        self.metrics = f"127.0.0.1:{free_port()}"
        self._environ = {
            **os.environ,
            "SKEWLESS_LISTEN": "127.0.0.1:0",
            "SKEWLESS_READY_FILE": str(self._ready),
            "SKEWLESS_BROKER": broker,
            "SKEWLESS_OFFLINE": offline,
            "SKEWLESS_METRICS_LISTEN": self.metrics,
            "SKEWLESS_REPLAY_INTERVAL_MS": "50",
            "SKEWLESS_REPLAY_SETTLE_MS": "0",
            **settings,
        }

    def __enter__(self) -> Validator:
        self._ready.unlink(missing_ok=True)
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.validator.main"], env=self._environ, stdout=sink, stderr=sink
            )
        until(self._ready.exists, 20, self.log.read_text)
        self.channel = grpc.insecure_channel(self._ready.read_text().strip())
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.process.kill()
        self.process.wait()

    def counts(self) -> tuple[int, int, int, int]:
        report = self.report()
        return report.seen, report.replayed, report.mismatches, report.pending

    def report(self) -> pb.GetReportResponse:
        answer: pb.GetReportResponse = stubs.ValidatorServiceStub(self.channel).GetReport(
            pb.GetReportRequest(project="flights"), timeout=5
        )
        return answer

    def reaches(self, *counts: int) -> None:
        until(lambda: self.counts() == counts, 20, lambda: f"{self.counts()}\n{self.log.read_text()}")


def until(holds: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.05)


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path / "mesh", services=()) as running:
        yield running


def committed(broker: str) -> int:
    """How many records of the topic lie below the committed positions."""
    return sum(done.next_offset for done in Bus(broker).committed("skewless.validator", TOPIC, range(4)).values())


def send(broker: str, *values: tuple[str, bytes]) -> None:
    bus = Bus(broker)
    bus.ensure_topic(TOPIC)
    with bus.sender() as sender:
        for key, value in values:
            sender.send(TOPIC, value, key=key.encode())
        assert sender.flush(10)


def test_nothing_is_lost_while_the_offline_service_and_the_broker_come_and_go(mesh: LocalMesh, tmp_path: Path) -> None:
    broker, offline_address = mesh.addresses[BROKER], f"127.0.0.1:{free_port()}"
    mesh.kill(BROKER)
    names = [f"r{number:03}" for number in range(600)]
    with Validator(tmp_path, broker, offline_address) as validator:
        assert validator.counts() == (0, 0, 0, 0)
        health = health_pb2_grpc.HealthStub(validator.channel)
        said = {name: health.Check(health_pb2.HealthCheckRequest(service=name)).status for name in ("live", "")}
        assert said == {"live": health_pb2.HealthCheckResponse.SERVING, "": health_pb2.HealthCheckResponse.NOT_SERVING}
        until(lambda: f"the broker at {broker}" in validator.log.read_text(), 20, validator.log.read_text)
        mesh.restart(BROKER)
        send(broker, *((name, record(name, float(place))) for place, name in enumerate(names)), ("x", b"\xff"))
        validator.reaches(600, 0, 0, 600)
        until(lambda: f"offline service at {offline_address}" in validator.log.read_text(), 20, validator.log.read_text)
        with Offline(offline_address) as offline:
            offline.unlogged = {"r007"}
            offline.different = {"r300"}
            validator.reaches(600, 599, 1, 1)
        report = validator.report()
        assert list(report.examples) == ["r300 0 v:f"]
        (profile,) = report.profiles
        assert (profile.feature_service, profile.feature, profile.served) == ("delay@1.0.0", "v:f", 600)
        assert (profile.min, profile.max, profile.mean, profile.coverage) == (0.0, 599.0, 299.5, 1.0)
        assert dict(profile.statuses) == {1: 600}
        with urllib.request.urlopen(f"http://{validator.metrics}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        assert 'skewless_pending_vectors{project="flights"} 1.0' in text
        assert "skewless_malformed_served_records_total 1.0" in text
        until(lambda: committed(broker) > 0, 10, validator.log.read_text)
        validator.process.kill()
        validator.process.wait()
    with Offline(offline_address) as offline, Validator(tmp_path, broker, offline_address) as validator:
        until(lambda: "r007" in offline.asked, 20, validator.log.read_text)
        until(lambda: validator.counts()[3] == 0, 20, validator.log.read_text)
        send(broker, ("last", record("last")))
        until(lambda: "last" in offline.asked, 20, validator.log.read_text)
        until(lambda: committed(broker) == 602, 20, validator.log.read_text)
        mesh.kill(BROKER)
        mesh.restart(BROKER)
        send(broker, ("after", record("after")))
        until(lambda: "after" in offline.asked, 20, validator.log.read_text)
        validator.process.send_signal(signal.SIGTERM)
        assert validator.process.wait(10) == 0


def test_the_report_accounts_for_every_vector(mesh: LocalMesh, tmp_path: Path) -> None:
    broker, offline_address = mesh.addresses[BROKER], f"127.0.0.1:{free_port()}"
    names = [f"r{number:03}" for number in range(120)]
    settings = {"REPLAY_SHARE": "0.5", "REPLAY_QUEUE": "20", "REPLAY_GIVE_UP_S": "1"}
    given = {f"SKEWLESS_{name}": value for name, value in settings.items()}
    with Offline(offline_address) as offline, Validator(tmp_path, broker, offline_address, **given) as validator:
        offline.unlogged = set(names)
        send(broker, *((name, record(name)) for name in names))

        def report() -> pb.GetReportResponse:
            now = validator.report()
            assert now.seen == now.left_out + now.replayed + now.given_up + now.pending
            return now

        until(lambda: report().unread > 0, 20, validator.log.read_text)
        assert report().pending == 20
        until(lambda: report().given_up > 0, 20, validator.log.read_text)
        offline.unlogged = set()
        until(lambda: report().seen == 120 and report().pending == 0, 30, validator.log.read_text)
        until(lambda: report().unread == 0, 20, validator.log.read_text)
        end = report()
        assert end.mismatches == 0
        assert min(end.left_out, end.given_up, end.replayed) > 0
        assert end.left_out + len(set(offline.asked)) == 120


def test_settings_that_are_wrong_are_all_named() -> None:
    environ = {**os.environ, "SKEWLESS_REPLAY_SHARE": "2", "SKEWLESS_REPLAY_BATCH": "0"}
    command = [sys.executable, "-m", "services.validator.main"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "SKEWLESS_REPLAY_SHARE: must be from 0 to 1, got 2.0" in ended.stderr
    assert "SKEWLESS_REPLAY_BATCH: must be from 1 to 10000, got 0" in ended.stderr
