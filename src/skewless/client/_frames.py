"""Frames as pieces of an Arrow IPC stream, and back. Imported only when a frame is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa

from skewless.errors import NaiveTimestampError, WrongTypeError
from skewless.types import describe

PIECE_BYTES: Final = 1 << 20
BATCH_ROWS: Final = 16_384
INSTANT: Final = pa.timestamp("us", tz="UTC")


def to_table(frame: Any) -> pa.Table:
    """An Arrow table of a pyarrow table, a pandas frame, or anything that speaks Arrow's PyCapsule interface.

    Raises WrongTypeError if it is none, or holds what Arrow cannot.
    """
    if isinstance(frame, pa.Table):
        return frame
    try:
        if type(frame).__module__.partition(".")[0] == "pandas":
            return pa.Table.from_pandas(frame, preserve_index=False)
        return pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        raise WrongTypeError(
            field="frame", expected="a pyarrow table or a pandas frame", got=f"{describe(frame)} ({error})"
        ) from error


def with_instants(table: pa.Table, column: str) -> pa.Table:
    """The table with its column of request times as microseconds in UTC.

    Raises WrongTypeError if there is no such column, or it holds no instants, nulls, or finer parts than
    microseconds; NaiveTimestampError if it has no zone.
    """
    place = table.schema.get_field_index(column)
    if place < 0:
        known = ", ".join(table.column_names)
        raise WrongTypeError(field=column, expected="a column of request times", got=f"only the columns {known}")
    times = table.column(place)
    if not pa.types.is_timestamp(times.type):
        raise WrongTypeError(field=column, expected="timestamps with a zone", got=str(times.type))
    if times.type.tz is None:
        shown = str(times[0]) if len(times) else str(times.type)
        raise NaiveTimestampError(field=column, value=shown)
    if times.null_count:
        raise WrongTypeError(field=column, expected="a request time in every row", got=f"{times.null_count} nulls")
    try:
        times = times.cast(INSTANT)
    except pa.ArrowInvalid as error:
        raise WrongTypeError(field=column, expected="whole microseconds", got=str(error)) from error
    return table.set_column(place, pa.field(column, INSTANT), times)


class _Pieces:
    """A sink that keeps what is written until it is taken, in pieces of at most 1 MiB."""

    closed = False

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._held += view
        return len(view)

    def flush(self) -> None:
        """Nothing waits."""

    def take(self) -> Iterator[bytes]:
        held, self._held = bytes(self._held), bytearray()
        for start in range(0, len(held), PIECE_BYTES):
            yield held[start : start + PIECE_BYTES]


def to_pieces(table: pa.Table) -> Iterator[bytes]:
    """The table as an Arrow IPC stream, cut up."""
    pieces = _Pieces()
    with pa.ipc.new_stream(pa.PythonFile(pieces, mode="w"), table.schema) as writer:
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            writer.write_batch(batch)
            yield from pieces.take()
    yield from pieces.take()


class _Joined:
    """A source that reads pieces one after the other."""

    closed = False

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = bytearray()

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._held) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._held += piece
        if size < 0:
            size = len(self._held)
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def drain(self) -> None:
        """Takes what follows the end of the stream, so that a failure after it is not missed."""
        for _ in self._pieces:
            pass


def from_pieces(pieces: Iterable[bytes]) -> pa.Table:
    """The table of an Arrow IPC stream. What the pieces raise is raised."""
    joined = _Joined(pieces)
    with pa.ipc.open_stream(pa.PythonFile(joined, mode="r")) as reader:
        table = reader.read_all()
    joined.drain()
    return table
