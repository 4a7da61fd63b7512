"""Settings that services have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from skewless.settings.declaring import Secret, between, one_of, setting
from skewless.settings.store_url import STORE_URL, StoreAddress, TlsFiles, store_url_fault

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def _endpoint_fault(url: Secret) -> str | None:
    """What is wrong with the address of a collector."""
    text = url.reveal()
    if text and not text.startswith(("http://", "https://")):
        return "must be a URL with http(s)"
    if "@" in text:
        return "must be without user and password, which gRPC does not take there; see OTEL_EXPORTER_OTLP_HEADERS"
    return None


@dataclass(frozen=True)
class ServiceSettings:
    """What every service is told at its start."""

    listen: str = setting("127.0.0.1:0", "address to listen on, host:port; port 0: any free one")
    ready_file: Path | None = setting(None, "file that gets `host:port` once the service answers; empty: none")
    log_level: str = setting("INFO", "DEBUG, INFO, WARNING or ERROR", check=one_of("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = setting("text", "text, or json: an object a line", check=one_of("TEXT", "JSON"))
    otlp_endpoint: Secret = setting(
        Secret(""),
        "where traces are sent by OTLP over gRPC, as http://host:port or https://host:port; empty: nowhere",
        check=_endpoint_fault,
    )
    spans_file: Path | None = setting(None, "file that spans are appended to, a JSON object a line; empty: none")
    trace_ratio: float = setting(
        0.01,
        "share of the traces begun here that are kept, 0 to 1; those that callers keep are always continued",
        check=between(0, 1),
    )
    metrics_listen: str = setting("", "address of the Prometheus endpoint; port 0: any free one; empty: none")
    metrics_file: Path | None = setting(None, "file that gets `host:port` of the Prometheus endpoint; empty: none")

    @property
    def traced(self) -> bool:
        """Whether spans go anywhere."""
        return bool(self.otlp_endpoint.reveal() or self.spans_file)

    def contradictions(self) -> Iterator[str]:
        """Settings that are each well and do not go together, as faults."""
        yield from ()


@dataclass(frozen=True)
class BrokerSettings(ServiceSettings):
    """What a service that talks to Kafka is told besides."""

    broker: str = setting("127.0.0.1:9092", "address of the Kafka broker, host:port; several with commas")
    broker_protocol: str = setting("PLAINTEXT", ", ".join(PROTOCOLS), check=one_of(*PROTOCOLS))
    broker_mechanism: str = setting("SCRAM-SHA-512", "of SASL: " + ", ".join(MECHANISMS), check=one_of(*MECHANISMS))
    broker_username: Secret = setting(Secret(""), "name of this client, for SASL")
    broker_password: Secret = setting(Secret(""), "password of this client, for SASL")
    broker_ca_file: Path | None = setting(
        None, "certificates, as PEM, that the broker's is to be signed by; empty: those of the system"
    )

    def contradictions(self) -> Iterator[str]:
        yield from super().contradictions()
        protocol = self.broker_protocol.upper()
        if protocol.startswith("SASL"):
            for name in ("broker_username", "broker_password"):
                if not getattr(self, name).reveal():
                    yield f"SKEWLESS_{name.upper()}: must be set, since SKEWLESS_BROKER_PROTOCOL is {protocol}"
        elif self.broker_username.reveal() or self.broker_password.reveal():
            yield (
                "SKEWLESS_BROKER_PROTOCOL: must be SASL_SSL or SASL_PLAINTEXT, since a name or a password is given; "
                f"got {protocol!r}"
            )
        if self.broker_ca_file is not None and not protocol.endswith("SSL"):
            yield f"SKEWLESS_BROKER_PROTOCOL: must be SSL or SASL_SSL, since certificates are given; got {protocol!r}"


@dataclass(frozen=True)
class StoreSettings(ServiceSettings):
    """What a service that reads or writes the online store is told besides."""

    store_url: Secret = setting(
        Secret("redis://127.0.0.1:6379/0"),
        STORE_URL,
        check=store_url_fault,
    )
    store_ca_file: Path | None = setting(
        None, "certificates, as PEM, that the store's is to be signed by; empty: those of the system"
    )
    store_cert_file: Path | None = setting(
        None, "this client's certificate, as PEM, for a store that asks for one; empty: none"
    )
    store_key_file: Path | None = setting(None, "the key of store_cert_file, as PEM")

    @property
    def store_identity(self) -> tuple[Path, Path] | None:
        """The files of this client's certificate and key."""
        if self.store_cert_file is None or self.store_key_file is None:
            return None
        return self.store_cert_file, self.store_key_file

    @property
    def store_files(self) -> TlsFiles:
        """What TLS towards the store needs."""
        return TlsFiles(self.store_ca_file, self.store_identity)

    def contradictions(self) -> Iterator[str]:
        yield from super().contradictions()
        if (self.store_cert_file is None) != (self.store_key_file is None):
            missing = "STORE_CERT_FILE" if self.store_cert_file is None else "STORE_KEY_FILE"
            yield f"SKEWLESS_{missing}: must be set, since a certificate and its key go together"
        files = (self.store_ca_file, self.store_cert_file, self.store_key_file)
        if any(files) and not StoreAddress.parse(self.store_url.reveal()).tls:
            yield "SKEWLESS_STORE_URL: must ask for TLS (rediss instead of redis), since certificates are given"


def _modules_fault(names: tuple[str, ...]) -> str | None:
    wrong = [name for name in names if not all(part.isidentifier() for part in name.split("."))]
    return f"must be dotted names of modules; {wrong[0]!r} is none" if wrong else None


@dataclass(frozen=True)
class FunctionSettings(BrokerSettings):
    """What a service that runs Python functions is told besides."""

    function_modules: tuple[str, ...] = setting(
        (),
        "modules whose functions definitions may name, with commas; the same for online and offline; empty: none",
        check=_modules_fault,
    )
    function_workers: int = setting(2, "processes that run Python functions", check=between(1, 64))
