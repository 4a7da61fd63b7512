"""States in Valkey or Redis, by one connection that is never mended silently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis.connection import Connection, SSLConnection, parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.stream_agg.ports import (
    StateWrite,
    StoreLostError,
    StoreRefusedError,
    WrongPartitionError,
)

T = TypeVar("T")

_BARRIER_KEY = "skewless:barrier"
_BARRIER_MS = 5_000
_BARRIERS = 6
_TIMEOUT_S = 10.0


class ValkeyStore:
    """`Store` at a URL: ``redis://[user:password@]host:port[/db]`` or ``rediss://`` for TLS.

    script: the kernel's Lua function that accepts a state or tells that it is stale.
    """

    def __init__(self, url: str, script: str) -> None:
        self._script = script.encode()
        options: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
        options.pop("connection_class", None)
        self._class = SSLConnection if url.startswith("rediss:") else Connection
        self._options = {**options, "socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S}
        self.address = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"

    def ask(self) -> None:
        """Returns if the store answers and is of use. Raises StoreLostError and StoreRefusedError."""
        self.connect().close()

    def connect(self) -> ValkeyStates:
        return ValkeyStates(self._class(**self._options), self.address, self._script)


class ValkeyStates:
    """`States` over one connection. For one thread."""

    def __init__(self, connection: Any, address: str, script: bytes) -> None:
        self._connection = connection
        self._address = address
        self._lost = False
        self._guard(connection.connect)
        memory = self._info("memory")
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            self.close()
            raise StoreRefusedError(
                f"the store at {address} has maxmemory-policy {policy}, which forgets states under pressure; set it "
                "to noeviction",
                metadata={"address": address, "policy": policy},
            )
        self._append_only = self._info("persistence").get("aof_enabled") == "1"
        sha = self._run(("SCRIPT", "LOAD", script))
        self._call = b"*8\r\n$7\r\nEVALSHA\r\n$%d\r\n%b\r\n$1\r\n2\r\n" % (len(sha), sha)

    def load(self, keys: Sequence[str]) -> list[bytes | None]:
        found = self._run(("MGET", *keys))
        return list(found)

    def write(self, writes: Sequence[StateWrite]) -> list[bool]:
        packed = _pack(self._call, writes)
        self._guard(lambda: self._connection.send_packed_command([packed], check_health=False))
        answers: list[bool] = []
        refused: ResponseError | None = None
        for _ in writes:  # every answer is taken, or the next call would read a stale one
            try:
                answers.append(self._guard(self._connection.read_response) == 1)
            except ResponseError as error:
                refused = refused or error
                answers.append(False)
        if refused is not None:
            self._refuse(refused)
        return answers

    def barrier(self) -> None:
        self._run(("SET", _BARRIER_KEY, "1"))
        if not self._append_only:
            return  # the store keeps nothing beyond its memory: acknowledged is all there is
        for _ in range(_BARRIERS):
            local, _replicas = self._run(("WAITAOF", "1", "0", str(_BARRIER_MS)))
            if local >= 1:
                return
        self.close()
        raise StoreLostError(
            what="the store", address=self._address, detail=f"no sync to disk in {_BARRIERS * _BARRIER_MS} ms"
        )

    def sentinel(self, key: str) -> bytes | None:
        found = self._run(("GET", key))
        return None if found is None else bytes(found)

    def set_sentinel(self, key: str, value: bytes) -> None:
        self._run(("SET", key, value))

    def close(self) -> None:
        self._lost = True
        self._connection.disconnect()

    def _info(self, section: str) -> dict[str, str]:
        text = bytes(self._run(("INFO", section))).decode(errors="replace")
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def _run(self, command: Sequence[str | bytes]) -> Any:
        self._guard(lambda: self._connection.send_command(*command, check_health=False))
        try:
            return self._guard(self._connection.read_response)
        except ResponseError as error:
            self._refuse(error)

    def _guard(self, step: Callable[[], T]) -> T:
        """Runs a step on the live connection; the client would otherwise connect anew by itself."""
        if self._lost:
            raise StoreLostError(what="the store", address=self._address, detail="the connection was closed")
        try:
            return step()
        except ResponseError as error:
            if str(error).startswith(("LOADING", "READONLY", "MASTERDOWN", "MOVED", "CLUSTERDOWN")):
                self.close()
                raise StoreLostError(what="the store", address=self._address, detail=str(error)) from error
            raise
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            self.close()
            raise StoreLostError(what="the store", address=self._address, detail=str(error)) from error
        except RedisError as error:
            self.close()
            raise StoreLostError(what="the store", address=self._address, detail=repr(error)) from error

    def _refuse(self, error: ResponseError) -> None:
        text = str(error)
        self.close()
        if text.startswith("OTHER_PARTITION"):
            raise WrongPartitionError(
                f"{text}: keys have moved between the log's partitions; open a new epoch of the source",
                metadata={"address": self._address},
            ) from error
        if text.startswith(("NOSCRIPT", "OOM", "MISCONF", "BUSY")):  # it may be able to later
            raise StoreLostError(what="the store", address=self._address, detail=text) from error
        raise StoreRefusedError(
            f"the store at {self._address} refused: {text}", metadata={"address": self._address}
        ) from error


def _pack(start: bytes, writes: Sequence[StateWrite]) -> bytes:
    """The calls as one piece of wire protocol: each ``start`` and head key, body key, head, body, expiry."""
    parts: list[bytes] = []
    for write in writes:
        key = write.key.encode()
        body = write.body or b""
        expiry = b"" if write.expire_at_ms is None else b"%d" % write.expire_at_ms
        parts.append(
            b"%b$%d\r\n%b\r\n$%d\r\n%b:b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"
            % (
                *(start, len(key), key, len(key) + 2, key),
                *(len(write.head), write.head, len(body), body, len(expiry), expiry),
            )
        )
    return b"".join(parts)
