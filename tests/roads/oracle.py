"""The road through the oracle: records are judged, then aggregated straight from the definition."""

from collections.abc import Sequence

from tests.oracle.cells import Cell, Row, Value
from tests.oracle.events import Event, Everything, Knowledge, Known, Nothing
from tests.oracle.expressions import evaluate
from tests.oracle.keys import entity_id
from tests.oracle.latest import TableAsk, stream_latest, table_latest
from tests.oracle.verdicts import Column, judge
from tests.oracle.windows import Ask, Filter, contributing, window_values
from tests.roads.cases import (
    KEY_COLUMN,
    TIME_COLUMN,
    LatestSpec,
    Read,
    StreamCase,
    TableCase,
    WindowSpec,
)
from tests.roads.registry import Answers

_KEY = Column(KEY_COLUMN, "string")


class OracleRoad:
    """The definition itself."""

    name = "oracle"
    kinds = frozenset({"window", "latest_stream", "latest_table"})

    def answers(self, case: StreamCase | TableCase) -> Answers:
        """Every read, by brute force."""
        if isinstance(case, TableCase):
            return _table(case)
        events, asks = accepted(case), [_ask(case, read) for read in case.reads]
        keep = _filter(case)
        if isinstance(case.spec, WindowSpec):
            features = case.spec.features
            signed = case.operation is not None
            answers = window_values(features, events, asks, origin=case.spec.origin, keep=keep, signed=signed)
            return _named([f.name for f in features], answers)
        columns = list(case.spec.features.values())
        answers = stream_latest(columns, events, asks, ttl=case.spec.ttl, keep=keep)
        return _named(list(case.spec.features), answers)

    def may_refuse(self, case: StreamCase | TableCase, read: Read) -> bool:
        """Never: the definition covers every T."""
        del case, read
        return False


def accepted(case: StreamCase) -> list[Event]:
    """The events of the case's log, by the oracle's own verdicts."""
    events = []
    for record in case.records:
        verdict = judge(record.payload, record.append_time, [_KEY, *case.columns], TIME_COLUMN, case.tolerance)
        if case.operation is not None:
            verdict = case.operation.judged(verdict)
        if verdict.verdict != "accepted":
            continue
        assert verdict.row is not None
        assert verdict.t is not None
        key = verdict.row[KEY_COLUMN]
        assert key is None or isinstance(key, str)
        own = None if key is None else entity_id([key])
        row = {**verdict.row, TIME_COLUMN: verdict.t}
        retracts = case.operation is not None and row[case.operation.column] in case.operation.retracts
        events.append(Event(own, verdict.t, record.position, row, retracts))
    return events


def rests_on(case: StreamCase, read: Read, name: str) -> list[int]:
    """The offsets of the events behind a windowed value (Q4)."""
    assert isinstance(case.spec, WindowSpec)
    feature = next(f for f in case.spec.features if f.name == name)
    found = contributing(feature, accepted(case), _ask(case, read), origin=case.spec.origin, keep=_filter(case))
    return [e.position.offset for e in found]


def partition_of_key(case: StreamCase, key: str) -> int:
    """Where the case put the key; 0 for a key without records."""
    own = {e.position.partition for e in accepted(case) if e.key == entity_id([key])}
    assert len(own) <= 1, f"{key} lies in several partitions"
    return own.pop() if own else 0


def _ask(case: StreamCase, read: Read) -> Ask:
    knowledge: Knowledge = Everything()
    if read.known == -1:
        knowledge = Nothing()
    elif read.known is not None:
        knowledge = Known(1, partition_of_key(case, read.key), read.known)
    return Ask(entity_id([read.key]), read.request_time, knowledge)


def _filter(case: StreamCase) -> Filter | None:
    if case.keep is None:
        return None
    ir = case.keep
    types = {KEY_COLUMN: "string", TIME_COLUMN: "timestamp", **{c.name: c.type for c in case.columns}}

    def keep(row: Row) -> Value:
        return evaluate(ir, types, row).value

    return keep


def _table(case: TableCase) -> Answers:
    spec: LatestSpec = case.spec
    asks = [TableAsk(read.key, read.request_time, read.known) for read in case.reads]
    answers = table_latest(list(spec.features.values()), case.rows, asks, ttl=spec.ttl)
    return _named(list(spec.features), answers)


def _named(names: Sequence[str], answers: Sequence[Sequence[Cell]]) -> Answers:
    return [dict(zip(names, cells, strict=True)) for cells in answers]
