"""The online store as the offline service writes it: the newest row of each entity of a batch view."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from skewless.kernel import WRITE_LATEST_ROW
from skewless.settings import NO_FILES, Secret, TlsFiles
from skewless.store import Primaries, Store
from skewless.telemetry import names
from skewless.telemetry.spans import OFF, span

_BATCH: Final = 2_000
_LOOKED_AT: Final = 256
"""Places that one look at the store reads."""


class ValkeyRows:
    """Writes by one server-side function per key, which keeps the winning row and never goes back.

    replicas: how many of each primary must have a run's rows before the run counts as written.
    files: of TLS.
    """

    def __init__(self, url: Secret, replicas: int = 0, files: TlsFiles = NO_FILES) -> None:
        self._store = Store(url, WRITE_LATEST_ROW, replicas, files)

    def ask(self) -> None:
        """Returns if the store answers. Raises StoreLostError and StoreRefusedError."""
        self._store.ask()

    def holds(self, marker: str, run_seq: int, sentinel: str) -> bool:
        """Whether the store has the view and this run, as far as a look of a millisecond can tell."""
        primaries = self._store.connect()
        try:
            first = random.randrange(0, len(primaries.places), _LOOKED_AT)  # noqa: S311 (spread, not secret)
            some = {*primaries.places[first : first + _LOOKED_AT], *primaries.one_each}
            found = primaries.each(
                {
                    place: [("MGET", primaries.key_at(place, marker), primaries.key_at(place, sentinel))]
                    for place in some
                }
            )
            return all(there is not None and _run(reached) >= run_seq for ((reached, there),) in found.values())
        finally:
            primaries.close()

    def open(self) -> ValkeySync:
        return ValkeySync(self._store.connect())


class ValkeySync:
    """`RowSync` over connections that stay the same, so that what was written is still there when it is marked."""

    def __init__(self, primaries: Primaries) -> None:
        self._primaries = primaries

    def __enter__(self) -> ValkeySync:
        return self

    def __exit__(self, *_error: object) -> None:
        self._primaries.close()

    def synced(self, marker: str) -> int:
        """The run up to which the view's rows are in every place; 0: none, or a place has lost them."""
        primaries = self._primaries
        found = primaries.each({place: [("GET", primaries.key_at(place, marker))] for place in primaries.places})
        return min(_run(reached) for (reached,) in found.values())

    def write(self, rows: Sequence[tuple[str, bytes, int | None]]) -> int:
        """Writes (key, value, expiry in ms since 1970 or None). Gives how many keys have another row now."""
        won: set[str] = set()
        with span(names.STORE_WRITE, {names.DB_SYSTEM: "redis", names.DB_BATCH: len(rows)}) if rows else OFF:
            for start in range(0, len(rows), _BATCH):
                won.update(self._write(rows[start : start + _BATCH]))
        return len(won)

    def mark(self, marker: str, run_seq: int, sentinel: str, meaning_hash: bytes) -> None:
        """Says that all runs up to this one are online, and that the view's keys can be trusted."""
        primaries = self._primaries
        primaries.barrier()
        primaries.each(
            {
                place: [
                    ("SET", primaries.key_at(place, marker), str(run_seq)),
                    ("SET", primaries.key_at(place, sentinel), meaning_hash.hex()),
                ]
                for place in primaries.places
            }
        )

    def _write(self, rows: Sequence[tuple[str, bytes, int | None]]) -> list[str]:
        calls: dict[int, list[tuple[tuple[str], tuple[bytes, bytes]]]] = defaultdict(list)
        for key, value, expire_at_ms in rows:
            expiry = b"" if expire_at_ms is None else b"%d" % expire_at_ms
            calls[self._primaries.place(key)].append(((key,), (value, expiry)))
        answers = self._primaries.call(calls)
        return [
            key
            for place, own in calls.items()
            for ((key,), _), answer in zip(own, answers[place], strict=True)
            if int(answer)
        ]


def _run(found: Any) -> int:
    return int(found) if isinstance(found, bytes) else 0
