"""Processes that run functions: checked against definitions, called row by row, replaced when they end."""

from __future__ import annotations

import json
import logging
import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from skewless.errors import FunctionNotServedError
from skewless.functions.environment import Environment, FunctionRef
from skewless.functions.process import FunctionProcess, LostError, StuckError
from skewless.types import Status

log = logging.getLogger(__name__)


class FunctionPool:
    """At most ``size`` processes at once, started when they are needed and kept.

    modules: what may be run; nothing else is imported.
    """

    def __init__(self, modules: Sequence[str], size: int) -> None:
        self.size = size
        self._modules = tuple(modules)
        self._places = threading.BoundedSemaphore(size)
        self._idle: queue.SimpleQueue[FunctionProcess] = queue.SimpleQueue()
        self._first = threading.Lock()
        self._counting = threading.Lock()
        self._alive = 0
        self._known: FunctionProcess | None = None
        self._closed = False
        self.counts: Counter[str] = Counter()
        """What happened: `calls`, `rows`, `stuck`, `lost` (processes that ended by themselves), `started`."""

    def environment(self) -> Environment | None:
        """Where functions run; None if no module is allowed. Raises FunctionNotServedError if no process starts."""
        return self._look().environment if self._modules else None

    def refusal(self, function: FunctionRef) -> str | None:
        """Why a function is not run here: not allowed, not importable, or of another source; None: it is."""
        if function.module not in self._modules:
            named = ", ".join(self._modules) or "none"
            return f"{function.label}: the module is not among SKEWLESS_FUNCTION_MODULES ({named})"
        found = self._look().modules[function.module]
        if "error" in found:
            return f"{function.label}: the module cannot be imported: {found['error']}"
        if found["source"] != function.source.hex():
            return (
                f"{function.label}: the installed module has the source {found['source'][:12]}, the definition is of "
                f"{function.source.hex()[:12]}; install the package that was applied, or apply the installed one"
            )
        return None

    def run(self, function: FunctionRef, rows: bytes, *, limit_s: float = math.inf, tries: int = 1) -> bytes:
        """See `Runner`. Raises FunctionNotServedError where `refusal` gives a reason."""
        if (why := self.refusal(function)) is not None:
            raise FunctionNotServedError(function=function.label, detail=why)
        self.counts["calls"] += 1
        end = time.monotonic() + min(limit_s, _LONGEST_S)
        failed: Counter[int] = Counter()
        reasons: dict[int, str] = {}
        lost = 0
        while True:
            try:
                with self._process() as process:
                    skipped = [row for row, times in failed.items() if times >= tries]
                    results = process.call(function, rows, skipped, end - time.monotonic())
            except StuckError as error:
                self.counts["stuck"] += 1
                log.warning(
                    "%s went over its budget of %d us; its process was ended", function.label, function.budget_us
                )
                failed[error.row] += 1
                reasons[error.row] = f"over the budget of {function.budget_us / 1000:g} ms"
            except LostError as error:
                self.counts["lost"] += 1
                log.warning("%s: %s", function.label, error)
                lost += 1
                if error.row is not None:
                    failed[error.row] += 1
                    reasons[error.row] = str(error)
                elif lost > _MOST_LOST:
                    raise FunctionNotServedError(function=function.label, detail=str(error)) from None
            else:
                return _filled(results, reasons)
            if not _left(rows, {row for row, times in failed.items() if times >= tries}):
                return _filled([None] * len(json.loads(rows)), reasons)
            if sum(failed.values()) > _MOST_FAILED:
                text = f"{len(failed)} rows went over the budget or ended their process, among them row {min(failed)}"
                raise FunctionNotServedError(function=function.label, detail=text)

    def tend(self) -> None:
        """Looks after a process that waits, and starts those that are missing before a call needs them."""
        if not self._modules or self._closed:
            return
        with self._process():
            pass
        while self._reserve():
            self._idle.put(self._start())

    def close(self) -> None:
        """Ends all processes that do nothing; those that run end with their calls."""
        self._closed = True
        while not self._idle.empty():
            self._end(self._idle.get_nowait())

    def _look(self) -> FunctionProcess:
        """A process that was started; what it found holds for all."""
        with self._first:
            if self._known is None:
                with self._process() as process:
                    self._known = process
            return self._known

    @contextmanager
    def _process(self) -> Iterator[FunctionProcess]:
        """A process of its own for a while; one that failed is not used again."""
        with self._places:
            process = self._take()
            try:
                yield process
            except BaseException:
                self._end(process)
                raise
            if self._closed:
                self._end(process)
            else:
                self._idle.put(process)

    def _take(self) -> FunctionProcess:
        """A process that waits for a call, or another one; those that have ended meanwhile are left out."""
        while True:
            try:
                process = self._idle.get_nowait()
            except queue.Empty:
                if self._reserve():
                    return self._start()
                # Another thread is starting one.
                with suppress(queue.Empty):
                    self._idle.put(self._idle.get(timeout=_LOOK_S))
                continue
            if not process.ended:
                return process
            self.counts["lost"] += 1
            log.warning("the process %d for functions ended while it waited", process.pid)
            self._end(process)

    def _reserve(self) -> bool:
        """Whether one more process may be started; it is then counted."""
        with self._counting:
            free = self._alive < self.size
            self._alive += free
        return free

    def _start(self) -> FunctionProcess:
        """A process that was reserved."""
        try:
            process = FunctionProcess(self._modules)
        except BaseException as error:
            self._release()
            if isinstance(error, LostError):
                raise FunctionNotServedError(function=", ".join(self._modules), detail=str(error)) from None
            raise
        known = self._known
        if known is not None and (process.environment, process.modules) != (known.environment, known.modules):
            self._end(process)
            text = "what is installed has changed since the service started; start it again"
            raise FunctionNotServedError(function=", ".join(self._modules), detail=text)
        self.counts["started"] += 1
        return process

    def _end(self, process: FunctionProcess) -> None:
        process.kill()
        self._release()

    def _release(self) -> None:
        with self._counting:
            self._alive -= 1


_LOOK_S: Final = 0.05
_LONGEST_S: Final = 86_400.0
_MOST_LOST: Final = 3
_MOST_FAILED: Final = 100
"""A function that ends so many processes within one batch is not a slow row but a wrong function."""


def _left(rows: bytes, given_up: Collection[int]) -> bool:
    """Whether any row is still to be called."""
    return any(row is not None and place not in given_up for place, row in enumerate(json.loads(rows)))


def _filled(results: list[Any], reasons: dict[int, str]) -> bytes:
    for row, why in reasons.items():
        if results[row] is None:
            results[row] = [None, int(Status.NOT_COMPUTED), why]
    return json.dumps(results, allow_nan=False).encode()
