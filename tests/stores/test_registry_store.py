"""What every store of the registry must do. Each test runs on every kind of database."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.registry.domain.plan import Change, ChangeKind
from services.registry.ports import ListKey, Reason
from services.registry.store import SqlStore
from skewless.definitions.resource import Definition, Kind, Version, canonical
from skewless.errors import DependencyUnavailableError
from skewless.settings import Secret

WHY = Reason("tester", 1_000, "because")


def definition(
    name: str, version: str | None = "1.0.0", *, project: str = "p", kind: Kind = Kind.WINDOW_VIEW, meaning: int = 1
) -> Definition:
    return Definition(
        project,
        kind,
        name,
        Version.parse(version) if version else None,
        canonical({"n": meaning}),
        tags={"b": "2", "a": "1"},
    )


def add(store: SqlStore, *definitions: Definition) -> int:
    with store.transaction() as transaction:
        return transaction.write([Change(ChangeKind.ADD, d) for d in definitions], WHY)


@pytest.fixture(params=["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Secret:
    return Secret({"sqlite": f"sqlite:///{tmp_path}/registry.db"}[request.param])


@pytest.fixture
def store(url: Secret) -> Iterator[SqlStore]:
    store = SqlStore(url)
    yield store
    store.close()


def test_an_empty_catalogue_is_at_revision_0(store: SqlStore) -> None:
    assert store.revision() == 0
    assert store.read(None).definitions == ()
    assert store.read(["p"]).revision == 0
    assert store.get("p", Kind.ENTITY, "x", None) is None


def test_what_was_written_is_read_by_every_later_start(store: SqlStore, url: Secret) -> None:
    first, second = definition("a"), definition("origin", None, kind=Kind.ENTITY, meaning=2)
    assert add(store, first, second) == 1
    assert store.read(["p"]).definitions == (second, first)
    other = SqlStore(url)
    assert other.read(None) == store.read(None)
    other.close()


def test_reads_keep_projects_apart(store: SqlStore) -> None:
    add(store, definition("a", project="p"), definition("a", project="q"))
    assert [d.project for d in store.read(["q"]).definitions] == ["q"]
    assert [d.project for d in store.read(None).definitions] == ["p", "q"]


def test_the_newest_version_is_the_greatest_by_number(store: SqlStore) -> None:
    add(store, definition("a", "1.9.0"), definition("a", "1.10.0"))
    add(store, definition("a", "0.99.0"))
    newest = store.get("p", Kind.WINDOW_VIEW, "a", None)
    assert newest is not None
    assert (newest.definition.version, newest.revision) == ((1, 10, 0), 1)
    exact = store.get("p", Kind.WINDOW_VIEW, "a", Version(0, 99, 0))
    assert exact is not None
    assert exact.revision == 2


def test_listings_are_ordered_and_resume_behind_any_place(store: SqlStore) -> None:
    wanted = [
        definition("z", None, kind=Kind.ENTITY),
        definition("a", "1.9.0"),
        definition("a", "1.10.0"),
        definition("b", "1.0.0"),
        definition("a", "1.0.0", kind=Kind.FEATURE_SERVICE),
    ]
    add(store, *reversed(wanted))
    assert store.list("p", None, None, 100) == wanted
    seen: list[Definition] = []
    after = None
    while page := store.list("p", None, after, 2):
        seen += page
        after = ListKey(page[-1].kind, page[-1].name, page[-1].version)
    assert seen == wanted
    assert store.list("p", Kind.WINDOW_VIEW, None, 100) == wanted[1:4]
    gone = ListKey(Kind.WINDOW_VIEW, "a", Version(1, 9, 5))
    assert store.list("p", Kind.WINDOW_VIEW, gone, 1) == [wanted[2]]


def test_describing_changes_the_words_and_the_revision(store: SqlStore) -> None:
    add(store, definition("a"), definition("b"))
    described = Definition(
        "p", Kind.WINDOW_VIEW, "a", Version(1, 0, 0), canonical({"n": 1}), description="new", tags={"t": "é"}
    )
    with store.transaction() as transaction:
        change = Change(ChangeKind.DESCRIBE, described, ('description: "" -> "new"',))
        assert transaction.write([change], WHY) == 2
    found = store.get("p", Kind.WINDOW_VIEW, "a", None)
    assert found is not None
    assert (found.definition, found.revision) == (described, 2)
    untouched = store.get("p", Kind.WINDOW_VIEW, "b", None)
    assert untouched is not None
    assert untouched.revision == 1


def test_a_version_never_gets_another_meaning(store: SqlStore) -> None:
    add(store, definition("a", meaning=1))
    with pytest.raises(sa.exc.IntegrityError):
        add(store, definition("a", meaning=2))
    assert store.read(None).definitions == (definition("a", meaning=1),)
    assert store.revision() == 1


def test_a_transaction_that_fails_leaves_nothing(store: SqlStore) -> None:
    def fail_half_way() -> None:
        with store.transaction() as transaction:
            transaction.write([Change(ChangeKind.ADD, definition("a"))], WHY)
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail_half_way()
    assert store.revision() == 0
    assert store.read(None).definitions == ()


def test_transactions_run_one_after_the_other(store: SqlStore) -> None:
    def count_up(name: str) -> None:
        for place in range(5):
            with store.transaction() as transaction:
                before = transaction.read(["p"])
                change = Change(ChangeKind.ADD, definition(f"{name}{place}"))
                assert transaction.write([change], WHY) == before.revision + 1
                assert len(before.definitions) == before.revision

    threads = [threading.Thread(target=count_up, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.revision() == 20
    assert len(store.read(None).definitions) == 20


def test_readers_do_not_wait_for_a_transaction(store: SqlStore) -> None:
    with store.transaction() as transaction:
        transaction.write([Change(ChangeKind.ADD, definition("a"))], WHY)
        assert store.read(None).revision == 0
    assert store.read(None).revision == 1


def test_every_change_is_in_the_audit(store: SqlStore, url: Secret) -> None:
    add(store, definition("a"), definition("b"))
    engine = sa.create_engine(url.reveal())
    with engine.connect() as connection:
        query = sa.text("SELECT revision, at_us, actor, reason, change, ref FROM audit ORDER BY id")
        rows = [tuple(row) for row in connection.execute(query)]
    engine.dispose()
    assert rows == [
        (1, 1_000, "tester", "because", "add", "a@1.0.0"),
        (1, 1_000, "tester", "because", "add", "b@1.0.0"),
    ]


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailableError, match=r"registry's database at sqlite:.*missing/registry\.db"):
        SqlStore(Secret(f"sqlite:///{tmp_path}/missing/registry.db"))


def test_tables_of_another_schema_are_not_touched(store: SqlStore, url: Secret) -> None:
    engine = sa.create_engine(url.reveal())
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE catalogue SET schema_version = 99"))
    engine.dispose()
    with pytest.raises(ValueError, match="schema version 99, this registry reads 1"):
        SqlStore(url)
    assert store.revision() == 0
