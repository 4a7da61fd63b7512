"""What can go wrong with the broker, in the words of this product."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException

from skewless.errors import DependencyUnavailableError, Fault, SkewlessError

log = logging.getLogger("skewless.bus")

_QUIET_S = 5.0


class BusError(DependencyUnavailableError):
    """The broker did not answer, or answered that it cannot."""

    def __init__(self, address: str, doing: str, detail: object) -> None:
        super().__init__(what="the broker", address=address, detail=f"{doing}: {detail}")


class BusSetUpError(SkewlessError):
    """The client cannot be made with what it was told of TLS and SASL."""

    def __init__(self, address: str, detail: str) -> None:
        super().__init__(
            f"no client of the broker at {address} can be made: {detail}; look at the settings SKEWLESS_BROKER_...",
            metadata={"address": address},
        )


class PositionLostError(SkewlessError):
    """The log does not have the position that was to be read, or is not there any more.

    Never mended by starting elsewhere: records would be skipped or read twice without a word.
    """

    fault = Fault.EXTERNAL

    def __init__(self, *, address: str, topic: str, partition: int, detail: str) -> None:
        super().__init__(
            f"{topic}/{partition} at the broker {address} cannot be read on: {detail}",
            metadata={"address": address, "topic": topic, "partition": str(partition)},
        )


def complaints(address: str) -> Callable[[KafkaError], None]:
    """A callback for the client's own reports: logs them with the address, not more than one in some seconds."""
    last = [-_QUIET_S]

    def report(error: KafkaError) -> None:
        now = time.monotonic()
        if now - last[0] >= _QUIET_S:
            last[0] = now
            log.warning("the broker at %s: %s; trying again", address, error)

    return report


def code_of(error: KafkaException) -> int | None:
    """The client's number of the failure."""
    found = error.args[0] if error.args else None
    return found.code() if isinstance(found, KafkaError) else None


def text_of(error: Exception) -> str:
    """The failure in words."""
    found = error.args[0] if error.args else None
    return found.str() if isinstance(found, KafkaError) else str(error) or type(error).__name__
