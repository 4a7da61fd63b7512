"""Replay compares bits and statuses, and leaves out what was not answered."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest

from services.offline.domain.compare import differing
from services.offline.domain.rows import Column
from skewless.types import Cell, Status


def column(cells: list[Cell], statuses: list[Status], kind: pa.DataType | None = None) -> Column:
    values = pa.array(cells, kind or pa.float64())
    return Column(values, pa.array([int(s) for s in statuses], pa.uint8()), pa.nulls(len(cells), pa.int64()))


NEXT = struct.unpack("<d", struct.pack("<Q", struct.unpack("<Q", struct.pack("<d", 0.1))[0] + 1))[0]


@pytest.mark.parametrize(
    ("served", "computed", "expected"),
    [
        ((0.1, Status.PRESENT), (0.1, Status.PRESENT), False),
        ((0.1, Status.PRESENT), (NEXT, Status.PRESENT), True),
        ((0.0, Status.PRESENT), (-0.0, Status.PRESENT), True),
        ((None, Status.NULL), (None, Status.NULL), False),
        ((None, Status.NULL), (None, Status.NOT_FOUND), True),
        ((0.1, Status.PRESENT), (None, Status.NULL), True),
        ((None, Status.NULL), (0.1, Status.NULL), True),
        ((0.1, Status.PARTIAL), (0.1, Status.PRESENT), True),
        ((None, Status.UNAVAILABLE), (0.1, Status.PRESENT), False),
        ((None, Status.REBUILDING), (0.1, Status.PRESENT), False),
        ((None, Status.NOT_ANSWERABLE), (0.1, Status.PRESENT), False),
    ],
)
def test_cells_differ_by_bits_and_status(
    served: tuple[Cell, Status], computed: tuple[Cell, Status], expected: bool
) -> None:
    found = differing(column([served[0]], [served[1]]), column([computed[0]], [computed[1]]))
    assert found.to_pylist() == [expected]


def test_texts_and_integers_are_compared_as_they_are() -> None:
    statuses = [Status.PRESENT, Status.PRESENT]
    texts = differing(column(["a", "b"], statuses, pa.string()), column(["a", "c"], statuses, pa.string()))
    assert texts.to_pylist() == [False, True]
    big = 2**53
    numbers = differing(column([big, big], statuses, pa.int64()), column([big, big + 1], statuses, pa.int64()))
    assert numbers.to_pylist() == [False, True]
