"""What the online service is told at its start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skewless.settings import FunctionSettings, StoreSettings, at_least, between, one_of, setting


@dataclass(frozen=True)
class Settings(FunctionSettings, StoreSettings):
    """See `skewless.settings` for where they are read from."""

    listen: str = setting("127.0.0.1:50052", "address to listen on, host:port; port 0: any free one")
    tls_cert_file: Path | None = setting(
        None, "the certificate that callers are shown, and those that signed it, as PEM; empty: without TLS"
    )
    tls_key_file: Path | None = setting(None, "the key of tls_cert_file, as PEM")
    tls_client_ca_file: Path | None = setting(
        None, "callers must show a certificate signed by one of these, as PEM; empty: none is asked for"
    )
    api_keys: str = setting("off", "required: each call needs an API key; off", check=one_of("OFF", "REQUIRED"))
    key_rate: int = setting(
        10_000, "calls a second that an API key may make of this server; 0: no limit", check=at_least(0)
    )
    project_rate: int = setting(
        10_000, "calls a second that may be made of this server for a project; 0: no limit", check=at_least(0)
    )
    queue_target_ms: int = setting(
        5,
        "how late, in ms, calls may be begun to be worked on; beyond, fewer are let in at once; 0: never fewer",
        check=at_least(0),
    )
    health_listen: str = setting(
        "", "address where health alone is answered, without TLS, for probes that speak none; empty: none"
    )
    registry: str = setting("127.0.0.1:50051", "address of the registry")
    definitions_file: Path | None = setting(
        None, "file that keeps the last definitions, for a start while the registry is away; empty: none"
    )
    store_timeout_ms: int = setting(
        250, "how long a read of the store may take, in ms; beyond, values are UNAVAILABLE", check=at_least(1)
    )
    threads: int = setting(2, "threads of the read path", check=between(1, 256))
    max_in_flight: int = setting(1024, "requests handled at once; more are refused", check=at_least(1))
    max_message_bytes: int = setting(4 << 20, "the largest request taken, in bytes", check=at_least(1024))
    served_log: bool = setting(True, "log every answer to skewless.served")
    served_queue: int = setting(65_536, "answers waiting to be logged; beyond, requests are refused", check=at_least(1))
    function_timeout_ms: int = setting(
        250,
        "how long the Python functions of a request may take, in ms; beyond, values are NOT_COMPUTED",
        check=at_least(1),
    )
    function_queue: int = setting(
        256, "calls of Python functions that wait for a process; beyond, values are NOT_COMPUTED", check=at_least(1)
    )
    grace_ms: int = setting(5_000, "how long running requests may take to end at a stop, in ms", check=at_least(0))

    @property
    def tls_identity(self) -> tuple[Path, Path] | None:
        """The files of the service's certificate and key."""
        if self.tls_cert_file is None or self.tls_key_file is None:
            return None
        return self.tls_cert_file, self.tls_key_file

    def contradictions(self) -> Iterator[str]:
        yield from super().contradictions()
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            missing = "TLS_CERT_FILE" if self.tls_cert_file is None else "TLS_KEY_FILE"
            yield f"SKEWLESS_{missing}: must be set, since a certificate and its key go together"
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            yield "SKEWLESS_TLS_CERT_FILE: must be set, since certificates of callers are asked for"
