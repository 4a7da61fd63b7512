"""Latest features straight from the definition (docs/semantics.md, chapters L and B)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.oracle.cells import Cell, Row, Status
from tests.oracle.events import Event, by_identity
from tests.oracle.windows import Ask, Filter


@dataclass(frozen=True)
class TableRow:
    """A row of a batch view. `t` is None for a timeless source (L7); `digest` breaks the last tie (L1)."""

    key: str
    t: int | None
    run_seq: int
    row: Row = field(hash=False)
    created: int | None = None
    deleted: bool = False
    digest: bytes = b""


@dataclass(frozen=True)
class TableAsk:
    """An entity, T, and the run_seq known; None knows every run."""

    key: str | None
    request_time: int
    run_seq: int | None = None


def stream_latest(
    columns: Sequence[str],
    events: Sequence[Event],
    asks: Sequence[Ask],
    *,
    ttl: int | None = None,
    keep: Filter | None = None,
) -> list[list[Cell]]:
    """Per ask, per column, the cell of the newest known row before T."""
    logged = by_identity(list(events))
    answers = []
    for ask in asks:
        visible = [
            e
            for e in logged
            if e.key is not None
            and e.key == ask.key
            and ask.knowledge.knows(e.position)
            and e.t < ask.request_time  # L2
            and (keep is None or keep(e.row) is True)  # L6
        ]
        newest = max(visible, key=lambda e: (e.t, e.position), default=None)
        if newest is None or newest.retracts:  # R14
            answers.append(_not_found(columns))
        else:
            answers.append(_cells(columns, newest.row, newest.t, ask.request_time, ttl))
    return answers


def table_latest(
    columns: Sequence[str], rows: Sequence[TableRow], asks: Sequence[TableAsk], *, ttl: int | None = None
) -> list[list[Cell]]:
    """Per ask, per column, the cell of the newest known row at or before T."""
    answers = []
    for ask in asks:
        visible = [
            r
            for r in rows
            if r.key == ask.key
            and (ask.run_seq is None or r.run_seq <= ask.run_seq)  # E5
            and (r.t is None or r.t <= ask.request_time)  # L2, L7
        ]
        newest = max(visible, key=table_order, default=None)
        if newest is None or newest.deleted:
            answers.append(_not_found(columns))
        else:
            answers.append(_cells(columns, newest.row, newest.t, ask.request_time, ttl))
    return answers


def table_order(row: TableRow) -> tuple[bool, int, bool, int, int, bytes]:
    """L1; an absent time is older than any."""
    return (row.t is not None, row.t or 0, row.created is not None, row.created or 0, row.run_seq, row.digest)


def _not_found(columns: Sequence[str]) -> list[Cell]:
    return [Cell(None, Status.NOT_FOUND) for _ in columns]  # L3, L8


def _cells(columns: Sequence[str], row: Row, t: int | None, request_time: int, ttl: int | None) -> list[Cell]:
    if ttl is not None and t is not None and request_time - t > ttl:
        return [Cell(None, Status.OUTSIDE_TTL, t) for _ in columns]  # L4
    return [
        Cell(row[c], Status.PRESENT, t) if row.get(c) is not None else Cell(None, Status.NULL, t)  # L5, L10
        for c in columns
    ]
