"""A small world for tests of the mesh: card payments by user, some malformed, some dated ahead, some late.

`Payments` makes records from a seed and sends them; `Oracle` says what every feature must be.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import skewless
from skewless.bus import Bus
from tests.oracle.aggregates import Aggregation
from tests.oracle.cells import Cell
from tests.oracle.events import Event, Known, Nothing, Position
from tests.oracle.grid import default_hop
from tests.oracle.windows import Ask, WindowFeature, window_values

PROJECT = "shop"
TOPIC = "shop.payments"
SOURCE = "payments"
USERS = (*(f"user {n}" for n in range(24)), f"user {'é' * 60}")
"""The last one's id is a hash (K3)."""
SHOPS = tuple(range(7))
HOUR = 3_600_000_000
PARTITIONS = 4

USER = skewless.Entity(name="user")
SHOP = skewless.Entity(name="shop", keys={"shop": "int64"})
PAYMENTS = skewless.StreamSource(
    name=SOURCE,
    topic=TOPIC,
    columns={"user": "string", "shop": "int64", "amount": "float64", "items": "int64", "event_time": "timestamp"},
    event_time="event_time",
    record_key=["user"],
)


def _features() -> list[skewless.definitions.aggregates.Aggregate]:
    return [
        skewless.count("n", windows=["1h"]),
        skewless.sum("paid", "amount", windows=["1h"]),
        skewless.sum("items", "items", windows=["1h"]),
        skewless.max("most", "amount", windows=["1h"]),
        skewless.last_n("recent", "items", 3, windows=["1h"]),
        skewless.histogram("sizes", "amount", [0.0, 50.0], windows=["1h"]),
    ]


BY_USER = skewless.StreamFeatureView(name="by_user", entity=USER, source=PAYMENTS, features=_features())
BY_SHOP = skewless.StreamFeatureView(name="by_shop", entity=SHOP, source=PAYMENTS, features=_features())
SERVICE = skewless.FeatureService(name="model", features=[BY_USER])
WHAT = tuple(
    WindowFeature(f"{name}_1h", aggregation, HOUR, default_hop(HOUR) or 0)
    for name, aggregation in (
        ("n", Aggregation("count")),
        ("paid", Aggregation("sum", "amount", "float64")),
        ("items", Aggregation("sum", "items", "int64")),
        ("most", Aggregation("max", "amount", "float64")),
        ("recent", Aggregation("last_n", "items", "int64", items=3)),
        ("sizes", Aggregation("histogram", "amount", "float64", edges=(0.0, 50.0))),
    )
)


@dataclass(frozen=True)
class Sent:
    """A record as it went."""

    user: str
    shop: int
    event_time: int
    row: Mapping[str, int | float | str | None]
    good: bool


class Payments:
    """Records from a seed, sent by one sender; what was sent is remembered in order."""

    def __init__(self, bus: Bus, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 (a test's choice, to be repeated)
        self._sender = bus.sender()
        self.sent: list[Sent] = []
        self._times: set[int] = set()

    def send(self, count: int, *, bad: float = 0.02) -> None:
        """Sends so many records, dated now or up to some minutes ago, and waits until they are stored."""
        for sent, value in self._make(count, bad):
            self._sender.send(TOPIC, value, key=sent.user.encode(), partition=home(sent.user))
            self.sent.append(sent)
        assert self._sender.flush(30)

    def _make(self, count: int, bad: float) -> Iterator[tuple[Sent, bytes]]:
        rnd = self._random
        for _ in range(count):
            user, shop = rnd.choice(USERS), rnd.choice(SHOPS)
            late = rnd.choice((0, 0, 0, 1, 30, 200)) * 1_000_000
            event_time = time.time_ns() // 1_000 - late - rnd.randrange(1_000)
            # Of one event time the position decides, and in the re-keyed log nobody knows it beforehand.
            while event_time in self._times:
                event_time -= 1
            self._times.add(event_time)
            row: dict[str, int | float | str | None] = {
                "user": user,
                "shop": shop,
                "amount": rnd.choice((0.1, 12.5, 99.99, -3.0, None)),
                "items": rnd.randrange(5),
                "event_time": event_time,
            }
            value = json.dumps(row).encode()
            good = rnd.random() >= bad
            if not good:
                value = rnd.choice((b"{", value[:-9], json.dumps({**row, "event_time": 9 * 10**15}).encode()))
            yield Sent(user, shop, event_time, row, good), value

    def positions(self) -> list[tuple[str, int, int]]:
        """What to wait for: every record sent so far."""
        return [(SOURCE, partition, offset) for partition, offset in sorted(self.ends().items())]

    def ends(self) -> dict[int, int]:
        """Per partition, how many records were sent."""
        counts = dict.fromkeys(range(PARTITIONS), 0)
        for sent in self.sent:
            counts[home(sent.user)] += 1
        return counts

    def events(self) -> list[tuple[Sent, Position]]:
        """The good ones with their positions in the source."""
        counts = dict.fromkeys(range(PARTITIONS), 0)
        found = []
        for sent in self.sent:
            partition = home(sent.user)
            if sent.good:
                found.append((sent, Position(1, partition, counts[partition])))
            counts[partition] += 1
        return found


def home(user: str) -> int:
    """The partition of a user's records in the source."""
    return USERS.index(user) % PARTITIONS


def by_user(events: Sequence[tuple[Sent, Position]], user: str, request_time: int) -> list[Cell]:
    """What the features of ``by_user`` must be, knowing every event."""
    logged = [Event(sent.user, sent.event_time, position, sent.row) for sent, position in events]
    knowledge = Known(1, home(user), 2**62) if any(sent.user == user for sent, _ in events) else Nothing()
    return window_values(WHAT, logged, [Ask(user, request_time, knowledge)])[0]


def by_shop(events: Sequence[tuple[Sent, Position]], shop: int, request_time: int) -> list[Cell]:
    """What the features of ``by_shop`` must be: no feature of it depends on the order of the re-keyed log."""
    logged = [Event(str(sent.shop), sent.event_time, Position(1, 0, n), sent.row) for n, (sent, _) in enumerate(events)]
    return window_values(WHAT, logged, [Ask(str(shop), request_time, Known(1, 0, 2**62))])[0]
