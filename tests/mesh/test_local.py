"""The embedded stack keeps data, keeps ports, leaves nothing running, and says clearly what is wrong."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis

from skewless.local import BROKER, STORE, LocalError, LocalMesh, PortTakenError, ports
from skewless.local.process import Part, PartProcess
from tests.mesh.commands import processes_in, running


def gone_within(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(running(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def test_the_store_keeps_its_data_and_its_port_through_a_kill(tmp_path: Path) -> None:
    with LocalMesh(tmp_path, services=()) as mesh:
        address = mesh.addresses[STORE]
        with Redis.from_url(mesh.store_url) as store:
            store.set("a", "1")
        mesh.kill(STORE)
        assert mesh.pid(STORE) is None
        assert mesh.restart(STORE) == address
        with Redis.from_url(mesh.store_url) as store:
            assert store.get("a") == b"1"
            assert store.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert store.config_get("appendonly") == {"appendonly": "yes"}


def test_the_port_of_a_part_that_does_not_run_is_not_taken_for_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalMesh(tmp_path, services=()) as mesh:
        port = int(mesh.addresses[STORE].rpartition(":")[2])
        monkeypatch.setattr(ports, "_FREE_PORTS", range(port, port + 1))
        mesh.kill(STORE)
        with pytest.raises(LocalError, match="no free port"):
            ports.free_port()
        mesh.restart(STORE)
    assert ports.free_port() == port


def test_stopping_leaves_nothing_running(tmp_path: Path) -> None:
    with LocalMesh(tmp_path, services=()) as mesh:
        pids = [pid for name in (STORE, BROKER) if (pid := mesh.pid(name))]
        assert len(pids) == 2
    assert not any(running(pid) for pid in pids)


def test_the_parts_end_when_their_starter_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, threading, time\n"
        "from skewless.local import LocalMesh\n"
        "mesh = LocalMesh(sys.argv[1], services=())\n"
        "starter = threading.Thread(target=mesh.start); starter.start(); starter.join()\n"
        "print(mesh.pid('store'), mesh.pid('broker'), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        pids = [int(pid) for pid in holder.stdout.readline().split()]
        assert len(pids) == 2
        assert all(running(pid) for pid in pids)
        os.kill(holder.pid, signal.SIGKILL)
    assert gone_within(pids, 5)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            PortTakenError, match=rf"broker cannot listen on 127.0.0.1:{port}: \S+ \(pid {os.getpid()}\)"
        ):
            LocalMesh(tmp_path, services=(), ports={BROKER: port}).start()
    assert processes_in(tmp_path) == []


def test_of_parts_that_start_together_the_one_that_fails_is_named_and_none_is_left(tmp_path: Path) -> None:
    mesh = LocalMesh(tmp_path, services=("registry", "stream_agg"), environ={"SKEWLESS_CACHE_MB": "much"})
    with pytest.raises(LocalError, match=r"(?s)stream_agg ended at its start with exit code 2; .*SKEWLESS_CACHE_MB"):
        mesh.start()
    assert processes_in(tmp_path) == []


def test_services_find_one_another_whichever_is_ready_first(tmp_path: Path) -> None:
    with LocalMesh(tmp_path, services=("registry", "online")) as mesh:
        ports = {name: address.rpartition(":")[2] for name, address in mesh.addresses.items()}
        assert len(set(ports.values())) == 4
        assert processes_in(tmp_path)
        environ = Path(f"/proc/{mesh.pid('online')}/environ").read_bytes().decode().split("\0")
        assert f"SKEWLESS_REGISTRY=127.0.0.1:{ports['registry']}" in environ
        before = mesh.addresses
        mesh.stop()
        mesh.start()
        assert mesh.addresses == before


def test_a_second_mesh_in_the_directory_is_refused(tmp_path: Path) -> None:
    with LocalMesh(tmp_path, services=()), pytest.raises(LocalError, match=r"in use by process \d+"):
        LocalMesh(tmp_path, services=()).start()


def test_a_part_that_ends_at_its_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    part = Part("broken", lambda _port: [sys.executable, "-c", "raise SystemExit('no luck')"], lambda _port: None)
    process = PartProcess(part, environ=dict(os.environ), cwd=tmp_path, log=tmp_path / "broken.log")
    with pytest.raises(LocalError, match=r"(?s)broken ended at its start with exit code 1; .*no luck"):
        process.start()


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    part = Part("absent", lambda _port: ["/nowhere/absent"], lambda _port: None)
    process = PartProcess(part, environ=dict(os.environ), cwd=tmp_path, log=tmp_path / "absent.log")
    with pytest.raises(LocalError, match="No such file"):
        process.start()


def test_an_unknown_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="no service oracle"):
        LocalMesh(tmp_path, services=("oracle",))
