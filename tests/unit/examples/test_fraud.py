"""The traffic of the fraud example: the same from the same seed, and as much of everything as was asked for."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.fraud import days, definitions, demo, generator
from examples.fraud.encoding import RUBBISH, decode, encode
from examples.fraud.expected import HEAD_SLACK_US, Expected, partition_of
from examples.fraud.generator import MALFORMED, Fault, Record, Scenario, Traffic
from examples.fraud.people import DAY, START_US
from tests.oracle.protobuf import Field, judge_protobuf
from tests.oracle.verdicts import Column, Verdict

BASE = Scenario(seed=1, users=12, merchants=24, days=4, rate=8)
NOW_US = 1_790_000_000_000_000
SCENARIOS = st.builds(
    Scenario,
    seed=st.integers(0, 2**32),
    users=st.integers(1, 12),
    merchants=st.integers(1, 30),
    days=st.floats(0.3, 6),
    rate=st.floats(0.2, 12),
    sprees=st.floats(0, 3),
    offline=st.floats(0, 0.3),
    malformed=st.floats(0, 0.3),
    ahead=st.floats(0, 0.2),
)


def sent(traffic: Traffic) -> list[tuple[str, str, int, bytes | None]]:
    return [(record.source, record.key, record.arrival_us, encode(record)) for record in traffic.records]


def expected(records: list[Record], partitions: int = 2) -> Expected:
    account = Expected()
    for record in records:
        account.take(record, partition_of(record.key, partitions))
    return account


# --- The generator ------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(SCENARIOS)
def test_a_scenario_makes_the_same_bytes_each_time(scenario: Scenario) -> None:
    first, second = generator.make(scenario), generator.make(scenario)
    assert first.transactions == second.transactions
    assert sent(first) == sent(second)


def test_another_seed_makes_other_traffic() -> None:
    assert sent(generator.make(BASE)) != sent(generator.make(dataclasses.replace(BASE, seed=2)))


@settings(max_examples=30, deadline=None)
@given(SCENARIOS)
def test_traffic_is_in_order_and_within_the_scenario(scenario: Scenario) -> None:
    traffic = generator.make(scenario)
    times = [transaction.at_us for transaction in traffic.transactions]
    assert times == sorted(times)
    assert all(START_US <= at_us < scenario.end_us for at_us in times)
    assert [transaction.transaction_id for transaction in traffic.transactions] == list(range(len(times)))
    arrivals = [record.arrival_us for record in traffic.records]
    assert arrivals == sorted(arrivals)
    assert all(START_US < at_us < scenario.end_us for at_us in arrivals)
    for record in traffic.records:
        assert record.fault is Fault.AHEAD or record.event_time_us < record.arrival_us
        assert (record.fault is Fault.AHEAD) == (record.event_time_us > scenario.end_us)


@settings(max_examples=30, deadline=None)
@given(SCENARIOS)
def test_each_transaction_is_sent_once_or_would_arrive_too_late(scenario: Scenario) -> None:
    traffic = generator.make(scenario)
    ids = Counter(r.event["transaction_id"] for r in traffic.records if r.source == generator.TRANSACTIONS)
    assert set(ids.values()) <= {1}
    disputed = Counter(r.event["transaction_id"] for r in traffic.records if r.source == generator.CHARGEBACKS)
    assert set(disputed.values()) <= {1}
    assert set(disputed) <= {one.transaction_id for one in traffic.transactions if one.fraud}
    missing = [one for one in traffic.transactions if one.transaction_id not in ids]
    assert all(one.at_us > scenario.end_us - 2 * DAY for one in missing)


def test_there_is_as_much_of_everything_as_was_asked_for() -> None:
    scenario = Scenario(seed=5, users=200, merchants=100, days=20, rate=40)
    traffic = generator.make(scenario)
    total = len(traffic.transactions)
    assert 0.97 < total / (40 * 24 * 20) < 1.07
    faults = Counter(record.fault for record in traffic.records if record.source == generator.TRANSACTIONS)
    assert 0.6 < sum(faults[fault] for fault in MALFORMED) / (scenario.malformed * total) < 1.4
    assert 0.4 < faults[Fault.AHEAD] / (scenario.ahead * total) < 1.8
    assert set(faults) == {None, *Fault}
    slow = sum(record.arrival_us - record.event_time_us > 100_000_000 for record in traffic.records)
    assert 0.7 < slow / (scenario.offline * total) < 1.3
    stolen = sum(transaction.fraud for transaction in traffic.transactions)
    sprees = scenario.sprees * scenario.users * scenario.days / 30
    assert 2 * sprees <= stolen <= 9 * sprees
    times = [record.event_time_us for record in traffic.records if record.fault is not Fault.AHEAD]
    assert times != sorted(times)


def test_a_part_of_the_traffic_draws_from_its_own_seed() -> None:
    whole, spoilt = generator.make(BASE), generator.make(dataclasses.replace(BASE, malformed=0.5))
    assert whole.transactions == spoilt.transactions


# --- Records as bytes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [generator.TRANSACTIONS, generator.CHARGEBACKS])
@pytest.mark.parametrize("fault", [None, *Fault])
def test_a_record_gets_the_verdict_that_its_fault_says(fault: Fault | None, source: str) -> None:
    scenario = dataclasses.replace(BASE, days=20)
    whole = next(one for one in generator.make(scenario).records if one.fault is None and one.source == source)
    event = dict(whole.event)
    if fault is Fault.AHEAD:
        event["event_time"] = whole.event_time_us + generator.CENTURY
    value = encode(dataclasses.replace(whole, fault=fault, event=event))
    verdict = Verdict("malformed") if value is None else judged(source, value)
    assert verdict.verdict == {None: "accepted", Fault.AHEAD: "too_far_future"}.get(fault, "malformed")
    if fault is None:
        assert value is not None
        assert decode(source, value) == whole.event
        assert verdict.row == {name: cell for name, cell in whole.event.items() if name != "event_time"}
    if fault is Fault.RUBBISH:
        assert value == RUBBISH


def judged(source: str, value: bytes) -> Verdict:
    """What the oracle says of a record that arrives now."""
    document = json.loads(next(one for one in definitions.project.definitions() if one.name == source).meaning_json)
    columns = [Column(one["name"], one["type"], one["nullable"]) for one in document["source"]["columns"]]
    fields = {
        one["column"]: Field(tuple(one["path"]), one["type"], one["presence"])
        for one in document["source"]["payload"]["fields"]
    }
    tolerance = document["source"]["future_tolerance_us"]
    return judge_protobuf(value, NOW_US, columns, "event_time", fields=fields, tolerance=tolerance)


def test_the_descriptor_set_is_the_compiled_contract(tmp_path: Path) -> None:
    folder, out = definitions.DESCRIPTORS.parent, tmp_path / "payments.binpb"
    well_known = Path(protoc.__file__).parent / "_proto"
    arguments = [f"-I{folder}", f"-I{well_known}", "--include_imports", f"-o{out}", "payments.proto"]
    assert protoc.main(["protoc", *arguments]) == 0
    compiled, kept = (FileDescriptorSet.FromString(path.read_bytes()) for path in (out, definitions.DESCRIPTORS))
    assert compiled == kept, "compile payments.proto again; its first lines say how"


# --- What the product must count ------------------------------------------------------------------------------


def record(key: str, at_us: int, fault: Fault | None = None) -> Record:
    return Record("transactions", at_us, key, {"event_time": START_US + at_us, "transaction_id": 1}, fault)


def test_a_record_is_late_more_than_the_slack_behind_its_partition() -> None:
    account = expected(
        [
            record("a", 10_000_000),
            record("a", 10_000_000 - HEAD_SLACK_US),  # exactly the slack
            record("b", 10_000_000 - HEAD_SLACK_US - 1),
            record("a", 10_000_000 + 1),
        ],
        partitions=1,
    )
    assert account.counts == {"on_time": 3, "late": 1}


def test_refused_records_make_no_other_late() -> None:
    records = [
        record("a", 1_000),
        record("a", 10**12, Fault.AHEAD),
        record("a", 10**9, Fault.EMPTY),
        record("a", 1_001),
    ]
    account = expected(records)
    assert account.counts == {"on_time": 2, "too_far_future": 1, "malformed": 1}
    assert account.faults == {Fault.AHEAD: 1, Fault.EMPTY: 1}


@settings(max_examples=25, deadline=None)
@given(SCENARIOS)
def test_every_record_is_counted_once(scenario: Scenario) -> None:
    records = list(generator.make(scenario).records)
    account = expected(records)
    assert account.counts.total() == len(records)
    assert account.faults.total() == account.counts["malformed"] + account.counts["too_far_future"]


def test_contradictions_are_named() -> None:
    account = expected([record("a", 1), record("a", 2, Fault.EMPTY)])
    right = {
        "events": 2, "consumed": 2, "accepted": 1, "duplicate": 0,
        "malformed": 1, "too_far_future": 0, "on_time": 1, "late": 0,
    }  # fmt: skip
    assert demo.contradictions(right, account) == []
    assert demo.contradictions({**right, "consumed": 3}, account) == [
        "consumed is 3, but accepted + duplicate + malformed + too_far_future is 2"
    ]
    assert demo.contradictions({**right, "on_time": 0, "late": 1}, account) == [
        "on_time is 0, but must be 1",
        "late is 1, but must be 0",
    ]


def test_what_is_read_again_is_a_duplicate_as_far_as_a_partition_has_it() -> None:
    records = list(generator.make(BASE).records)
    had = Counter(partition_of(one.key, 2) for one in records if one.source == generator.TRANSACTIONS)
    account = expected(records)
    least, most = sorted(had.values())
    account.redelivered(generator.TRANSACTIONS, least + 1)
    assert account.counts["duplicate"] == least + min(least + 1, most)


# --- Steps ------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(SCENARIOS, st.integers(0, 40))
def test_steps_publish_everything_once_and_ask_about_the_next_step(scenario: Scenario, served: int) -> None:
    traffic = generator.make(scenario)
    run = days.Run(scenario, served_steps=served)
    steps = list(days.steps(run, traffic))
    assert len(steps) == days.step_count(run)
    assert [one for step in steps for one in step.records] == list(traffic.records)
    busy = [step for step in steps if step.asked]
    assert len(busy) <= served
    for step in steps:
        assert all(step.start_us <= one.arrival_us < step.end_us for one in step.records)
        assert all(step.end_us <= one.at_us < step.end_us + days.STEP_US for one in step.asked)
    assert sum(step.day_ends for step in steps) == len(steps) * days.STEP_US // DAY
    assert all(step.start_us >= run.served_from_us for step in busy)


def test_rewinds_are_drawn_in_the_second_half() -> None:
    run = days.Run(BASE, rewinds=3, rewound_by=(5, 9))
    steps = list(days.steps(run, generator.make(BASE)))
    rewound = [number for number, step in enumerate(steps) if step.rewind]
    assert len(rewound) == 3
    assert all(number >= len(steps) // 2 for number in rewound)
    assert all(5 <= steps[number].rewind <= 9 for number in rewound)
    assert [step.rewind for step in days.steps(run, generator.make(BASE))] == [step.rewind for step in steps]


def test_a_key_chooses_its_partition_by_crc_32() -> None:
    assert partition_of("123456789", 1_000) == 0xCBF43926 % 1_000
    assert {partition_of(f"u{number:05d}", 2) for number in range(20)} == {0, 1}
