"""The process that a mesh in the background lives in: ``python -m skewless.local.supervisor``.

It holds the data directory, starts every part, writes ``run/mesh.json``, starts a part again that ended by
itself, and stops all of them on SIGTERM. However it ends, no part outlives it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from skewless.clock import Backoff
from skewless.local.health import wait_until_serving
from skewless.local.mesh import BROKER, SERVICES, STORE, LocalMesh
from skewless.local.ports import LocalError, PortTakenError
from skewless.local.state import HeldError, MeshState, PartState, cannot_write

log = logging.getLogger("skewless.supervisor")

DEFAULT_PORTS: Final[Mapping[str, int]] = {
    # The services' own defaults.
    "registry": 50051,
    "online": 50052,
    "offline": 50053,
    "stream_agg": 50054,
    "validator": 50055,
    STORE: 50056,
    BROKER: 9092,
}
"""The ports of a mesh that was never told others."""

_POLL_S: Final = 0.2
_SERVING_S: Final = 30.0
_FAILED: Final = Backoff(2.0, 30.0)

Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Order:
    """What to run.

    data: the data directory.
    sources: the directory that paths of batch sources begin at.
    ports: by part; the others are those of the last start in this directory, else `DEFAULT_PORTS`.
    """

    data: Path
    sources: Path
    ports: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps({"data": str(self.data), "sources": str(self.sources), "ports": dict(self.ports)})

    @classmethod
    def from_json(cls, text: str) -> Order:
        document = json.loads(text)
        return cls(Path(document["data"]), Path(document["sources"]), document["ports"])


def planned_ports(data: Path, given: Mapping[str, int]) -> dict[str, int]:
    """The port of each part at the next start; a ``run/mesh.json`` that cannot be read counts as none, with a warning.

    Raises LocalError if two parts would have one port.
    """
    try:
        last = MeshState.read(data)
    except LocalError as error:
        log.warning("%s; the ports are the default ones", error)
        last = None
    before = {name: int(address.rpartition(":")[2]) for name, address in last.addresses.items()} if last else {}
    ports = {**DEFAULT_PORTS, **{name: port for name, port in before.items() if name in DEFAULT_PORTS}, **given}
    if faults := equal_ports(ports):
        raise LocalError(f"{'; '.join(faults)}; give one of them another, e.g. --port {STORE}=0")
    return ports


def equal_ports(ports: Mapping[str, int]) -> list[str]:
    """What is wrong with parts that have the same port; 0 is a free one for each."""
    by_port: dict[int, list[str]] = {}
    for name, port in ports.items():
        by_port.setdefault(port, []).append(name)
    return [f"{' and '.join(names)} cannot both have port {p}" for p, names in by_port.items() if p and len(names) > 1]


class Supervisor:
    """Runs one mesh until ``stop`` is set. Raises LocalError if it cannot be started."""

    def __init__(self, order: Order, stop: threading.Event, report: Report) -> None:
        self._order = order
        self._stop = stop
        self._report = report
        self._mesh = LocalMesh(
            order.data,
            ports=planned_ports(order.data, order.ports),
            environ={"SKEWLESS_SOURCES": str(order.sources)},
        )
        self._started_at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        self._ends: dict[str, list[str]] = {name: [] for name in self._mesh.names}
        self._next_try: dict[str, float] = {}

    def run(self) -> None:
        """Starts, minds and stops the mesh."""
        self._mesh.start(lambda name, address: self._report({"part": name, "address": address}))
        try:
            services = {name: self._mesh.addresses[name] for name in SERVICES}
            wait_until_serving(
                services, timeout_s=_SERVING_S, give_up=lambda: self._stop.is_set() or bool(self._lost())
            )
            if lost := self._lost():
                raise LocalError(f"ended right after the start: {lost}; the logs are in {self._order.data / 'logs'}")
            if self._stop.is_set():
                raise LocalError("told to stop while it was starting")
            self._write()
            self._report({"ready": True, "pid": os.getpid(), "addresses": self._mesh.addresses})
            while not self._stop.wait(_POLL_S):
                for name in self._mesh.names:
                    self._mind(name)
        finally:
            self._mesh.stop()
            log.info("stopped")

    def _lost(self) -> str:
        """The parts that have ended by themselves, and how."""
        ends = {name: self._mesh.exit_of(name) for name in self._mesh.names}
        return ", ".join(f"{name} with {ended}" for name, ended in ends.items() if ended)

    def _mind(self, name: str) -> None:
        """Starts a part again that has ended, waiting longer each time that this fails."""
        if self._mesh.pid(name) is not None:
            return
        if ended := self._mesh.exit_of(name):
            log.warning("%s ended with %s; starting it again", name, ended)
            self._ends[name].append(ended)
            self._write()
        if time.monotonic() < self._next_try.get(name, 0.0):
            return
        try:
            self._mesh.restart(name)
        except LocalError as error:
            log.error("%s", error)  # noqa: TRY400 (the message says all there is)
            self._ends[name].append(str(error).partition(";")[0])
            self._mesh.halt(name)
            self._next_try[name] = time.monotonic() + _FAILED.after(len(self._ends[name]))
        self._write()

    def _write(self) -> None:
        parts = {
            name: PartState(
                address=self._mesh.addresses[name],
                pid=self._mesh.pid(name),
                restarts=len(self._ends[name]),
                last_exit=self._ends[name][-1] if self._ends[name] else "",
            )
            for name in self._mesh.names
        }
        state = MeshState(version("skewless"), os.getpid(), self._started_at, parts)
        try:
            state.write(self._mesh.data_dir)
        except OSError as error:  # a full disk is no reason to stop what runs
            log.error("%s", cannot_write(error, self._mesh.data_dir))  # noqa: TRY400


def supervise(order: Order, report: Report) -> None:
    """Runs a mesh in this process until SIGTERM or SIGINT. Call it from the main thread. Raises LocalError."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Supervisor(order, stop, report).run()


def main() -> int:
    """Reports on stdout, one JSON object a line, until the mesh is ready or has failed; then closes it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    def report(news: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # whoever asked has been killed; the mesh goes on
            os.write(1, (json.dumps(news) + "\n").encode())
        if "part" not in news:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)

    try:
        supervise(Order.from_json(sys.argv[1]), report)
    except LocalError as error:
        log.error("%s", error)  # noqa: TRY400 (likewise)
        part = error.name if isinstance(error, PortTakenError) else ""
        report({"failed": str(error), "taken": part, "held": isinstance(error, HeldError)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
