"""The command `skewless` as a process, and what is left of it in a directory."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from skewless.cli.main import main
from skewless.local.supervisor import DEFAULT_PORTS

FREE_PORTS = tuple(word for part in DEFAULT_PORTS for word in ("--port", f"{part}=0"))
"""So that tests do not meet on the default ones."""


def environ(**more: str) -> dict[str, str]:
    """This process's environment without settings of Skewless."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SKEWLESS_")} | more


@dataclass(frozen=True)
class Done:
    """What a command has printed."""

    stdout: str
    stderr: str


def spawned(cwd: Path, *arguments: str, code: int = 0, limit_bytes: int | None = None) -> Done:
    """Runs a command as a process to its end and expects an exit code.

    limit_bytes: no file that it or its children write may grow beyond.
    """
    command = [sys.executable, "-m", "skewless.cli", *arguments]
    if limit_bytes is not None:
        become = "import os,resource,sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
        become += "os.execv(sys.argv[2], sys.argv[2:])"
        command = [sys.executable, "-c", become, str(limit_bytes), *command]
    done = subprocess.run(
        command, cwd=cwd, env=environ(), capture_output=True, text=True, check=False, timeout=100
    )  # fmt: skip
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return Done(done.stdout, done.stderr)


def skewless(cwd: Path, *arguments: str, code: int | None = 0, **settings: str) -> Done:
    """Runs a command in this process, which spares an interpreter's start, and expects an exit code; None: any.

    settings: environment variables.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, environ(**settings), clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        found = main(arguments)
    done = Done(out.getvalue(), err.getvalue())
    assert code in {None, found}, f"{arguments}: {found}\n{done.stdout}{done.stderr}"
    return done


def document(cwd: Path, *arguments: str, code: int | None = 0) -> dict[str, Any]:
    """What a command answers as JSON: one document on stdout and nothing else."""
    done = skewless(cwd, *arguments, "--json", code=code)
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.stderr == ""
    return answer


def running(pid: int) -> bool:
    """Whether the process lives; one that nobody has waited for yet is dead."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def processes_in(directory: Path) -> list[int]:
    """The processes that work in a directory or below, as the supervisor and every part of its mesh do."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):
                if (process / "cwd").readlink().is_relative_to(directory) and running(int(process.name)):
                    found.append(int(process.name))
    return found
