"""``deadletter list`` and ``deadletter replay``: records that were refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from skewless.cli import values
from skewless.cli.answer import Answer, CliError, table

if TYPE_CHECKING:
    from skewless.client import Store

_POSITION = re.compile(r"([0-9]{1,40})/([0-9]{1,40})/([0-9]{1,40})")
_SHOWN = 60


def listed(store: Store, source: str, reason: str | None, limit: int) -> Answer:
    """The refused records of a source, oldest first."""
    letters = (letter for letter in store.dead_letters(source) if reason in {None, letter.reason})
    found = [
        {
            "position": None if letter.position is None else "/".join(map(str, letter.position)),
            "verdict": letter.verdict,
            "reason": letter.reason,
            "detail": letter.detail,
            "refused_at": values.moment(letter.refused_at_us),
            "key": values.plain(letter.key),
            "payload": values.plain(letter.payload),
            "payload_size": letter.payload_size,
            "replayed": letter.replayed,
        }
        for letter in islice(letters, limit)
    ]
    more = next(letters, None) is not None
    names = ("position", "reason", "detail", "refused_at", "payload", "replayed")
    text = table(
        [name.replace("_", " ") for name in names], [[_cell(letter[name]) for name in names] for letter in found]
    )
    if more:
        text += "\nand more; a larger --limit shows them"
    return Answer({"source": source, "letters": found, "more": more}, text)


def replayed(store: Store, source: str, positions: Sequence[str], reason: str | None) -> Answer:
    """Sends refused records to their source again, as new events."""
    if bool(positions) == bool(reason):
        raise CliError("give the letters with --at EPOCH/PARTITION/OFFSET, or all of one reason with --reason")
    places = [_place(text) for text in positions]
    done = store.replay_dead_letters(source, places, reason=reason or "")
    document = {"source": source, "replayed": done.replayed, "already_replayed": done.already_replayed}
    return Answer(document, f"{done.replayed} sent again, {done.already_replayed} had been sent before")


def _place(text: str) -> tuple[int, int, int]:
    found = _POSITION.fullmatch(text)
    if found is None:
        raise CliError(f"--at takes EPOCH/PARTITION/OFFSET, as `skewless deadletter list` shows it; got {text!r}")
    epoch, partition, offset = map(int, found.groups())
    return epoch, partition, offset


def _cell(value: Any) -> str | None:
    """One line, not too long."""
    text = values.shown(value)
    if text is None:
        return None
    line = text if text.isprintable() else repr(text)[1:-1]
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."
