"""Services that start before what they need: alive, not ready, saying what they wait for; ready once it is there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from skewless.local import BROKER, STORE, LocalMesh
from skewless.local.mesh import SERVICES
from skewless.local.ports import free_port

PATIENCE_S = 60.0
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
SECRETS = {"registry": "database_url", "online": "store_url", "offline": "store_url", "stream_agg": "store_url"}


class World:
    """Every service with a settings file, on ports where nothing else listens yet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = {name: free_port() for name in (STORE, BROKER, *SERVICES)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def write(self, name: str) -> dict[str, str]:
        """The settings file of a service; gives the environment that names it."""
        told: dict[str, str | int] = {
            "listen": f"127.0.0.1:{self.ports[name]}",
            **({"registry": f"127.0.0.1:{self.ports['registry']}"} if name not in {"registry", "validator"} else {}),
            **({"broker": f"127.0.0.1:{self.ports[BROKER]}"} if name != "registry" else {}),
            **({"lake": str(self.directory / "lake")} if name in {"offline", "stream_agg"} else {}),
            **({f"{SECRETS[name]}_file": str(self.secret(name))} if name in SECRETS else {}),
        }
        path = self.directory / f"{name}.toml"
        path.write_text("".join(f"{key} = {value!r}\n" for key, value in told.items()))
        return {"SKEWLESS_SETTINGS_FILE": str(path)}

    def secret(self, name: str) -> Path:
        return self.directory / f"{name}.secret"

    def start(self, name: str) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("SKEWLESS_")}
        with self.log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"services.{name}.main"], env={**inherited, **self.write(name)}, stderr=log
            )

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def health(self, name: str, service: str = "") -> int | None:
        """What health says; None if nobody answers."""
        with grpc.insecure_channel(f"127.0.0.1:{self.ports[name]}") as channel:
            try:
                request = health_pb2.HealthCheckRequest(service=service)
                return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=5).status)
            except grpc.RpcError:
                return None

    def until(self, what: Callable[[], bool], name: str) -> None:
        """Until it is true, with every process alive."""
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            for service, process in self.processes.items():
                assert process.poll() is None, f"{service} ended: {self.log(service).read_text()}"
            assert time.monotonic() < deadline, f"{name}: {self.log(name).read_text()}"
            time.sleep(0.1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        yield made
    finally:
        for process in made.processes.values():
            process.terminate()
        for process in made.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


def waits(world: World, name: str, *words: str) -> None:
    """The service is alive, is not ready, and says what it waits for."""
    world.until(lambda: world.health(name, "live") == SERVING, name)
    assert world.health(name) == NOT_SERVING
    world.until(lambda: all(word in world.log(name).read_text() for word in ("not serving yet", *words)), name)


def test_services_wait_for_secrets_and_for_one_another(world: World) -> None:
    for name in SERVICES:
        world.start(name)
    for name in SECRETS:
        waits(world, name, "waiting for secrets", str(world.secret(name)), "no such file")
    waits(world, "validator", "waiting for the broker", f"127.0.0.1:{world.ports[BROKER]}")

    world.secret("registry").write_text(f"sqlite:///{world.directory}/registry.db\n")
    for name in ("online", "offline", "stream_agg"):
        world.secret(name).write_text(f"redis://127.0.0.1:{world.ports[STORE]}\n")
    world.until(lambda: world.health("registry") == SERVING, "registry")
    waits(world, "online", "waiting for the store", f"127.0.0.1:{world.ports[STORE]}")
    for name in ("offline", "stream_agg"):
        waits(world, name, "waiting for the broker", f"127.0.0.1:{world.ports[BROKER]}")

    parts = {name: world.ports[name] for name in (STORE, BROKER)}
    with LocalMesh(world.directory / "mesh", services=(), ports=parts):
        for name in SERVICES:
            world.until(lambda name=name: world.health(name) == SERVING, name)  # type: ignore[misc]
            assert world.health(name, "live") == SERVING
    for process in world.processes.values():
        process.terminate()
    assert {name: process.wait(30) for name, process in world.processes.items()} == dict.fromkeys(SERVICES, 0)


def test_a_service_that_waits_for_a_secret_ends_as_it_is_told(world: World) -> None:
    world.start("online")
    waits(world, "online", "waiting for secrets")
    world.processes["online"].terminate()
    assert world.processes["online"].wait(10) == 0


def test_certificates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SKEWLESS_")}
    environ |= {
        "SKEWLESS_LISTEN": "127.0.0.1:0",
        "SKEWLESS_BROKER_PROTOCOL": "SSL",
        "SKEWLESS_BROKER_CA_FILE": str(tmp_path / "none.pem"),
    }
    told = subprocess.run(
        [sys.executable, "-m", "services.validator.main"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 2
    assert "no client of the broker at 127.0.0.1:9092 can be made" in told.stderr
    assert "SKEWLESS_BROKER_" in told.stderr
    assert "Traceback" not in told.stderr
