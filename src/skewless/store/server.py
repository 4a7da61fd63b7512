"""One connection to one server of the online store, which is never mended silently.

A server that comes back may have forgotten what it had acknowledged. Whoever writes must learn of it, or what he
remembers of the store is no longer true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from skewless.errors import DependencyUnavailableError, Fault, SkewlessError
from skewless.settings.store_url import place

T = TypeVar("T")

_BARRIER_MS = 5_000
_BARRIERS = 6
_LOST = ("LOADING", "READONLY", "MASTERDOWN", "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN")
"""Errors of a server that does not hold the states any more, or not yet."""
_LATER = ("NOSCRIPT", "OOM", "MISCONF", "BUSY", "NOREPLICAS")
"""Errors of a server that may be able to do it later."""


class StoreLostError(DependencyUnavailableError):
    """The connection to the store broke: what the store still has must be found out anew."""


class StoreRefusedError(SkewlessError):
    """The store cannot be used as it is set up, or refuses what it was asked."""

    fault = Fault.EXTERNAL

    def __init__(self, text: str, *, address: str) -> None:
        super().__init__(text, metadata={"address": address})


class Server:
    """For one thread. Every failure closes it and is a StoreLostError or a StoreRefusedError.

    script: a Lua function, to be called by its name.
    replicas: how many must have a write before it counts as durable.
    """

    def __init__(self, connection: Any, script: str, replicas: int) -> None:
        self._connection = connection
        self._replicas = replicas
        self._lost = False
        self.address = place(connection.host, connection.port)
        self._guard(connection.connect)
        memory, replication = self._info("memory"), self._info("replication")
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            self.close()
            raise StoreRefusedError(
                f"the store at {self.address} has maxmemory-policy {policy}, which forgets states under pressure; set "
                "it to noeviction",
                address=self.address,
            )
        if replication.get("role", "master") != "master":
            self.close()
            raise StoreLostError(what="the store", address=self.address, detail="it is a replica, not a primary")
        self._append_only = self._info("persistence").get("aof_enabled") == "1"
        self.script: bytes = self.run("SCRIPT", "LOAD", script)
        """The name of the script, for EVALSHA."""

    def run(self, *command: str | bytes) -> Any:
        """The answer to one command."""
        self.send([command])
        return self.answers(1)[0]

    def send(self, commands: Sequence[Sequence[str | bytes]]) -> None:
        """Sends commands in one piece; `answers` takes the answers."""
        self.send_packed(b"".join(piece for command in commands for piece in self._connection.pack_command(*command)))

    def send_packed(self, packed: bytes) -> None:
        """Sends commands that are in the form of the wire already."""
        self._guard(lambda: self._connection.send_packed_command([packed], check_health=False))

    def answers(self, count: int) -> list[Any]:
        """The answers to what was sent last."""
        answers: list[Any] = []
        refused: ResponseError | None = None
        for _ in range(count):  # every answer is taken, or the next call would read a stale one
            try:
                answers.append(self._guard(self._connection.read_response))
            except ResponseError as error:
                refused = refused or error
        if refused is not None:
            self._refuse(refused)
        return answers

    def barrier(self, key: str) -> None:
        """Returns when all earlier writes, of any connection, are as durable as asked for and as the store allows.

        key: one that this server holds, to write to.
        """
        self.run("SET", key, "1")
        if not self._append_only and not self._replicas:
            return  # the store keeps nothing beyond its memory: acknowledged is all there is
        wait = ("WAITAOF", "1") if self._append_only else ("WAIT",)
        for _ in range(_BARRIERS):
            answer = self.run(*wait, str(self._replicas), str(_BARRIER_MS))
            local, replicas = answer if self._append_only else (1, answer)
            if local >= 1 and replicas >= self._replicas:
                return
        self.close()
        what = f"on {self._replicas} replicas" if self._replicas else "on its disk"
        raise StoreLostError(
            what="the store",
            address=self.address,
            detail=f"writes were not {what} within {_BARRIERS * _BARRIER_MS} ms",
        )

    def close(self) -> None:
        self._lost = True
        self._connection.disconnect()

    def _info(self, section: str) -> dict[str, str]:
        text = bytes(self.run("INFO", section)).decode(errors="replace")
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def _guard(self, step: Callable[[], T]) -> T:
        """Runs a step on the live connection; the client would otherwise connect anew by itself."""
        if self._lost:
            raise StoreLostError(what="the store", address=self.address, detail="the connection was closed")
        try:
            return step()
        except ResponseError as error:
            if str(error).startswith(_LOST):
                self.close()
                raise StoreLostError(what="the store", address=self.address, detail=str(error)) from error
            raise
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            self.close()
            raise StoreLostError(what="the store", address=self.address, detail=str(error)) from error
        except RedisError as error:
            self.close()
            raise StoreLostError(what="the store", address=self.address, detail=repr(error)) from error

    def _refuse(self, error: ResponseError) -> None:
        text = str(error)
        self.close()
        if text.startswith(_LATER):
            raise StoreLostError(what="the store", address=self.address, detail=text) from error
        raise StoreRefusedError(f"the store at {self.address} refused: {text}", address=self.address) from error
