"""The fraud example in small, from the side of a client: applied, streamed, asked, replayed, explained.

Everything here goes over the network, so that it runs in a pod as well as beside a mesh on this machine. It needs the
client library with its Kafka client, `examples.fraud`, `examples.shared` and `tests.mesh.fraud_run`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from examples.fraud import definitions, demo, generator
from examples.fraud.days import Run
from examples.fraud.expected import Expected
from examples.fraud.generator import TRANSACTIONS, Record, Scenario, Transaction
from examples.fraud.people import DAY
from examples.shared import asking
from examples.shared.publish import Publisher
from skewless.bus import Bus
from skewless.client import Replay, Store
from tests.mesh.fraud_run import drive, served_rows

SCENARIO = Scenario(
    seed=11, users=20, merchants=24, days=10, rate=5, sprees=4.0, offline=0.1, malformed=0.05, ahead=0.01
)
RUN = Run(SCENARIO, served_steps=80, rewinds=2, rewound_by=(20, 80))
LATER, LATER_VECTORS, LATER_US = 40, 10, 2 * DAY
"""How many payments come after the scenario, how many vectors are asked for then, and how much later they are."""
SAMPLE = 25
"""Vectors that are handed out whole, for the oracle."""
SETTLE_S = 60.0
"""How long the validator may take to have replayed everything that was served."""


@dataclass(frozen=True)
class Addresses:
    """Where everything is, ``host:port``."""

    registry: str
    online: str
    offline: str
    stream_agg: str
    validator: str
    broker: str

    def store(self) -> Store:
        services = asdict(self)
        services.pop("broker")
        return Store(definitions.PROJECT, **services, timeout_s=30)


def scenario(addresses: Addresses) -> dict[str, Any]:
    """The whole of it; figures, faults and a sample of what was served, all of it fit for JSON.

    The users' table must lie where the offline service looks for tables.
    """
    traffic, journal = generator.make(SCENARIO), demo.Journal()
    with addresses.store() as store:
        plan = asking.patiently(lambda: store.plan(definitions.project))
        store.apply(definitions.project, after=plan, reason="the fraud example")
        publisher = Publisher(Bus(addresses.broker), demo.TOPICS)
        asking.load_tables(store, [demo.PROFILE_VIEW])
        begun = time.perf_counter()
        known = drive(store, publisher, RUN, traffic, journal)
        streamed_s = time.perf_counter() - begun
        account = {**demo.account(store), "events": publisher.published}
        asked = journal.asked
        asking.patiently(lambda: store.replay(asked.request_ids[-100:]))
        chosen = sorted(random.Random(3).sample(range(len(asked.request_ids)), SAMPLE))  # noqa: S311 (to be repeated)
        rows = served_rows(store, asked.frame().take(pa.array(chosen)))
        explained = asking.explain(store, demo.last_theft(asked), demo.EXPLAINED, demo.payment)
        replayed = replay(store)
    faults = demo.contradictions(account, journal.expected) + explanation_faults(explained)
    if replayed["replayed"] != len(asked.request_ids):
        faults.append(f"{replayed['replayed']} vectors were replayed, but {len(asked.request_ids)} were asked for")
    return {
        **account,
        **replayed,
        "streamed_s": round(streamed_s, 1),
        "served": len(asked.request_ids),
        "faults": faults,
        "explained": explained,
        "sample": [
            {"row": row, "records": known.records[place], "night": known.night[place]}
            for place, row in zip(chosen, rows, strict=True)
        ],
    }


def again(addresses: Addresses) -> dict[str, Any]:
    """Some more payments, vectors that know them, and a replay of all that has been served so far.

    Figures and faults; `before` and `account` are what the aggregator says of the sources before and after.
    """
    with addresses.store() as store:
        before = demo.account(store)
        publisher, asked = Publisher(Bus(addresses.broker), demo.TOPICS), asking.Asked(demo.FRAME)
        payments = later_payments()
        demo.publish(publisher, (record for record, _ in payments), Expected())
        asking.absorb(store, publisher, logged=True)
        for _, transaction in payments[-LATER_VECTORS:]:
            demo.ask(store, transaction, asked)
        asking.patiently(lambda: store.replay(asked.request_ids))
        account = demo.account(store)
        faults = [
            f"{name} was {before[name]} and is {account[name]} after {more} more good payments"
            for name, more in (("accepted", len(payments)), ("malformed", 0), ("too_far_future", 0))
            if account[name] != before[name] + more
        ]
        found = asking.patiently(lambda: replay(store))
        if found["not_answered"]:
            faults.append(f"{found['not_answered']} values that were asked for had no answer")
        return {**found, "before": before, "account": account, "faults": faults, **validated(store)}


def later_payments() -> list[tuple[Record, Transaction]]:
    """The last good payments of the scenario again, under other numbers and after its end; asked for after them all."""
    traffic = generator.make(SCENARIO)
    by_number = {transaction.transaction_id: transaction for transaction in traffic.transactions}
    good = [record for record in traffic.records if record.source == TRANSACTIONS and record.fault is None][-LATER:]
    # States answer for no time before what they have absorbed.
    after_us = max(record.event_time_us for record in good) + LATER_US + 1
    found = []
    for record in good:
        number, at_us = int(record.event["transaction_id"]), record.event_time_us + LATER_US
        event = {**record.event, "transaction_id": number + len(by_number), "event_time": at_us}
        asked = replace(by_number[number], transaction_id=number + len(by_number), at_us=after_us)
        found.append((replace(record, event=event, arrival_us=record.arrival_us + LATER_US), asked))
    return found


def replay(store: Store) -> dict[str, int]:
    """The account of a replay of everything; ``mismatches`` are the vectors that differ in any bit."""
    found: Replay = store.replay()
    return {
        "vectors": found.vectors,
        "replayed": found.replayed,
        "equal": found.equal,
        "mismatches": found.different,
        "unanswered": found.unanswered,
        "not_answered": found.not_answered,
    }


def validated(store: Store) -> dict[str, int]:
    """What the validator has found by itself, as soon as nothing waits to be replayed."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        report = asking.patiently(store.report)
        settled = report.seen > 0 and not report.pending and not report.unread
        if settled or time.monotonic() > deadline:
            return {
                "validator_replayed": report.replayed,
                "validator_mismatches": report.mismatches,
                "validator_pending": report.pending + report.unread,
            }
        time.sleep(0.5)


def explanation_faults(explained: Mapping[str, Any]) -> list[str]:
    """An explained sum must be that of the events that it is said to be made of."""
    total = sum(event["payload"]["amount"] for event in explained["events"])
    if abs(explained["value"] - total) <= 1e-9 * abs(total):
        return []
    return [f"{demo.EXPLAINED} is {explained['value']}, but its events add up to {total}"]
