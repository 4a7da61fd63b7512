"""Towards a broker that asks for TLS and a password: let in with what it asks for, refused by name without."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from skewless.bus import Bus, BusError
from skewless.local.mesh import broker_program
from skewless.settings import BrokerSettings, Secret

PASSWORD = "swordfish"  # noqa: S105 (of the broker that is started here)


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "broker.pem", directory / "broker.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.fixture(scope="module", params=["SCRAM-SHA-512", "PLAIN"])
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerSettings]:
    """A broker that asks for both, and the settings of a service that has both."""
    directory = tmp_path_factory.mktemp("broker")
    public, private = certificate(directory)
    ready = directory / "ready"
    command = [broker_program(), "--data-dir", str(directory / "data"), "--ready-file", str(ready)]
    command += [
        "--tls-cert",
        str(public),
        "--tls-key",
        str(private),
        "--user",
        "skewless",
        "--mechanism",
        request.param,
    ]
    with subprocess.Popen(command, env={**os.environ, "BROKER_PASSWORD": PASSWORD}) as broker:
        try:
            deadline = time.monotonic() + 20
            while not ready.exists():
                assert broker.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield BrokerSettings(
                broker=ready.read_text().strip(),
                broker_protocol="sasl_ssl",
                broker_mechanism=request.param.lower(),
                broker_username=Secret("skewless"),
                broker_password=Secret(PASSWORD),
                broker_ca_file=public,
            )
        finally:
            broker.terminate()


def changed(settings: BrokerSettings, **changes: object) -> Bus:
    return Bus.of(BrokerSettings(**{**vars(settings), **changes}), timeout_s=3)


def test_records_go_and_come(settings: BrokerSettings) -> None:
    bus = Bus.of(settings)
    bus.ask()
    bus.ensure_topic("secret")
    with bus.sender() as sender:
        sender.send("secret", b"hello", key=b"k", partition=1)
        assert sender.flush(10)
    with bus.reader("secret", {1: 0}) as reader:
        found = reader.read(max_records=1, wait_s=10).parts
    assert [part.values for part in found] == [[b"hello"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"broker_password": Secret("wrong")},
        {"broker_username": Secret("nobody")},
        {"broker_protocol": "SSL"},
        {"broker_ca_file": None},
    ],
    ids=["password", "name", "no login", "unknown signer"],
)
def test_whoever_lacks_something_is_not_let_in(settings: BrokerSettings, changes: dict[str, object]) -> None:
    with pytest.raises(BusError) as caught:
        changed(settings, **changes).ask()
    assert settings.broker in str(caught.value)
    assert PASSWORD not in str(caught.value)
