"""Events, positions and knowledge (docs/semantics.md, chapter E)."""

from dataclasses import dataclass, field

from tests.oracle.cells import Row


@dataclass(frozen=True, order=True)
class Position:
    """E1: where a record stands in its input log."""

    epoch: int
    partition: int
    offset: int


@dataclass(frozen=True)
class Event:
    """An accepted event. `key` is the entity id, None for no entity (E7); `t` is microseconds."""

    key: str | None
    t: int
    position: Position
    row: Row = field(hash=False)
    retracts: bool = False
    """R9: it takes back what it holds."""


@dataclass(frozen=True)
class Known:
    """E4: of one partition, all earlier epochs and the offsets of this one below `next_offset`."""

    epoch: int
    partition: int
    next_offset: int

    def knows(self, position: Position) -> bool:
        """Whether a record at this position counts."""
        if position.partition != self.partition:
            return False
        return (position.epoch, position.offset) < (self.epoch, self.next_offset)


class Everything:
    """E4: all that has been logged."""

    def knows(self, position: Position) -> bool:
        """Always."""
        del position
        return True


class Nothing:
    """E4: no state was found for the key."""

    def knows(self, position: Position) -> bool:
        """Never."""
        del position
        return False


Knowledge = Known | Everything | Nothing


def by_identity(events: list[Event]) -> list[Event]:
    """E1: one event per position. Two different events at one position are a fault of the caller."""
    seen: dict[Position, Event] = {}
    for event in events:
        first = seen.setdefault(event.position, event)
        assert first == event, f"two events at {event.position}"
    return list(seen.values())
