"""Kafka out: everything that was served, in the order in which it was.

An answer is queued in memory until the broker has it, for some milliseconds; a killed process loses that much of the
log and no more. While the broker is away the queue fills and then requests are refused, so that no answer goes
unlogged. An orderly stop sends what is queued.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from services.online.ports import ReadPath
from skewless.bus import Bus, Sender
from skewless.clock import AWAY
from skewless.errors import DependencyUnavailableError, SkewlessError

log = logging.getLogger(__name__)

TOPIC: Final = "skewless.served"
_MOST_RECORDS: Final = 2_000
_MOST_CONTEXTS: Final = 10_000
_WAIT_MS: Final = 50
_LAST_S: Final = 10.0


class ServedPublisher:
    """Takes records from the read path to the broker.

    traced: records of traced requests go with their trace contexts.
    """

    def __init__(self, read_path: ReadPath, bus: Bus, *, traced: bool = False) -> None:
        self._read_path = read_path
        self._bus = bus
        self._traced = traced
        self._contexts: dict[bytes, list[str]] = {}
        """Of records that have not come yet, by request id: an answer and predictions may have the same, in order."""

    def publish_until(self, answered: threading.Event) -> None:
        """Begins as soon as the broker answers; when no request is answered any more, sends what is queued and ends.

        Raises SkewlessError when answers are lost: the broker refused one for good, or did not take the last ones.
        A service that cannot log must not answer.
        """
        if self._topic_is_there(answered):
            self._publish(answered)
        waiting = self._read_path.counters()["served.waiting"]
        if waiting:
            raise self._lost(f"{waiting} answers were not logged")

    def _topic_is_there(self, answered: threading.Event) -> bool:
        """Waits for the broker; False when the end came first."""
        failures = 0
        while True:
            try:
                self._bus.ensure_topic(TOPIC)
            except SkewlessError as error:
                failures += 1
                wait = AWAY.after(failures)
                log.warning("answers cannot be logged yet, trying again in %.1f s: %s", wait, error)
                if answered.wait(wait):
                    return False
            else:
                return True

    def _publish(self, answered: threading.Event) -> None:
        with self._bus.sender(linger_ms=5) as sender:
            while not answered.is_set():
                self._send(sender)
            while self._send(sender):
                pass
            if not sender.flush(_LAST_S):
                raise self._lost("the last answers were not logged")

    def _lost(self, what: str) -> DependencyUnavailableError:
        return DependencyUnavailableError(what="the broker", address=self._bus.address, detail=what)

    def _send(self, sender: Sender) -> int:
        served = self._read_path.drain_served(_MOST_RECORDS, _WAIT_MS)
        if self._traced:
            for request_id, context in self._read_path.drain_contexts():
                self._contexts.setdefault(request_id, []).append(context)
        if not self._contexts:
            sender.send_all(TOPIC, served)
            return len(served)
        for request_id, record in served:
            sender.send(TOPIC, record, key=request_id, headers=self._headers(request_id))
        if len(self._contexts) > _MOST_CONTEXTS:  # of requests whose records found no room
            self._contexts.clear()
        sender.poll()  # hears of refusals also while nothing is sent
        return len(served)

    def _headers(self, request_id: bytes) -> dict[str, bytes] | None:
        contexts = self._contexts.get(request_id)
        if contexts is None:
            return None
        context = contexts.pop(0)
        if not contexts:
            del self._contexts[request_id]
        return {"traceparent": context.encode()}
