"""The fraud example in small: every record is counted as it was made, and what was served is what the oracle says."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.fraud import definitions, demo, generator
from examples.fraud.days import Run
from examples.fraud.generator import Record, Scenario, Traffic
from examples.shared import asking, program
from examples.shared.publish import Publisher
from skewless.bus import Bus
from skewless.client import Store
from skewless.lake import Lake
from skewless.local import BROKER, LocalMesh
from tests.mesh.fraud_run import drive, served_rows
from tests.mesh.fraud_truth import Oracle, assert_as_the_oracle_says, placed

SCENARIO = Scenario(seed=7, users=12, merchants=20, days=6, rate=3, sprees=4.0, offline=0.1, malformed=0.05, ahead=0.01)
RUN = Run(SCENARIO, served_steps=50, rewinds=2, rewound_by=(20, 100))
SETTINGS = {"SKEWLESS_COMMIT_MS": "200", "SKEWLESS_SERVED_COMMIT_MS": "200", "SKEWLESS_FLUSH_MS": "3"}


@contextmanager
def world(directory: Path, traffic: Traffic) -> Iterator[tuple[LocalMesh, Store, Publisher]]:
    """A mesh with the example applied and its profiles online."""
    demo.write_tables(traffic, directory / "sources")
    environ = {**SETTINGS, "SKEWLESS_SOURCES": str(directory / "sources")}
    mesh = LocalMesh(directory / "mesh", environ=environ)
    with mesh, program.open_store(mesh, definitions.PROJECT) as store:
        store.apply(definitions.project)
        publisher = Publisher(Bus(mesh.addresses[BROKER]), demo.TOPICS)
        asking.load_tables(store, [demo.PROFILE_VIEW])
        yield mesh, store, publisher


def assert_counted(report: Mapping[str, int], publisher: Publisher, journal: demo.Journal, traffic: Traffic) -> None:
    """The product's counts add up, and are those of the generator."""
    assert publisher.published == len(traffic.records)
    assert demo.contradictions({**report, "events": publisher.published}, journal.expected) == []
    for outcome in ("duplicate", "on_time", "late", "malformed", "too_far_future"):
        assert report[outcome] > 0, f"nothing was {outcome}: the scenario shows too little"


def assert_logged_once(mesh: LocalMesh, traffic: Traffic) -> None:
    """The event logs of the topics have each position once, with the verdict that its fault deserves."""
    for source, topic in demo.TOPICS.items():
        table = Lake(str(mesh.lake)).events(definitions.PROJECT, topic).read(["partition", "offset", "verdict"])
        assert table is not None
        rows = [(row["partition"], row["offset"], row["verdict"]) for row in table.to_pylist()]
        wanted = [(*place, verdict(record)) for place, record in placed(traffic.records, source)]
        assert Counter(rows) == Counter(wanted)


def verdict(record: Record) -> str:
    if record.fault is generator.Fault.AHEAD:
        return "too_far_future"
    return "accepted" if record.fault is None else "malformed"


@pytest.mark.timeout(180)
def test_the_account_adds_up_and_what_was_served_is_what_the_oracle_says(tmp_path: Path) -> None:
    traffic, journal = generator.make(SCENARIO), demo.Journal()
    with world(tmp_path, traffic) as (mesh, store, publisher):
        known = drive(store, publisher, RUN, traffic, journal)
        assert_counted(demo.account(store), publisher, journal, traffic)
        assert_logged_once(mesh, traffic)

        asked = len(journal.asked.request_ids)
        assert asked >= RUN.served_steps
        with program.progress_bars() as progress:
            replay = asking.replay(store, journal.asked, progress)
        assert (replay.equal, replay.different, replay.not_answered) == (asked, 0, 0)

        rows, oracle = served_rows(store, journal.asked.frame()), Oracle(traffic)
        chosen = random.Random(3).sample(range(asked), 40)  # noqa: S311 (a choice to be repeated)
        for index in chosen:
            assert_as_the_oracle_says(rows[index], oracle, known.records[index], known.night[index])
        explained = asking.explain(store, demo.last_theft(journal.asked), demo.EXPLAINED, demo.payment)
        assert explained["value"] == pytest.approx(sum(event["payload"]["amount"] for event in explained["events"]))
