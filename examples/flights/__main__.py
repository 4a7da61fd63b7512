"""``make demo``: the flights example from nothing to its report, in one process tree that ends with it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from examples.flights import data, definitions, demo
from examples.flights.publish import TOPICS
from examples.shared import asking, learning, program
from examples.shared.publish import Publisher
from skewless.bus import Bus
from skewless.local import LocalMesh


def run(directory: Path) -> dict[str, Any]:
    """The whole demonstration; its report."""
    with program.progress_bars() as progress:
        flights = data.load()
        demo.write_tables(flights, directory / "sources")
        environ = {**program.SETTINGS, "SKEWLESS_SOURCES": str(directory / "sources")}
        mesh = LocalMesh(directory / "mesh", environ=environ)
        with mesh, program.open_store(mesh, definitions.PROJECT) as store:
            plan = store.plan(definitions.project)
            store.apply(definitions.project, after=plan, reason="the flights example")
            publisher = Publisher(Bus(mesh.addresses["broker"]), TOPICS)
            asking.load_tables(store, demo.BATCH_VIEWS)
            started = time.perf_counter()
            asked = demo.serve_year(store, publisher, flights, progress)
            streamed_s = time.perf_counter() - started
            replayed = asking.replay(store, asked, progress)
            learned = learning.learn(
                store,
                asked,
                definitions.SERVICE,
                demo.MODEL,
                split_us=demo.SPLIT_US,
                seed=demo.SEED,
                progress=progress,
            )
            explained = asking.explain(store, asked.request_ids[-1], demo.EXPLAINED, json.loads)
            counts = demo.records(store)
    figures = program.figures(publisher.published, streamed_s, asked, learned, replayed)
    return {**figures, **counts, "explained": explained}


def words(report: Mapping[str, Any]) -> Iterable[str]:
    """The report in words."""
    return program.common_words(report, tested="October to December", skew="lateness and weekly loads")


def faults(report: Mapping[str, Any]) -> list[str]:
    """What of the report is not as it must be."""
    return program.common_faults(report, demo.LEAST_VECTORS)


if __name__ == "__main__":
    sys.exit(program.main("flights", __doc__, run, words, faults))
