"""How a service is called that does not let in everybody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from skewless.errors import InvalidArgumentError, Violation


@dataclass(frozen=True)
class Access:
    """TLS and the key of this client.

    tls: speak TLS, also if there are no files.
    ca_file: certificates that the service's is to be signed by, as PEM; None: those that gRPC brings.
    cert_file, key_file: this client's certificate and its key, as PEM, for a service that asks for them.
    api_key: sent with each call.

    Raises InvalidArgumentError for what does not go together, and for files that cannot be read.
    """

    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    api_key: str | None = None

    def __post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            missing = "cert_file" if self.cert_file is None else "key_file"
            raise InvalidArgumentError([Violation(missing, "a certificate and its key go together", "REQUIRED")])
        key = self.api_key
        if key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
            says = "must be an API key, as it was shown when it was made"
            raise InvalidArgumentError([Violation("api_key", says, "MALFORMED")])

    def __repr__(self) -> str:
        shown = None if self.api_key is None else "***"
        return f"Access(tls={self.encrypted}, ca_file={self.ca_file}, cert_file={self.cert_file}, api_key={shown!r})"

    @property
    def encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self.tls or self.ca_file is not None or self.cert_file is not None

    def credentials(self) -> grpc.ChannelCredentials | None:
        """What a channel is made with, of the files as they are now; None: without TLS."""
        if not self.encrypted:
            return None
        return grpc.ssl_channel_credentials(
            _content(self.ca_file, "ca_file"),
            _content(self.key_file, "key_file"),
            _content(self.cert_file, "cert_file"),
        )

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Metadata of each call."""
        return () if self.api_key is None else (("authorization", f"Bearer {self.api_key}"),)


ANYBODY: Final = Access()
"""Without TLS and without a key."""


def _content(path: Path | None, field: str) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidArgumentError([Violation(field, f"cannot be read: {error}", "UNREADABLE")]) from error
