"""From records read to the report, with the offline service as the test wants it."""

from __future__ import annotations

from collections.abc import Callable

from services.validator.domain.outcome import Answer, Difference, Outcome
from services.validator.domain.positions import Start
from services.validator.domain.queue import Batch, Rules
from services.validator.servicer.metrics import collect
from services.validator.workflow import Validation
from skewless.errors import DependencyUnavailableError, UnknownFeatureError, UnknownRequestIdError
from skewless.served import Prediction
from skewless.telemetry.scrape import text
from skewless.types import Status
from tests.unit.validator.served import vector


class Hands:
    """A clock that goes when it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def now_us(self) -> int:
        return int(self.now * 1_000_000)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Answers:
    """An offline service that answers as the test says, and keeps what it was asked."""

    address = "127.0.0.1:1"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answer: Callable[[Batch], Answer] = lambda batch: Answer(dict.fromkeys(batch.request_ids, Outcome.EQUAL))

    def replay(self, batch: Batch) -> Answer:
        self.asked.append(batch.request_ids)
        return self.answer(batch)


class Scene:
    """A validation that has read requests ``r0``, ``r1``, ... of two rows each."""

    def __init__(self, requests: int, *, rules: Rules | None = None, share: float = 1.0) -> None:
        self.clock = Hands()
        self.offline = Answers()
        self.validation = Validation(self.offline, self.clock, rules or Rules(batch=3, settle_s=0), share=share)
        self.validation.start({0: Start(0, None)})
        for _ in range(requests):
            self.read()

    def read(self) -> None:
        offset = self.validation.following()[0]
        self.validation.take(0, offset, vector(f"r{offset}", {"v:f": [1.0, None]}))

    def counts(self) -> tuple[int, int, int, int]:
        report = self.validation.report("flights")
        return report.seen, report.replayed, report.mismatches, report.pending


def test_everything_read_is_replayed_in_batches_and_then_committed_behind() -> None:
    scene = Scene(4)
    assert scene.counts() == (8, 0, 0, 8)
    assert scene.validation.resume() == {0: 0}
    assert scene.validation.replay() == 0.0
    assert scene.counts() == (8, 6, 0, 2)
    assert scene.validation.resume() == {0: 3}
    assert scene.validation.replay() > 0
    assert scene.counts() == (8, 8, 0, 0)
    assert scene.validation.resume() == {0: 4}
    assert scene.offline.asked == [["r0", "r1", "r2"], ["r3"]]
    assert scene.validation.report("flights").consistency == 1.0


def test_differences_are_counted_and_shown() -> None:
    scene = Scene(2)
    scene.offline.answer = lambda _: Answer(
        {"r0": Outcome.DIFFERENT, "r1": Outcome.EQUAL}, [Difference("r0", 1, "v:f")], different=1
    )
    scene.validation.replay()
    report = scene.validation.report("flights")
    assert scene.counts() == (4, 4, 1, 0)
    assert [str(example) for example in report.examples] == ["r0 1 v:f"]
    assert report.consistency == 0.75


def test_what_is_not_yet_logged_stays_pending_and_holds_its_position() -> None:
    scene = Scene(3)
    scene.offline.answer = lambda _: Answer(
        {"r0": Outcome.EQUAL, "r1": Outcome.NOT_YET_LOGGED}, failure=UnknownRequestIdError(name="r2")
    )
    scene.validation.replay()
    assert scene.counts() == (6, 2, 0, 4)
    assert scene.validation.resume() == {0: 1}
    scene.clock.now += 1.0
    scene.offline.answer = lambda batch: Answer(dict.fromkeys(batch.request_ids, Outcome.EQUAL))
    scene.validation.replay()
    assert scene.counts() == (6, 6, 0, 0)


def test_an_absent_offline_service_costs_waits_and_no_vector() -> None:
    scene = Scene(2)
    away = DependencyUnavailableError(what="peer", address="127.0.0.1:1")
    scene.offline.answer = lambda _: Answer({}, failure=away)
    waits = [scene.validation.replay() for _ in range(7)]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert scene.counts() == (4, 0, 0, 4)
    scene.offline.answer = lambda batch: Answer(dict.fromkeys(batch.request_ids, Outcome.EQUAL))
    scene.validation.replay()
    assert scene.counts() == (4, 4, 0, 0)


def test_a_request_that_is_refused_does_not_hold_the_others_and_is_given_up_at_last() -> None:
    scene = Scene(3, rules=Rules(batch=3, settle_s=0, give_up_s=50))

    def refuse(batch: Batch) -> Answer:
        if "r1" in batch.request_ids:
            return Answer({}, failure=UnknownFeatureError(name="v:f"))
        return Answer(dict.fromkeys(batch.request_ids, Outcome.EQUAL))

    scene.offline.answer = refuse
    for _ in range(4):
        scene.validation.replay()
    assert scene.counts() == (6, 4, 0, 2)
    scene.clock.now = 60
    scene.validation.replay()
    assert scene.counts() == (6, 4, 0, 0)
    assert scene.validation.report("flights").given_up == 2
    assert scene.validation.resume() == {0: 3}


def test_a_share_of_the_requests_is_replayed_and_all_are_profiled() -> None:
    scene = Scene(40, share=0.5)
    report = scene.validation.report("flights")
    assert 0 < report.pending < 80
    assert report.seen == report.left_out + report.pending == 80
    assert report.profiles[0].served == 80


def test_predictions_and_malformed_records_are_passed_over() -> None:
    scene = Scene(0)
    scene.validation.take(0, 0, None)
    scene.validation.take(0, 1, Prediction("r0", "flights", "m@1", [0.5], 1, 1))
    assert scene.validation.resume() == {0: 2}
    assert scene.validation.log_state().malformed == 1
    assert scene.validation.reports() == []


def test_reading_has_room_for_what_the_queue_takes() -> None:
    scene = Scene(2, rules=Rules(batch=1, capacity=3, settle_s=0))
    assert scene.validation.room == 1
    scene.validation.replay()
    assert scene.validation.room == 2


def test_records_that_the_topic_dropped_are_counted_and_reading_goes_on() -> None:
    scene = Scene(2)
    scene.validation.start({0: Start(7, 2)})
    assert scene.validation.log_state().dropped == 5
    assert scene.validation.following() == {0: 7}
    scene.validation.reach({0: 9})
    assert scene.validation.log_state().unread == 2
    scene.validation.replay()
    assert scene.counts() == (4, 4, 0, 0)


def test_metrics_say_what_the_report_says() -> None:
    scene = Scene(2)
    scene.validation.take(0, 2, vector("s", {"v:f": [7]}, statuses={"v:f": [Status.PARTIAL]}))

    def told() -> bytes:
        return text([lambda: collect(scene.validation)])

    assert b"offline_online_consistency{" not in told()
    scene.offline.answer = lambda _: Answer(
        {"r0": Outcome.DIFFERENT, "r1": Outcome.EQUAL, "s": Outcome.NOT_YET_LOGGED}, different=1
    )
    scene.validation.replay()
    scene.clock.now = 3.0
    found = told().decode().splitlines()
    feature = 'feature="v:f",feature_service="delay@1.0.0",project="flights"'
    assert {
        'offline_online_consistency{project="flights"} 0.75',
        f"feature_missing_rate{{{feature}}} 0.4",
        f'feature_distribution_stats{{{feature},stat="min"}} 1.0',
        f'feature_distribution_stats{{{feature},stat="max"}} 7.0',
        f'feature_distribution_stats{{{feature},stat="mean"}} 3.0',
        f'skewless_served_values_total{{{feature},status="null"}} 2.0',
        f'skewless_served_values_total{{{feature},status="partial"}} 1.0',
        'skewless_served_vectors_total{project="flights"} 5.0',
        'skewless_replayed_vectors_total{project="flights"} 4.0',
        'skewless_mismatched_vectors_total{project="flights"} 1.0',
        'skewless_pending_vectors{project="flights"} 1.0',
        'skewless_oldest_pending_seconds{project="flights"} 3.0',
        "skewless_malformed_served_records_total 0.0",
    } <= set(found)
