"""Where the online store is: one server, those that Sentinels watch, or a cluster; with TLS or without."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from skewless.settings.declaring import Secret

Kind = Literal["single", "sentinel", "cluster"]

_KINDS: Final[dict[str, Kind]] = {"redis": "single", "redis+sentinel": "sentinel", "redis+cluster": "cluster"}
_PORTS: Final[dict[Kind, int]] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_FORM: Final = (
    "must be redis://[user:password@]host[:port][/database], redis+sentinel://[user:password@]host[:port],…/service"
    "[/database] or redis+cluster://[user:password@]host[:port],…; for TLS rediss:// instead of redis://, "
    "rediss+sentinel:// and rediss+cluster://"
)

STORE_URL: Final = (
    "URL of the online store: redis://user:password@host:port/database, redis+sentinel://host:port,…/service or "
    "redis+cluster://user:password@host:port,…; with rediss instead of redis for TLS"
)
"""What a setting with a store's address is."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files in PEM that TLS needs."""

    ca: Path | None = None
    """Certificates that the store's is to be signed by; None: those of the system."""
    identity: tuple[Path, Path] | None = None
    """This side's certificate and key, for a store that asks for them."""


NO_FILES: Final = TlsFiles()


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """What a store URL says. As text it has neither user nor password."""

    kind: Kind
    seeds: tuple[tuple[str, int], ...]
    """Host and port of the server, of the Sentinels, or of members of the cluster that know the others."""
    service: str = ""
    """The name that Sentinels know the primary by."""
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    """Of the servers that hold the data; Sentinels are asked without."""
    database: int = 0
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> StoreAddress:
        """Raises ValueError with the form of the URL; never repeats it."""
        try:
            return cls._read(urlsplit(url))
        except ValueError:  # also of ports and brackets
            raise ValueError(f"{_FORM}; special characters of a password are written as %XX") from None

    @classmethod
    def _read(cls, parts: SplitResult) -> StoreAddress:
        tls = parts.scheme.startswith("rediss")
        kind = _KINDS.get(f"redis{parts.scheme.removeprefix('rediss')}" if tls else parts.scheme)
        if kind is None or parts.query or parts.fragment:
            raise ValueError
        who, _, places = parts.netloc.rpartition("@")
        username, colon, password = who.partition(":")
        seeds = tuple(_seed(place, _PORTS[kind]) for place in places.split(","))
        path = [part for part in parts.path.split("/") if part]
        service = path.pop(0) if kind == "sentinel" and path else ""
        if (kind == "sentinel") != bool(service) or (kind == "single" and len(seeds) > 1):
            raise ValueError
        if len(path) > 1 or (path and (kind == "cluster" or not path[0].isdecimal())):
            raise ValueError
        return cls(
            kind,
            seeds,
            unquote(service),
            # `password@` without a colon is a password, as `:password@` is.
            unquote(username) if colon else "",
            unquote(password if colon else username),
            int(path[0]) if path else 0,
            tls,
        )

    def __str__(self) -> str:
        return ",".join(place(host, port) for host, port in self.seeds)


def place(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def store_url_fault(url: Secret) -> str | None:
    """What is wrong with the address of the online store; never quotes it."""
    try:
        StoreAddress.parse(url.reveal())
    except ValueError as error:
        return str(error)
    return None


def _seed(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path or parts.port == 0:
        raise ValueError
    return parts.hostname, parts.port or port
