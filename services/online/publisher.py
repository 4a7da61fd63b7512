"""Kafka out: everything that was served, in the order in which it was.

An answer is queued in memory until the broker has it, for some milliseconds; a killed process loses that much of the
log and no more. While the broker is away the queue fills and then requests are refused, so that no answer goes
unlogged. An orderly stop sends what is queued.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from services.online.ports import ReadPath
from skewless.bus import Bus, Sender
from skewless.errors import SkewlessError

log = logging.getLogger(__name__)

TOPIC: Final = "skewless.served"
_MOST_RECORDS: Final = 2_000
_WAIT_MS: Final = 50
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 5.0
_LAST_S: Final = 10.0


class ServedPublisher:
    """A thread that takes records from the read path to the broker.

    on_failure: called once, from the thread, when the broker refused a record for good. Nothing more is logged
        then, and a service that cannot log must not answer.
    """

    def __init__(self, read_path: ReadPath, bus: Bus, on_failure: Callable[[], None]) -> None:
        self._read_path = read_path
        self._bus = bus
        self._on_failure = on_failure
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="served", daemon=True)
        self.failed = False
        """Whether records were lost: refused by the broker, or not taken before the end of a stop."""

    def start(self) -> None:
        """Begins, as soon as the broker answers."""
        self._thread.start()

    def stop(self) -> None:
        """Sends what is queued, then ends. Call it when no request is answered any more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            if self._topic_is_there():
                self._publish()
        except Exception:
            log.exception("answers cannot be logged any more")
            self.failed = True
            self._on_failure()
        waiting = self._read_path.counters()["served.waiting"]
        if waiting:
            log.error("%d answers were not logged: the broker at %s did not take them", waiting, self._bus.address)
            self.failed = True

    def _topic_is_there(self) -> bool:
        """Waits for the broker; False when the stop came first."""
        wait = _FIRST_WAIT_S
        while True:
            try:
                self._bus.ensure_topic(TOPIC)
            except SkewlessError as error:
                log.warning("answers cannot be logged yet, trying again in %.1f s: %s", wait, error)
                if self._stop.wait(wait):
                    return False
                wait = min(2 * wait, _LONGEST_WAIT_S)
            else:
                return True

    def _publish(self) -> None:
        with self._bus.sender(linger_ms=2) as sender:
            while not self._stop.is_set():
                self._send(sender)
            while self._send(sender):
                pass
            if not sender.flush(_LAST_S):
                log.error("the broker at %s did not take the last answers in time", self._bus.address)
                self.failed = True

    def _send(self, sender: Sender) -> int:
        served = self._read_path.drain_served(_MOST_RECORDS, _WAIT_MS)
        for request_id, record in served:
            sender.send(TOPIC, record, key=request_id)
        sender.flush(0)  # hears of refusals also while nothing is sent
        return len(served)
