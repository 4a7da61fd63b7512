"""A run of the fraud example that remembers what the mesh knew when it was asked, and what it served then.

Nothing here needs more than a client of the mesh has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from examples.fraud import definitions, demo
from examples.fraud.days import Run
from examples.fraud.generator import Traffic
from examples.shared.publish import Publisher
from skewless.client import Store


@dataclass
class Known:
    """What the mesh knew at each vector.

    records: how many records had been published.
    night: the end of the last day before, and how many records had been published then; None: no night yet.
    """

    records: list[int] = field(default_factory=list)
    night: list[tuple[int, int] | None] = field(default_factory=list)


def drive(store: Store, publisher: Publisher, run: Run, traffic: Traffic, journal: demo.Journal) -> Known:
    """The whole run; what was known at each of its vectors."""
    known, published, night = Known(), 0, None
    for step in demo.serve(store, publisher, run, traffic, journal):
        published += len(step.records)
        night = (step.end_us, published) if step.day_ends else night
        known.records += [published] * len(step.asked)
        known.night += [night] * len(step.asked)
    return known


def served_rows(store: Store, frame: pa.Table) -> list[dict[str, Any]]:
    """What was served, a row per row of the frame, instants as microseconds."""
    table = store.get_historical_features(frame, definitions.SERVICE, knowledge="as_served", with_statuses=True)
    columns = {
        name: column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for name, column in zip(table.schema.names, table.columns, strict=True)
    }
    rows: list[dict[str, Any]] = pa.table(columns).to_pylist()
    return rows
