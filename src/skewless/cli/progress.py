"""Progress on stderr, when that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar with the share that is done and the time that is left; call it with (done, of how many).

    Until it knows of how many, it only moves. Nothing is shown if ``quiet`` or if stderr is no terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _of: None
        return
    from rich import progress as rich  # noqa: PLC0415 (only for a terminal)
    from rich.console import Console  # noqa: PLC0415

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TextColumn("left"),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)
