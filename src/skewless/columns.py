"""Types of values as types of Arrow columns."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from skewless.types import ValueType


class ArrowTypes(dict[ValueType, pa.DataType]):
    """Arrow types by type: those given, decimals, and lists of each."""

    def __missing__(self, kind: ValueType) -> pa.DataType:
        if kind.element is not None:
            found = pa.list_(self[kind.element])
        elif kind.decimal is not None:
            found = pa.decimal128(*kind.decimal)
        else:
            raise KeyError(kind)
        self[kind] = found
        return found


ARROW_TYPES: Final = ArrowTypes(
    {
        ValueType.INT64: pa.int64(),
        ValueType.FLOAT64: pa.float64(),
        ValueType.BOOL: pa.bool_(),
        ValueType.STRING: pa.string(),
        ValueType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    }
)
"""How a column of each type looks outside the kernel: frames, tables."""
