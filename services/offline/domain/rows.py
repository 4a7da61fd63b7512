"""Rows that ask for features, what they may know, and the columns that answer them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from skewless.columns import ARROW_TYPES
from skewless.kernel import entity_id
from skewless.types import ValueType

TYPE_NAMES: Final = {str(ARROW_TYPES[kind]): kind.value for kind in ValueType}
"""The names that definitions have for them, by Arrow's."""

NOTHING_KNOWN: Final = -1
"""The next offset of a row whose state was absent."""


@dataclass(frozen=True)
class Rows:
    """What is asked: one feature vector per row.

    columns: entity keys and request fields by name, each of ``count`` cells.
    request_times_us: int64, never null.
    """

    columns: Mapping[str, pa.Array]
    request_times_us: pa.Array

    @property
    def count(self) -> int:
        return len(self.request_times_us)

    def entity_ids(self, keys: Sequence[str]) -> pa.Array:
        """Canonical entity ids of the key columns, null where any part is null; each is made once."""
        parts = [self.columns[key].dictionary_encode() for key in keys]
        cells = [(part.dictionary.to_pylist(), part.indices.to_pylist()) for part in parts]
        made: dict[tuple[int | None, ...], str | None] = {}
        ids: list[str | None] = []
        for codes in zip(*(indices for _, indices in cells), strict=True):
            if codes not in made:
                made[codes] = _id([values for values, _ in cells], codes)
            ids.append(made[codes])
        return pa.array(ids, pa.string())


def _id(values: Sequence[Sequence[str | int | None]], codes: Sequence[int | None]) -> str | None:
    parts = [None if code is None else column[code] for column, code in zip(values, codes, strict=True)]
    known = [part for part in parts if part is not None]
    return entity_id(known) if len(known) == len(parts) else None


@dataclass(frozen=True)
class LogKnowledge:
    """For each row, what was known of an input log: ``(partition, next_offset)``.

    partition: int32; null where all is known or nothing is.
    next_offset: int64; null: everything known today; NOTHING_KNOWN: the state was absent.
    """

    partition: pa.Array
    next_offset: pa.Array

    @classmethod
    def everything(cls, count: int) -> LogKnowledge:
        return cls(pa.nulls(count, pa.int32()), pa.nulls(count, pa.int64()))

    @classmethod
    def of(cls, positions: Sequence[tuple[int, int, int] | None]) -> LogKnowledge:
        """From token positions ``(epoch, partition, next offset)``; None: the state was absent."""
        return cls(
            pa.array([None if p is None else p[1] for p in positions], pa.int32()),
            pa.array([NOTHING_KNOWN if p is None else p[2] for p in positions], pa.int64()),
        )

    def partitions(self) -> list[int]:
        """The partitions that any row knows."""
        return sorted(pc.unique(self.partition.drop_null()).to_pylist())

    def beyond(self, logged: Mapping[int, int]) -> pa.Array:
        """True for rows whose knowledge is not wholly below these offsets, one per partition."""
        ends = pa.array([logged.get(p, 0) for p in self.partition.to_pylist()], pa.int64())
        reached = pc.or_kleene(pc.is_null(self.partition), pc.less_equal(self.next_offset, ends))
        return pc.invert(pc.fill_null(reached, fill_value=True))


@dataclass(frozen=True)
class RunKnowledge:
    """For each row, what was known of a batch view.

    run_seq: int64; null: every run; 0: the key was absent, no run.
    """

    run_seq: pa.Array

    @classmethod
    def everything(cls, count: int) -> RunKnowledge:
        return cls(pa.nulls(count, pa.int64()))

    @classmethod
    def of(cls, positions: Sequence[int | None]) -> RunKnowledge:
        """From token positions; None: the key was absent."""
        return cls(pa.array([0 if p is None else p for p in positions], pa.int64()))


@dataclass(frozen=True)
class Column:
    """One feature, a cell per row.

    values: of the feature's type; null where the status says there is none.
    statuses: uint8, never null.
    event_times_us: int64; null where there is none or it is not known.
    """

    values: pa.Array
    statuses: pa.Array
    event_times_us: pa.Array
