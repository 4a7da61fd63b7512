"""The roads through the kernel: one frame over the log, and folding into states that are then read.

Both start from the payload bytes, so the kernel's own decoder judges every record.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from skewless import kernel
from skewless.columns import ARROW_TYPES
from skewless.types import ValueType
from tests.oracle.answerable import Slacks, must_answer_from
from tests.oracle.cells import Cell, Status
from tests.oracle.keys import entity_id
from tests.oracle.latest import TableAsk, TableRow, table_order
from tests.roads.cases import KEY_COLUMN, LatestSpec, Read, Record, StreamCase, TableCase, VerdictCase, WindowSpec
from tests.roads.meaning import canonical, stream_meaning, stream_source, table_meaning
from tests.roads.oracle import accepted, partition_of_key
from tests.roads.registry import Answers

EPOCH = 1
TIMELESS = -62_135_596_800_000_000
_KEYS = [(KEY_COLUMN, "string")]


def decode(case: StreamCase, records: Sequence[Record]) -> pa.RecordBatch:
    """The records as the kernel's decoder sees them: one row each, in the order given."""
    source = canonical(stream_source(case.columns, case.tolerance, operation=case.operation))
    decoder = kernel.StreamDecoder(source, _KEYS, direct=False)
    batch = decoder.decode(
        [None if r.key is None else r.key.encode() for r in records],
        [r.payload for r in records],
        [r.append_time for r in records],
    )
    return pa.record_batch(batch)


def decode_one(case: VerdictCase) -> dict[str, Any]:
    """What the decoder makes of one record: its columns by name; timestamps are microseconds."""
    source = canonical(stream_source(case.columns, case.tolerance, case.fields, case.operation))
    decoder = kernel.StreamDecoder(source, _KEYS, direct=case.direct)
    batch = pa.record_batch(decoder.decode([case.record_key], [case.payload], [case.append_time]))
    return {name: plain(batch.column(name)[0]) for name in batch.schema.names}


def event_table(case: StreamCase, records: Sequence[Record]) -> pa.Table:
    """The accepted events with their positions, as the event log gives them to a frame."""
    batch = decode(case, records)
    table = pa.Table.from_batches([batch])
    table = table.append_column("partition", pa.array([r.position.partition for r in records], pa.int32()))
    table = table.append_column("offset", pa.array([r.position.offset for r in records], pa.int64()))
    mask = pa.array([v == "accepted" for v in table.column("verdict").to_pylist()], pa.bool_())
    return table.filter(mask).drop_columns(["verdict", "reason"])


class FrameRoad:
    """StreamView.frame and LatestView.frame: the offline answer."""

    name = "frame"
    kinds = frozenset({"window", "latest_stream", "latest_table"})

    def answers(self, case: StreamCase | TableCase) -> Answers:
        """Every read as a row of one frame."""
        if isinstance(case, TableCase):
            view = kernel.LatestView(table_meaning(case))
            rows = pa.record_batch(
                {
                    "entity_id": pa.array([entity_id([r.key]) for r in case.reads], pa.string()),
                    "request_time_us": pa.array([r.request_time for r in case.reads], pa.int64()),
                    "run_seq": pa.array([r.known for r in case.reads], pa.int64()),
                }
            )
            out = view.frame(pa.Table.from_batches([table_batch(case, case.rows)]), rows)
            return cells_of_frame(pa.record_batch(out), case.spec)
        stream = kernel.StreamView(stream_meaning(case))
        out = stream.frame(event_table(case, case.records), frame_rows(case))
        return cells_of_frame(pa.record_batch(out), case.spec)

    def may_refuse(self, case: StreamCase | TableCase, read: Read) -> bool:
        """Never: offline answers every T."""
        del case, read
        return False


def rests_on(case: StreamCase, read: Read, name: str) -> list[int]:
    """The offsets of the events that the kernel names for a value."""
    view = kernel.StreamView(stream_meaning(case))
    partition = None if read.known is None else partition_of_key(case, read.key)
    events = event_table(case, case.records)
    batch = view.contributing(name, events, entity_id([read.key]), read.request_time, partition, read.known)
    offsets: list[int] = pa.record_batch(batch).column("offset").to_pylist()
    return offsets


