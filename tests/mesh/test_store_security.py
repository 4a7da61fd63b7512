"""Towards a store that asks for TLS, a user and rights: let in with what it asks for, refused by name without.

The bundled Valkey is built without TLS, so an end of TLS stands before it; users and their rights are Valkey's own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from services.offline.store.online import ValkeyRows
from services.stream_agg.ports import StateWrite
from services.stream_agg.store.states import ValkeyStore
from skewless.local import STORE, LocalMesh
from skewless.settings import Secret, StoreSettings
from skewless.store import StoreLostError, StoreRefusedError
from tests.mesh import online_world as world
from tests.mesh.certificates import Authority, Identity, tls_before
from tests.mesh.test_states import head, latest

PAGE = Path(__file__).parents[2] / "docs/operations/online.md"
PASSWORD = "sword#fish/%"  # noqa: S105 (of the store that is started here)
ESCAPED = "sword%23fish%2F%25"


@dataclass(frozen=True)
class Secured:
    """Ports with TLS: any client, and only those with a certificate."""

    open: int
    closed: int
    authority: Authority
    client: Identity
    plain: int

    def settings(self, user: str = "skewless-writer", *, port: int = 0, password: str = ESCAPED) -> StoreSettings:
        url = f"rediss://{user}:{password}@127.0.0.1:{port or self.open}/0"
        return StoreSettings(store_url=Secret(url), store_ca_file=self.authority.file)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    authority = Authority(directory)
    server, client = authority.sign("store"), authority.sign("client")
    with LocalMesh(directory / "mesh", services=()) as mesh:
        port = int(mesh.addresses[STORE].rpartition(":")[2])
        with Redis.from_url(mesh.store_url) as store:
            # The users are those that the page of operations says to make.
            for line in re.findall(r"^ACL SETUSER .*", PAGE.read_text(), re.MULTILINE):
                words = [word.replace("PASSWORD", PASSWORD) for word in line.split()]
                assert store.execute_command(*words)
            assert store.execute_command("ACL", "SETUSER", "reader-of-nothing", "on", f">{PASSWORD}", "+ping", "+info")
        with tls_before(port, server) as opened, tls_before(port, server, authority.file) as closed:
            yield Secured(opened, closed, authority, client, port)


def store_of(settings: StoreSettings) -> ValkeyStore:
    return ValkeyStore(settings.store_url, files=settings.store_files)


def rows_of(settings: StoreSettings) -> ValkeyRows:
    return ValkeyRows(settings.store_url, files=settings.store_files)


def test_writers_write_with_tls_and_the_rights_of_the_page(secured: Secured) -> None:
    settings = secured.settings()
    states = store_of(settings).connect()
    assert states.write([StateWrite("{s}", head(5), b"body", 4_000_000_000_000)]) == [True]
    states.set_sentinel("skewless:sentinel:p:v:v1.0", b"00")
    assert states.load("skewless:sentinel:p:v:v1.0", ["{s}"]) is not None
    states.barrier()
    states.close()
    rows = rows_of(settings)
    rows.ask()
    with rows.open() as sync:
        assert sync.write([("{r}", latest(5, 2), None)]) == 1
        sync.mark("skewless:synced:p:v:v1.0", 3, "skewless:sentinel:p:v:v1.0", b"\0")
        assert sync.synced("skewless:synced:p:v:v1.0") == 3
    assert rows.holds("skewless:synced:p:v:v1.0", 3, "skewless:sentinel:p:v:v1.0")


def test_a_client_with_a_certificate_is_let_in_where_one_is_asked_for(secured: Secured) -> None:
    settings = secured.settings(port=secured.closed)
    with pytest.raises(StoreLostError, match="store"):
        store_of(settings).ask()
    certificate, key = secured.client.files
    with_certificate = StoreSettings(
        store_url=settings.store_url,
        store_ca_file=settings.store_ca_file,
        store_cert_file=certificate,
        store_key_file=key,
    )
    store_of(with_certificate).ask()
    rows_of(with_certificate).ask()


def other_authority(directory: Path) -> Authority:
    return Authority(directory, "other")


WRONG: dict[str, tuple[Callable[[Secured, Path], StoreSettings], str]] = {
    "certificates of others": (
        lambda found, path: StoreSettings(
            store_url=found.settings().store_url, store_ca_file=other_authority(path).file
        ),
        "certificate verify failed",
    ),
    "a wrong password": (lambda found, _: found.settings(password="wrong"), "invalid username-password pair"),  # noqa: S106
}


@pytest.mark.parametrize("case", WRONG)
def test_writers_are_told_what_is_wrong_and_show_no_password(case: str, secured: Secured, tmp_path: Path) -> None:
    make, says = WRONG[case]
    settings = make(secured, tmp_path)
    with pytest.raises(StoreLostError, match=says) as lost:
        store_of(settings).ask()
    with pytest.raises(StoreLostError, match=says) as away:
        rows_of(settings).ask()
    for told in (lost.value, away.value):
        assert not re.search("sword#|sword%|:wrong", f"{told} {told!r}")


def test_a_writer_without_rights_is_refused(secured: Secured) -> None:
    with pytest.raises(StoreRefusedError, match="no permissions to run the 'script\\|load' command"):
        store_of(secured.settings("reader-of-nothing")).ask()


def error_of(online: world.Online, says: str) -> str:
    """What the read path says of the store, once it says so."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if says in (error := online.server.store_error or ""):
            return error
        time.sleep(0.01)
    raise AssertionError(f"{says!r} is not said, but {online.server.store_error!r}")


