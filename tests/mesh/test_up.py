"""`skewless up`: a mesh that one can live with. Started, used, killed, started again; and every way not to start."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from skewless.bus import Bus
from skewless.client import Store
from tests.mesh.commands import FREE_PORTS, document, environ, processes_in, running, skewless, spawned

pytestmark = pytest.mark.timeout(300)  # starts of the whole mesh, one after the other

GET = ("get", "fraud", "--entity", "user_id=u7", "--request", "amount=100")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A feature repository, applied to a mesh that has read three payments of u7 and a spoilt record."""
    directory = tmp_path_factory.mktemp("shop")
    skewless(directory, "init", "--project", "shop")
    try:
        spawned(directory, "up", *FREE_PORTS)
        assert [change["change"] for change in document(directory, "plan")["changes"]] == ["add"] * 5
        skewless(directory, "apply", "--yes", "--reason", "a test")
        publish(directory)
        yield directory
    finally:
        spawned(directory, "down")
    assert processes_in(directory / ".skewless") == []


def addresses(directory: Path) -> dict[str, str]:
    state = json.loads((directory / ".skewless/run/mesh.json").read_text())
    return {name: part["address"] for name, part in state["parts"].items()}


def publish(directory: Path) -> None:
    """Sends the events and waits until they can be read and are logged."""
    at = addresses(directory)
    bus = Bus(at["broker"])
    bus.ensure_topic("payments", partitions=1)
    with bus.sender() as sender:
        for minutes, amount in ((50, 20.0), (20, 40.0), (1, 90.0)):
            time_ = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes)
            payment = {"at": time_.isoformat(), "user_id": "u7", "amount": amount}
            sender.send("payments", json.dumps(payment).encode(), key=b"u7")
        sender.send("payments", b"{", key=b"u7")
        assert sender.flush(10)
    with Store("shop", stream_agg=at["stream_agg"]) as store:
        store.stream_status(wait_for=[("payments", 0, 4)], wait_for_log=True, timeout_s=60)


def vector(directory: Path) -> dict[str, Any]:
    answer = document(directory, *GET)
    return {item["feature"]: item["value"] for item in answer["features"]}


VALUES = {"spending:n_1h": 3, "spending:usual_1h": 50.0, "spending:usual_7d": 50.0, "ratio:ratio": 2.0}


def test_status_tells_parts_and_streams(shop: Path) -> None:
    found = document(shop, "status")
    assert found["healthy"] is True
    health = {part["part"]: part["health"] for part in found["parts"]}
    services = dict.fromkeys(("registry", "stream_agg", "online", "offline", "validator"), "SERVING")
    assert health == {"store": "RUNNING", "broker": "RUNNING", **services}
    assert all(running(part["pid"]) for part in found["parts"])
    assert [part["part"] for part in found["parts"] if part["metrics"]] == [*services]
    log = found["streams"][0]
    assert {name: log[name] for name in ("log", "end", "visible", "logged", "lag", "stopped")} == {
        "log": "payments", "end": 4, "visible": 4, "logged": 4, "lag": 0, "stopped": "",
    }  # fmt: skip
    source = found["sources"][0]
    assert {name: source[name] for name in ("source", "consumed", "accepted", "malformed", "too_far_future")} == {
        "source": "payments", "consumed": 4, "accepted": 3, "malformed": 1, "too_far_future": 0,
    }  # fmt: skip
    text = skewless(shop, "status").stdout
    assert re.search(r"^shop +payments +4 +4 +4 +0$", text, re.MULTILINE)
    assert re.search(r"^shop +payments +4 +3 +0 +0 +1 +0$", text, re.MULTILINE)


def test_refused_records_are_listed_and_sent_again(shop: Path) -> None:
    (letter,) = document(shop, "deadletter", "list", "payments")["letters"]
    assert (letter["verdict"], letter["payload"], letter["key"], letter["replayed"]) == ("malformed", "{", "u7", False)
    assert re.search(
        rf"^{letter['position']} +{letter['reason']} ",
        skewless(shop, "deadletter", "list", "payments").stdout,
        re.MULTILINE,
    )
    assert document(shop, "deadletter", "list", "payments", "--reason", "OTHER")["letters"] == []
    sent = document(shop, "deadletter", "replay", "payments", "--at", letter["position"])
    assert (sent["replayed"], sent["already_replayed"]) == (1, 0)
    again = document(shop, "deadletter", "replay", "payments", "--reason", letter["reason"])
    assert again["already_replayed"] >= 1
    assert "EPOCH/PARTITION/OFFSET" in skewless(shop, "deadletter", "replay", "payments", code=2).stderr
    assert "got '1/2'" in skewless(shop, "deadletter", "replay", "payments", "--at", "1/2", code=2).stderr
    assert skewless(shop, "deadletter", "list", "nothing", code=2).stderr.startswith("skewless: no ")


