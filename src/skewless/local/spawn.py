"""Starting a process that cannot outlive this one.

Linux ends a child whose parent has died if the child asked for it (``PR_SET_PDEATHSIG``). Parent means
the *thread* that started it, so one thread, which lives as long as this process, starts all of them.
The child asks in a few lines of Python before it becomes the program: nothing runs between fork and
exec in this process, which may be full of other threads.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue

# argv: pid of the starter, program, arguments. 1 is PR_SET_PDEATHSIG, 9 is SIGKILL.
_BECOME = (
    "import ctypes,os,sys\n"
    "ctypes.CDLL(None).prctl(1,9)\n"
    "if os.getppid()!=int(sys.argv[1]): sys.exit(1)\n"
    "os.execvp(sys.argv[2],sys.argv[2:])\n"
)

_Job = tuple[list[str], dict[str, str], Path, Path, "Future[subprocess.Popen[bytes]]"]


class _Spawner:
    """The one thread that starts processes."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._owner = 0

    def spawn(
        self, command: Sequence[str], environ: Mapping[str, str], cwd: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._owner != os.getpid():  # the first time, or after a fork, which copies no thread
                self._owner = os.getpid()
                threading.Thread(target=self._run, name="skewless-spawner", daemon=True).start()
        done: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((list(command), dict(environ), cwd, log, done))
        return done.result()

    def _run(self) -> None:
        while True:
            command, environ, cwd, log, done = self._jobs.get()
            try:
                with log.open("ab") as sink:
                    process = subprocess.Popen(
                        [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), *command],
                        stdin=subprocess.DEVNULL,
                        stdout=sink,
                        stderr=subprocess.STDOUT,
                        env=environ,
                        cwd=cwd,
                        start_new_session=True,  # Ctrl-C is for the holder of the mesh, who then stops the parts
                    )
            except OSError as error:
                done.set_exception(error)
            else:
                done.set_result(process)


_SPAWNER = _Spawner()


def spawn(command: Sequence[str], *, environ: Mapping[str, str], cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """Starts the command with exactly this environment; its output is appended to ``log``.

    The child gets SIGKILL when this process ends. Raises OSError if the log cannot be opened or no
    process can be made; a program that cannot be executed shows as an exit with the reason in the log.
    """
    return _SPAWNER.spawn(command, environ, cwd, log)
