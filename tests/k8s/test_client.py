"""The client's part of the suite against a mesh on this machine: what is broken here need not wait for a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.fraud import demo, generator
from skewless.local import LocalMesh
from tests.k8s import truth
from tests.k8s.client import reading
from tests.k8s.client.scenario import LATER_VECTORS, SCENARIO, Addresses

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"SKEWLESS_COMMIT_MS": "200", "SKEWLESS_SERVED_COMMIT_MS": "200", "SKEWLESS_FLUSH_MS": "3"}


def client(addresses: dict[str, str], part: str) -> dict[str, Any]:
    """What a part prints, as a process of its own, which is how a pod runs it."""
    command = [sys.executable, "-m", "tests.k8s.client", part, "--addresses", json.dumps(addresses)]
    done = subprocess.run(
        command, cwd=ROOT, input="", capture_output=True, text=True, check=False, timeout=150
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.timeout(180)
def test_the_scenario_is_counted_replayed_and_read_without_a_fault(tmp_path: Path) -> None:
    demo.write_tables(generator.make(SCENARIO), tmp_path / "sources")
    environ = {**SETTINGS, "SKEWLESS_SOURCES": str(tmp_path / "sources")}
    with LocalMesh(tmp_path / "mesh", environ=environ) as mesh:
        addresses = {name: mesh.addresses[name] for name in Addresses.__dataclass_fields__}
        found = client(addresses, "scenario")
        assert found["faults"] == []
        assert found["mismatches"] == 0
        assert found["replayed"] == found["served"] == found["equal"] >= 40
        assert len(found["sample"]) > 20
        assert truth.contradictions(found["sample"]) == []
        spoilt = {**found["sample"][0], "row": {**found["sample"][0]["row"], "spending:payments_30d": -1}}
        assert len(truth.contradictions([spoilt])) == 1

        readings = reading.read(addresses["online"], iter([False] * 40 + [True]).__next__).document()
        assert (readings["asked"], readings["failed"], readings["wrong"]) == (40, 0, 0), readings
        after, served = client(addresses, "again"), found["served"] + 40 + LATER_VECTORS
        assert after["faults"] == []
        assert (after["replayed"], after["mismatches"]) == (served, 0)
        assert (after["validator_replayed"], after["validator_mismatches"]) == (served, 0)

        mesh.halt("online")
        readings = reading.read(addresses["online"], iter([False] * 8 + [True]).__next__).document()
        assert (readings["asked"], readings["failed"], readings["errors"]) == (8, 8, {"UNAVAILABLE": 8})