def frame_rows(case: StreamCase) -> pa.RecordBatch:
    """The reads of a case as rows of a frame."""
    partitions = [None if r.known is None else partition_of_key(case, r.key) for r in case.reads]
    return pa.record_batch(
        {
            "entity_id": pa.array([entity_id([r.key]) for r in case.reads], pa.string()),
            "request_time_us": pa.array([r.request_time for r in case.reads], pa.int64()),
            "partition": pa.array(partitions, pa.int32()),
            "next_offset": pa.array([r.known for r in case.reads], pa.int64()),
        }
    )


def cells_of_frame(batch: pa.RecordBatch, spec: WindowSpec | LatestSpec) -> Answers:
    """The columns `f`, `f__status`, `f__event_time_us` as cells, a mapping per row."""
    columns = {}
    for name in spec.types:
        values = [plain(v) for v in batch.column(name)]
        statuses = batch.column(f"{name}__status").to_pylist()
        times = batch.column(f"{name}__event_time_us").to_pylist()
        columns[name] = [Cell(v, Status(s), t) for v, s, t in zip(values, statuses, times, strict=True)]
    return [{name: cells[row] for name, cells in columns.items()} for row in range(batch.num_rows)]


def plain(scalar: pa.Scalar) -> Any:
    """A scalar of Arrow as a cell; timestamps are microseconds."""
    if pa.types.is_timestamp(scalar.type):
        return scalar.cast(pa.int64()).as_py()
    if pa.types.is_list(scalar.type) and scalar.is_valid:
        return [plain(item) for item in scalar.values]
    return scalar.as_py()


Store = dict[str, tuple[bytes, bytes | None]]
"""Entity id to head and body, as the online store holds them."""


class FoldRoad:
    """StatePartition.fold and flush, then StreamView.read: the online answer without the network."""

    kinds = frozenset({"window", "latest_stream", "latest_table"})

    def __init__(self, name: str, batch: int | None) -> None:
        """`batch`: how many records are folded at a time; None folds up to each rewind at once."""
        self.name = name
        self._batch = batch

    def answers(self, case: StreamCase | TableCase) -> Answers:
        """Every read, from the states of the knowledge that it names."""
        if isinstance(case, TableCase):
            return [_read_table(case, read) for read in case.reads]
        view = kernel.StreamView(stream_meaning(case))
        stores = {known: self._fold(view, case, known) for known in {r.known for r in case.reads}}
        answers = []
        for read in case.reads:
            head, body = stores[read.known].get(entity_id([read.key]), (None, None))
            answers.append(_named(case.spec, view.read(head, body, read.request_time)))
        return answers

    def may_refuse(self, case: StreamCase | TableCase, read: Read) -> bool:
        """Below the fold horizon that the writer may have reached (H4, H8, H9)."""
        if isinstance(case, TableCase):
            stored = _stored(case, read)
            return stored is not None and stored.t is not None and read.request_time < stored.t
        partition = partition_of_key(case, read.key)
        limit = _limit(case, read.known)
        events = [e for e in accepted(case) if e.position.partition == partition and e.position.offset < limit]
        folded = [r for r in case.records if r.position.partition == partition and r.position.offset < limit]
        wall = max((r.append_time for r in folded), default=0)
        spec = case.spec
        hop = min(f.hop or 1 for f in spec.features) if isinstance(spec, WindowSpec) else 1
        slacks = Slacks(spec.head_slack, spec.head_max)
        earliest = must_answer_from(
            slacks,
            events,
            entity_id([read.key]),
            wall,
            finest_hop=hop,
            origin=spec.origin if isinstance(spec, WindowSpec) else 0,
        )
        return earliest is not None and read.request_time < earliest

    def _fold(self, view: kernel.StreamView, case: StreamCase, known: int | None) -> Store:
        store: Store = {}
        for partition in sorted({r.position.partition for r in case.records}):
            log = {r.position.offset: r for r in case.records if r.position.partition == partition}
            arrivals = [o for o in case.arrivals if o in log and o < _limit(case, known)]
            wall = min(r.append_time for r in log.values())
            for run, offsets in enumerate(_runs(arrivals)):
                state = view.open_partition(EPOCH, partition, run + 1)
                for chunk in _chunks(offsets, self._batch):
                    records = [log[o] for o in chunk]
                    wall = max(wall, *(r.append_time for r in records))
                    fold(state, store, case, records, wall)
                    flush(state, store, chunk[-1] + 1)
        return store


