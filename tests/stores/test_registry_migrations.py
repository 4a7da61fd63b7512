"""Databases become what the newest schema says, wherever they begin."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from services.registry.main import main
from services.registry.store import migrating
from services.registry.store.database import Database
from services.registry.store.migrating import FOLDER, STEPS, SchemaError, SchemaOlderError
from services.registry.store.sql import SqlStore
from services.registry.store.tables import METADATA
from skewless.definitions.resource import Kind, Version
from skewless.settings import Secret
from tests.stores.test_registry_store import add, definition

ROOT = Path(__file__).resolve().parents[2]
# What the first registry, which knew no Alembic, wrote for one definition.
FIRST_REGISTRY = Path(__file__).with_name("first_registry.sql")


def database(url: Secret) -> contextlib.closing[Database]:
    return contextlib.closing(Database(url, connections=4, lock_wait_s=30))


def prepare(url: Secret, *, migrate: bool) -> None:
    with database(url) as opened:
        migrating.prepare(opened, migrate=migrate)


def execute(url: Secret, statement: str) -> None:
    with database(url) as opened, opened.writing() as connection:
        connection.execute(sa.text(statement))


def test_the_code_knows_every_step() -> None:
    steps = [step.revision for step in ScriptDirectory(str(FOLDER)).walk_revisions()]
    assert tuple(reversed(steps)) == STEPS


def test_the_migrated_schema_is_the_one_in_the_code(database_url: Secret) -> None:
    prepare(database_url, migrate=True)
    with database(database_url) as opened, opened.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
        assert connection.execute(sa.text("SELECT id, revision FROM catalogue")).all() == [(1, 0)]


def test_migrating_again_changes_nothing(database_url: Secret) -> None:
    with database(database_url) as opened:
        store = SqlStore(opened)
        store.prepare(migrate=True)
        add(store, definition("a"))
        store.prepare(migrate=True)
        store.prepare(migrate=False)
        assert store.read(None).definitions == (definition("a"),)


def test_many_registries_may_begin_at_once(database_url: Secret) -> None:
    code = (
        "import sys\n"
        "from services.registry.store.database import Database\n"
        "from services.registry.store.migrating import prepare\n"
        "from skewless.settings import Secret\n"
        "opened = Database(Secret(sys.argv[1]), connections=1, lock_wait_s=60)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "prepare(opened, migrate=True)\n"
    )
    command = [sys.executable, "-c", code, database_url.reveal()]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    prepare(database_url, migrate=False)


def test_threads_of_many_engines_may_begin_at_once(database_url: Secret) -> None:
    failures: list[Exception] = []

    def begin() -> None:
        try:
            prepare(database_url, migrate=True)
        except Exception as error:  # noqa: BLE001 (any failure fails the test below)
            failures.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_who_only_looks_does_not_look_while_another_migrates(database_url: Secret) -> None:
    """It would see the tables of one step and the columns of another."""
    if not database_url.reveal().startswith("postgres"):
        pytest.skip("a transaction of SQLite sees one state of the file")
    prepare(database_url, migrate=True)
    with database(database_url) as other, other.writing() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(migrating._LOCK)))
        with pytest.raises(SchemaOlderError, match=r"another registry migrates .*SKEWLESS_MIGRATE is never"):
            prepare(database_url, migrate=False)
    with database(database_url) as one, database(database_url) as two, one.reading() as looking:
        assert looking.execute(migrating._LOOK).scalar_one() is True
        migrating.prepare(two, migrate=False)  # those who look do not keep one another from it


def test_a_database_of_the_first_registry_is_adopted_without_loss(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    with sqlite3.connect(file) as old:
        old.executescript(FIRST_REGISTRY.read_text(encoding="utf-8"))
    old.close()
    url = Secret(f"sqlite:///{file}")
    with pytest.raises(SchemaError, match="has schema r0001, this registry needs r0003"):
        prepare(url, migrate=False)
    with database(url) as opened:
        store = SqlStore(opened)
        store.prepare(migrate=True)
        snapshot = store.read(None)
        assert (snapshot.revision, [d.ref for d in snapshot.definitions]) == (2, ["origin", "by_origin@1.0.0"])
        view = store.get("flights", Kind.WINDOW_VIEW, "by_origin", Version(1, 0, 0))
        assert view is not None
        assert (view.revision, view.definition.description, view.definition.tags) == (2, "é", {"team": "ops"})
        assert view.definition.meaning_json == b'{"n":1}'
        assert add(store, definition("a")) == 3
    with sqlite3.connect(file) as new:
        audit = new.execute("SELECT id, revision, change, ref FROM audit ORDER BY id").fetchall()
    new.close()
    assert audit == [
        (1, 1, "add", "origin"),
        (2, 1, "add", "by_origin@1.0.0"),
        (3, 2, "describe", "by_origin@1.0.0"),
        (4, 3, "add", "a@1.0.0"),
    ]


def test_a_newer_schema_is_refused_and_not_touched(database_url: Secret) -> None:
    prepare(database_url, migrate=True)
    execute(database_url, "UPDATE alembic_version SET version_num = 'r9999'")
    for migrate in (True, False):
        with pytest.raises(SchemaError, match="has schema r9999, this registry knows up to r0003"):
            prepare(database_url, migrate=migrate)


def test_tables_of_an_unknown_making_are_refused(database_url: Secret) -> None:
    execute(database_url, "CREATE TABLE catalogue (schema_version INTEGER, revision INTEGER)")
    execute(database_url, "INSERT INTO catalogue VALUES (99, 7)")
    with pytest.raises(SchemaError, match="has schema version 99, this registry knows up to r0003"):
        prepare(database_url, migrate=True)


def test_a_step_that_fails_leaves_the_schema_as_it_was(database_url: Secret) -> None:
    execute(database_url, "CREATE TABLE audit (id INTEGER)")  # in the way of the last table of the first step
    with pytest.raises(SchemaError, match=r'cannot be migrated to schema r0003: .*audit"? already exists'):
        prepare(database_url, migrate=True)
    execute(database_url, "DROP TABLE audit")
    prepare(database_url, migrate=True)


def test_a_registry_that_never_migrates_waits_for_the_command(
    database_url: Secret, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("SKEWLESS_DATABASE_URL", database_url.reveal())
    ready, told = tmp_path / "ready", tmp_path / "log"
    environ = {"SKEWLESS_MIGRATE": "never", "SKEWLESS_LISTEN": "127.0.0.1:0", "SKEWLESS_READY_FILE": str(ready)}
    command = [sys.executable, "-m", "services.registry.main"]
    with (
        told.open("wb") as sink,
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ}, stderr=sink) as registry,
    ):
        try:
            until(lambda: "has schema none, this registry needs r0003" in told.read_text(), registry, told)
            assert "run `python -m services.registry.main migrate`" in told.read_text()
            assert not ready.exists()
            with caplog.at_level("INFO"):
                assert main(["migrate"]) == 0
                assert main(["migrate"]) == 0
            assert caplog.text.count("from schema none to r0003") == 1
            until(ready.exists, registry, told)
        finally:
            registry.terminate()
    assert registry.returncode == 0
    password = sa.make_url(database_url.reveal()).password
    assert not password or password not in told.read_text() + caplog.text
    prepare(database_url, migrate=False)


def test_the_command_gives_up_when_it_is_late(tmp_path: Path) -> None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SKEWLESS_")}
    environ["SKEWLESS_DATABASE_URL_FILE"] = str(tmp_path / "none")
    command = [sys.executable, "-m", "services.registry.main", "migrate", "--within", "0.5"]
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "waiting for secrets" in ended.stderr
    assert "given up after 0.5 s" in ended.stderr


def until(what: Callable[[], bool], process: subprocess.Popen[bytes], told: Path) -> None:
    """Until it is true, with the process alive."""
    deadline = time.monotonic() + 60
    while not what():
        assert process.poll() is None, told.read_text()
        assert time.monotonic() < deadline, told.read_text()
        time.sleep(0.05)


def test_bad_settings_of_the_command_are_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SKEWLESS_DATABASE_URL", "oracle://me:hush@h/d")
    assert main(["migrate"]) == 2
    told = caplog.text
    assert "SKEWLESS_DATABASE_URL: expected" in told
    assert "hush" not in told
    monkeypatch.setenv("SKEWLESS_MIGRATE", "perhaps")
    assert main([]) == 2
    assert "SKEWLESS_MIGRATE: must be auto or never, got 'perhaps'" in capsys.readouterr().err  # before there is a log
