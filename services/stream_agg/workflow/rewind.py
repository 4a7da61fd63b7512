"""Reading a source again: every reader of its topic is moved back, one after the other.

None is moved before each has said where it stands and that is found good. One that fails afterwards leaves those before
it moved, which the error says; what is read twice changes nothing, so asking again is safe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from services.stream_agg.domain.rewinding import Rewind, Rewound, targets
from services.stream_agg.ports import Topics
from services.stream_agg.workflow.board import Board, LogState
from services.stream_agg.workflow.rereading import Errands, Rereader
from skewless.errors import InvalidArgumentError, TimedOutError, Violation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SourceReader:
    """A reader of a source topic, for the input log that it feeds or that the topic is itself."""

    project: str
    log: str
    direct: bool
    errands: Errands


@dataclass(frozen=True, slots=True)
class Rewinding:
    """One rewind of a source topic.

    until: the seconds left.
    """

    topic: str
    asked: Rewind
    topics: Topics
    board: Board
    until: Callable[[], float]

    def run(self, readers: Sequence[SourceReader]) -> list[Rewound]:
        """Moves the readers; gives what was moved, by reader and partition.

        Raises InvalidArgumentError with all that is wrong, and TimedOutError with why a reader does not answer; both
        name what was moved before.
        """
        starts = self.topics.starts(self.topic)
        wrong: dict[Violation, None] = {}
        for reader in readers:
            stands = self._ask(reader, lambda rereader: dict(rereader.positions), [])
            wrong.update(dict.fromkeys(targets(self.asked, self.topic, reader.log, stands, starts)[1]))
        if wrong:
            raise InvalidArgumentError(wrong)
        moved: list[Rewound] = []
        for reader in readers:
            moved += self._move(reader, starts, moved)
        return moved

    def _move(self, reader: SourceReader, starts: Mapping[int, int], before: Sequence[Rewound]) -> list[Rewound]:
        def move(rereader: Rereader) -> list[Rewound]:
            found, wrong = targets(self.asked, self.topic, reader.log, rereader.positions, starts)
            if wrong:  # moved by a restart of the session meanwhile
                raise InvalidArgumentError(replace(one, message=one.message + _named(before)) for one in wrong)
            stood = rereader.move(found)
            back = {partition: at for partition, at in found.items() if at < stood[partition]}

            def tell(state: LogState) -> None:
                (state.reading if reader.direct else state.rekeyed).update(back)

            self.board.change(reader.project, reader.log, tell)
            return [Rewound(reader.log, partition, stood[partition], at) for partition, at in sorted(found.items())]

        return self._ask(reader, move, before)

    def _ask(self, reader: SourceReader, errand: Callable[[Rereader], T], before: Sequence[Rewound]) -> T:
        try:
            return reader.errands.run(errand, until=self.until)
        except TimedOutError:
            reasons: list[str] = []
            self.board.read(
                reader.project, lambda state: reasons.append(state.reason()) if state.log == reader.log else None
            )
            detail = "; ".join(filter(None, reasons)) or "it is busy"
            detail += _named(before)
            raise TimedOutError(what=f"moving the reader of {reader.log}", detail=detail) from None


def _named(moved: Sequence[Rewound]) -> str:
    """What was moved before the failure, to be put behind it."""
    if not moved:
        return ""
    return "; moved already: " + ", ".join(f"{one.log}/{one.partition} back to {one.to_offset}" for one in moved)
