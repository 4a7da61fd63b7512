"""Settings come from the environment; every fault is told at once, secrets never."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from skewless.settings import Secret, ServiceSettings, SettingsError, at_least, describe, load, setting


@dataclass(frozen=True)
class Sample:
    root: str = setting(doc="where", env="SKEWLESS_ROOT_DIR")
    listen: str = setting("127.0.0.1:0", "address")
    threads: int = setting(4, "threads", check=at_least(1))
    wait_s: float = setting(1.5, "seconds")
    keep: bool = setting(False, "whether to keep")
    topics: tuple[str, ...] = setting((), "topics")
    ready_file: Path | None = setting(None, "file")
    password: Secret = setting(Secret("swordfish"), "password")


def test_what_is_not_set_has_its_default() -> None:
    settings = load(Sample, {"SKEWLESS_ROOT_DIR": "/data", "SKEWLESS_READY_FILE": ""})
    assert settings == Sample(root="/data")


def test_everything_can_be_set() -> None:
    environ = {
        "SKEWLESS_LISTEN": "0.0.0.0:1",
        "SKEWLESS_THREADS": "1_000",
        "SKEWLESS_WAIT_S": "0.25",
        "SKEWLESS_KEEP": "Yes",
        "SKEWLESS_TOPICS": "a, b,",
        "SKEWLESS_READY_FILE": "/run/ready",
        "SKEWLESS_PASSWORD": "other",
        "SKEWLESS_ROOT_DIR": "s3://bucket",
    }
    assert load(Sample, environ) == Sample(
        "s3://bucket",
        "0.0.0.0:1",
        1000,
        0.25,
        True,
        ("a", "b"),
        Path("/run/ready"),
        Secret("other"),
    )


def test_every_fault_is_told_at_once() -> None:
    environ = {"SKEWLESS_THREADS": "0", "SKEWLESS_WAIT_S": "nan", "SKEWLESS_KEEP": "perhaps"}
    with pytest.raises(SettingsError) as caught:
        load(Sample, environ)
    assert caught.value.faults == [
        "SKEWLESS_ROOT_DIR: must be set (where)",
        "SKEWLESS_THREADS: must be at least 1, got 0",
        "SKEWLESS_WAIT_S: expected a finite number, got 'nan'",
        "SKEWLESS_KEEP: expected true or false, got 'perhaps'",
    ]


def test_secrets_are_masked() -> None:
    settings = load(Sample, {"SKEWLESS_ROOT_DIR": "x"})
    assert settings.password.reveal() == "swordfish"
    assert "swordfish" not in describe(settings) + repr(settings)
    assert "SKEWLESS_THREADS=4  # threads" in describe(settings)


@pytest.mark.parametrize("url", ["grpc://key@here:1", "http://user:swordfish@here:4317"])
def test_the_address_of_a_collector_is_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="SKEWLESS_OTLP_ENDPOINT: must be") as caught:
        load(ServiceSettings, {"SKEWLESS_OTLP_ENDPOINT": url})
    assert url not in str(caught.value)
    settings = load(ServiceSettings, {"SKEWLESS_OTLP_ENDPOINT": "http://here:4317/?key=swordfish"})
    assert settings.traced
    assert "swordfish" not in describe(settings) + repr(settings)
    assert not load(ServiceSettings, {"SKEWLESS_OTLP_ENDPOINT": ""}).traced
