"""Whether a value computed now is the value that was served: bit by bit, status by status."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from services.offline.domain.rows import Column
from skewless.types import Status

NOT_ANSWERED: Final = (Status.NOT_ANSWERABLE, Status.REBUILDING, Status.UNAVAILABLE, Status.NOT_COMPUTED)
"""Served without a value because the server could not know it then: nothing to compare."""


def answered(served: Column) -> pa.Array:
    """True where the served cell can be compared."""
    skipped = pa.array([int(status) for status in NOT_ANSWERED], pa.uint8())
    return pc.invert(pc.is_in(served.statuses, value_set=skipped))


def differing(served: Column, computed: Column) -> pa.Array:
    """True where the cells can be compared and are not equal. Doubles are equal iff their bits are."""
    same_null = pc.equal(pc.is_null(served.values), pc.is_null(computed.values))
    same_value = pc.fill_null(_equal(served.values, computed.values), fill_value=True)
    same_status = pc.equal(served.statuses, computed.statuses)
    equal = pc.and_(pc.and_(same_null, same_value), same_status)
    return pc.and_(answered(served), pc.invert(equal))


def _equal(served: pa.Array, computed: pa.Array) -> pa.Array:
    if pa.types.is_list(served.type):
        # Items are never NaN nor negative zero: equal doubles have equal bits.
        pairs = zip(served.to_pylist(), computed.to_pylist(), strict=True)
        return pa.array([served == computed for served, computed in pairs], pa.bool_())
    return pc.equal(_bits(served), _bits(computed))


def _bits(values: pa.Array) -> pa.Array:
    plain = pa.types.is_float64(values.type) or pa.types.is_timestamp(values.type)
    return values.view(pa.int64()) if plain else values
