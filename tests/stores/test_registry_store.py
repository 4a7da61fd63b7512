"""What every store of the registry must do. Each test runs on every kind of database."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.registry.domain.plan import Change, ChangeKind
from services.registry.ports import ListKey, Reason
from services.registry.store.database import Database
from services.registry.store.sql import SqlStore
from skewless.definitions.resource import Definition, Kind, Version, canonical
from skewless.errors import BusyError, DependencyUnavailableError, NotReadyError, OverloadedError
from skewless.local.ports import free_port
from skewless.settings import Secret
from tests.stores.postgres import PostgresServer

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


def open_store(url: Secret, *, connections: int = 20, lock_wait_s: float = 10) -> SqlStore:
    store = SqlStore(Database(url, connections=connections, lock_wait_s=lock_wait_s))
    try:
        store.prepare(migrate=True)
    except BaseException:
        store.close()
        raise
    return store


def connect(url: Secret) -> sa.Engine:
    """The database by itself, beside the store."""
    return sa.create_engine(url.reveal().replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)


@pytest.fixture
def store(database_url: Secret) -> Iterator[SqlStore]:
    store = open_store(database_url)
    yield store
    store.close()


def test_an_empty_catalogue_is_at_revision_0(store: SqlStore) -> None:
    assert store.revision() == 0
    assert store.read(None).definitions == ()
    assert store.read(["p"]).revision == 0
    assert store.get("p", Kind.ENTITY, "x", None) is None


def test_what_was_written_is_read_by_every_later_start(store: SqlStore, database_url: Secret) -> None:
    first, second = definition("a"), definition("origin", None, kind=Kind.ENTITY, meaning=2)
    assert add(store, first, second) == 1
    assert store.read(["p"]).definitions == (second, first)
    other = open_store(database_url)
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


def test_every_change_is_in_the_audit(store: SqlStore, database_url: Secret) -> None:
    add(store, definition("a"), definition("b"))
    engine = connect(database_url)
    with engine.connect() as connection:
        query = sa.text("SELECT revision, at_us, actor, reason, change, ref FROM audit ORDER BY id")
        rows = [tuple(row) for row in connection.execute(query)]
    engine.dispose()
    assert rows == [
        (1, 1_000, "tester", "because", "add", "a@1.0.0"),
        (1, 1_000, "tester", "because", "add", "b@1.0.0"),
    ]


def test_names_are_ordered_by_their_bytes(store: SqlStore, database_url: Secret) -> None:
    names = ["a_b", "a0", "ab", "a_", "aa"]
    add(store, *(definition(name) for name in names))
    assert [d.name for d in store.list("p", None, None, 10)] == sorted(names)
    engine = connect(database_url)
    if engine.dialect.name == "postgresql":  # whatever the database was made with
        columns = sa.inspect(engine).get_columns("definitions")
        kinds = {column["name"]: getattr(column["type"], "collation", None) for column in columns}
        assert (kinds["project"], kinds["name"]) == ("C", "C")
    engine.dispose()


def test_a_change_that_cannot_begin_is_told_as_busy(store: SqlStore, database_url: Secret) -> None:
    hasty = open_store(database_url, lock_wait_s=0.2)
    with store.transaction() as transaction:
        transaction.write([Change(ChangeKind.ADD, definition("a"))], WHY)
        with pytest.raises(BusyError, match="another change of the catalogue"):
            add(hasty, definition("b"))
    assert add(hasty, definition("b")) == 2
    hasty.close()


def test_too_few_connections_are_told_as_overload(database_url: Secret) -> None:
    small = open_store(database_url, connections=1)
    small._database.engine.pool._timeout = 0.1  # type: ignore[attr-defined]
    with small.transaction(), pytest.raises(OverloadedError, match="the limit of 1 is reached"):
        small.revision()
    assert small.revision() == 0
    small.close()


def test_nothing_is_answered_before_the_schema_was_looked_at(database_url: Secret) -> None:
    store = SqlStore(Database(database_url, connections=1, lock_wait_s=1))
    with pytest.raises(NotReadyError, match="waiting for the registry's database at"):
        store.revision()
    with pytest.raises(NotReadyError), store.transaction():
        pass
    store.close()


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailableError, match=r"registry's database at sqlite:.*missing/registry\.db"):
        open_store(Secret(f"sqlite:///{tmp_path}/missing/registry.db"))


def test_a_server_that_cannot_be_used_is_named_and_no_secret_told(postgres_server: PostgresServer) -> None:
    there = postgres_server.url("nowhere").reveal()
    closed = f"postgresql://me:hush-hush@127.0.0.1:{free_port()}/catalogue"
    cases = {
        there: 'database "nowhere" does not exist',
        there.replace(postgres_server.password, "wrong-word"): "password authentication failed",
        closed: "Connection refused",
        closed + "?sslmode=hush-hush": 'invalid sslmode value: "\\*\\*\\*"',
    }
    for url, words in cases.items():
        with pytest.raises(DependencyUnavailableError, match=words) as caught:
            open_store(Secret(url))
        told = str(caught.value) + str(caught.value.metadata)
        assert url.partition("@")[2].partition("?")[0] in told
        assert not [word for word in (postgres_server.password, "wrong-word", "hush-hush") if word in told]


@pytest.mark.parametrize(
    "url", ["", "nonsense-secret", "mysql://u:secret@h/d", "postgresql://u:secret@h", "sqlite://", "sqlite:///:memory:"]
)
def test_urls_that_are_not_understood_are_refused_without_quoting_them(url: str) -> None:
    with pytest.raises(ValueError, match=r"SKEWLESS_DATABASE_URL: expected sqlite:///.* or postgresql://") as caught:
        Database(Secret(url), connections=1, lock_wait_s=1)
    assert "secret" not in str(caught.value)


def test_options_of_the_url_are_those_of_the_driver() -> None:
    with pytest.raises(ValueError, match='SKEWLESS_DATABASE_URL: invalid connection option "no_such"'):
        Database(Secret("postgresql://u:secret@h/d?no_such=1"), connections=1, lock_wait_s=1)


def test_a_postgres_url_may_have_any_of_its_usual_forms(postgres_server: PostgresServer) -> None:
    url = postgres_server.database().reveal()
    for form in ("postgresql://", "postgres://", "postgresql+psycopg://"):
        store = open_store(Secret(url.replace("postgresql://", form)))
        assert store.revision() == 0
        store.close()
