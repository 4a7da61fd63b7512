"""What a function is, what its values depend on besides source and arguments, and what is demanded of who runs it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Environment:
    """Where functions run: values computed in equal environments have equal bits.

    interpreter: with its minor version, e.g. ``cpython-3.12``. machine: its architecture. lock: SHA-256 over every
    module outside the standard library that the functions load, with the versions of their distributions.
    """

    interpreter: str
    machine: str
    lock: bytes


class FunctionRef(NamedTuple):
    """A function as a meaning names it.

    source: SHA-256 of the file of its module. arguments: the names of its parameters, in the order of the columns.
    """

    module: str
    name: str
    source: bytes
    arguments: tuple[str, ...]
    type: str
    budget_us: int

    @property
    def label(self) -> str:
        """``module:name``, as definitions and messages have it."""
        return f"{self.module}:{self.name}"


class Runner(Protocol):
    """Runs functions, or says that they are not run."""

    @property
    def size(self) -> int:
        """How many calls run at once."""

    def environment(self) -> Environment | None:
        """Where functions run; None: nowhere."""

    def refusal(self, function: FunctionRef) -> str | None:
        """Why a function is not run here; None: it is."""

    def run(self, function: FunctionRef, rows: bytes, *, limit_s: float = math.inf, tries: int = 1) -> bytes:
        """The results of the rows, as the kernel reads them, in the order of the rows.

        limit_s: rows not begun after this time are NOT_COMPUTED. tries: how often a row over its budget is called.
        """
