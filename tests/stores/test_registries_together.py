"""Several registries over one database: each workflow has an engine of its own, as each process would."""

from __future__ import annotations

import functools
import signal
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa

from services.registry.domain.plan import Change, ChangeKind
from services.registry.ports import Reason
from services.registry.store.database import Database
from services.registry.store.sql import SqlStore
from services.registry.workflow import Workflow
from skewless.clock import SystemClock
from skewless.errors import (
    BusyError,
    DependencyUnavailableError,
    MeaningChangedError,
    SkewlessError,
    StalePlanError,
)
from skewless.settings import Secret
from tests.stores.postgres import PostgresServer
from tests.unit.registry.flights import definitions

Open = Callable[..., Workflow]
EVERY_S = 0.05


@pytest.fixture
def open_registry() -> Iterator[Open]:
    opened: list[tuple[Workflow, SqlStore, threading.Thread]] = []

    def open_one(
        url: Secret,
        *,
        lock_wait_s: float = 30,
        on_health: Callable[[SkewlessError | None], None] = lambda _: None,
    ) -> Workflow:
        store = SqlStore(Database(url, connections=8, lock_wait_s=lock_wait_s))
        store.prepare(migrate=True)
        workflow = Workflow(store, SystemClock())
        looking = threading.Thread(target=workflow.keep_looking, args=(EVERY_S, on_health))
        looking.start()
        opened.append((workflow, store, looking))
        return workflow

    yield open_one
    for workflow, store, looking in opened:
        workflow.close()
        looking.join()
        store.close()


def apply(
    workflow: Workflow, *, project: str = "flights", after: int | None = None, **options: str
) -> tuple[tuple[Change, ...], int]:
    wanted = definitions(name=project, **options)
    return workflow.apply(wanted, expected_revision=after, actor="tester", reason="")