def fold(state: kernel.StatePartition, store: Store, case: StreamCase, records: Sequence[Record], wall: int) -> None:
    """Loads what the records need from the store and folds them."""
    batch = decode(case, records)
    ids = sorted({i for i in batch.column("entity_id").to_pylist() if i is not None})
    for missing in state.missing(ids):
        head, body = store.get(missing, (None, None))
        state.load(missing, head, body)
    state.fold(batch, [r.position.offset for r in records], wall)


def flush(state: kernel.StatePartition, store: Store, next_offset: int, limit: int | None = None) -> None:
    """Writes dirty states by the write rule (R2); a body that did not change stays."""
    for entity, head, body, _expiry in state.flush(next_offset, limit):
        old = store.get(entity)
        if old is not None and head[1:17] <= old[0][1:17]:
            continue
        store[entity] = (head, body if body is not None else old[1] if old else None)


def table_batch(case: TableCase, rows: Iterable[TableRow]) -> pa.RecordBatch:
    """Rows of a batch view as the offline table stores them."""
    rows = list(rows)
    columns: dict[str, pa.Array] = {
        "entity_id": pa.array([entity_id([r.key]) for r in rows], pa.string()),
        "event_time_us": pa.array([TIMELESS if r.t is None else r.t for r in rows], pa.int64()),
        "created_time_us": pa.array([r.created for r in rows], pa.int64()),
        "run_seq": pa.array([r.run_seq for r in rows], pa.int64()),
        "deleted": pa.array([r.deleted for r in rows], pa.bool_()),
    }
    for name, column in case.spec.features.items():
        kind = ARROW_TYPES[ValueType(case.spec.types[name])]
        columns[f"f_{name}"] = pa.array([r.row.get(column) for r in rows], kind)
    return pa.record_batch(columns)


def _stored(case: TableCase, read: Read) -> TableRow | None:
    ask = TableAsk(read.key, read.request_time, read.known)
    rows = [r for r in case.rows if r.key == ask.key and (ask.run_seq is None or r.run_seq <= ask.run_seq)]
    return max(rows, key=table_order, default=None)


def _read_table(case: TableCase, read: Read) -> dict[str, Cell]:
    view = kernel.LatestView(table_meaning(case))
    stored: bytes | None = None
    for run in sorted({r.run_seq for r in case.rows}):
        if read.known is not None and run > read.known:
            continue
        rows = [r for r in case.rows if r.run_seq == run and r.key == read.key]
        if not rows:
            continue
        for _entity, value, _expiry in view.encode(table_batch(case, rows)):
            stored = value if stored is None or value[1:33] > stored[1:33] else stored
    return _named(case.spec, view.read(stored, read.request_time))


def _named(spec: WindowSpec | LatestSpec, cells: Sequence[tuple[Any, int, int | None]]) -> dict[str, Cell]:
    return {name: Cell(value, Status(status), t) for name, (value, status, t) in zip(spec.types, cells, strict=True)}


def _limit(case: StreamCase, known: int | None) -> int:
    return max(r.position.offset for r in case.records) + 1 if known is None else known


def _runs(arrivals: Sequence[int]) -> Iterator[list[int]]:
    """Ascending stretches: where the offset goes back, the writer has started again."""
    run: list[int] = []
    for offset in arrivals:
        if run and offset <= run[-1]:
            yield run
            run = []
        run.append(offset)
    if run:
        yield run


def _chunks(offsets: Sequence[int], size: int | None) -> Iterator[Sequence[int]]:
    step = size or len(offsets)
    for start in range(0, len(offsets), step):
        yield offsets[start : start + step]
