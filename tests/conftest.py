"""Fixtures for tests anywhere: databases for the registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skewless.settings import Secret
from tests.stores.postgres import PostgresServer, running


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole run; started when the first test asks for it."""
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Secret:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return Secret(f"sqlite:///{tmp_path}/registry.db")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.database()