def connected(online: world.Online) -> None:
    until = time.monotonic() + 20
    while online.server.counters()["store.connections"] < 1:
        assert time.monotonic() < until, online.server.store_error
        time.sleep(0.01)
    assert online.server.store_error is None


def test_the_read_path_reads_with_tls_and_the_rights_of_the_page(secured: Secured) -> None:
    definitions = world.project().definitions()
    plain = f"redis://127.0.0.1:{secured.plain}"
    world.fill(plain, definitions, 3, 2)
    # So many keys that what is asked and what is answered take many pieces of TLS.
    users, shops = [f"user-{place % 3}" for place in range(400)], [place % 2 for place in range(400)]
    asked = world.request(users, shops, [1.0] * 400, world.T0 + 1)
    with world.Online(plain) as online:
        online.server.publish(world.plan(definitions))
        wanted = online.ask(asked)
    for port, identity in ((secured.open, None), (secured.closed, secured.client.files)):
        url = secured.settings("skewless-online", port=port).store_url.reveal()
        with world.Online(
            url, store_ca_file=secured.authority.file, store_identity=identity, store_timeout_ms=2_000
        ) as online:
            online.server.publish(world.plan(definitions))
            connected(online)
            for _ in range(5):
                assert online.ask(asked).columns == wanted.columns
    assert 1 in {status for column in wanted.columns for status in column.statuses}  # PRESENT


@pytest.mark.parametrize(
    ("user", "password", "says"),
    [
        ("skewless-online", "wrong", "refuses this client: WRONGPASS"),
        ("reader-of-nothing", ESCAPED, "refuses this client: NOPERM .*It needs [+]mget"),
    ],
)
def test_the_read_path_tells_who_is_not_let_in(user: str, password: str, says: str, secured: Secured) -> None:
    url = secured.settings(user, password=password).store_url.reveal()
    with world.Online(url, store_ca_file=secured.authority.file, store_timeout_ms=2_000) as online:
        error = error_of(online, "refuses this client")
        assert re.search(says, error), error
        assert not re.search("sword#|sword%|:wrong", error)
        assert online.server.counters()["store.connections"] == 0


def test_the_read_path_tells_what_is_wrong_with_tls_and_reads_renewed_files(secured: Secured, tmp_path: Path) -> None:
    trusted = tmp_path / "ca.pem"
    url = secured.settings("skewless-online").store_url.reveal()
    with world.Online(url, store_ca_file=trusted, store_timeout_ms=2_000) as online:
        assert "No such file" in error_of(online, f"TLS: cannot read {trusted}")
        trusted.write_text("nonsense")
        error_of(online, f"TLS: {trusted} has no certificate in PEM")
        trusted.write_bytes(other_authority(tmp_path).file.read_bytes())
        error_of(online, "invalid peer certificate: UnknownIssuer")
        trusted.write_bytes(secured.authority.file.read_bytes())
        connected(online)  # without a restart


def test_the_read_path_refuses_certificates_that_are_over_or_of_another_host(secured: Secured) -> None:
    for wrong, says in (
        (secured.authority.sign("old", days=-1), "certificate expired"),
        (secured.authority.sign("elsewhere", hosts=("store.example.com",)), "not valid for"),
    ):
        with (
            tls_before(secured.plain, wrong) as port,
            world.Online(
                secured.settings("skewless-online", port=port).store_url.reveal(),
                store_ca_file=secured.authority.file,
                store_timeout_ms=2_000,
            ) as online,
        ):
            error_of(online, says)


def test_the_read_path_tells_of_a_store_that_wants_a_certificate_or_speaks_no_tls(secured: Secured) -> None:
    for port, says in ((secured.closed, "CertificateRequired"), (secured.plain, "does it take TLS at this port")):
        url = secured.settings("skewless-online", port=port).store_url.reveal()
        with world.Online(url, store_ca_file=secured.authority.file, store_timeout_ms=500) as online:
            error_of(online, says)
