"""Records into states: decode once, fold into every view, write what has changed in one round trip.

records of a partition -> `Decoded` (verdict, entity, cells) -> dirty states per view -> written heads and bodies
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from services.stream_agg.domain.account import ACCEPTED, DUPLICATE, MALFORMED
from services.stream_agg.domain.opening import Begin
from services.stream_agg.domain.sources import (
    SOURCE_HEADER,
    UNKNOWN,
    Position,
    SourceVector,
    read_position,
)
from services.stream_agg.ports import Records, States, StatesLostError, StateWrite
from skewless.definitions.catalog import InputLog
from skewless.definitions.meanings import StreamView
from skewless.kernel import DecodedBatch, StatePartition, StreamDecoder, state_key
from skewless.kernel import StreamView as KernelView
from skewless.lake import EPOCH
from skewless.telemetry import names, spans

NO_POSITION = "NO_SOURCE_POSITION"


def storage_name(view: StreamView) -> str:
    """``name@MAJOR.MINOR``: versions with the same one share their states."""
    return f"{view.name}@{view.version.storage}"


class ViewFold:
    """One view's states of a log, partition by partition."""

    def __init__(self, view: StreamView, run: int) -> None:
        self.view = view
        self.name = storage_name(view)
        self._run = run
        self._storage = view.version.storage
        self._kernel = KernelView(view.meaning_json)
        self._partitions: dict[int, StatePartition] = {}

    def partition(self, number: int) -> StatePartition:
        """The cached states of a partition."""
        found = self._partitions.get(number)
        if found is None:
            found = self._partitions[number] = self._kernel.open_partition(EPOCH, number, self._run)
        return found

    def key(self, entity_id: str) -> str:
        """The store's key of a head; the body's is this and ``:b``."""
        view = self.view
        return state_key(view.project, view.entity.name, entity_id, view.name, self._storage)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Records of one partition after decoding.

    batch: verdict, reason, event_time_us, entity_id and the columns ``c_*`` of the records at ``indices``.
    positions: of each of them in the source.
    others: records that were not decoded: repetitions and those without a source position, as
        (index into the records, source position, verdict, reason).
    """

    records: Records
    indices: Sequence[int]
    batch: DecodedBatch
    positions: Sequence[Position]
    others: Sequence[tuple[int, Position, str, str | None]]


class LogFold:
    """Some views of one log that stand at the same positions."""

    def __init__(self, log: InputLog, views: Iterable[ViewFold], begins: Iterable[Begin], cache_bytes: int) -> None:
        self._log = log
        self._cache_bytes = cache_bytes
        self._decoder = StreamDecoder(log.source.document, log.entity.key_types, log.direct)
        self.views = list(views)
        self.positions: dict[int, int] = {}
        """Everything below has been folded."""
        self.event_times: dict[int, int] = {}
        """The greatest event time seen, per partition."""
        self.vectors: dict[int, SourceVector] = {}
        self.late = 0
        self.below_horizon = 0
        for begin in begins:
            self.positions[begin.partition] = begin.position
            self.vectors[begin.partition] = SourceVector(begin.vector)
            if begin.event_time_us is not None:
                self.event_times[begin.partition] = begin.event_time_us

    def take(self, records: Records, states: States, wall_us: int) -> Decoded:
        """Decodes the records and folds them into every view; loads states that are not cached."""
        decoded = self._decode(records)
        self.positions[records.partition] = records.offsets[-1] + 1
        if not decoded.indices:
            return decoded
        offsets = [records.offsets[index] for index in decoded.indices]
        clock = self.event_times.get(records.partition)
        newest, entities = decoded.batch.newest_us, decoded.batch.entity_ids
        if newest is not None:
            self.event_times[records.partition] = max(newest, self.event_times.get(records.partition, newest))
        late = below = 0
        for view in self.views:
            partition = view.partition(records.partition)
            if clock is not None and partition.clock_us is None:  # another session has read what came before
                partition.fold(self._instant(clock), [offsets[0] - 1], wall_us)
            self._load(view, partition, entities, states)
            report = partition.fold(decoded.batch, offsets, wall_us)
            late, below = max(late, report.late), max(below, report.below_horizon)
        self.late += late
        self.below_horizon += below
        return decoded

    def passed(self, ends: Mapping[int, int]) -> dict[int, int]:
        """Takes note of ends reached; gives the positions that moved by it."""
        moved = {p: end for p, end in ends.items() if end > self.positions.get(p, end)}
        self.positions.update(moved)
        return moved

    def flush(self, partitions: Iterable[int], states: States) -> None:
        """Writes the changed states of these partitions. A state that the store knows better is dropped."""
        writes: list[StateWrite] = []
        owners: list[tuple[StatePartition, str]] = []
        touched: list[StatePartition] = []
        for number in partitions:
            for view in self.views:
                partition = view.partition(number)
                touched.append(partition)
                for entity_id, head, body, expire_at_ms in partition.flush(self.positions[number]):
                    writes.append(StateWrite(view.key(entity_id), head, body, expire_at_ms))
                    owners.append((partition, entity_id))
        if writes:
            with spans.span(names.STORE_WRITE, {names.DB_SYSTEM: "redis", names.DB_BATCH: len(writes)}):
                answers = states.write(writes)
            for (partition, entity_id), accepted in zip(owners, answers, strict=True):
                if not accepted:
                    partition.drop([entity_id])
        for partition in touched:
            if partition.bytes > self._cache_bytes:
                partition.drop()

    def _decode(self, records: Records) -> Decoded:
        everything = range(len(records))
        if self._log.direct:
            positions = [(records.partition, offset) for offset in records.offsets]
            return Decoded(records, everything, self._batch(records, everything), positions, ())
        positions = [read_position(headers.get(SOURCE_HEADER)) for headers in records.headers]
        fresh = self.vectors[records.partition].fresh(positions)
        indices: list[int] = []
        others: list[tuple[int, Position, str, str | None]] = []
        for index, position in enumerate(positions):
            if position == UNKNOWN:
                others.append((index, position, MALFORMED, NO_POSITION))
            elif fresh[index]:
                indices.append(index)
            else:
                others.append((index, position, DUPLICATE, None))
        kept = [positions[index] for index in indices]
        return Decoded(records, indices, self._batch(records, indices), kept, others)

    def _batch(self, records: Records, indices: Sequence[int]) -> DecodedBatch:
        if len(indices) == len(records):
            return self._decoder.decode(records.keys, records.values, records.times_us)
        return self._decoder.decode(
            [records.keys[index] for index in indices],
            [records.values[index] for index in indices],
            [records.times_us[index] for index in indices],
        )

    def _instant(self, time_us: int) -> pa.RecordBatch:
        """An accepted event of nobody: it moves a partition's clock and nothing else."""
        batch = pa.record_batch(self._decoder.decode([None], [None], [time_us]))
        for name, value in (("verdict", ACCEPTED), ("event_time_us", time_us)):
            place = batch.schema.get_field_index(name)
            batch = batch.set_column(
                place, batch.schema.field(place), pa.array([value], batch.schema.field(place).type)
            )
        return batch

    @staticmethod
    def _load(view: ViewFold, partition: StatePartition, entities: Sequence[str], states: States) -> None:
        missing = partition.missing(entities)
        if not missing:
            return
        found = states.load(view.view.sentinel_key, [view.key(entity_id) for entity_id in missing])
        if found is None:
            raise StatesLostError(view=view.name)
        for entity_id, (head, body) in zip(missing, found, strict=True):
            partition.load(entity_id, head, body)
