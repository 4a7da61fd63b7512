"""Data directories that something holds, or that something has spoilt: ``up``, ``down``, and what ``status`` asks."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from skewless.cli import figures, finding
from skewless.cli import main as cli
from skewless.cli.answer import Exit
from skewless.local.answering import broker_answers, store_answers
from skewless.local.mesh import LocalMesh
from skewless.local.ports import LocalError
from skewless.local.state import MeshState, PartState, cannot_write, data_format, prepare
from skewless.local.supervisor import DEFAULT_PORTS, planned_ports

HOLD = """
import sys, time
from pathlib import Path
from skewless.local.state import own
own(Path(sys.argv[1]))
print("x", flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def held(data: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that holds the directory and is no supervisor."""
    data.mkdir(exist_ok=True)
    command = [sys.executable, "-c", HOLD, str(data), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"x\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("words", [[], ["up", "--foreground"], ["skewless.local.supervisor"]])
def test_down_leaves_a_program_alone_that_is_no_supervisor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with held(tmp_path, *words) as process:
        assert cli.main(["down", "--data", str(tmp_path)]) == Exit.NOT_GOOD
        assert f"process {process.pid} holds {tmp_path} and was not started by" in capsys.readouterr().err
        assert process.poll() is None


def test_down_tells_of_a_process_of_another_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(pid: int, _: int) -> None:
        raise fault(errno.EPERM, str(pid))

    with held(tmp_path) as process, monkeypatch.context() as patched:
        (tmp_path / "run").mkdir()
        MeshState("0", process.pid, "").write(tmp_path)
        fault: type[OSError] = PermissionError
        patched.setattr(os, "kill", refused)  # not when the holder is ended
        assert cli.main(["down", "--data", str(tmp_path)]) == Exit.NOT_GOOD
        assert "belongs to another user" in capsys.readouterr().err
        fault = ProcessLookupError
        assert cli.main(["down", "--data", str(tmp_path)]) == Exit.NOT_GOOD
        assert "cannot be seen from here" in capsys.readouterr().err


def test_a_second_start_that_comes_too_late_is_one_that_runs_already(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked before either had the directory."""
    with held(tmp_path) as process:
        monkeypatch.setattr("skewless.cli.mesh.holder", lambda _: None)
        assert cli.main(["up", "--data", str(tmp_path), "--json"]) == Exit.RUNS_ALREADY
        assert f"in use by process {process.pid}" in json.loads(capsys.readouterr().err)["error"]["message"]


def test_an_empty_address_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKEWLESS_ADDRESS", " ")
    assert finding.given_address() == ""
    assert cli.main(["status", "--data", str(tmp_path)]) == Exit.NOT_REACHABLE


@contextlib.contextmanager
def mute(answer: bytes = b"") -> Iterator[str]:
    """A program that takes connections, and answers these bytes or never."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                while True:
                    connection, _ = server.accept()
                    stack.enter_context(connection)
                    if answer:
                        connection.recv(1 << 16)
                        connection.sendall(answer)
                        connection.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_program_that_only_takes_connections_does_not_answer() -> None:
    with mute() as address:
        assert not store_answers(address, 0.1)
        assert not broker_answers(address, 0.1)
    with mute(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        assert not store_answers(address)
        assert not broker_answers(address)
    assert not store_answers("127.0.0.1:9")
    assert not broker_answers("127.0.0.1:9")


@pytest.mark.parametrize(
    "answer", [b"no http\r\n", b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe", b"HTTP/1.1 200 OK\r\n\r\na b\n"]
)
def test_figures_of_another_program_are_none(tmp_path: Path, answer: bytes) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/offline.metrics").write_bytes(b"\xff\xfe")
    (tmp_path / "run/validator.metrics").write_text("no address\n")
    with mute(answer) as address:
        (tmp_path / "run/online.metrics").write_text(address)
        found = figures.figures(tmp_path, ["online", "offline", "validator", "registry"])
    assert found == {"freshness": [], "serving": [], "events_per_s": None, "success": {}}


def test_settings_of_telemetry_reach_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKEWLESS_SPANS_FILE", "/spans")
    monkeypatch.setenv("SKEWLESS_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("SKEWLESS_STORE_URL", "redis://elsewhere")
    found = LocalMesh(tmp_path)._environ()
    assert {name: value for name, value in found.items() if name.startswith("SKEWLESS_")} == {
        "SKEWLESS_SPANS_FILE": "/spans",
        "SKEWLESS_LOG_LEVEL": "DEBUG",
    }


@pytest.mark.parametrize("address", ["", "here", "h:x", "h:0", "h:70000", ":1", 7])
def test_an_address_that_is_none_is_told_with_its_file(tmp_path: Path, address: object) -> None:
    (tmp_path / "run").mkdir()
    part = {"address": address, "pid": 1}
    document = {"version": "0", "pid": 1, "started_at": "", "parts": {"store": part}}
    (tmp_path / "run/mesh.json").write_text(json.dumps(document))
    with pytest.raises(LocalError, match=r"run/mesh.json cannot be read \(.* is no HOST:PORT\)"):
        MeshState.read(tmp_path)


def test_a_state_that_cannot_be_read_costs_only_its_ports(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/mesh.json").write_text("{")
    assert planned_ports(tmp_path, {"store": 7}) == {**DEFAULT_PORTS, "store": 7}
    assert "mesh.json cannot be read" in caplog.text


def test_two_parts_do_not_get_one_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(tmp_path)]
    assert cli.main(["up", *data, "--port", "store=7000", "--port", "broker=7000"]) == Exit.BAD_INPUT
    assert "store and broker cannot both have port 7000" in capsys.readouterr().err
    (tmp_path / "run").mkdir()
    MeshState("0", 1, "", {"online": PartState("127.0.0.1:7000", None)}).write(tmp_path)
    with pytest.raises(LocalError, match="online and store cannot both have port 7000"):
        planned_ports(tmp_path, {"store": 7000})
    assert planned_ports(tmp_path, {"store": 0, "broker": 0})["broker"] == 0


def test_a_format_that_was_cut_off_is_none_yet(tmp_path: Path) -> None:
    (tmp_path / "format").write_text("")
    assert data_format(tmp_path) is None
    prepare(tmp_path)
    assert data_format(tmp_path) == 1


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, r"make room there \(`df /data`\)"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EACCES, "see to its permissions"),
        (errno.ENOTDIR, "a file stands where a directory is to be"),
        (errno.EIO, "see to its room and permissions"),
    ],
)
def test_the_remedy_fits_the_error(number: int, words: str) -> None:
    error = OSError(number, os.strerror(number), "/data/run")
    with pytest.raises(LocalError, match=words):
        raise LocalError(cannot_write(error, Path("/data")))
