"""Runs of a batch view, from a file to the online store: what each brings, and what waits for a later one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

import skewless as sk
from skewless.client import Store
from skewless.errors import SkewlessError
from skewless.lake import Lake
from skewless.local import LocalMesh
from tests.mesh.test_history import HOUR, START, until

PEOPLE = sk.BatchSource(
    "people",
    path="people.parquet",
    event_time="since",
    columns={"user": "string", "since": "timestamp", "age": "int64"},
)
PROFILE = sk.BatchFeatureView("profile", entity=sk.Entity("user"), source=PEOPLE, features=["age"])
PROJECT = sk.Project("runs", sk.FeatureService("model", features=[PROFILE]))

ASKED = pa.table({"user": ["ann"], "request_time": pa.array([START], pa.timestamp("us", "UTC"))})


@dataclass
class World:
    """Services with the view applied, and the file that it is made from."""

    store: Store
    lake: Lake
    file: Path

    def write(self, *rows: tuple[str, int, int]) -> None:
        users, since, ages = zip(*rows, strict=True)
        times = pa.array(since, pa.timestamp("us", "UTC"))
        pa.parquet.write_table(pa.table({"user": users, "since": times, "age": ages}), self.file)

    def ages(self, *users: str) -> tuple[Any, ...]:
        found = self.store.get_online_features("model@1.0.0", {"user": list(users)}, request_time=START + 9 * HOUR)
        values: tuple[Any, ...] = tuple(found.values["profile:age"])
        return values

    def published(self) -> list[dict[str, Any]]:
        table = self.lake.view("runs", "profile", "1.0").read(["entity_id", "event_time_us", "run_seq", "f_age"])
        assert table is not None
        return sorted(table.to_pylist(), key=lambda row: (row["run_seq"], row["entity_id"], row["event_time_us"]))


def addresses(mesh: LocalMesh) -> dict[str, Any]:
    return {name: mesh.addresses[name] for name in ("registry", "online", "offline")}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("runs")
    services = ("registry", "online", "offline")
    environ = {"SKEWLESS_SOURCES": str(directory)}
    with (
        LocalMesh(directory / "mesh", services, environ=environ) as mesh,
        Store("runs", **addresses(mesh)) as store,
    ):
        store.apply(PROJECT)
        until(
            lambda: store.get_historical_features(ASKED, "model@1.0.0").num_rows == 1
        )  # the service has the definitions
        yield World(store, Lake(str(mesh.lake)), directory / "people.parquet")


def test_a_run_publishes_up_to_its_own_instant_and_what_is_dated_ahead_waits(world: World) -> None:
    """L9: the edge belongs to the run."""
    world.write(("ann", START, 30), ("ann", START + 2 * HOUR, 31), ("bob", START + 2 * HOUR + 1, 40))
    run = world.store.materialize("profile@1.0.0", as_of=START + HOUR)
    assert (run.rows_read, run.rows_written, run.rows_dated_ahead) == (3, 1, 2)
    until(lambda: world.ages("ann", "bob") == (30, None))
    run = world.store.materialize("profile@1.0.0", as_of=START + 2 * HOUR)
    assert (run.rows_written, run.rows_dated_ahead) == (2, 1)
    assert world.ages("ann", "bob") == (31, None)
    run = world.store.materialize("profile@1.0.0", as_of=START + 3 * HOUR)
    assert (run.rows_written, run.rows_dated_ahead) == (3, 0)
    assert world.ages("ann", "bob") == (31, 40)


def test_a_run_has_the_next_number_when_it_commits_and_takes_no_row_away(world: World) -> None:
    """B1: a run that fails has none, and a table has all rows of every run."""
    world.write(("ann", START, 30))
    first = world.store.materialize("profile@1.0.0", as_of=START + HOUR)
    before = world.published()
    world.file.unlink()
    with pytest.raises(SkewlessError):
        world.store.materialize("profile@1.0.0", as_of=START + HOUR)
    assert world.published() == before
    world.write(("ann", START, 33), ("eve", START, 50))
    second = world.store.materialize("profile@1.0.0", as_of=START + HOUR)
    assert second.run_seq == first.run_seq + 1
    after = world.published()
    assert after[: len(before)] == before
    added = [(row["run_seq"], row["event_time_us"], row["f_age"]) for row in after[len(before) :]]
    assert added == [(second.run_seq, START, 33), (second.run_seq, START, 50)]
