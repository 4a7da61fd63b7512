"""Python functions served by real processes: values, failures, a process that is killed, a function that never ends,
another source, training frames and replay."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families

import skewless as sk
from skewless.client import Store
from skewless.client.results import Replay
from skewless.errors import FunctionNotServedError, UnknownRequestIdError
from skewless.local import LocalMesh
from skewless.types import Status
from tests.functions import samples
from tests.mesh import online_world as world

samples.install()

MODULE = samples.SCORING
SCORES = sk.OnDemandFeatureView(
    "scores",
    request=sk.RequestSource({"amount": "float64", "usual": "float64"}),
    features={"score": sk.PythonFunction(f"{MODULE}:score", "float64", budget="200ms"), "plain": "amount * 2.0"},
)
RISKS = sk.OnDemandFeatureView(
    "risks",
    inputs={"score": SCORES["score"]},
    request=sk.RequestSource({"x": "float64", "seconds": "float64"}),
    features={
        "high": "score > 1.0",
        "inverse": sk.PythonFunction(f"{MODULE}:reciprocal", "float64", budget="200ms"),
        "patient": sk.PythonFunction(f"{MODULE}:patient", "float64", budget="50ms"),
    },
)
MODEL = sk.FeatureService("model", features=[SCORES, RISKS])
NAMES = ("scores:score", "scores:plain", "risks:high", "risks:inverse", "risks:patient")
GOOD = {"amount": [12.5, 3.0, None], "usual": [10.0, 10.0, 1.0], "x": [4.0, 8.0, 0.5], "seconds": [0.0, 0.0, 0.0]}


def start(root: Path, installed: Path, *services: str) -> LocalMesh:
    """A mesh whose services find the sample package in ``installed``."""
    environ = {
        "SKEWLESS_FUNCTION_MODULES": MODULE,
        "SKEWLESS_FUNCTION_TIMEOUT_MS": "3000",
        "PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")]),
    }
    return LocalMesh(root / "mesh", services=services, environ=environ)


def connect(mesh: LocalMesh) -> Store:
    at = mesh.addresses
    return Store(world.PROJECT, registry=at["registry"], online=at["online"], offline=at["offline"])


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The sample package, installed where a test may change it."""
    return Path(shutil.copytree(samples.INSTALLED, tmp_path / "installed"))


@pytest.fixture
def mesh(tmp_path: Path, installed: Path) -> Iterator[LocalMesh]:
    with start(tmp_path, installed, "registry", "online", "offline") as run:
        yield run


@pytest.fixture
def store(mesh: LocalMesh) -> Iterator[Store]:
    with connect(mesh) as made:
        made.apply(sk.Project(world.PROJECT, MODEL))
        until(lambda: not made.get_online_features("model@1.0.0", {}, request=GOOD).failures)
        yield made


