"""Commands with a time limit, whose failure says what they said."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_SHOWN = 2_000


class SuiteError(Exception):
    """Something is not as it must be; the message says what."""


class CommandError(SuiteError):
    """A command failed or took too long."""


def run(command: Sequence[str], *, timeout_s: float = 60.0, stdin: bytes | None = None) -> str:
    """What a command prints on stdout. Raises CommandError with its last words."""
    shown = " ".join(command[:12]) + (" ..." if len(command) > 12 else "")
    try:
        done = subprocess.run(
            command, input=b"" if stdin is None else stdin, capture_output=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired as error:
        said = _tail(error.stderr or b"") or _tail(error.stdout or b"")
        raise CommandError(f"`{shown}` took longer than {timeout_s:g} s: {said or 'it said nothing'}") from error
    except OSError as error:
        raise CommandError(f"`{shown}` cannot be run: {error}") from error
    if done.returncode:
        said = _tail(done.stderr) or _tail(done.stdout)
        raise CommandError(f"`{shown}` ended with {done.returncode}: {said or 'it said nothing'}")
    return done.stdout.decode(errors="replace")


def eventually(
    what: str, found: Callable[[], T | None], *, within_s: float, every_s: float = 0.5, state: Callable[[], str] = str
) -> T:
    """What is found, as soon as it is (not None, not False). Commands that fail meanwhile are tried again.

    what: what is waited for; state: how things stand, told when the time is over.
    """
    deadline = time.monotonic() + within_s
    last = ""
    while True:
        try:
            if value := found():
                return value
        except CommandError as error:
            last = str(error)
        if time.monotonic() > deadline:
            told = state() or last
            raise SuiteError(f"not within {within_s:g} s: {what}{'; ' + told if told else ''}")
        time.sleep(every_s)


def _tail(said: bytes) -> str:
    return said.decode(errors="replace").strip()[-_SHOWN:]
