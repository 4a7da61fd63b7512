"""The settings file, secrets in files of their own, and what counts when several places say something."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from skewless.settings import (
    NO_FILES,
    BrokerSettings,
    Secret,
    SecretsAwaitedError,
    ServiceSettings,
    SettingsError,
    StoreSettings,
    TlsFiles,
    at_least,
    describe,
    load,
    setting,
    store_url_fault,
)


@dataclass(frozen=True)
class Sample(ServiceSettings):
    threads: int = setting(4, "threads", check=at_least(1))
    wait_s: float = setting(1.5, "seconds")
    keep: bool = setting(False, "whether to keep")
    topics: tuple[str, ...] = setting((), "topics")
    where: Path | None = setting(None, "a directory")
    password: Secret = setting(Secret("swordfish"), "password")
    token: Secret = setting(Secret(""), "token", check=lambda token: None if "x" not in token.reveal() else "no x")


def written(path: Path, text: str) -> dict[str, str]:
    """The environment that names the file, which has this text."""
    path.write_text(text, encoding="utf-8")
    return {"SKEWLESS_SETTINGS_FILE": str(path)}


def faults(kind: type[ServiceSettings], environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(kind, environ)
    return caught.value.faults


def test_a_file_sets_everything(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("of the file\n")
    environ = written(
        tmp_path / "settings.toml",
        f"""
        listen = "0.0.0.0:50051"
        threads = 8
        wait_s = 2          # a whole number is a number
        keep = true
        topics = ["a", "b"]
        where = "/data"
        password_file = "{tmp_path / "password"}"
        """,
    )
    assert load(Sample, environ) == Sample(
        listen="0.0.0.0:50051",
        threads=8,
        wait_s=2.0,
        keep=True,
        topics=("a", "b"),
        where=Path("/data"),
        password=Secret("of the file"),
    )


def test_the_environment_counts_more_than_the_file(tmp_path: Path) -> None:
    environ = written(tmp_path / "settings.toml", 'threads = 8\nlisten = "here:1"\npassword_file = "/not/there"\n')
    found = load(Sample, {**environ, "SKEWLESS_THREADS": "2", "SKEWLESS_PASSWORD": "of the environment"})
    assert (found.threads, found.listen, found.password) == (2, "here:1", Secret("of the environment"))


def test_an_empty_variable_leaves_the_file_its_say(tmp_path: Path) -> None:
    environ = written(tmp_path / "settings.toml", "threads = 8\n")
    assert load(Sample, {**environ, "SKEWLESS_THREADS": ""}).threads == 8


def test_every_fault_of_file_and_environment_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    text = 'thread = 1\nwait_s = "2"\nkeep = 1\ntopics = "a"\nwhere = 7\npassword = "hush"\n[listen]\nport = 1\n'
    environ = written(path, text)
    found = faults(Sample, {**environ, "SKEWLESS_THREADS": "0"})
    assert found == [
        f"{path}: thread: no such setting; is threads meant?",
        f"{path}: password: is a secret and must not stand here; name a file that has it as password_file",
        f"{path}: listen: expected a text, got {{'port': 1}}",
        "SKEWLESS_THREADS: must be at least 1, got 0",
        f"{path}: wait_s: expected a number, got '2'",
        f"{path}: keep: expected true or false, got 1",
        f"{path}: topics: expected a list, got 'a'",
        f"{path}: where: expected a text, got 7",
    ]
    assert "hush" not in "".join(found)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"threads =", "Invalid value (at end of document)"),
        (b"threads = 1\nthreads = 2", "Cannot overwrite a value (at end of document)"),
        (b"\xff", "is not UTF-8"),
        (b"#" * (1 << 20) + b"#", "is larger than 1048576 bytes"),
        (b"threads = true", "expected a whole number, got True"),
        (b"threads = 1.0", "expected a whole number, got 1.0"),
        (b"wait_s = inf", "expected a finite number, got inf"),
        (b"wait_s = 1" + b"0" * 400, "expected a finite number, got 1000"),
        (b"topics = " + b"[" * 5_000, "recursion"),
        (b"password_file = 7", "expected the path of a file, got 7"),
        (b"nothing_like_it = 1", "no such setting; there are keep, "),
    ],
)
def test_a_bad_file_says_what_is_wrong_with_it(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    (found,) = faults(Sample, {"SKEWLESS_SETTINGS_FILE": str(path)})
    assert str(path) in found
    assert says in found


def test_a_settings_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    missing, directory = tmp_path / "none.toml", tmp_path
    assert faults(Sample, {"SKEWLESS_SETTINGS_FILE": str(missing)}) == [
        f"SKEWLESS_SETTINGS_FILE={missing}: No such file or directory"
    ]
    assert faults(Sample, {"SKEWLESS_SETTINGS_FILE": str(directory)}) == [
        f"SKEWLESS_SETTINGS_FILE={directory}: Is a directory"
    ]


def test_secrets_that_are_not_there_yet_are_waited_for_together(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    environ = {
        "SKEWLESS_PASSWORD_FILE": str(tmp_path / "password"),
        "SKEWLESS_TOKEN_FILE": str(tmp_path / "token"),
        "SKEWLESS_LISTEN": "here:1",
    }
    with pytest.raises(SecretsAwaitedError) as caught:
        load(Sample, environ)
    assert caught.value.awaited == [
        f"SKEWLESS_PASSWORD_FILE={tmp_path}/password (no such file)",
        f"SKEWLESS_TOKEN_FILE={tmp_path}/token (empty)",
    ]
    assert caught.value.provisional.listen == "here:1"
    (tmp_path / "password").write_text("open\n")
    (tmp_path / "token").write_text("sesame")
    found = load(Sample, environ)
    assert (found.password.reveal(), found.token.reveal()) == ("open", "sesame")


def test_other_faults_are_told_before_a_secret_is_waited_for(tmp_path: Path) -> None:
    environ = {"SKEWLESS_PASSWORD_FILE": str(tmp_path / "none"), "SKEWLESS_THREADS": "0"}
    assert faults(Sample, environ) == ["SKEWLESS_THREADS: must be at least 1, got 0"]


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("xyzzy")
    (tmp_path / "latin").write_bytes(b"secret \xff")
    environ = {"SKEWLESS_TOKEN_FILE": str(tmp_path / "token"), "SKEWLESS_PASSWORD_FILE": str(tmp_path / "latin")}
    assert faults(Sample, environ) == [
        "SKEWLESS_PASSWORD_FILE: is not UTF-8",
        "SKEWLESS_TOKEN_FILE: no x, got '***'",
    ]
    (tmp_path / "token").write_text("plugh")
    found = load(Sample, {"SKEWLESS_TOKEN_FILE": str(tmp_path / "token")})
    assert "plugh" not in describe(found) + repr(found)


@pytest.mark.parametrize("given", ["redis://:geheim@h:1/0", "redis:/:geheim@h:1/0"])
def test_a_secret_in_place_of_its_file_is_not_shown(given: str) -> None:
    (found,) = faults(Sample, {"SKEWLESS_PASSWORD_FILE": given})
    assert found.startswith("SKEWLESS_PASSWORD_FILE: expected the path of a file that has the secret")
    assert "geheim" not in found


@dataclass(frozen=True)
class Stored(ServiceSettings):
    store_url: Secret = setting(Secret("redis://here"), "where", check=store_url_fault)


@pytest.mark.parametrize(
    "url",
    [
        "rediss+cluster://u:p@a:1,b",
        "rediss+sentinel://a/main",
        "redis://h",
        "rediss://u:p@h:6380",
        "redis://h:6379/0",
        "redis://u:p%23w@h/3",
        "redis://:p@[::1]:6379",
        "redis://h/",
        "redis+cluster://u:p@a:1,[::1]:2,c",
        "redis+sentinel://:p@a,b:2/main/1",
    ],
)
def test_the_address_of_a_store_is_taken(url: str) -> None:
    assert load(Stored, {"SKEWLESS_STORE_URL": url}).store_url.reveal() == url


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://u:geheim#x@h:1/0", "special characters of a password are written as %XX"),
        ("redis://u:geheim@h:1x", "must be redis://"),
        ("redis://u:geheim@h:0", "must be redis://"),
        ("mysql://u:geheim@h:1", "must be redis://"),
        ("https://u:geheim@h:1", "for TLS rediss://"),
        ("redis://u:geheim@h:1/x", "must be redis://"),
        ("redis://u:geheim@h:1,i:2", "must be redis://"),
        ("redis+cluster://u:geheim@h:1/1", "redis+cluster://"),
        ("redis+sentinel://u:geheim@h:1", "/service"),
        ("redis+sentinel://u:geheim@h:1/main/x", "/service"),
        ("redis://u:geheim@/0", "must be redis://"),
        ("geheim", "must be redis://"),
    ],
)
def test_another_address_of_a_store_is_refused_and_not_shown(url: str, says: str) -> None:
    (found,) = faults(Stored, {"SKEWLESS_STORE_URL": url})
    assert says in found
    assert "geheim" not in found


def test_certificates_of_the_store_go_with_tls() -> None:
    tls = {"SKEWLESS_STORE_URL": "rediss://u:geheim@h", "SKEWLESS_STORE_CA_FILE": "ca.pem"}
    assert load(StoreSettings, tls).store_files == TlsFiles(Path("ca.pem"))
    assert load(StoreSettings, {"SKEWLESS_STORE_URL": "redis://h"}).store_files == NO_FILES
    assert faults(StoreSettings, {**tls, "SKEWLESS_STORE_URL": "redis://u:geheim@h"}) == [
        "SKEWLESS_STORE_URL: must ask for TLS (rediss instead of redis), since certificates are given"
    ]
    assert faults(StoreSettings, {**tls, "SKEWLESS_STORE_CERT_FILE": "own.pem"}) == [
        "SKEWLESS_STORE_KEY_FILE: must be set, since a certificate and its key go together"
    ]


def test_a_secret_has_one_source(tmp_path: Path) -> None:
    environ = {"SKEWLESS_TOKEN": "a", "SKEWLESS_TOKEN_FILE": str(tmp_path / "token")}
    assert faults(Sample, environ) == ["SKEWLESS_TOKEN and SKEWLESS_TOKEN_FILE: give one of them"]


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        (
            {"PROTOCOL": "sasl_ssl"},
            [
                "SKEWLESS_BROKER_USERNAME: must be set, since SKEWLESS_BROKER_PROTOCOL is SASL_SSL",
                "SKEWLESS_BROKER_PASSWORD: must be set, since SKEWLESS_BROKER_PROTOCOL is SASL_SSL",
            ],
        ),
        (
            {"USERNAME": "me"},
            [
                (
                    "SKEWLESS_BROKER_PROTOCOL: must be SASL_SSL or SASL_PLAINTEXT, since a name or a password is "
                    "given; got 'PLAINTEXT'"
                )
            ],
        ),
        (
            {"CA_FILE": "/ca.pem"},
            [
                "SKEWLESS_BROKER_PROTOCOL: must be SSL or SASL_SSL, since certificates are given; got 'PLAINTEXT'",
            ],
        ),
        (
            {"PROTOCOL": "TLS", "MECHANISM": "GSSAPI"},
            [
                "SKEWLESS_BROKER_PROTOCOL: must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, got 'TLS'",
                "SKEWLESS_BROKER_MECHANISM: must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, got 'GSSAPI'",
            ],
        ),
    ],
)
def test_settings_that_do_not_go_together_are_told(environ: dict[str, str], says: list[str]) -> None:
    assert faults(BrokerSettings, {f"SKEWLESS_BROKER_{name}": value for name, value in environ.items()}) == says