def together(*calls: Callable[[], object]) -> list[object]:
    """What each call gave or raised, all having begun at once."""
    begin = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def run(place: int, call: Callable[[], object]) -> None:
        begin.wait()
        try:
            results[place] = call()
        except Exception as error:  # noqa: BLE001 (looked at by the caller)
            results[place] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def revisions_of_audit(url: Secret) -> list[int]:
    engine = sa.create_engine(url.reveal().replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT DISTINCT revision FROM audit ORDER BY revision")).scalars().all()
    engine.dispose()
    return [int(revision) for revision in found]


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def test_applies_of_different_projects_are_all_there_under_revisions_without_gaps(
    open_registry: Open, database_url: Secret
) -> None:
    registries = [open_registry(database_url) for _ in range(3)]
    projects = [f"p{place}" for place in range(9)]
    results = together(*(lambda i=i, p=p: apply(registries[i % 3], project=p)[1] for i, p in enumerate(projects)))
    assert set(results) == {*range(1, 10)}
    assert revisions_of_audit(database_url) == [*range(1, 10)]
    for registry in registries:
        assert {d.project for d in registry.list("p4", None, None, 100)} == {"p4"}
        assert [len(registry.list(project, None, None, 100)) for project in projects] == [7] * 9


def test_of_applies_after_one_plan_one_wins_and_the_others_are_told(open_registry: Open, database_url: Secret) -> None:
    registries = [open_registry(database_url) for _ in range(4)]
    _, planned = registries[0].plan(definitions())
    results = together(
        *(lambda r=r, i=i: apply(r, after=planned, description=f"by {i}")[1] for i, r in enumerate(registries))
    )
    losers = [result for result in results if isinstance(result, StalePlanError)]
    (winner,) = (place for place, result in enumerate(results) if result == 1)
    assert len(losers) == 3
    assert {loser.metadata["actual"] for loser in losers} == {"1"}
    for registry in registries:
        (view,) = (d for d in registry.list("flights", None, None, 100) if d.name == "origin_departures")
        assert view.description == f"by {winner}"
    assert revisions_of_audit(database_url) == [1]


def test_of_two_meanings_for_one_version_one_wins(open_registry: Open, database_url: Secret) -> None:
    one, other = open_registry(database_url), open_registry(database_url)
    results = together(
        lambda: apply(one, expression="now - usual")[1], lambda: apply(other, expression="usual - now")[1]
    )
    assert {type(result) for result in results} == {int, MeaningChangedError}
    assert one.plan(definitions(expression="now - usual")) == other.plan(definitions(expression="now - usual"))


def test_descriptions_applied_at_once_follow_one_another(open_registry: Open, database_url: Secret) -> None:
    registries = [open_registry(database_url) for _ in range(3)]
    apply(registries[0])
    results = together(*(lambda i=i: apply(registries[i % 3], description=f"by {i}")[1] for i in range(9)))
    assert set(results) == {*range(2, 11)}
    assert revisions_of_audit(database_url) == [*range(1, 11)]
    last = results.index(10)
    (view,) = (d for d in registries[0].list("flights", None, None, 100) if d.name == "origin_departures")
    assert view.description == f"by {last}"


def test_an_apply_that_waits_too_long_begins_again_and_is_then_told(open_registry: Open, database_url: Secret) -> None:
    workflow = open_registry(database_url, lock_wait_s=0.3)
    blocker = Database(database_url, connections=1, lock_wait_s=5)
    release = threading.Event()

    def block(seconds: float) -> None:
        with blocker.writing() as connection:
            connection.execute(sa.text("UPDATE catalogue SET revision = revision"))
            release.wait(seconds)

    for seconds, words in ((0.5, None), (30.0, "another change of the catalogue is already running")):
        release.clear()
        holding = threading.Thread(target=block, args=(seconds,))
        holding.start()
        time.sleep(0.1)
        if words is None:
            assert apply(workflow)[1] == 1
        else:
            with pytest.raises(BusyError, match=words) as caught:
                apply(workflow, description="later")
            assert caught.value.retry
        release.set()
        holding.join()
    assert apply(workflow, description="later")[1] == 2
    blocker.close()


def test_followers_hear_what_another_registry_applied(open_registry: Open, database_url: Secret) -> None:
    one, other = open_registry(database_url), open_registry(database_url)
    heard: list[tuple[int, int]] = []

    def follow() -> None:
        for snapshot in other.follow(["p"], 0, lambda: True):
            heard.append((snapshot.revision, len(snapshot.definitions)))
            if snapshot.revision == 2:
                return

    following = threading.Thread(target=follow)
    following.start()
    for revision, project in enumerate(("p", "q"), start=1):
        wait_until(functools.partial(lambda count: len(heard) == count, revision))
        apply(one, project=project)
    following.join(20)
    assert not following.is_alive()
    assert heard == [(0, 0), (1, 7), (2, 7)]


def test_a_follower_that_is_behind_is_told_at_once(open_registry: Open, database_url: Secret) -> None:
    one, other = open_registry(database_url), open_registry(database_url)
    apply(one)
    # Whatever `other` saw when it last looked: it looks again.
    assert next(other.follow([], 0, lambda: True)).revision == 1


class Health:
    """What was said of the database, in order."""

    def __init__(self) -> None:
        self.told: list[SkewlessError | None] = []

    def __call__(self, away: SkewlessError | None) -> None:
        self.told.append(away)


def test_a_server_that_goes_and_comes_back_is_missed_and_found(open_registry: Open) -> None:
    server = PostgresServer()  # of its own: it is stopped
    try:
        server.create()
        server.start()
        url, health = server.database(), Health()
        workflow = open_registry(url, on_health=health)
        assert apply(workflow)[1] == 1
        following = workflow.follow([], 0, lambda: True)
        assert next(following).revision == 1
        for number, revision in ((signal.SIGINT, 2), (signal.SIGKILL, 3)):
            server.stop(number)
            wait_until(lambda: health.told and health.told[-1] is not None)
            calls: list[Callable[[], object]] = [
                lambda: apply(workflow),
                lambda: workflow.plan(definitions()),
                lambda: workflow.list("flights", None, None, 10),
                lambda: next(workflow.follow([], 0, lambda: True)),
            ]
            for call in calls:
                with pytest.raises(DependencyUnavailableError, match=rf"127\.0\.0\.1:{server.port}") as caught:
                    call()
                assert server.password not in str(caught.value)
            server.start()
            wait_until(lambda: health.told[-1] is None)
            assert apply(workflow, description=f"at {revision}")[1] == revision
            assert next(following).revision == revision
        assert [away is None for away in health.told] == [False, True, False, True]
    finally:
        server.remove()


def test_a_connection_that_died_in_a_transaction_leaves_nothing(
    open_registry: Open, postgres_server: PostgresServer
) -> None:
    url = postgres_server.database()
    workflow = open_registry(url)

    def cut(connection: sa.Connection) -> None:
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        with psycopg.connect(url.reveal(), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (pid,))

    store = SqlStore(Database(url, connections=2, lock_wait_s=1))
    store.prepare(migrate=False)

    def write_through_a_cut() -> None:
        with store.transaction() as transaction:
            transaction.write([Change(ChangeKind.ADD, definitions()[0])], Reason("tester", 0, ""))
            cut(transaction._connection)

    with pytest.raises(DependencyUnavailableError, match=r"at postgresql://catalogue@127\.0\.0\.1"):
        write_through_a_cut()
    assert store.revision() == 0
    assert apply(workflow)[1] == 1
    store.close()
