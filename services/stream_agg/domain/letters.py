"""Dead letters: what is written beside a refused record, and what is read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.stream_agg.domain.sources import parse_position, write_position

TOPIC = "skewless.dead-letter"
REPLAYED_TOPIC = "skewless.dead-letter.replayed"
"""One record per letter that was replayed: its project, source and position as headers."""

VERDICT = "skewless-verdict"
REASON = "skewless-reason"
DETAIL = "skewless-detail"
PROJECT = "skewless-project"
SOURCE = "skewless-source"
POSITION = "skewless-position"
LOG = "skewless-log"
REPLAYED_FROM = "skewless-replayed-from"
"""Header of a replayed record in its source: the position of the letter."""


@dataclass(frozen=True, slots=True, order=True)
class LetterPosition:
    """The position of a record in its source."""

    epoch: int
    partition: int
    offset: int

    def __str__(self) -> str:
        return write_position(self.epoch, self.partition, self.offset).decode()

    @classmethod
    def read(cls, text: bytes | None) -> LetterPosition | None:
        """The position in this text; None if it is none, and for a record that did not come from its source."""
        found = parse_position(text)
        return None if found is None else cls(*found)


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A record of the topic of letters, or of those replayed."""

    partition: int
    offset: int
    time_us: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]

    def of(self, project: str, source: str) -> bool:
        """Whether it is about this source."""
        headers = self.headers
        return (headers.get(PROJECT), headers.get(SOURCE)) == (project.encode(), source.encode())

    def text(self, header: str) -> str:
        """A header's text; empty if it is absent."""
        return self.headers.get(header, b"").decode(errors="replace")

    @property
    def position(self) -> LetterPosition | None:
        """Of the letter's record in its source."""
        return LetterPosition.read(self.headers.get(POSITION))


def replayed_headers(project: str, source: str, position: LetterPosition) -> dict[str, bytes]:
    """The headers of the record that says that a letter was replayed."""
    return {PROJECT: project.encode(), SOURCE: source.encode(), POSITION: str(position).encode()}
