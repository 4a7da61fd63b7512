"""A real mesh that is traced and scraped, once for all tests here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from skewless.local import LocalMesh
from skewless.local.mesh import SERVICES
from tests.mesh import world
from tests.telemetry.collected import Spans

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Observed:
    """What a mesh told of one run of `tests/telemetry/application.py`.

    scrapes, openmetrics: by service, the text of its metrics, in Prometheus' format and in that of OpenMetrics.
    logs: by service. trace_id, request_id: of the application.
    """

    spans: Spans
    scrapes: dict[str, str]
    openmetrics: dict[str, str]
    logs: dict[str, str]
    trace_id: str
    request_id: str


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    directory = tmp_path_factory.mktemp("observed")
    spans = directory / "spans.jsonl"
    users = pa.table({"user": world.USERS[:5], "limit": [100.0, 200.0, None, 400.0, 500.0]})
    pyarrow.parquet.write_table(users, directory / "profiles.parquet")
    environ = {
        "SKEWLESS_SPANS_FILE": str(spans),
        "SKEWLESS_TRACE_RATIO": "1",
        "SKEWLESS_LOG_FORMAT": "json",
        "SKEWLESS_LOG_LEVEL": "DEBUG",
        "SKEWLESS_SOURCES": str(directory),
        "SKEWLESS_COMMIT_MS": "100",
        "SKEWLESS_SERVED_COMMIT_MS": "100",
        "SKEWLESS_REPLAY_SETTLE_MS": "200",
        "SKEWLESS_REPLAY_INTERVAL_MS": "200",
    }
    with LocalMesh(directory / "mesh", environ=environ) as mesh:
        command = [sys.executable, str(Path(__file__).with_name("application.py")), json.dumps(mesh.addresses)]
        done = subprocess.run(
            [*command, str(spans)], cwd=ROOT, env=_with_root(), capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        scrapes = {name: scrape(mesh, name, "text/plain") for name in SERVICES}
        openmetrics = {name: scrape(mesh, name, "application/openmetrics-text") for name in SERVICES}
    logs = {name: mesh.log(name).read_text() for name in SERVICES}
    return Observed(Spans(spans), scrapes, openmetrics, logs, **told)


def scrape(mesh: LocalMesh, name: str, kind: str) -> str:
    """The metrics of a service, asked for as Prometheus does for this format."""
    address = mesh.metrics_address(name)
    assert address is not None
    opener = urllib.request.build_opener()
    opener.addheaders = [("Accept", f"{kind};q=0.9,*/*;q=0.1")]
    with opener.open(f"http://{address}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith(kind)
        return str(answer.read().decode())


def _with_root() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
