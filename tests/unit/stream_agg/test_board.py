"""Waiting until a source's records are readable in every view, and logged."""

import threading
import time

import pytest

from services.stream_agg.workflow.board import Awaited, Board, LogState, deadline
from skewless.errors import InvalidArgumentError


def board(*, direct: bool = True) -> Board:
    made = Board()
    made.open(LogState("p", "log", "src", "src-topic", direct, 1, views={"a@1.0": ("a@1.0.0",), "b@1.0": ("b@1.0.0",)}))
    return made


def show(on: Board, **positions: int) -> None:
    on.change("p", "log", lambda s: s.visible.update({f"{v}@1.0": {0: at} for v, at in positions.items()}))


WANT = [Awaited("p", "src", 0, 10)]


def missing(on: Board, *, logged: bool = False, seconds: float = 0) -> str:
    return on.wait(WANT, logged=logged, until=deadline(seconds))


def test_every_view_counts() -> None:
    it = board()
    show(it, a=10)
    assert missing(it) == "log/0 is readable up to 0 of 10"
    show(it, b=9)
    assert missing(it) == "log/0 is readable up to 9 of 10"
    show(it, b=10)
    assert missing(it) == ""


def test_the_event_log_counts_if_asked() -> None:
    it = board()
    show(it, a=10, b=10)
    assert missing(it, logged=True) == "log/0 is logged up to 0 of 10"
    it.change("p", "log", lambda s: s.logged.update({0: 10}))
    assert missing(it, logged=True) == ""


def test_a_source_that_nothing_reads_is_waited_for() -> None:
    assert "no view reads the source 'src'" in missing(Board())


def test_a_stopped_log_says_why() -> None:
    it = board()
    it.change("p", "log", lambda s: s.stopped.update({"log": "the end was lost"}))
    assert missing(it).endswith("(log: the end was lost)")


def test_a_re_keyed_log_is_waited_for_in_two_steps() -> None:
    it = board(direct=False)
    assert missing(it) == "log: source partition 0 is re-keyed up to -1 of 10"
    it.change("p", "log", lambda s: (s.rekeyed.update({0: 10}), s.sent.update({0: 3, 1: 2})))
    show(it, a=3, b=3)
    assert missing(it) == "log/1 is readable up to 0 of 2"
    it.change("p", "log", lambda s: [s.visible[v].update({1: 2}) for v in s.views])
    assert missing(it) == ""


def test_what_is_sent_after_the_awaited_records_is_not_waited_for() -> None:
    it = board(direct=False)
    it.change("p", "log", lambda s: (s.rekeyed.update({0: 10}), s.sent.update({0: 3})))
    answers: list[str] = []
    waiter = threading.Thread(target=lambda: answers.append(missing(it, seconds=10)))
    waiter.start()
    time.sleep(0.1)
    it.change("p", "log", lambda s: s.sent.update({0: 99}))
    show(it, a=3, b=3)
    waiter.join(5)
    assert answers == [""]


def test_a_waiter_wakes_at_the_change() -> None:
    it = board()
    began = time.monotonic()
    threading.Timer(0.05, lambda: show(it, a=10, b=10)).start()
    assert missing(it, seconds=10) == ""
    assert time.monotonic() - began < 2


def test_what_is_read_again_is_waited_for_and_its_account_if_asked() -> None:
    it = board()
    show(it, a=10, b=10)
    it.change("p", "log", lambda s: (s.logged.update({0: 10}), s.reading.update({0: 4})))
    assert missing(it) == "log/0 is read again up to 4 of 10"
    it.change("p", "log", lambda s: s.reading.clear())
    it.change("p", "log", lambda s: setattr(s, "uncounted", 6))
    assert missing(it) == ""
    assert missing(it, logged=True) == "log: 6 records that were read again are not in the account yet"
    it.change("p", "log", lambda s: setattr(s, "uncounted", 0))
    assert missing(it, logged=True) == ""


def known(state: LogState) -> None:
    """The source has three partitions."""
    state.partitions = 3 if state.direct else 8
    state.rekeyed = {} if state.direct else dict.fromkeys(range(3), 0)


@pytest.mark.parametrize("direct", [True, False])
def test_a_partition_that_is_not_there_is_refused(direct: bool) -> None:
    it = board(direct=direct)
    assert missing(it) != ""  # nobody knows the partitions yet
    it.change("p", "log", known)
    with pytest.raises(InvalidArgumentError, match="src-topic has the partitions 0 to 2, not 999") as caught:
        it.wait([Awaited("p", "src", 2, 0), Awaited("p", "src", 999, 1)], logged=False, until=deadline(5))
    assert [(v.path, v.reason) for v in caught.value.violations] == [("wait_for[1].partition", "NO_SUCH_PARTITION")]
