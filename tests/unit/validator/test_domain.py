"""What the validator decides, without a clock, a broker or a network."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.validator.domain.outcome import Decision, Outcome, decide
from services.validator.domain.positions import Positions, Start, choose_start
from services.validator.domain.profile import ExactSum, Profiles
from services.validator.domain.queue import Batch, ReplayQueue, Rules
from services.validator.domain.sampling import chosen
from skewless.clock import Backoff
from skewless.errors import (
    BusyError,
    DependencyUnavailableError,
    InternalError,
    SkewlessError,
    TimedOutError,
    UnknownFeatureError,
    UnknownRequestIdError,
)
from skewless.types import Status
from tests.unit.validator.served import vector

# --- Positions --------------------------------------------------------------------------------------------------


def test_a_restart_reads_from_the_lowest_undecided_record() -> None:
    positions = Positions()
    positions.start(0, 10)
    positions.start(1, 0)
    marks = [positions.read(0, offset) for offset in (10, 11, 14)]
    assert positions.resume() == {0: 10, 1: 0}
    marks[1].decide()
    assert positions.resume()[0] == 10
    marks[0].decide()
    assert positions.resume()[0] == 14
    marks[2].decide()
    marks[2].decide()
    assert positions.resume() == positions.following() == {0: 15, 1: 0}


def test_marks_of_a_log_that_was_made_anew_decide_nothing() -> None:
    positions = Positions()
    positions.start(0, 0)
    old = positions.read(0, 0)
    positions.start(0, 0)
    positions.read(0, 0)
    old.decide()
    assert positions.resume() == {0: 0}


@pytest.mark.parametrize(
    ("wanted", "offset", "skipped", "anew"),
    [(None, 3, 0, False), (5, 5, 0, False), (9, 9, 0, False), (1, 3, 2, False), (12, 3, 0, True)],
)
def test_reading_starts_where_it_would_go_on_or_says_why_not(
    wanted: int | None, offset: int, skipped: int, *, anew: bool
) -> None:
    start = choose_start(wanted, first=3, end=9)
    assert start == Start(offset, wanted)
    assert (start.skipped, start.anew) == (skipped, anew)


# --- Sampling ---------------------------------------------------------------------------------------------------


def test_a_share_is_that_share_and_part_of_every_greater_one() -> None:
    ids = [f"request-{number}" for number in range(10_000)]
    assert all(chosen(name, 1.0) for name in ids)
    assert not any(chosen(name, 0.0) for name in ids)
    tenth = {name for name in ids if chosen(name, 0.1)}
    assert 900 < len(tenth) < 1_100
    assert tenth <= {name for name in ids if chosen(name, 0.3)}


# --- What an answer means ---------------------------------------------------------------------------------------

AWAY = DependencyUnavailableError(what="peer", address="h:1")


@pytest.mark.parametrize(
    ("outcome", "failure", "decision"),
    [
        (Outcome.EQUAL, None, Decision.COUNT),
        (Outcome.DIFFERENT, AWAY, Decision.COUNT),
        (Outcome.NOT_YET_LOGGED, None, Decision.WAIT),
        (None, None, Decision.WAIT),
        (None, UnknownRequestIdError(name="x"), Decision.WAIT),
        (None, AWAY, Decision.POSTPONE),
        (None, BusyError(what="x"), Decision.POSTPONE),
        (None, TimedOutError(what="x"), Decision.NARROW),
        (None, UnknownFeatureError(name="x"), Decision.NARROW),
        (None, InternalError(incident="x"), Decision.NARROW),
    ],
)
def test_each_answer_has_its_decision(
    outcome: Outcome | None, failure: SkewlessError | None, decision: Decision
) -> None:
    assert decide(outcome, failure) is decision


# --- Queue ------------------------------------------------------------------------------------------------------

RULES = Rules(batch=4, capacity=10, settle_s=2.0, give_up_s=100.0, unlogged=Backoff(1, 8), refused=Backoff(5, 60))


class Filled:
    """A queue with requests ``r0``, ``r1``, ... that came at these instants."""

    def __init__(self, *instants: float, rules: Rules = RULES, project: str = "flights") -> None:
        self.queue = ReplayQueue(rules)
        self.positions = Positions()
        self.positions.start(0, 0)
        for place, now in enumerate(instants):
            self.add(f"r{place}", now, project)

    def add(self, request_id: str, now: float, project: str = "flights") -> bool:
        mark = self.positions.read(0, self.positions.following()[0])
        return self.queue.add(vector(request_id, {"v:f": [1.0, 2.0]}, project=project), mark, now)

    def take(self, now: float) -> Batch:
        batch = self.queue.take(now)
        assert batch is not None
        return batch


def test_batches_are_bounded_and_in_the_order_in_which_requests_are_due() -> None:
    held = Filled(*[0.0] * 6)
    assert held.queue.take(1.9) is None
    first = held.take(2.0)
    assert first.request_ids == ["r0", "r1", "r2", "r3"]
    assert first.full
    second = held.take(2.0)
    assert second.request_ids == ["r4", "r5"]
    assert not second.full
    assert held.queue.take(1e9) is None
    assert held.queue.pending("flights") == 12


def test_a_batch_has_one_project() -> None:
    held = Filled(0.0, 0.0, project="b")
    held.add("x", 1.0, "a")
    assert held.take(9.0).project == "b"
    assert held.take(9.0).project == "a"
    assert (held.queue.pending("a"), held.queue.pending("b"), held.queue.pending("c")) == (2, 4, 0)


def test_the_queue_is_bounded_by_what_is_undecided() -> None:
    held = Filled(*[0.0] * 10)
    assert held.queue.room == 0
    with pytest.raises(OverflowError):
        held.add("more", 0.0)
    batch = held.take(2.0)
    assert held.queue.room == 0
    held.queue.done(batch.requests[0])
    assert held.queue.room == 1
    assert held.positions.resume() == {0: 1}


def test_a_request_read_twice_is_held_once_and_frees_both_places() -> None:
    held = Filled(0.0)
    assert not held.add("r0", 1.0)
    assert held.queue.pending("flights") == 2
    held.queue.done(held.take(2.0).requests[0])
    assert held.positions.resume() == {0: 2}
    assert held.queue.pending("flights") == 0


def test_what_is_not_logged_is_asked_for_later_each_time_and_at_last_given_up() -> None:
    held = Filled(0.0)
    now = 2.0
    for wait in (1, 2, 4, 8, 8):
        (request,) = held.take(now).requests
        assert held.queue.again(request, now)
        now += wait
        assert held.queue.take(now - 0.1) is None
    assert held.queue.oldest("flights") == 0.0
    (request,) = held.take(100.0).requests
    assert not held.queue.again(request, 100.0)
    assert held.queue.pending("flights") == 2


def test_a_refused_batch_is_halved_until_the_request_at_fault_is_alone() -> None:
    held = Filled(*[0.0] * 4)
    fault, asked, now = "r2", [], 2.0
    while (batch := held.queue.take(now)) is not None:
        asked.append(batch.request_ids)
        for request in batch.requests:
            if fault in batch.request_ids:
                held.queue.narrow(request, len(batch.requests), now)
            else:
                held.queue.done(request)
    assert asked == [["r0", "r1", "r2", "r3"], ["r0", "r1"], ["r2", "r3"], ["r2"], ["r3"]]
    assert held.take(now + 5).request_ids == ["r2"]


# --- Profile ----------------------------------------------------------------------------------------------------


def test_a_profile_counts_statuses_and_numbers() -> None:
    profiles = Profiles(10)
    profiles.add(
        vector(
            "a",
            {"v:x": [3, None, 1, None], "v:s": ["u", "w", None, None], "v:b": [True, False, True, True]},
            statuses={"v:x": [Status.PRESENT, Status.NULL, Status.PARTIAL, Status.NOT_FOUND]},
        )
    )
    profiles.add(vector("b", {"v:x": [0.5]}, service=""))
    by_feature = {(p.feature_service, p.feature): p for p in profiles.of("flights")}
    assert list(by_feature) == [("", "v:x"), *(("delay@1.0.0", f"v:{name}") for name in "bsx")]
    numbers = by_feature["delay@1.0.0", "v:x"]
    assert numbers.served == 4
    assert numbers.statuses == {Status.PRESENT: 1, Status.NULL: 1, Status.PARTIAL: 1, Status.NOT_FOUND: 1}
    assert (numbers.coverage, numbers.missing_rate) == (0.5, 0.5)
    assert (numbers.min, numbers.max, numbers.mean) == (1.0, 3.0, 2.0)
    for name in ("v:s", "v:b"):
        other = by_feature["delay@1.0.0", name]
        assert (other.min, other.max, other.mean) == (None, None, None)
    assert profiles.of("another") == []


def test_features_beyond_the_capacity_are_counted_as_left_out() -> None:
    profiles = Profiles(1)
    profiles.add(vector("a", {"v:x": [1.0, 2.0], "v:y": [1.0, 2.0]}))
    assert [profile.feature for profile in profiles.of("flights")] == ["v:x"]
    assert profiles.left_out == 2


decimals = st.tuples(st.integers(-(10**18) + 1, 10**18 - 1), st.integers(0, 18)).map(
    lambda d: Decimal(d[0]).scaleb(-d[1])
)
numbers = st.lists(
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1) | decimals, min_size=1
)


def test_decimals_are_numbers_of_a_profile() -> None:
    profiles = Profiles(1)
    profiles.add(vector("a", {"v:d": [Decimal("0.10"), Decimal("-2.50"), Decimal(999999999999999999), None]}))
    (found,) = profiles.of("flights")
    assert (found.min, found.max) == (-2.5, 1e18)
    assert found.mean == float(Fraction(9999999999999999966, 30))


@given(numbers.flatmap(lambda values: st.tuples(st.just(values), st.permutations(values))))
def test_the_mean_is_the_nearest_double_in_any_order(
    orders: tuple[list[float | Decimal], list[float | Decimal]],
) -> None:
    values, shuffled = orders
    exact = float(sum(map(Fraction, values), Fraction()) / len(values))
    for order in (values, shuffled):
        total = ExactSum()
        for value in order:
            total.add(value)
        assert total.mean() == exact
