"""The order in which account is kept, and what a failure in the middle leaves."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from services.stream_agg.domain.account import Account
from services.stream_agg.domain.notes import Note
from services.stream_agg.domain.opening import Begin, PartitionFacts, TopicFacts
from services.stream_agg.ports import Found, Letter, LogReader, Progress, StateWrite
from services.stream_agg.workflow.board import Board, LogState
from services.stream_agg.workflow.commit import Committer
from services.stream_agg.workflow.fold import Decoded
from services.stream_agg.workflow.ledger import Ledger
from skewless.errors import DependencyUnavailableError
from skewless.store import StoreLostError
from tests.decoded import decoded, input_log, payload

LOG = input_log(direct=True)
NOTE = Note(0, "id", 1)


class World:
    """Every port of the committer; writes down what happens, and fails where it is told to."""

    def __init__(self, fails: str = "") -> None:
        self.did: list[str] = []
        self.fails = fails
        self.told: Account | None = None

    def _do(self, what: str, text: str) -> None:
        if self.fails == what:
            if what == "barrier":
                raise StoreLostError(what="the store", address="here")
            raise DependencyUnavailableError(what="the broker", address="here")
        self.did.append(f"{what} {text}".strip())

    def commit(self, group: str, topic: str, offsets: Mapping[int, tuple[int, Note]]) -> None:
        self._do("commit", f"{group} {topic} { ({p: at for p, (at, _) in offsets.items()}) }")

    def append(self, first: Any, second: Any, account: Account | None = None) -> None:
        self.told = account or self.told
        if isinstance(first, str):
            self._do("progress", f"{[(row.view, row.next_offset) for row in second]}")
        else:
            self._do("log", f"{0 if first is None else first.num_rows} rows {dict(second)}")

    def send(self, letters: Iterable[Letter]) -> None:
        self._do("letters", str(len(list(letters))))

    def flush(self, timeout_s: float) -> bool:
        return timeout_s > 0

    def barrier(self) -> None:
        self._do("barrier", "")

    def close(self) -> None:
        pass

    # Not used by the committer.
    def logged(self, partitions: int) -> dict[int, int]:
        raise AssertionError(partitions)

    def facts(self, topic: str, group: str) -> tuple[TopicFacts, list[PartitionFacts]] | None:
        raise AssertionError(topic, group)

    def account(self, partitions: int) -> Account:
        raise AssertionError(partitions)

    def starts(self, topic: str) -> dict[int, int]:
        raise AssertionError(topic)

    def ends(self, topic: str) -> dict[int, int]:
        raise AssertionError(topic)

    def read(self, topic: str, positions: Mapping[int, int]) -> LogReader:
        raise AssertionError(topic, positions)

    def load(self, sentinel: str, heads: Sequence[str]) -> list[Found] | None:
        raise AssertionError(sentinel, heads)

    def write(self, writes: Sequence[StateWrite]) -> list[bool]:
        raise AssertionError(writes)

    def sentinel(self, key: str) -> bytes | None:
        raise AssertionError(key)

    def holds(self, key: str) -> bool:
        raise AssertionError(key)

    def set_sentinel(self, key: str, value: bytes, *, where_absent: bool = False) -> None:
        raise AssertionError(key, value, where_absent)


def begin(logged: int = 0) -> Begin:
    return Begin(0, position=0, origin=0, end=99, start=0, logged=logged, vector={}, event_time_us=None)


def committer(world: World, *, logged: int = 0, interval_s: float = 30) -> tuple[Committer, Board]:
    board = Board()
    board.open(LogState("p", "log", "src", "log", True, 1))
    made = Committer(
        LOG,
        "group",
        [begin(logged)],
        topics=world,
        events=world,
        progress=world,
        dead_letters=world,
        states=world,
        board=board,
        ledger=Ledger(Account(), 2),
        interval_s=interval_s,
        rows=1_000,
    )
    made.start()
    return made, board


def batch(rows: int) -> Decoded:
    return decoded(0, 0, [payload("a", 5, n) for n in range(rows - 1)] + [b"no JSON"], append_us=5)


LETTER = Letter(None, b"x", {})
STEP = Progress("v@1.0", "log", 1, 0, 10, 5)


def test_offsets_are_committed_last_of_all_that_a_crash_could_undo() -> None:
    """R5: behind the rows of the event log and the barrier of the store."""
    world = World()
    made, board = committer(world)
    made.add([batch(10)], [LETTER], {0: 10}, [(0, 10, NOTE)], [STEP], again=0)
    made.stop(finish=True)
    assert world.did == [
        "letters 1",
        "log 10 rows {0: 10}",
        "barrier",
        "commit group log {0: 10}",
        "progress [('v@1.0', 10)]",
    ]
    seen: list[Any] = []
    board.read("", lambda s: seen.append((dict(s.account.verdicts), dict(s.logged), dict(s.committed))))
    assert seen == [({"accepted": 9, "malformed": 1, "duplicate": 0}, {0: 10}, {0: 10})]


def test_nothing_is_committed_when_the_log_is_not_written() -> None:
    """R5: no offset before its rows."""
    world = World(fails="log")
    made, _ = committer(world, interval_s=0.01)
    made.add([batch(3)], [], {0: 3}, [(0, 3, NOTE)], [], again=0)
    made.stop(finish=True)
    assert world.did == []
    assert isinstance(made.failure, DependencyUnavailableError)


def test_nothing_is_committed_when_states_are_not_durable() -> None:
    """R5: no offset before the writes below it."""
    world = World(fails="barrier")
    made, _ = committer(world)
    made.add([batch(3)], [], {0: 3}, [(0, 3, NOTE)], [], again=0)
    made.stop(finish=True)
    assert world.did == ["log 3 rows {0: 3}"]
    assert isinstance(made.failure, StoreLostError)


def test_a_commit_that_failed_is_made_up_for() -> None:
    world = World(fails="commit")
    made, _ = committer(world, interval_s=0.01)
    made.add([batch(3)], [], {0: 3}, [(0, 3, NOTE)], [], again=0)
    with made._wake:
        made._wake.wait_for(lambda: bool(made._pending), 5)
    world.fails = ""
    made.stop(finish=True)
    assert world.did[-1] == "commit group log {0: 3}"
    assert made.failure is None


def test_a_session_that_broke_is_not_accounted_for() -> None:
    world = World()
    made, _ = committer(world)
    made.add([batch(3)], [], {0: 3}, [(0, 3, NOTE)], [], again=0)
    made.stop(finish=False)
    assert not [line for line in world.did if not line.startswith("log 0")]


def test_what_was_logged_before_allows_a_commit_without_new_rows() -> None:
    world = World()
    made, _ = committer(world, logged=50)
    made.add([], [], {0: 50}, [(0, 10, NOTE)], [], again=0)
    made.stop(finish=True)
    assert world.did == ["barrier", "commit group log {0: 10}"]


@pytest.mark.parametrize("count", [1, 7])
def test_rows_of_many_batches_go_in_one_commit(count: int) -> None:
    world = World()
    made, _ = committer(world)
    for n in range(count):
        made.add([batch(2)], [], {0: 2 * n + 2}, [(0, 2 * n + 2, NOTE)], [], again=0)
    made.stop(finish=True)
    assert f"log {2 * count} rows {{0: {2 * count}}}" in world.did
    assert f"commit group log {{0: {2 * count}}}" in world.did


def test_records_that_were_read_again_are_counted_without_a_row_and_without_moving_anything() -> None:
    world = World()
    made, board = committer(world)
    made.add([batch(3)], [], {0: 3}, [(0, 3, NOTE)], [], again=0)
    board.change("p", "log", lambda s: setattr(s, "uncounted", 2))
    made.add([], [], {}, [], [], again=2)
    made.stop(finish=True)
    assert [line for line in world.did if line.startswith("log")] == ["log 3 rows {0: 3}"]
    assert world.told is not None
    assert (world.told.consumed, world.told.verdicts) == (5, {"accepted": 2, "malformed": 1, "duplicate": 2})
    seen: list[int] = []
    board.read("", lambda s: seen.append(s.uncounted))
    assert seen == [0]


def test_an_account_of_nothing_but_repetitions_is_written_too() -> None:
    world = World()
    made, _ = committer(world)
    made.add([], [], {}, [], [], again=2)
    made.stop(finish=True)
    assert world.did == ["log 0 rows {}"]
    assert world.told == Account(2, {"duplicate": 2}, 0, {})
    assert made.failure is None