def test_what_is_served_is_shown_with_status_and_age(shop: Path) -> None:
    assert vector(shop) == VALUES
    text = skewless(shop, *GET).stdout
    assert re.search(r"^spending:usual_1h +50\.0 +PRESENT +\d{4}-\S+\+00:00 +\d+m \d+s$", text, re.MULTILINE)
    one = document(shop, "get", "--feature", "spending@1.0.0:n_1h", "-e", "user_id=nobody")
    assert [(item["value"], item["status"], item["age_s"]) for item in one["features"]] == [(0, "PRESENT", None)]
    past = document(shop, *GET, "--at", "2020-01-01T00:00:00Z")
    assert {item["status"] for item in past["features"]} == {"NOT_ANSWERABLE"}
    assert past["request_time"] == "2020-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["get", "frau"], "no feature service 'frau'; known: fraud@1.0.0"),
        (["get", "fraud@2.0.0"], "no feature service 'fraud@2.0.0'; known: fraud@1.0.0"),
        (["get", "fraud", "-r", "amount=1"], "user_id"),
        (["get", "fraud", "-e", "user_id=u7"], "amount"),
        (["get", "fraud", "-e", "user=u7"], "--entity user: fraud@1.0.0 takes user_id (string)"),
        (["get", "fraud", "-e", "user_id=u7", "-r", "amount=much"], "--request amount: expected float64"),
        (["get", "--feature", "spending@1.0.0:m"], "known: spending@1.0.0:n_1h"),
        (["get", "--feature", "spending:n_1h"], "known: spending@1.0.0:n_1h, "),
        (["get", "--feature", "n_1h"], "known: ratio@1.0.0:ratio, spending@1.0.0:n_1h, "),
        (["get", "fraud", "--project", "other"], "none is known; in project 'other'"),
        (["deadletter", "replay", "payments", "--at", f"1/0/{10**30}"], "offset"),
        (["get"], "give a feature service, or features with --feature"),
        (["materialize", "spending"], "no batch view 'spending'"),
        (["materialize", "spending@1.0.0"], "not a latest view over a batch source"),
        (["explain", "01M84JDX9TY7G3VJRSF2HEQRXK", "spending:n_1h"], "no served request"),
        (["train", "fraud", "nothing.csv", "--out", "t.parquet"], "there is no file nothing.csv"),
        (["train", "fraud", "skewless.toml", "--out", "t.parquet"], "neither .parquet nor .csv"),
        (["train", "fraud", "skewless.toml", "--out", "no/t.parquet"], "there is no directory no"),
    ],
)
def test_what_cannot_be_is_told_in_words(shop: Path, arguments: list[str], words: str) -> None:
    done = skewless(shop, *arguments, code=2)
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_served_is_replayed_explained_and_trained_on(shop: Path) -> None:
    request = document(shop, *GET)["request_id"]
    deadline = time.monotonic() + 30
    while (found := replayed(shop, request)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (found["replayed"], found["equal"], found["different"]) == (1, 1, 0)
    assert found["outcomes"] == {request: "EQUAL"}
    assert document(shop, "replay")["different"] == 0
    assert document(shop, "replay", "--from", "now")["vectors"] == 0

    why = document(shop, "explain", request, "ratio:ratio")
    assert (why["value"], why["replayed"], why["status"]) == (2.0, 2.0, "PRESENT")
    assert [json.loads(event["payload"])["amount"] for event in why["inputs"][0]["events"]] == [90.0, 40.0, 20.0]
    assert "input usual = spending:usual_7d: 50.0 (PRESENT)" in skewless(shop, "explain", request, "ratio:ratio").stdout

    (shop / "served.csv").write_text(f"request_id\n{request}\n")
    document(shop, "train", "fraud", "served.csv", "--as-served", "--out", "served.parquet")
    row = pyarrow.parquet.read_table(shop / "served.parquet").to_pylist()[0]
    assert row == {"request_id": request, **VALUES}

    now = dt.datetime.now(dt.UTC).isoformat()
    (shop / "frame.csv").write_text(f"user_id,amount,at\nu7,100,{now}\n7,100,{now}\n")
    made = document(shop, "train", "fraud", "frame.csv", "--time-column", "at", "--with-statuses", "--out", "t.parquet")
    assert (made["rows"], made["features"]) == (2, list(VALUES))
    rows = pyarrow.parquet.read_table(shop / "t.parquet").to_pylist()
    assert {name: rows[0][name] for name in VALUES} == VALUES
    assert (rows[1]["user_id"], rows[1]["spending:n_1h"], rows[1]["ratio:ratio__status"]) == ("7", 0, 2)
    (shop / "naive.csv").write_text("user_id,amount,at\nu7,100,2026-01-31T12:00:00\n")
    naive = skewless(shop, "train", "fraud", "naive.csv", "--time-column", "at", "--out", "t.parquet", code=2)
    assert "expected a zone offset" in naive.stderr


def replayed(directory: Path, request: str) -> dict[str, Any] | None:
    """The replay of one request, or None while the served log does not have it yet."""
    done = skewless(directory, "replay", "--request-id", request, "--json", code=None)
    if done.stderr:
        assert json.loads(done.stderr)["error"]["reason"] == "UNKNOWN_REQUEST_ID"
        return None
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer if answer["replayed"] else None


def test_definitions_and_registry_are_compared_either_way(shop: Path, tmp_path: Path) -> None:
    assert skewless(shop, "diff").stdout == "no difference\n"
    shutil.copy(shop / "skewless.toml", tmp_path)
    code = (shop / "features.py").read_text()
    changed = code.replace('"ratio": "amount / usual"', '"ratio": "amount - usual"').replace('sk.FeatureService("fraud"', 'sk.FeatureService("risk"')  # fmt: skip  # noqa: E501
    assert changed != code
    (tmp_path / "features.py").write_text(changed)
    data = ("--data", str(shop / ".skewless"))
    found = document(tmp_path, "diff", *data, code=1)
    assert [(change["change"], change["ref"]) for change in found["changes"]] == [
        ("refused", "ratio@1.0.0"),
        ("add", "risk@1.0.0"),
    ]
    assert found["only_in_registry"] == [{"kind": "feature_service", "ref": "fraud@1.0.0"}]
    assert "give it the version 2.0.0" in skewless(tmp_path, "plan", *data, code=1).stdout
    refused = skewless(tmp_path, "apply", "--yes", "--json", *data, code=2)
    assert json.loads(refused.stderr)["error"]["reason"] == "MEANING_CHANGED"


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_apply_asks_if_something_changes(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ("--data", str(shop / ".skewless"))
    shutil.copy(shop / "skewless.toml", tmp_path)
    shutil.copy(shop / "features.py", tmp_path)
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert "Apply?" not in skewless(tmp_path, "apply", *data).stdout
    code = (shop / "features.py").read_text().replace('sk.FeatureService("fraud"', 'sk.FeatureService("later"')
    (tmp_path / "features.py").write_text(code)
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    refused = skewless(tmp_path, "apply", *data, code=1).stdout
    assert "would be added" in refused
    assert "not applied\n" in refused
    assert [change["ref"] for change in document(tmp_path, "diff", *data, code=1)["changes"]] == ["later@1.0.0"]


@pytest.mark.parametrize("name", ["store", "broker"])
def test_a_part_that_hangs_is_not_healthy(shop: Path, name: str) -> None:
    pid = next(part["pid"] for part in document(shop, "status")["parts"] if part["part"] == name)
    os.kill(pid, signal.SIGSTOP)
    try:
        found = document(shop, "status", code=1)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert found["healthy"] is False
    assert next(part["health"] for part in found["parts"] if part["part"] == name) == "UNREACHABLE"
    deadline = time.monotonic() + 30
    while not document(shop, "status", code=None)["healthy"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_second_start_says_that_it_runs_already(shop: Path) -> None:
    pid = int((shop / ".skewless/mesh.lock").read_text())
    done = spawned(shop, "up", "--json", code=4)
    error = json.loads(done.stderr)["error"]
    assert (error["pid"], error["addresses"]) == (pid, addresses(shop))
    assert f"runs already in {shop / '.skewless'}: process {pid}" in error["message"]
    assert document(shop, "status")["healthy"] is True


def test_an_address_is_enough_for_a_client(shop: Path, tmp_path: Path) -> None:
    at = addresses(shop)
    given = ",".join(f"{name}={at[name]}" for name in ("registry", "online"))
    done = skewless(tmp_path, *GET, "--project", "shop", "--json", SKEWLESS_ADDRESS=given)
    assert [item["value"] for item in json.loads(done.stdout)["features"]] == list(VALUES.values())
    status = json.loads(skewless(tmp_path, "status", "--json", SKEWLESS_ADDRESS=given).stdout)
    assert {part["part"]: part["health"] for part in status["parts"]} == dict.fromkeys(
        ("registry", "online"), "SERVING"
    )
    lacking = skewless(tmp_path, "replay", "--project", "shop", code=3, SKEWLESS_ADDRESS=given)
    assert "does not name offline" in lacking.stderr


def test_a_part_that_dies_is_started_again(shop: Path) -> None:
    before = {part["part"]: part for part in document(shop, "status")["parts"]}
    os.kill(before["online"]["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while True:
        found = document(shop, "status", code=None)
        part = next(part for part in found["parts"] if part["part"] == "online")
        if part["restarts"] and part["pid"] and found["healthy"]:
            break
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    assert part["pid"] != before["online"]["pid"]
    assert (part["restarts"], part["last_exit"]) == (1, "signal SIGKILL")
    assert vector(shop) == VALUES


def test_what_is_served_outlives_kill_9_of_the_whole_tree(shop: Path) -> None:
    before = vector(shop)
    assert before == VALUES
    at = addresses(shop)
    tree = processes_in(shop / ".skewless")
    assert len(tree) == 8
    os.kill(int((shop / ".skewless/mesh.lock").read_text()), signal.SIGSTOP)  # or it would start parts again
    for pid in tree:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while processes_in(shop / ".skewless"):
        assert time.monotonic() < deadline
    assert "no mesh runs in" in skewless(shop, *GET, code=3).stderr

    assert json.loads(spawned(shop, "up", "--json").stdout)["addresses"] == at
    assert vector(shop) == before
    assert document(shop, "replay")["different"] == 0

    assert json.loads(spawned(shop, "down", "--json").stdout)["stopped"] is True
    assert processes_in(shop / ".skewless") == []
    assert json.loads(spawned(shop, "up", "--json").stdout)["addresses"] == at
    assert vector(shop) == before


def test_in_the_foreground_it_stays_until_it_is_told_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "skewless.cli", "up", "--foreground", "--json", *FREE_PORTS]
    with subprocess.Popen(command, cwd=tmp_path, env=environ(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid
        assert document(tmp_path, "status")["healthy"] is True
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert processes_in(tmp_path / ".skewless") == []


def test_a_taken_port_is_told_with_its_holder_and_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = spawned(tmp_path, "up", *FREE_PORTS, "--port", f"broker={port}", code=5)
    assert f"broker cannot listen on 127.0.0.1:{port}" in done.stderr
    assert f"(pid {os.getpid()}) has the port" in done.stderr
    assert "skewless up --port broker=NUMBER" in done.stderr
    assert processes_in(tmp_path / ".skewless") == []


def test_a_file_limit_is_told_with_its_directory(tmp_path: Path) -> None:
    done = spawned(tmp_path, "up", *FREE_PORTS, code=5, limit_bytes=1 << 20)
    assert f"{tmp_path / '.skewless' / 'run'} cannot be written: File too large" in done.stderr
    assert "ulimit -f" in done.stderr
    assert processes_in(tmp_path / ".skewless") == []


@contextlib.contextmanager
def disk(place: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of that size."""
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(place)], check=False)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)  # noqa: S607 (as mount was found)


def test_a_full_disk_is_told_with_its_directory(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 2) as place:
        done = spawned(place, "up", *FREE_PORTS, code=5)
        assert f"{place / '.skewless' / 'run'} cannot be written: No space left on device; make room" in done.stderr
        assert f"df {place / '.skewless'}" in done.stderr


def test_a_disk_that_is_full_later_is_told_by_status(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 128) as place:
        spawned(place, "up", *FREE_PORTS)
        try:
            assert document(place, "status")["disk"]["full"] is False
            with contextlib.suppress(OSError), (place / "filler").open("wb") as filler:
                while True:
                    filler.write(bytes(1 << 20))
                    filler.flush()
            assert document(place, "status", code=1)["disk"] == {"free_mb": 0, "full": True}
            assert "the disk is full: make room" in skewless(place, "status", code=1).stdout
            (place / "filler").unlink()
            assert document(place, "status")["healthy"] is True
        finally:
            spawned(place, "down")


def test_the_part_that_cannot_write_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / ".skewless/registry.db").mkdir(parents=True)
    done = spawned(tmp_path, "up", *FREE_PORTS, code=5)
    assert re.search(r"registry ended at its start with exit code \d; the end of \S+/logs/registry.log:", done.stderr)
    assert "unable to open database file" in done.stderr
    assert processes_in(tmp_path / ".skewless") == []


def test_data_of_another_format_are_refused(tmp_path: Path) -> None:
    (tmp_path / ".skewless").mkdir()
    (tmp_path / ".skewless/format").write_text("77\n")
    assert "holds data of format 77" in spawned(tmp_path, "up", *FREE_PORTS, code=5).stderr


def test_a_state_that_cannot_be_read_costs_only_its_ports(tmp_path: Path) -> None:
    (tmp_path / ".skewless/run").mkdir(parents=True)
    (tmp_path / ".skewless/run/mesh.json").write_text("{")
    (tmp_path / ".skewless/format").write_text("")
    try:
        done = spawned(tmp_path, "up", *FREE_PORTS)
        assert f"warning: {tmp_path / '.skewless/run/mesh.json'} cannot be read" in done.stderr
        assert document(tmp_path, "status")["healthy"] is True
    finally:
        spawned(tmp_path, "down")
