"""One part of the mesh: a process with a name, an address, a log, and a sign that it is ready."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skewless.local.spawn import spawn

LOOPBACK = "127.0.0.1"
_SHOWN_LINES = 20
_POLL_S = 0.01


class LocalError(Exception):
    """A part of the mesh did not start, or is not in the state that was asked of it.

    The message names the part, its address, and ends with the last lines of its log.
    """


@dataclass(frozen=True)
class Part:
    """How a part is started.

    name: unique in the mesh; names its log.
    command: gives the program and its arguments for a port; port 0 lets the part choose.
    environ: gives variables on top of the common environment, for a port.
    ready: gives the address once the part answers, None until then. Called some hundred times.
    ready_file: removed before a start, so that ``ready`` cannot read what an earlier start wrote.
    chooses_port: whether it can be started with port 0.
    start_s: how long it may take until it is ready.
    stop_s: how long it may take to stop in order; then it is killed.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    ready: Callable[[int], str | None]
    environ: Callable[[int], Mapping[str, str]] = field(default=lambda _port: {})
    ready_file: Path | None = None
    chooses_port: bool = True
    start_s: float = 30.0
    stop_s: float = 10.0


class PartProcess:
    """A part and the process that runs it now, if any. The port, once known, never changes."""

    def __init__(self, part: Part, *, port: int, environ: Mapping[str, str], cwd: Path, log: Path) -> None:
        self.part = part
        self.log = log
        self.port = port
        self.address = ""
        self._environ = dict(environ)
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The process id; None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> str:
        """Starts the part and returns its address when it is ready.

        Raises LocalError if it runs already, the port is taken, it ends, or is not ready in time.
        """
        if self.pid is not None:
            raise LocalError(f"{self.part.name} runs already at {self.address}")
        port = self.port
        if port:
            refuse_taken(self.part.name, port)
        elif not self.part.chooses_port:
            port = free_port()
        if self.part.ready_file:
            self.part.ready_file.unlink(missing_ok=True)
        environ = {**self._environ, **self.part.environ(port)}
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        try:
            self._process = spawn(self.part.command(port), environ=environ, cwd=self._cwd, log=self.log)
        except OSError as error:
            raise LocalError(f"{self.part.name} cannot be started: {error}") from error
        self.address = self._wait_until_ready(port)
        self.port = int(self.address.rpartition(":")[2])
        return self.address

    def _wait_until_ready(self, port: int) -> str:
        assert self._process is not None  # noqa: S101 (start has just set it)
        deadline = time.monotonic() + self.part.start_s
        while True:
            if (code := self._process.poll()) is not None:
                raise LocalError(f"{self.part.name} ended at its start with {_exit(code)}; {self.tail()}")
            if (address := self.part.ready(port)) is not None:
                return address
            if time.monotonic() > deadline:
                self.kill()
                raise LocalError(f"{self.part.name} was not ready in {self.part.start_s:g} s; {self.tail()}")
            time.sleep(_POLL_S)

    def kill(self) -> None:
        """Ends the process with SIGKILL, as a crash would. Nothing happens if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Asks the process to stop, and kills it if it does not within its time."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self.part.stop_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def tail(self) -> str:
        """The last lines of the log since the last start, for a message."""
        try:
            text = self.log.read_bytes()[self._log_start :].decode(errors="replace")
        except FileNotFoundError:
            text = ""
        lines = text.splitlines()[-_SHOWN_LINES:]
        shown = "\n".join(f"  {line}" for line in lines)
        return f"the end of {self.log}:\n{shown}" if lines else f"{self.log} is empty"


def free_port() -> int:
    """A port that nothing listens on at this moment. Somebody else may take it before it is used."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def refuse_taken(name: str, port: int) -> None:
    """Raises LocalError if another program listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise LocalError(
                f"{name} cannot listen on {LOOPBACK}:{port}: {error.strerror}; "
                f"stop the program that uses the port (`ss -ltnp 'sport = :{port}'` names it) or give another"
            ) from error


def _exit(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
