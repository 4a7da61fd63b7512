"""``make demo EXAMPLE=fraud``: the fraud example from nothing to its report, in one process tree that ends with it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from examples.fraud import definitions, demo, generator
from examples.fraud.days import Run, step_count
from examples.shared import asking, learning, program
from examples.shared.publish import Publisher
from skewless.bus import Bus
from skewless.local import LocalMesh

SEED = 2024


def run(directory: Path) -> dict[str, Any]:
    """The whole demonstration; its report."""
    plan = Run(generator.Scenario(seed=SEED), rewinds=3)
    journal = demo.Journal()
    with program.progress_bars() as progress:
        traffic = generator.make(plan.scenario)
        demo.write_tables(traffic, directory / "sources")
        environ = {**program.SETTINGS, "SKEWLESS_SOURCES": str(directory / "sources")}
        mesh = LocalMesh(directory / "mesh", environ=environ)
        with mesh, program.open_store(mesh, definitions.PROJECT) as store:
            after = store.plan(definitions.project)
            store.apply(definitions.project, after=after, reason="the fraud example")
            publisher = Publisher(Bus(mesh.addresses["broker"]), demo.TOPICS)
            asking.load_tables(store, [demo.PROFILE_VIEW])
            started = time.perf_counter()
            task = progress.add_task("six weeks through the mesh", total=step_count(plan))
            for _ in demo.serve(store, publisher, plan, traffic, journal):
                progress.advance(task)
            streamed_s = time.perf_counter() - started
            counted = demo.account(store)
            replayed = asking.replay(store, journal.asked, progress)
            learned = learning.learn(
                store,
                journal.asked,
                definitions.SERVICE,
                demo.MODEL,
                split_us=plan.split_us,
                seed=SEED,
                progress=progress,
            )
            explained = asking.explain(store, demo.last_theft(journal.asked), demo.EXPLAINED, demo.payment)
    report = {
        **program.figures(publisher.published, streamed_s, journal.asked, learned, replayed),
        **counted,
        "faults": {fault.value: count for fault, count in sorted(journal.expected.faults.items())},
        "explained": explained,
    }
    return report | {"contradictions": demo.contradictions(report, journal.expected)}


def words(report: Mapping[str, Any]) -> Iterable[str]:
    """The report in words."""
    first, *others = program.common_words(report, tested="the last quarter", skew="late events and nightly runs")
    return (
        first,
        (
            f"consumed    {report['consumed']:,} records: {report['accepted']:,} accepted, {report['duplicate']:,} "
            f"duplicate, {report['malformed']:,} malformed, {report['too_far_future']:,} too far in the future"
        ),
        f"accepted    {report['on_time']:,} on time, {report['late']:,} late",
        *others,
    )


def faults(report: Mapping[str, Any]) -> list[str]:
    """What of the report is not as it must be."""
    return [*report["contradictions"], *program.common_faults(report, demo.LEAST_VECTORS)]


if __name__ == "__main__":
    sys.exit(program.main("fraud", __doc__, run, words, faults))