def until(is_true: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes(mesh: LocalMesh) -> list[int]:
    """The processes that run functions for the online service."""
    parent = mesh.pid("online")
    command = ["/bin/ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line.split()[0]) for line in found.stdout.splitlines() if "skewless/functions/worker.py" in line]


def test_values_are_served_and_trained_on_alike(store: Store) -> None:
    answer = store.get_online_features("model@1.0.0", {}, request=GOOD)
    assert answer.failures == {}
    assert answer.values["scores:score"] == (2.9723129723129724, -2.760356913617783, None)
    assert answer.values["scores:plain"] == (25.0, 6.0, None)
    assert answer.values["risks:high"] == (True, False, None)
    assert answer.values["risks:inverse"] == (0.25, 0.125, 2.0)
    assert answer.statuses["scores:score"] == (Status.PRESENT, Status.PRESENT, Status.NULL)
    times = pa.array([answer.request_time_us] * 3, pa.timestamp("us", "UTC"))
    frame = pa.table({**{name: pa.array(cells, pa.float64()) for name, cells in GOOD.items()}, "request_time": times})
    trained = store.get_historical_features(frame, "model@1.0.0", with_statuses=True)
    for name in NAMES:
        assert tuple(trained[name].to_pylist()) == answer.values[name]
        assert tuple(trained[f"{name}__status"].to_pylist()) == answer.statuses[name]


def test_what_one_row_does_is_its_own(store: Store) -> None:
    request = {**GOOD, "x": [4.0, 0.0, 0.5], "seconds": [0.0, 0.0, 60.0]}
    answer = store.get_online_features("model@1.0.0", {}, request=request)
    assert answer.values["risks:inverse"] == (0.25, None, 2.0)
    assert answer.statuses["risks:inverse"][1] is Status.FUNCTION_FAILED
    assert answer.values["risks:patient"] == (0.0, 0.0, None)
    assert answer.statuses["risks:patient"][2] is Status.NOT_COMPUTED
    assert answer.values["scores:score"][0] == 2.9723129723129724
    assert answer.failures == {
        "risks:inverse": "row 1: ZeroDivisionError: float division by zero",
        "risks:patient": "row 2: over the budget of 50 ms",
    }


def test_a_killed_process_is_replaced(mesh: LocalMesh, store: Store) -> None:
    assert store.get_online_features("model@1.0.0", {}, request=GOOD).failures == {}
    until(lambda: len(processes(mesh)) == 2)
    before = set(processes(mesh))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(processes(mesh)) - before) == 2)
    assert store.get_online_features("model@1.0.0", {}, request=GOOD).failures == {}


def test_another_source_is_not_called(mesh: LocalMesh, store: Store, installed: Path) -> None:
    file = installed / "sample_functions" / "scoring.py"
    file.write_text(file.read_text() + "\n# a later release\n")
    for service in ("online", "offline"):
        mesh.kill(service)
        mesh.restart(service)
    store.close()
    with connect(mesh) as again:
        until(lambda: "has the source" in again.get_online_features("model@1.0.0", {}, request=GOOD).failures[NAMES[0]])
        answer = again.get_online_features("model@1.0.0", {}, request=GOOD)
        assert answer.statuses["scores:score"] == (Status.NOT_COMPUTED,) * 3
        assert answer.statuses["risks:high"] == (Status.NOT_COMPUTED,) * 3
        assert answer.values["scores:plain"] == (25.0, 6.0, None)
        assert "the installed module has the source" in answer.failures["scores:score"]
        times = pa.array([answer.request_time_us] * 3, pa.timestamp("us", "UTC"))
        columns = {name: pa.array(cells, pa.float64()) for name, cells in GOOD.items()}
        with pytest.raises(FunctionNotServedError, match="the installed module has the source"):
            again.get_historical_features(pa.table({**columns, "request_time": times}), "model@1.0.0")
    assert "not computed: scores@1.0.0:score of shop" in mesh.log("online").read_text()
    address = mesh.metrics_address("online")
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as page:
        families = {family.name: family for family in text_string_to_metric_families(page.read().decode())}
    assert families["skewless_online_function_not_computed_rows"].samples[0].value >= 3


def test_replay_calls_again_only_in_an_equal_environment(mesh: LocalMesh, store: Store, installed: Path) -> None:
    answer = store.get_online_features("model@1.0.0", {}, request=GOOD)

    def replayed() -> Replay | None:
        try:
            return store.replay([answer.request_id])
        except UnknownRequestIdError:
            return None

    until(lambda: replayed() is not None)
    same = store.replay([answer.request_id])
    assert (same.equal, same.different, same.not_replayed) == (3, 0, 0)
    # Another release of what the module imports: its own source is the same.
    steps = installed / "sample_functions" / "steps.py"
    steps.write_text(steps.read_text() + "\n# a later release\n")
    mesh.kill("offline")
    mesh.restart("offline")
    with connect(mesh) as again:
        other = again.replay([answer.request_id])
        assert (other.equal, other.different, other.not_replayed) == (0, 0, 3)
        assert dict(other.outcomes) == {answer.request_id: "NOT_REPLAYED"}
        found = again.explain(answer.request_id, "scores:score")
        assert (found.value, found.replayed_status) == (2.9723129723129724, Status.NOT_COMPUTED)
