"""Kafka in: records of the served log to the workflow; positions are committed behind what is decided.

Reading pauses while the queue has no room. The broker may be away at the start or go away later: reading goes on
where it was, in memory, when it is back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Final

from services.validator.domain.positions import Start, choose_start
from services.validator.workflow import Validation
from skewless.bus import Bus, Committed, Part, Reader
from skewless.clock import AWAY
from skewless.codec.served import decode_served
from skewless.errors import SkewlessError
from skewless.served import Prediction, ServedVector

log = logging.getLogger(__name__)

TOPIC: Final = "skewless.served"
GROUP: Final = "skewless.validator"
_MOST_RECORDS: Final = 2_000
_READ_S: Final = 0.2
_COMMIT_S: Final = 1.0


class ServedReader:
    """Reads the served log until it is told to stop."""

    def __init__(self, bus: Bus, validation: Validation) -> None:
        self._bus = bus
        self._validation = validation
        self._committed: Mapping[int, int] = {}
        self._failures = 0

    def read_until(self, stop: threading.Event) -> None:
        """Reads and commits; a broker that is away is waited for."""
        while not stop.is_set():
            try:
                self._follow(stop)
            except SkewlessError as error:
                self._failures += 1
                wait = AWAY.after(self._failures)
                log.warning("%s is not read, trying again in %.1f s: %s", TOPIC, wait, error)
                stop.wait(wait)
        try:
            self._commit()
        except SkewlessError as error:
            log.warning("the last positions are not committed, some vectors will be read again: %s", error)

    def _follow(self, stop: threading.Event) -> None:
        starts = self._starts()
        self._validation.start(starts)
        with self._bus.reader(TOPIC, {partition: start.offset for partition, start in starts.items()}) as reader:
            while not stop.is_set():
                self._read(reader, stop)
                self._failures = 0
                self._commit()
                self._validation.reach(self._bus.ends(TOPIC, starts))

    def _starts(self) -> Mapping[int, Start]:
        self._bus.ensure_topic(TOPIC)
        found = self._bus.topic(TOPIC)
        partitions = range(found.partitions if found else 0)
        firsts, ends = self._bus.starts(TOPIC, partitions), self._bus.ends(TOPIC, partitions)
        wanted: dict[int, int] = {
            partition: done.next_offset for partition, done in self._bus.committed(GROUP, TOPIC, partitions).items()
        }
        wanted |= self._validation.following()
        starts = {p: choose_start(wanted.get(p), firsts[p], ends[p]) for p in partitions}
        for partition, start in starts.items():
            _tell(partition, start)
        return starts

    def _read(self, reader: Reader, stop: threading.Event) -> None:
        """Reads for about as long as there is between two commits."""
        for _ in range(round(_COMMIT_S / _READ_S)):
            room = min(self._validation.room, _MOST_RECORDS)
            if room <= 0:
                stop.wait(_READ_S)
            else:
                for part in reader.read(max_records=room, wait_s=_READ_S).parts:
                    self._take(part)
            if stop.is_set():
                return

    def _take(self, part: Part) -> None:
        for offset, value in zip(part.offsets, part.values, strict=True):
            self._validation.take(part.partition, offset, _decode(part.partition, offset, value or b""))

    def _commit(self) -> None:
        resume = self._validation.resume()
        changed = {p: Committed(offset) for p, offset in resume.items() if self._committed.get(p) != offset}
        self._bus.commit(GROUP, TOPIC, changed)
        self._committed = resume


def _decode(partition: int, offset: int, value: bytes) -> ServedVector | Prediction | None:
    try:
        return decode_served(value)
    except ValueError as error:
        log.error("%s/%d offset %d is left out: %s", TOPIC, partition, offset, error)  # noqa: TRY400 (no trace needed)
        return None


def _tell(partition: int, start: Start) -> None:
    if start.anew:
        log.error("%s/%d is shorter than what was read of it (%d): it was made anew, reading all of it",
                  TOPIC, partition, start.wanted)  # fmt: skip
    elif start.skipped:
        log.error("%s/%d dropped %d record(s) before they were validated: reading from offset %d",
                  TOPIC, partition, start.skipped, start.offset)  # fmt: skip
