"""A rewind whose second reader falls silent: what the first did is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import pytest

from services.stream_agg.domain.rewinding import Rewind
from services.stream_agg.ports import LogReader
from services.stream_agg.workflow.board import Board, LogState, deadline
from services.stream_agg.workflow.rereading import Errands, Rereader
from services.stream_agg.workflow.rewind import Rewinding, SourceReader
from skewless.errors import TimedOutError


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
