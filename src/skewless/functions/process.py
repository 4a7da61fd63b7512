"""One process that runs functions, as its host sees it: started, asked, and killed when a call goes on for too long."""

from __future__ import annotations

import json
import mmap
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from skewless.functions import worker
from skewless.functions.environment import Environment, FunctionRef
from skewless.settings.declaring import PREFIX

START_S: Final = 60.0
"""How long the import of all modules may take."""
_BEGIN_S: Final = 5.0
"""How long a process may take to begin with a call, or to hand over its results."""
_GRACE_S: Final = 0.002
"""How long after the end of its budget a call is looked at again."""
_END_S: Final = 5.0


class StuckError(Exception):
    """A call did not end within its budget. row: which."""

    def __init__(self, row: int) -> None:
        super().__init__(f"row {row}")
        self.row = row


class LostError(Exception):
    """The process ended, or could not be started. row: which one it was at; None: none."""

    def __init__(self, text: str, row: int | None = None) -> None:
        super().__init__(text)
        self.row = row


class FunctionProcess:
    """A running process. Not for several threads at once."""

    def __init__(self, modules: Sequence[str]) -> None:
        """Starts it and waits until the modules are imported. Raises LostError."""
        self._read = bytearray()
        self._closed = False
        calls, self._calls = os.pipe()
        self._answers, answers = os.pipe()
        with tempfile.TemporaryFile() as shared:
            shared.write(bytes(worker.PROGRESS.size))
            shared.flush()
            self._progress = mmap.mmap(shared.fileno(), worker.PROGRESS.size)
            given = (calls, answers, shared.fileno())
            # -P: nothing beside the program is importable for it.
            command = [sys.executable, "-P", str(Path(worker.__file__)), *map(str, given), *modules]
            try:
                self._child = subprocess.Popen(command, env=_environment(), pass_fds=given, stdin=subprocess.DEVNULL)
            except OSError as error:
                self._close()
                raise LostError(f"no process for functions can be started: {error}") from error
            finally:
                os.close(calls)
                os.close(answers)
        try:
            hello, _ = self._receive(time.monotonic() + START_S)
        except TimeoutError:
            self.kill()
            raise LostError(f"the modules of functions were not imported within {START_S:.0f} s") from None
        except EOFError:
            self.kill()
            raise LostError("the process for functions ended while it imported their modules") from None
        found = hello["environment"]
        self.environment = Environment(found["interpreter"], found["machine"], bytes.fromhex(found["lock"]))
        self.modules: Mapping[str, Mapping[str, str]] = hello["modules"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self._child.poll() is not None

    def call(self, function: FunctionRef, rows: bytes, skipped: Collection[int], limit_s: float) -> list[Any]:
        """The results of all rows; one that is skipped or null has None.

        limit_s: rows that have not begun when this time is over are NOT_COMPUTED. Raises StuckError for a row over its
        budget, LostError when the process ends; after each of them it is of no use any more.
        """
        message = {
            "module": function.module,
            "name": function.name,
            "arguments": function.arguments,
            "type": function.type,
            "skipped": sorted(skipped),
            "limit_ns": max(0, int(limit_s * 1e9)),
        }
        head = json.dumps(message).encode()
        worker.PROGRESS.pack_into(self._progress, 0, -1, 0, -1)
        budget_s = function.budget_us / 1e6
        idle_since = time.monotonic()
        try:
            self._send(worker.LENGTHS.pack(len(head), len(rows)) + head + rows, idle_since + _BEGIN_S)
            while True:
                row, since = self._at()
                now = time.monotonic()
                if row is None and now - idle_since > _BEGIN_S:
                    raise LostError("the process does not answer")
                if row is not None:
                    idle_since = now
                    if now - since > budget_s:
                        raise StuckError(row)
                look = since + budget_s if row is not None else now
                try:
                    _, body = self._receive(max(look, now) + _GRACE_S)
                except TimeoutError:
                    continue
                results: list[Any] = json.loads(body)
                return results
        except TimeoutError:
            raise LostError("the process does not read its calls") from None
        except (EOFError, BrokenPipeError):
            row, _ = self._at()
            raise LostError("the process ended during the call", row) from None

    def _at(self) -> tuple[int | None, float]:
        """The row that is being called and since when; no row before the first, after the last, and in between."""
        first, since, last = worker.PROGRESS.unpack_from(self._progress)
        return (first if first == last and first >= 0 else None), since / 1e9

    def _send(self, data: bytes, until: float) -> None:
        os.set_blocking(self._calls, False)
        rest = memoryview(data)
        with selectors.DefaultSelector() as selector:
            selector.register(self._calls, selectors.EVENT_WRITE)
            while rest:
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise TimeoutError
                rest = rest[os.write(self._calls, rest[: 1 << 16]) :]

    def _receive(self, until: float) -> tuple[dict[str, Any], bytes]:
        """The next message; what of it came before a timeout is kept."""
        head, body = worker.LENGTHS.unpack(self._bytes(worker.LENGTHS.size, until))
        whole = self._bytes(worker.LENGTHS.size + head + body, until)[worker.LENGTHS.size :]
        self._read.clear()
        return json.loads(whole[:head]), whole[head:]

    def _bytes(self, count: int, until: float) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while len(self._read) < count:
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise TimeoutError
                piece = os.read(self._answers, max(1 << 16, count - len(self._read)))
                if not piece:
                    raise EOFError
                self._read += piece
        return bytes(self._read[:count])

    def kill(self) -> None:
        """Ends the process at once, whatever it does."""
        if self._child.poll() is None:
            self._child.kill()
        with suppress(subprocess.TimeoutExpired):  # it waits for a device; nobody can end it sooner
            self._child.wait(_END_S)
        self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self._calls)
            os.close(self._answers)
            self._progress.close()


def _environment() -> dict[str, str]:
    """The settings of the service, passwords among them, are no business of functions."""
    return {name: text for name, text in os.environ.items() if not name.startswith((PREFIX, "OTEL_"))}
