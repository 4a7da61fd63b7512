"""Roads: the ways by which a case can be answered. All must give the same answers.

A road is a class with a name, the kinds of case it takes, and one method. Put it into a module of this
package and name it in `ROADS` of tests/test_spec.py; every case then runs over it as well.
"""

from typing import Protocol

from tests.oracle.cells import Cell, Status
from tests.roads.cases import Case, Read, StreamCase, TableCase

Answers = list[dict[str, Cell]]
"""Per read of the case, feature name to cell."""


class Road(Protocol):
    """One way from events or rows to values."""

    name: str
    kinds: frozenset[str]

    def answers(self, case: StreamCase | TableCase) -> Answers:
        """Every read of the case, in order."""
        ...

    def may_refuse(self, case: StreamCase | TableCase, read: Read) -> bool:
        """Whether NOT_ANSWERABLE is lawful for this read on this road (H2, H9). Offline never."""
        ...


def disagreements(road: Road, case: Case) -> list[str]:
    """What the road answers that the case does not expect; one line each."""
    body = case.body
    assert isinstance(body, StreamCase | TableCase)
    found = []
    for number, (read, got) in enumerate(zip(body.reads, road.answers(body), strict=True)):
        lawful = road.may_refuse(body, read)
        for name, wanted in read.expect.items():
            cell = got[name]
            if not agrees(cell, wanted, lawful=lawful, due=lawful and read.must_refuse):
                found.append(f"read {number} at {read.request_time}: {name} is {cell}, expected {wanted}")
    return found


def agrees(cell: Cell, wanted: Cell, *, lawful: bool = False, due: bool = False) -> bool:
    """Equal bit for bit, or a refusal where one is `lawful`; where a refusal is `due`, nothing else."""
    refused = cell.status is Status.NOT_ANSWERABLE and cell.value is None
    if due or (refused and lawful):
        return refused
    times = wanted.event_time is None or wanted.event_time == cell.event_time
    return cell.same(wanted) and times
