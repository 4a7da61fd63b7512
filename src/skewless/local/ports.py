"""Ports on the loopback interface: free ones, and who has a taken one."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
# Below the range that Linux takes for outgoing connections: there, any client could have the port a moment later.
_FREE_PORTS: Final = range(20_000, 32_768)
_TRIES: Final = 1_000
_LISTENING: Final = "0A"


class LocalError(Exception):
    """A part of the mesh did not start, or is not in the state that was asked of it.

    The message names the part, its address, and ends with the last lines of its log.
    """


class PortTakenError(LocalError):
    """Another program listens on the port that a part is to have."""

    def __init__(self, name: str, port: int, reason: str) -> None:
        self.name = name
        self.port = port
        self.holder = holder(port)
        by = f"{self.holder} has the port" if self.holder else f"{reason} (`ss -ltnp 'sport = :{port}'` says more)"
        super().__init__(
            f"{name} cannot listen on {LOOPBACK}:{port}: {by}; stop that program or give {name} another port"
        )


def free_port() -> int:
    """A port that nothing uses or holds at this moment. Until it is held somebody else may take it, if hardly."""
    for _ in range(_TRIES):
        port = random.choice(_FREE_PORTS)  # noqa: S311 (spread, not secret: meshes that start together must not meet)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((LOOPBACK, port))
            return port
    raise LocalError(f"no free port among {_FREE_PORTS.start} to {_FREE_PORTS.stop - 1} on {LOOPBACK}")


def hold(name: str, port: int) -> socket.socket:
    """Keeps the port from `free_port` in every process until it is closed. The part can still listen on it.

    Linux lets sockets that set SO_REUSEADDR, as servers do, share a port while at most one of them listens.

    Raises PortTakenError if another program listens on the port.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((LOOPBACK, port))
    except OSError as error:
        held.close()
        raise PortTakenError(name, port, error.strerror or str(error)) from error
    return held


def refuse_taken(name: str, port: int) -> None:
    """Raises PortTakenError if another program listens on the port."""
    hold(name, port).close()


def holder(port: int) -> str:
    """The program that listens on a port, as ``name (pid 123)``; empty where it cannot be known."""
    inodes = _listeners(port)
    if not inodes:
        return ""
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and _sockets(process) & inodes:
            with contextlib.suppress(OSError):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""


def _sockets(process: Path) -> set[str]:
    """The names of what a process has open; none if it has ended or belongs to another user."""
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(descriptor.readlink().name)
    return found


def _listeners(port: int) -> set[str]:
    """The sockets that listen on a port, as their descriptors' links name them."""
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (Path("/proc/net") / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, *rest = line.split()
            if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                found.add(f"socket:[{rest[5]}]")
    return found
