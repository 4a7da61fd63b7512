"""What a session goes on with: the clock of a partition, and only what is new in it."""

import json
from collections.abc import Sequence

import skewless
from services.stream_agg.domain.opening import Begin
from services.stream_agg.ports import Found, StateWrite
from services.stream_agg.workflow.fold import LogFold, ViewFold
from services.stream_agg.workflow.rereading import fresh
from skewless.bus import Part
from skewless.definitions.catalog import Catalog

NOW = 1_700_000_000_000_000
SOURCE = skewless.StreamSource(
    name="src", topic="log", columns={"user": "string", "at": "timestamp"}, event_time="at", record_key=["user"]
)
USER = skewless.Entity(name="user")
VIEWS = (
    skewless.StreamFeatureView(name="v", entity=USER, source=SOURCE, features=[skewless.count("n", windows=["1h"])]),
    skewless.LatestFeatureView(name="l", entity=USER, source=SOURCE, features=["at"]),
)
(LOG,) = Catalog(skewless.Project("p", *VIEWS).definitions()).input_logs()


class Memory:
    """A store that has nothing but sentinels and keeps what is written."""

    def __init__(self) -> None:
        self.written: dict[str, bytes] = {}

    def load(self, sentinel: str, heads: Sequence[str]) -> list[Found] | None:
        assert sentinel
        return [(self.written.get(key), None) for key in heads]

    def write(self, writes: Sequence[StateWrite]) -> list[bool]:
        self.written.update({write.key: write.head for write in writes})
        return [True] * len(writes)

    def barrier(self) -> None: ...

    def sentinel(self, key: str) -> bytes | None:
        raise AssertionError(key)

    def holds(self, key: str) -> bool:
        raise AssertionError(key)

    def set_sentinel(self, key: str, value: bytes, *, where_absent: bool = False) -> None:
        raise AssertionError(key, value, where_absent)

    def close(self) -> None: ...


def records(*events: tuple[str, int], first: int = 0) -> Part:
    """Events as (user, seconds from now) from an offset on."""
    part = Part(0)
    for n, (user, seconds) in enumerate(events):
        part.offsets.append(first + n)
        part.keys.append(user.encode())
        part.values.append(json.dumps({"user": user, "at": NOW + seconds * 1_000_000}).encode())
        part.times_us.append(NOW)
        part.headers.append({})
    return part


def begin(position: int, event_time_us: int | None) -> Begin:
    return Begin(0, position, 0, end=99, start=0, logged=0, vector={}, event_time_us=event_time_us)


def session(at: Begin) -> LogFold:
    return LogFold(LOG, [ViewFold(view, run=7) for view in LOG.views], [at], 1 << 20)


def test_states_do_not_tell_that_a_session_ended_in_between() -> None:
    first, then = (("ann", 0), ("ann", -5)), (("bob", -60), ("ann", -30), ("eve", -3_000))
    whole, parted = Memory(), Memory()
    one = session(begin(0, None))
    one.take(records(*first), whole, NOW)
    one.take(records(*then, first=2), whole, NOW)
    one.flush([0], whole)

    one = session(begin(0, None))
    one.take(records(*first), parted, NOW)
    one.flush([0], parted)
    another = session(begin(2, one.event_times[0]))
    another.take(records(*then, first=2), parted, NOW)
    another.flush([0], parted)
    assert len(whole.written) == 6
    assert parted.written == whole.written
    assert another.event_times == {0: NOW}


def test_the_clock_goes_on_where_it_was_noted_and_no_further_than_the_wall() -> None:
    for noted, wall, clock in ((NOW, NOW + 5, NOW), (NOW, NOW - 7, NOW - 7), (None, NOW, NOW - 60_000_000)):
        fold = session(begin(2, noted))
        fold.take(records(("bob", -60), first=2), Memory(), wall)
        assert [view.partition(0).clock_us for view in fold.views] == [clock, clock]


def test_what_was_read_before_is_counted_and_left_out() -> None:
    part = records(*[("ann", n) for n in range(5)], first=10)
    for position, kept in ((10, 5), (12, 3), (14, 1), (15, 0), (99, 0)):
        parts, again = fresh([part], {0: position})
        assert again == 5 - kept
        assert [one.offsets for one in parts] == ([list(range(15 - kept, 15))] if kept else [])
        assert [len(one.values) for one in parts] == ([kept] if kept else [])
