"""Kafka as the services use it: topics and their facts, reading by position, sending in order.

    bus = Bus("127.0.0.1:9092")
    bus.ensure_topic("flights.departures")
    with bus.sender() as sender:
        sender.send("flights.departures", b'{"origin":"JFK"}', key=b"JFK")
        sender.flush(10)
    with bus.reader("flights.departures", {0: 0, 1: 0}) as reader:
        for part in reader.read(max_records=1000, wait_s=0.1).parts: ...

Readers assign partitions themselves and keep no group membership; what they have done is committed under a
group's name with a text beside each offset. Every failure names the broker's address.
"""

from skewless.bus.connection import Bus, Topic
from skewless.bus.errors import BusError, PositionLostError
from skewless.bus.group import Committed
from skewless.bus.reader import Part, Read, Reader
from skewless.bus.sender import Sender

__all__ = [
    "Bus",
    "BusError",
    "Committed",
    "Part",
    "PositionLostError",
    "Read",
    "Reader",
    "Sender",
    "Topic",
]
