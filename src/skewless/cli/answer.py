"""What a command gives back: a document for ``--json``, text for people, an exit code; and how commands fail."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class Exit(enum.IntEnum):
    """The exit codes; docs/cli.md has them as a table."""

    OK = 0
    """Done."""
    NOT_GOOD = 1
    """Done, and what was found is not as it should be: differences, an unhealthy part, a refused change."""
    BAD_INPUT = 2
    """The command line, a file or a definition is at fault."""
    NOT_REACHABLE = 3
    """There is no mesh, or a part of it does not answer; the same command may succeed later."""
    RUNS_ALREADY = 4
    """``up``: a mesh runs in this directory."""
    NOT_STARTED = 5
    """``up``: a port is taken, the disk is full, or a part failed."""
    INTERNAL = 70
    """A fault of Skewless itself."""
    INTERRUPTED = 130
    """Ctrl-C."""


class CliError(Exception):
    """A failure with its words and its exit code.

    message: what, where, how to put it right.
    document: what ``--json`` adds to the message.
    """

    def __init__(self, message: str, code: Exit = Exit.BAD_INPUT, document: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.document = dict(document or {})


@dataclass(frozen=True)
class Answer:
    """What a command has to say."""

    document: Mapping[str, Any]
    """For ``--json``: members that JSON can hold."""
    text: str
    """For people; empty: nothing."""
    code: Exit = Exit.OK


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns in line; no row: the head alone. None is shown as ``-``."""
    lines = [[name.upper() for name in head]]
    lines += [["-" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
