"""The demonstration: weeks of card payments through the mesh, served, counted, replayed, trained on and explained.

1. `write_tables` writes the users' profiles; definitions are planned and applied (in ``__main__``).
2. `serve` publishes the weeks in steps; after some steps vectors are asked for over gRPC. It is an iterator over the
   steps, so that whoever drives it can do something between two of them.
3. `account` takes the product's count of every record, and `contradictions` compares it with the generator's.
4. The rest is common to all examples: `examples.shared`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from examples.fraud import definitions
from examples.fraud.days import Run, Step, steps
from examples.fraud.encoding import decode, encode
from examples.fraud.expected import Expected, partition_of
from examples.fraud.generator import TRANSACTIONS, Record, Traffic, Transaction
from examples.shared import asking
from examples.shared.asking import Asked
from examples.shared.publish import PARTITIONS, Publisher
from skewless.client import Store

PROFILE_VIEW = "profile@1.0.0"
NIGHTLY_VIEW = "merchant_risk@1.0.0"
EXPLAINED = "spending:amount_24h"
LEAST_VECTORS = 5_000
"""A run that served fewer vectors has not shown enough."""
MODEL = "fraud_gbdt@1"
TOPICS: Mapping[str, str] = {
    source.name: source.topic for source in (definitions.transactions, definitions.chargebacks)
}
FRAME: Mapping[str, pa.DataType] = {
    "user_id": pa.string(),
    "merchant_id": pa.string(),
    "request_time": pa.timestamp("us", tz="UTC"),
    "amount": pa.float64(),
    "country": pa.string(),
    "lat": pa.float64(),
    "lon": pa.float64(),
    "card_present": pa.bool_(),
}
COUNTS = ("consumed", "accepted", "duplicate", "malformed", "too_far_future", "on_time", "late")
"""The account of a source."""


@dataclass
class Journal:
    """What a run has done so far: vectors asked for, and what the product must have counted."""

    asked: Asked = field(default_factory=lambda: Asked(FRAME))
    expected: Expected = field(default_factory=Expected)


def write_tables(traffic: Traffic, directory: Path) -> None:
    """The users' profiles, where the batch source looks for them."""
    directory.mkdir(parents=True, exist_ok=True)
    columns = {
        "user_id": pa.array([user.user_id for user in traffic.users]),
        "opened_at": pa.array([user.opened_us for user in traffic.users], pa.timestamp("us", tz="UTC")),
        "home_country": pa.array([user.city.country for user in traffic.users]),
        "home_lat": pa.array([user.lat for user in traffic.users]),
        "home_lon": pa.array([user.lon for user in traffic.users]),
        "typical_amount": pa.array([round(40 * user.level, 2) for user in traffic.users]),
    }
    pa.parquet.write_table(pa.table(columns), directory / "users.parquet")


def serve(store: Store, publisher: Publisher, run: Run, traffic: Traffic, journal: Journal) -> Iterator[Step]:
    """Publishes the weeks and asks for vectors on the way; gives each step when it is done.

    When it ends, everything is in the event logs.
    """
    for step in steps(run, traffic):
        publish(publisher, step.records, journal.expected)
        if step.day_ends:
            asking.absorb(store, publisher, logged=True)
            asking.run(store, NIGHTLY_VIEW, as_of_us=step.end_us)
        if step.rewind:
            asking.absorb(store, publisher)
            rewind(store, step.rewind, journal.expected)
        if step.asked:
            asking.absorb(store, publisher)
            for transaction in step.asked:
                ask(store, transaction, journal.asked)
        yield step
    asking.absorb(store, publisher, logged=True)


def publish(publisher: Publisher, records: Iterable[Record], expected: Expected) -> None:
    """Queues records for sending, in order of arrival."""
    for record in records:
        partition = partition_of(record.key, PARTITIONS)
        publisher.send(record.source, encode(record), key=record.key, partition=partition)
        expected.take(record, partition)


def rewind(store: Store, records: int, expected: Expected) -> None:
    """Has the last records of each partition of the transactions delivered again.

    The log that is re-keyed gets them again as well, and is not counted.
    """
    asking.patiently(lambda: store.rewind(TRANSACTIONS, records=records))
    expected.redelivered(TRANSACTIONS, records)


def ask(store: Store, transaction: Transaction, asked: Asked) -> None:
    """Asks for the vector of a payment, at its own time."""
    asked.ask(
        store,
        definitions.SERVICE,
        {"user_id": transaction.user.user_id, "merchant_id": transaction.merchant.merchant_id},
        request={
            "amount": transaction.amount,
            "country": transaction.country,
            "lat": transaction.lat,
            "lon": transaction.lon,
            "card_present": transaction.card_present,
        },
        request_time_us=transaction.at_us,
        label=transaction.fraud,
    )


def payment(value: bytes) -> dict[str, Any]:
    """The columns of a transaction."""
    return decode(TRANSACTIONS, value)


def last_theft(asked: Asked) -> str:
    """The request id of the last vector that was asked for a thief."""
    return next(
        request_id
        for request_id, label in zip(reversed(asked.request_ids), reversed(asked.labels), strict=True)
        if label
    )


def account(store: Store) -> dict[str, int]:
    """What the aggregator says of the sources: records consumed, by what became of them."""
    sources = asking.patiently(store.source_status)
    return {count: sum(getattr(source, count) for source in sources) for count in COUNTS}


def contradictions(report: Mapping[str, int], expected: Expected) -> list[str]:
    """Sums that do not add up, and counts of the product that are not those of the generator."""
    sums = {
        "consumed": ("accepted", "duplicate", "malformed", "too_far_future"),
        "accepted": ("on_time", "late"),
        "events": ("accepted", "malformed", "too_far_future"),
    }
    found = [
        f"{whole} is {report[whole]}, but {' + '.join(parts)} is {sum(report[part] for part in parts)}"
        for whole, parts in sums.items()
        if report[whole] != sum(report[part] for part in parts)
    ]
    return found + [
        f"{name} is {report[name]}, but must be {expected.counts[name]}"
        for name in ("duplicate", "malformed", "too_far_future", "on_time", "late")
        if report[name] != expected.counts[name]
    ]
