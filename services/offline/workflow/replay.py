"""Replay: every served value computed again at its own knowledge, and compared bit by bit."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from services.offline.domain.compare import answered, differing
from services.offline.domain.features import type_of
from services.offline.domain.rows import Column
from services.offline.ports import Catalogs, ServedLog
from services.offline.workflow.compute import Computer, Digests
from services.offline.workflow.functions import SameEnvironment, other_arguments
from services.offline.workflow.vectors import Group, groups, served_cells
from skewless.columns import ARROW_TYPES
from skewless.definitions.catalog import Catalog
from skewless.errors import UnknownRequestIdError
from skewless.served import ServedVector
from skewless.types import Cell, Status, ValueType

_CHUNK: Final = 5_000
"""Requests computed together: enough to read each log rarely, few enough to report progress."""

MOST_DIFFERENCES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what it was."""

    request_id: str
    row: int
    feature: str
    type: ValueType
    served: Cell
    served_status: Status
    replayed: Cell
    replayed_status: Status


class Outcome(enum.IntEnum):
    """What came of a vector; of a request with several rows, the greatest of theirs."""

    NOT_ANSWERED = 1
    """No value was served that could be compared."""
    EQUAL = 2
    """Every value that can be compared has the same bits."""
    NOT_REPLAYED = 3
    """A Python function was not called again; its arguments and every other value are the same."""
    NOT_YET_LOGGED = 4
    """The event log has not reached what it knew."""
    DIFFERENT = 5
    """At least one value differs."""


@dataclass
class Report:
    """The sum so far; `differences` and `outcomes` (by request id) since the previous report.

    vectors: the sum of equal, different, not_replayed, not_yet_logged and unanswered. not_answered: values.
    """

    vectors: int = 0
    equal: int = 0
    different: int = 0
    not_yet_logged: int = 0
    unanswered: int = 0
    not_replayed: int = 0
    not_answered: int = 0
    differences: list[Difference] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    done: bool = False

    @property
    def replayed(self) -> int:
        """Vectors that were compared."""
        return self.equal + self.different

    def count(self, *, is_given: bool, is_late: bool, is_wrong: bool, is_skipped: bool) -> Outcome:
        """Counts a vector of which something was answered, is not logged yet, differs, or was not computed again."""
        if not is_given:
            self.unanswered += 1
            return Outcome.NOT_ANSWERED
        if is_late:
            self.not_yet_logged += 1
            return Outcome.NOT_YET_LOGGED
        if is_wrong:
            self.different += 1
            return Outcome.DIFFERENT
        if is_skipped:
            self.not_replayed += 1
            return Outcome.NOT_REPLAYED
        self.equal += 1
        return Outcome.EQUAL


@dataclass(frozen=True)
class Replayer:
    """Replays served vectors."""

    catalogs: Catalogs
    served: ServedLog
    computer: Computer

    def replay(
        self, project: str, request_ids: Sequence[str], from_us: int | None, until_us: int | None
    ) -> Iterator[Report]:
        """Reports as it goes; the last one is `done`. Raises UnknownRequestIdError for ids not in the log."""
        catalog = self.catalogs.current()
        total = Report()
        listed = 0
        missing = set(request_ids)
        found = self.served.vectors(project, request_ids=request_ids, from_us=from_us, until_us=until_us)
        for chunk in _chunks(found):
            for group in groups(catalog, chunk):
                self._compare(catalog, group, total)
            total.differences = total.differences[: MOST_DIFFERENCES - listed]
            listed += len(total.differences)
            missing -= {vector.request_id for vector in chunk}
            yield total
            total.differences, total.outcomes = [], {}
        if missing:
            raise UnknownRequestIdError(name=", ".join(sorted(missing)[:5]))
        total.done = True
        yield total

    def _compare(self, catalog: Catalog, group: Group, total: Report) -> None:
        waiting = self.computer.not_yet_logged(catalog, group.knowledge, group.rows.count)
        digests: Digests = {}
        functions = SameEnvironment(self.computer.functions, group.environment)
        computed = self.computer.compute(
            catalog, group.pins, group.rows, group.knowledge, functions=functions, digests=digests
        )
        others = other_arguments(group, digests)
        wrong = given = skipped = pa.array([False] * group.rows.count)
        for other in others.values():
            wrong = pc.or_(wrong, pc.and_(other, pc.invert(waiting)))
        for pin, cells in zip(group.pins, served_cells(group.vectors), strict=True):
            served = served_column(cells, computed[pin].values.type)
            claimed = answered(served)
            given = pc.or_(given, claimed)
            compared = pc.and_(claimed, pc.invert(waiting))
            total.not_answered += pc.sum(pc.invert(claimed)).as_py() or 0
            left = pc.and_(compared, pc.equal(computed[pin].statuses, int(Status.NOT_COMPUTED)))
            bad = pc.and_(pc.and_(compared, pc.invert(left)), differing(served, computed[pin]))
            skipped = pc.or_(skipped, left)
            if (other := others.get((pin.meaning, pin.feature))) is not None:
                bad = pc.or_(bad, pc.and_(other, pc.invert(waiting)))
            wrong = pc.or_(wrong, bad)
            kind = type_of(catalog, pin)
            total.differences += _differences(kind, group, pin.label, bad=bad, served=served, computed=computed[pin])
        total.vectors += group.rows.count
        flags = zip(*(flag.to_pylist() for flag in (given, waiting, wrong, skipped)), strict=True)
        for (vector, _), (is_given, is_late, is_wrong, is_skipped) in zip(group.places, flags, strict=True):
            outcome = total.count(is_given=is_given, is_late=is_late, is_wrong=is_wrong, is_skipped=is_skipped)
            total.outcomes[vector.request_id] = max(outcome, total.outcomes.get(vector.request_id, outcome))


def served_column(cells: tuple[list[Cell], list[int]], kind: pa.DataType) -> Column:
    """Values and statuses that were served, as a column of this type; the event times are left out."""
    values, statuses = cells
    return Column(pa.array(values, kind), pa.array(statuses, pa.uint8()), pa.nulls(len(values), pa.int64()))


def _differences(
    kind: ValueType, group: Group, label: str, *, bad: pa.Array, served: Column, computed: Column
) -> Iterator[Difference]:
    for place in itertools.islice(pc.indices_nonzero(bad).to_pylist(), MOST_DIFFERENCES):
        vector, row = group.places[place]
        yield Difference(
            request_id=vector.request_id,
            row=row,
            feature=label,
            type=kind,
            served=plain(served.values[place]),
            served_status=Status(served.statuses[place].as_py()),
            replayed=plain(computed.values[place]),
            replayed_status=Status(computed.statuses[place].as_py()),
        )


def plain(scalar: pa.Scalar) -> Cell:
    """A cell of the library; a timestamp becomes its microseconds."""
    if scalar.type == ARROW_TYPES[ValueType.TIMESTAMP]:
        scalar = scalar.cast(pa.int64())
    elif scalar.type == ARROW_TYPES[ValueType.TIMESTAMP_LIST]:
        scalar = scalar.cast(pa.list_(pa.int64()))
    cell: Cell = scalar.as_py()
    return cell


def _chunks(vectors: Iterable[ServedVector]) -> Iterator[list[ServedVector]]:
    rest = iter(vectors)
    while chunk := list(itertools.islice(rest, _CHUNK)):
        yield chunk
