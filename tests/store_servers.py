"""Several real servers of the store: a cluster formed by its own commands, or a primary that a Sentinel watches."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from skewless.local.mesh import store_program
from skewless.local.ports import LOOPBACK, free_port, hold

PRIMARIES = 3
_SLOTS = 16_384
_NODE_TIMEOUT_MS = 1_500
_PATIENCE_S = 30.0


@dataclass
class StoreServer:
    """One server, which can be killed and started again."""

    port: int
    directory: Path
    options: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [
            str(store_program()),
            *("--bind", LOOPBACK, "--port", str(self.port), "--dir", str(self.directory)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"),
            *self.options,
        ]
        with (self.directory / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, f"the server on port {self.port} does not answer; see {self.directory}/log.txt")

    def kill(self) -> None:
        """As a machine dies: SIGKILL."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.kill()

    def client(self) -> Redis:
        return Redis(host=LOOPBACK, port=self.port, socket_timeout=5)

    def role(self) -> str:
        """``master`` or ``slave``."""
        with self.client() as client:
            return str(client.info("replication")["role"])

    def identity(self) -> str:
        with self.client() as client:
            return _text(client.execute_command("CLUSTER", "MYID"))

    def _answers(self) -> bool:
        with self.client() as client:
            return bool(client.ping())


@dataclass
class StoreCluster:
    """Six servers: the first three began as primaries, each of the others follows one of them."""

    members: list[StoreServer]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"{LOOPBACK}:{member.port}" for member in self.members)

    def primary_of(self, slot: int) -> StoreServer:
        """The living primary of a slot, as a living member tells it."""
        for member in self.members:
            if member.process is None:
                continue
            with member.client() as client:
                ranges: Any = client.execute_command("CLUSTER", "SLOTS")
            port = next(place[1] for first, last, place, *_ in ranges if first <= slot <= last)
            return next(m for m in self.members if m.port == port)
        raise AssertionError("no member lives")

    def whole(self) -> bool:
        """Whether every living member says that all slots are served and that every replica is in step."""
        for member in self.members:
            if member.process is None:
                continue
            with member.client() as client:
                state = client.execute_command("CLUSTER", "INFO")
                known = (
                    state
                    if isinstance(state, dict)
                    else dict(line.split(":", 1) for line in _text(state).split() if ":" in line)
                )
                follows = client.info("replication")
            if known.get("cluster_state") != "ok":
                return False
            if follows["role"] == "slave" and follows["master_link_status"] != "up":
                return False
        return True


@contextmanager
def store_cluster(directory: Path) -> Iterator[StoreCluster]:
    """Starts and forms it, and ends all its servers."""
    with ExitStack() as stack:
        cluster = StoreCluster([])
        for number in range(2 * PRIMARIES):
            bus_port = _held(stack)
            options = (
                *("--cluster-enabled", "yes", "--cluster-port", str(bus_port)),
                *("--cluster-node-timeout", str(_NODE_TIMEOUT_MS), "--cluster-config-file", "nodes.conf"),
            )
            cluster.members.append(_started(stack, StoreServer(_held(stack), directory / f"member-{number}", options)))
        _form(cluster)
        yield cluster


@dataclass
class Watched:
    """A primary and its replica, and where a Sentinel tells which is which."""

    primary: StoreServer
    replica: StoreServer
    url: str


@contextmanager
def watched_store(directory: Path) -> Iterator[Watched]:
    """Starts a primary, a replica and a Sentinel, and ends them."""
    with ExitStack() as stack:
        primary = _started(stack, StoreServer(_held(stack), directory / "primary"))
        follows = ("--replicaof", f"{LOOPBACK} {primary.port}")
        replica = _started(stack, StoreServer(_held(stack), directory / "replica", follows))
        with replica.client() as client:
            until(lambda: client.info("replication")["master_link_status"] == "up", "the replica does not follow")
        port = _held(stack)
        settings = directory / "sentinel.conf"
        settings.write_text(
            f"bind {LOOPBACK}\nport {port}\ndir {directory}\n"
            f"sentinel monitor features {LOOPBACK} {primary.port} 1\n"
            f"sentinel down-after-milliseconds features {_NODE_TIMEOUT_MS}\n"
        )
        with (directory / "sentinel.txt").open("ab") as log:
            watcher = subprocess.Popen([str(store_program()), str(settings), "--sentinel"], stdout=log, stderr=log)
        stack.callback(watcher.wait)
        stack.callback(watcher.kill)

        def knows_both() -> bool:
            with Redis(host=LOOPBACK, port=port, socket_timeout=5) as client:
                return len(client.execute_command("SENTINEL", "REPLICAS", "features")) == 1

        until(knows_both, "the Sentinel does not know the replica")
        yield Watched(primary, replica, f"redis+sentinel://{LOOPBACK}:{port}/features")


def _held(stack: ExitStack) -> int:
    """A port that is kept."""
    port = free_port()
    stack.enter_context(hold("a server of the store", port))
    return port


def _started(stack: ExitStack, server: StoreServer) -> StoreServer:
    stack.callback(server.stop)
    server.start()
    return server


def _form(cluster: StoreCluster) -> None:
    first, *others = cluster.members
    with first.client() as client:
        for other in others:
            client.execute_command("CLUSTER", "MEET", LOOPBACK, other.port, other.options[3])
    until(lambda: all(_known(member) == len(cluster.members) for member in cluster.members), "the members do not meet")
    per = -(-_SLOTS // PRIMARIES)
    for number, member in enumerate(cluster.members[:PRIMARIES]):
        with member.client() as client:
            last = min((number + 1) * per, _SLOTS) - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * per, last)
    for number, member in enumerate(cluster.members[PRIMARIES:]):
        identity = cluster.members[number].identity()

        def follow(member: StoreServer = member, identity: str = identity) -> bool:
            with member.client() as client:
                client.execute_command("CLUSTER", "REPLICATE", identity)
            return True

        until(follow, "a replica does not know its primary")
    until(cluster.whole, "the cluster does not come together")


def until(holds: object, otherwise: str, seconds: float = _PATIENCE_S) -> None:
    """Waits for a condition; an error of the store counts as not yet."""
    assert callable(holds)
    end = time.monotonic() + seconds
    fault: RedisError | None = None
    while time.monotonic() < end:
        try:
            if holds():
                return
        except RedisError as error:
            fault = error
        time.sleep(0.05)
    raise AssertionError(f"{otherwise} within {seconds} s ({fault})")


def _known(member: StoreServer) -> int:
    with member.client() as client:
        nodes = client.execute_command("CLUSTER", "NODES")
    return len(nodes if isinstance(nodes, dict) else _text(nodes).splitlines())


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
