"""One part of the mesh: a process with a name, an address, a log, and a sign that it is ready."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skewless.local.ports import LocalError, free_port, refuse_taken
from skewless.local.spawn import spawn

_SHOWN_LINES = 20
_POLL_S = 0.01


@dataclass(frozen=True)
class Part:
    """How a part is started.

    name: unique in the mesh; names its log.
    command: gives the program and its arguments for a port.
    environ: gives variables on top of the common environment, for a port.
    ready: gives the address once the part answers, None until then. Called some hundred times.
    ready_file: removed before a start, so that ``ready`` cannot read what an earlier start wrote.
    start_s: how long it may take until it is ready.
    stop_s: how long it may take to stop in order; then it is killed.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    ready: Callable[[int], str | None]
    environ: Callable[[int], Mapping[str, str]] = field(default=lambda _port: {})
    ready_file: Path | None = None
    start_s: float = 30.0
    stop_s: float = 10.0


class PartProcess:
    """A part and the process that runs it now, if any. Port 0 takes a free one, which it keeps from then on."""

    def __init__(self, part: Part, *, port: int = 0, environ: Mapping[str, str], cwd: Path, log: Path) -> None:
        self.part = part
        self.log = log
        self.port = port
        self.address = ""
        self._environ = dict(environ)
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._began = 0.0

    @property
    def pid(self) -> int | None:
        """The process id; None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def exit(self) -> str:
        """How the process ended by itself, e.g. ``exit code 1``; empty while it runs or after it was stopped."""
        code = self._process.poll() if self._process is not None else None
        return "" if code is None else _exit(code)

    def start(self) -> str:
        """Starts the part and returns its address when it is ready.

        Raises LocalError if it runs already, the port is taken, it ends, or is not ready in time.
        """
        self.begin()
        wait_until_ready([self])
        return self.address

    def begin(self) -> None:
        """Starts the part and does not wait; `is_ready` tells how it goes. Raises LocalError."""
        if self.pid is not None:
            raise LocalError(f"{self.part.name} runs already at {self.address}")
        self.port = self.port or free_port()
        refuse_taken(self.part.name, self.port)
        if self.part.ready_file:
            self.part.ready_file.unlink(missing_ok=True)
        environ = {**self._environ, **self.part.environ(self.port)}
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        try:
            self._process = spawn(self.part.command(self.port), environ=environ, cwd=self._cwd, log=self.log)
        except OSError as error:
            raise LocalError(f"{self.part.name} cannot be started: {error}") from error
        self._began = time.monotonic()

    def is_ready(self) -> bool:
        """Whether the part answers, at `address` then. Raises LocalError if it ended or takes too long."""
        if self._process is None:
            raise LocalError(f"{self.part.name} does not run")
        if (code := self._process.poll()) is not None:
            raise LocalError(f"{self.part.name} ended at its start with {_exit(code)}; {self.tail()}")
        if (address := self.part.ready(self.port)) is not None:
            self.address = address
            return True
        if time.monotonic() - self._began > self.part.start_s:
            self.kill()
            raise LocalError(f"{self.part.name} was not ready in {self.part.start_s:g} s; {self.tail()}")
        return False

    def kill(self) -> None:
        """Ends the process with SIGKILL, as a crash would. Nothing happens if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask_to_stop(self) -> None:
        """Sends SIGTERM, if it runs, and does not wait; `stop` does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Asks the process to stop, and kills it if it does not within its time."""
        if self._process is None:
            return
        self.ask_to_stop()
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


def wait_until_ready(parts: Iterable[PartProcess], on_ready: Callable[[str, str], None] | None = None) -> None:
    """Until each of the parts that have begun is ready. Raises LocalError about the first that fails."""
    waiting = list(parts)
    while waiting:
        ready = [part for part in waiting if part.is_ready()]
        for part in ready:
            waiting.remove(part)
            if on_ready is not None:
                on_ready(part.part.name, part.address)
        if waiting:
            time.sleep(_POLL_S)


def _exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    too_large = " (a file grew beyond the limit: `ulimit -f`)" if -code == signal.SIGXFSZ else ""
    return f"signal {signal.Signals(-code).name}{too_large}"
