"""Reading the dead letters of a source, and sending them to it again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from services.stream_agg.domain.letters import (
    REASON,
    REPLAYED_TOPIC,
    TOPIC,
    KeptRecord,
    LetterPosition,
    replayed_headers,
)
from services.stream_agg.ports import KeptRecords, LetterSender
from skewless.definitions.meanings import StreamSource
from skewless.errors import BusyError, InvalidArgumentError, UnknownResourceError, Violation

PAGE_BYTES = 4 << 20
"""A page ends when its payloads reach this."""
PAYLOAD_BYTES = 65_536
"""At most so much of a payload is listed."""
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """Some letters, oldest first.

    replayed: which of their positions were replayed. after: per partition of the letters' topic, the first offset
    behind the page; empty: there is no more.
    """

    letters: list[KeptRecord]
    replayed: Collection[LetterPosition]
    after: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many letters were sent, and how many were not because they had been before."""

    sent: int
    before: int


class DeadLetters:
    """The letters of every source."""

    def __init__(self, kept: KeptRecords, sender: Callable[[], LetterSender]) -> None:
        self._kept = kept
        self._sender = sender
        self._replaying = threading.Lock()

    def page(self, source: StreamSource, after: Mapping[int, int], size: int) -> Page:
        """At most ``size`` letters of a source from these offsets on."""
        replayed = self._replayed(source)
        letters: list[KeptRecord] = []
        reached, room = dict(after), PAGE_BYTES
        with closing(self._kept.read(TOPIC, after)) as records:
            for record in records:
                if record.of(source.project, source.name):
                    if len(letters) == size or (letters and room <= 0):
                        return Page(letters, replayed, reached)
                    letters.append(record)
                    room -= min(len(record.value or b""), PAYLOAD_BYTES)
                reached[record.partition] = record.offset + 1
        return Page(letters, replayed, {})

    def replay(
        self, source: StreamSource, which: Collection[LetterPosition] | str, *, until: Callable[[], float]
    ) -> Replayed:
        """Sends the letters at these positions, or all of a reason, to the source again, each once.

        until: the seconds left. Raises InvalidArgumentError for positions without a letter, UnknownResourceError for a
        reason without one, and BusyError.
        """
        if not self._replaying.acquire(timeout=max(0.0, until())):
            raise BusyError(what="a replay of dead letters")
        try:
            self._check(source, which)
            return self._send(source, which)
        finally:
            self._replaying.release()

    def _send(self, source: StreamSource, which: Collection[LetterPosition] | str) -> Replayed:
        done = self._replayed(source)
        sent = before = 0
        seen: set[LetterPosition] = set()

        def chosen() -> Iterator[tuple[KeptRecord, LetterPosition]]:
            nonlocal before
            for letter, position in self._letters(source):
                wanted = letter.text(REASON) == which if isinstance(which, str) else position in which
                if not wanted or position in seen:  # a crash may have sent it twice
                    continue
                seen.add(position)
                if position in done:
                    before += 1
                else:
                    yield letter, position

        with closing(self._sender()) as sender:
            letters = chosen()
            while some := list(islice(letters, _AT_ONCE)):
                for letter, position in some:
                    sender.replay(source.topic, letter, position)
                sender.flush()
                for _, position in some:
                    sender.note(replayed_headers(source.project, source.name, position))
                sender.flush()
                sent += len(some)
        return Replayed(sent, before)

    def _check(self, source: StreamSource, which: Collection[LetterPosition] | str) -> None:
        """Raises if there is no such letter."""
        missing = set() if isinstance(which, str) else set(which)
        reasons: set[str] = set()
        for letter, position in self._letters(source):
            reasons.add(letter.text(REASON))
            missing.discard(position)
            if which in reasons if isinstance(which, str) else not missing:
                return
        if isinstance(which, str):
            raise UnknownResourceError(name=which, known=reasons, kind="dead letter with the reason")
        message = f"there is no dead letter of {source.name} at {{}}; list them to see their positions"
        raise InvalidArgumentError(
            Violation(f"at.positions[{place}]", message.format(position), "NO_SUCH_LETTER")
            for place, position in enumerate(which)
            if position in missing
        )

    def _letters(self, source: StreamSource) -> Iterator[tuple[KeptRecord, LetterPosition]]:
        """The letters that came from the source."""
        with closing(self._kept.read(TOPIC, {})) as records:
            for record in records:
                if record.of(source.project, source.name) and (position := record.position) is not None:
                    yield record, position

    def _replayed(self, source: StreamSource) -> set[LetterPosition]:
        with closing(self._kept.read(REPLAYED_TOPIC, {})) as records:
            return {r.position for r in records if r.of(source.project, source.name) and r.position is not None}
