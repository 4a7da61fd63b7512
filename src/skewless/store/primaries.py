"""All servers that hold the store's data, as one: a place of keys is a slot of a cluster, or the only server."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from redis.crc import key_slot
from redis.exceptions import RedisError

from skewless.kernel import slot_tags
from skewless.settings import NO_FILES, Secret, StoreAddress, TlsFiles
from skewless.store import servers
from skewless.store.server import Server, StoreLostError

_BARRIER_KEY = "skewless:barrier"
Command = Sequence[str | bytes]


class Store:
    """The store at a URL, see `StoreAddress`.

    script: a Lua function, loaded into every primary.
    replicas: how many of each primary must have a write before it counts as durable.
    files: of TLS, if the URL asks for it; read for each connection.
    """

    def __init__(self, url: Secret, script: str, replicas: int = 0, files: TlsFiles = NO_FILES) -> None:
        self._address = StoreAddress.parse(url.reveal())
        self._script = script
        self._replicas = replicas
        self._files = files

    def ask(self) -> None:
        """Returns if the store answers and is of use. Raises as `connect` does."""
        self.connect().close()

    def connect(self) -> Primaries:
        """A connection to each primary. Raises StoreLostError and StoreRefusedError."""
        address = self._address
        try:
            match address.kind:
                case "single":
                    placed = list(address.seeds)
                case "sentinel":
                    placed = [servers.primary(address, self._files)]
                case "cluster":
                    placed = servers.slots(address, self._files)
        except RedisError as error:
            raise StoreLostError(what="the store", address=str(address), detail=str(error)) from error
        opened: dict[servers.Place, Server] = {}
        try:
            for where in placed:
                if where not in opened:
                    opened[where] = self._server(where)
        except BaseException:
            for server in opened.values():
                server.close()
            raise
        return Primaries([opened[where] for where in placed])

    def _server(self, where: servers.Place) -> Server:
        connection = servers.connection(self._address, where, self._files)
        return Server(connection, self._script, self._replicas)


class Primaries:
    """A connection to each primary. For one thread.

    servers: of each place the one that holds it. That places move shows in an error of a server; any error closes all
    connections.
    """

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._prefixes = [""] if len(servers) == 1 else [f"{{{tag}}}:" for tag in slot_tags()]
        self.one_each = list({server: place for place, server in enumerate(servers)}.values())
        """A place of each primary."""

    @property
    def places(self) -> range:
        return range(len(self._servers))

    def place(self, key: str) -> int:
        """Where a key lies."""
        return key_slot(key.encode()) if len(self._servers) > 1 else 0

    def key_at(self, place: int, key: str) -> str:
        """The key that stands for this one in a place, where every place has one of its own."""
        return self._prefixes[place] + key

    def each(self, commands: Mapping[int, Sequence[Command]]) -> dict[int, list[Any]]:
        """Runs commands in places, all of a primary in one piece; the answers of each place."""
        return self._exchange(
            {place: len(own) for place, own in commands.items()},
            lambda server, places: server.send([command for place in places for command in commands[place]]),
        )

    def call(self, calls: Mapping[int, Sequence[tuple[Sequence[str], Sequence[bytes]]]]) -> dict[int, list[Any]]:
        """Calls the script in places, each time with keys and arguments; the answers of each place."""

        def send(server: Server, places: Sequence[int]) -> None:
            server.send_packed(b"".join(_call(server.script, *call) for place in places for call in calls[place]))

        return self._exchange({place: len(own) for place, own in calls.items()}, send)

    def barrier(self) -> None:
        """Returns when everything that any connection had written before is as durable as asked for."""
        with self._all_or_none():
            for place in self.one_each:
                self._servers[place].barrier(self.key_at(place, _BARRIER_KEY))

    def close(self) -> None:
        for place in self.one_each:
            self._servers[place].close()

    def _exchange(
        self, counts: Mapping[int, int], send: Callable[[Server, Sequence[int]], None]
    ) -> dict[int, list[Any]]:
        places: dict[Server, list[int]] = defaultdict(list)
        for place in counts:
            places[self._servers[place]].append(place)
        answers: dict[int, list[Any]] = {}
        with self._all_or_none():
            for server, own in places.items():
                send(server, own)
            for server, own in places.items():
                found = iter(server.answers(sum(counts[place] for place in own)))
                answers.update((place, list(itertools.islice(found, counts[place]))) for place in own)
        return answers

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """What fails at one server ends all connections: others have answers that nobody waits for."""
        try:
            yield
        except BaseException:
            self.close()
            raise


def _call(script: bytes, keys: Sequence[str], arguments: Sequence[bytes]) -> bytes:
    """A call as the wire has it; the client's own packing would cost more than all the rest of a write."""
    lengths: list[int | bytes] = []
    for part in [*map(str.encode, keys), *arguments]:
        lengths += (len(part), part)
    return _form(script, len(keys), len(arguments)) % tuple(lengths)


@lru_cache
def _form(script: bytes, keys: int, arguments: int) -> bytes:
    start = b"*%d\r\n$7\r\nEVALSHA\r\n$%d\r\n%b\r\n" % (3 + keys + arguments, len(script), script)
    count = b"%d" % keys
    return start + b"$%d\r\n%b\r\n" % (len(count), count) + b"$%d\r\n%b\r\n" * (keys + arguments)
