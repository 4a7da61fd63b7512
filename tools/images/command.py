"""Running programs whose output matters only when they fail."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class CommandError(Exception):
    """A program failed, with what it wrote."""


def run(*command: str | Path, cwd: Path | None = None, environ: Mapping[str, str] | None = None, text: str = "") -> str:
    """Runs a program with ``text`` as its input; returns what it printed. Raises CommandError."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environ, input=text, check=False, capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise CommandError(f"{command[0]} cannot be started: {error}") from error
    if done.returncode != 0:
        line = " ".join(map(str, command))
        raise CommandError(f"{line}\n{done.stdout}{done.stderr}\nended with exit code {done.returncode}")
    return done.stdout


def succeeds(*command: str | Path) -> bool:
    """Whether a program is there and ends with exit code 0."""
    try:
        run(*command)
    except CommandError:
        return False
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other processes that ask for the same folder waiting."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"images: another build uses {folder}; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
