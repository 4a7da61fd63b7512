"""A rewind whose second reader falls silent, and one whose way back is a single read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import pytest

from services.stream_agg.domain.notes import Note
from services.stream_agg.domain.opening import PartitionFacts, TopicFacts
from services.stream_agg.domain.rewinding import Rewind
from services.stream_agg.ports import LogReader, RekeyedRecord
from services.stream_agg.workflow.board import Board, LogState, deadline
from services.stream_agg.workflow.rekey import Rekeyer
from services.stream_agg.workflow.rereading import Errands, Rereader
from services.stream_agg.workflow.rewind import Rewinding, SourceReader
from skewless.bus import Part, Read
from skewless.errors import TimedOutError
from tests.decoded import input_log, payload


class Closing:
    """A reader that is never read from."""

    def close(self) -> None:
        """There is nothing to let go."""


class Topics:
    """One topic of two partitions, from 0 on."""

    def starts(self, _topic: str) -> dict[int, int]:
        return {0: 0, 1: 0}

    def read(self, _topic: str, _positions: Mapping[int, int]) -> LogReader:
        return cast("LogReader", Closing())


@contextmanager
def answering(errands: Errands, at_most: int) -> Iterator[None]:
    """Does so many errands and then no more."""
    reader, stop = Rereader(Topics(), "src-topic", {0: 10, 1: 20}), threading.Event()  # type: ignore[arg-type]
    left = at_most

    def work() -> None:
        nonlocal left
        while left and not stop.wait(0.001):
            if errands._waiting:
                errands.do(reader)
                left -= 1

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_what_was_moved_before_a_reader_fell_silent_is_named() -> None:
    board = Board()
    readers = [SourceReader("p", log, direct, Errands()) for log, direct in (("src-topic", True), ("rekeyed", False))]
    for reader in readers:
        board.open(LogState("p", reader.log, "src", "src-topic", reader.direct, 1))
    rewinding = Rewinding("src-topic", Rewind(None, 5, 0), Topics(), board, deadline(1.0))  # type: ignore[arg-type]
    with (
        answering(readers[0].errands, 2),
        answering(readers[1].errands, 1),
        pytest.raises(
            TimedOutError,
            match=r"the reader of rekeyed .*; moved already: src-topic/0 back to 5, src-topic/1 back to 15$",
        ),
    ):
        rewinding.run(readers)


class Source:
    """A topic of one partition with three records, which a reader gets at once, and the log that they are sent to."""

    partitions = 1

    def __init__(self) -> None:
        self.stored: list[RekeyedRecord] = []

    def facts(self, topic: str, _group: str) -> tuple[TopicFacts, list[PartitionFacts]]:
        return TopicFacts(topic, "id", 1, "delete"), [PartitionFacts(0, 0, 3)]

    def starts(self, _topic: str) -> dict[int, int]:
        return {0: 0}

    def ends(self, _topic: str = "") -> dict[int, int]:
        return {0: len(self.stored)}

    def read(self, _topic: str, positions: Mapping[int, int]) -> LogReader:
        return AtOnce(positions[0])

    def commit(self, group: str, topic: str, offsets: Mapping[int, tuple[int, Note]]) -> None:
        """Nobody asks for it."""

    def send(self, records: Sequence[RekeyedRecord]) -> None:
        self.stored += records

    def flush(self, timeout_s: float) -> bool:
        return timeout_s > 0

    def close(self) -> None:
        """There is nothing to let go."""


class AtOnce:
    """Everything from an offset on in the first read."""

    def __init__(self, at: int) -> None:
        self._at = at

    def read(self, *, max_records: int, wait_s: float) -> Read:
        part = Part(0)
        for offset in range(self._at, 3):
            part.offsets.append(offset)
            part.keys.append(b"ann")
            part.values.append(payload("ann", offset, 1))
            part.times_us.append(offset)
            part.headers.append({})
        self._at = 3
        time.sleep(0 if part.offsets else min(wait_s, 0.01 * max_records))
        return Read([part] if part.offsets else [], {0: 3})

    def close(self) -> None:
        """There is nothing to let go."""


def test_a_re_keyer_that_is_back_with_one_read_says_so() -> None:
    board, source, log = Board(), Source(), input_log(direct=False)
    board.open(LogState(log.project, log.name, log.source.name, log.source.topic, False, 1))
    rekeyer = Rekeyer(
        log, source, lambda _name, _partitions: source, board, gather_s=0.01, gather_records=10, commit_s=60
    )  # fmt: skip

    def rekeyed() -> int:
        found: dict[int, int] = {}
        board.read(log.project, lambda state: found.update(state.rekeyed))
        return found.get(0, 0)

    def until(stored: int) -> None:
        end = time.monotonic() + 10
        while (len(source.stored), rekeyed()) != (stored, 3):
            assert time.monotonic() < end, f"{len(source.stored)} records are sent, {rekeyed()} are told"
            time.sleep(0.01)

    rekeyer.start()
    try:
        until(3)
        reader = SourceReader(log.project, log.name, False, rekeyer.errands)
        (moved,) = Rewinding(log.source.topic, Rewind(None, 2, 0), source, board, deadline(5)).run([reader])
        assert (moved.from_offset, moved.to_offset) == (3, 1)
        until(5)
    finally:
        rekeyer.stop()
