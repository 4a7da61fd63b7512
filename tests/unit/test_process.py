"""Services as processes: what all of them do in the same way at the start and at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PART = """
import sys, threading
from dataclasses import dataclass
from skewless.errors import DependencyUnavailableError
from skewless.rpc.process import StartError, run, tell_ready
from skewless.rpc.worker import Worker
from skewless.settings import ServiceSettings, setting

@dataclass(frozen=True)
class Settings(ServiceSettings):
    how: str = setting("", "how it ends")

def work(stop):
    if settings.how == "away":
        raise DependencyUnavailableError(what="the broker", address="here:1")
    if settings.how == "fault":
        raise KeyError("no such thing")
    stop.wait()

def serve(given, stop):
    global settings
    settings = given
    if settings.how == "start":
        raise StartError("no room at here:1")
    worker = Worker("part", work, stop)
    worker.start()
    tell_ready(settings, "here:1")
    stop.wait()
    worker.join()
    return not worker.failed

sys.exit(run("part", Settings, serve))
"""


def start(command: list[str], **settings: str) -> subprocess.Popen[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SKEWLESS_")}
    return subprocess.Popen([sys.executable, *command], env={**environ, **settings}, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("service", ["registry", "online", "offline", "stream_agg", "validator"])
def test_every_fault_of_the_settings_is_told_at_once(service: str) -> None:
    process = start(["-m", f"services.{service}.main"], SKEWLESS_LOG_LEVEL="loud", SKEWLESS_LISTEN="")
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert "SKEWLESS_LOG_LEVEL: must be one of DEBUG, INFO, WARNING, ERROR, got 'loud'" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("how", "status", "says", "trace"),
    [
        ("start", 2, "no room at here:1", False),
        ("away", 1, "part failed, the service ends: the broker at here:1 did not answer", False),
        ("fault", 1, "part failed, the service ends: 'no such thing'", True),
    ],
)
def test_how_a_service_ends_by_itself(how: str, status: int, says: str, trace: bool) -> None:
    process = start(["-c", PART], SKEWLESS_HOW=how)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == status
    assert says in told
    assert ("Traceback" in told) is trace
    assert f"SKEWLESS_HOW={how}  # how it ends" in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_ends_as_it_is_told(number: signal.Signals, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    process = start(["-c", PART], SKEWLESS_READY_FILE=str(ready), SKEWLESS_LOG_LEVEL="warning")
    try:
        while not ready.exists():
            assert process.poll() is None
        process.send_signal(number)
        told = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 0
    assert told == ""
    assert ready.read_text() == "here:1\n"
    assert list(tmp_path.iterdir()) == [ready]
