"""Weeks of card payments from a seed, with what goes wrong on the way.

1. `people` gives users and merchants.
2. Everybody pays by his habits; some travel; thieves go on sprees with a few cards: `Transaction`, in order of time.
3. Each transaction becomes a record on its way to the broker. Most arrive within seconds, not in order. Some
   terminals were off the net for hours, some send rubbish, and a few have a clock that is a century ahead. Most
   thefts are reported as chargebacks days later: `Record`, in order of arrival.

The same scenario gives the same transactions and records, bit for bit. Nothing here knows the product: what it must
make of the records is counted in ``expected.py``.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from examples.fraud import people
from examples.fraud.people import DAY, HOUR, MINUTE, START_US, City, Merchant, User

SECOND = 1_000_000
CENTURY = 36_525 * DAY
TRANSACTIONS = "transactions"
CHARGEBACKS = "chargebacks"

Event = Mapping[str, str | int | float | bool]
"""Columns by name, instants as microseconds UTC."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What to make.

    rate: transactions an hour, over all users and the whole day; thefts come on top.
    days: how long the users pay; reports and stragglers that would come later are never sent.
    sprees: how many times a card is stolen, per user and 30 days.
    offline, malformed, ahead: the shares of transactions that come late, as rubbish, and from a wrong clock.
    """

    seed: int = 2024
    users: int = 500
    merchants: int = 240
    days: float = 42.0
    rate: float = 75.0
    sprees: float = 0.25
    offline: float = 0.02
    malformed: float = 0.005
    ahead: float = 0.001

    @property
    def end_us(self) -> int:
        return START_US + round(self.days * DAY)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A payment as it happened. ``amount`` is in EUR, whatever was paid in; ``lat``, ``lon`` is where the payer is."""

    transaction_id: int
    at_us: int
    user: User
    merchant: Merchant
    amount: float
    card_present: bool
    lat: float
    lon: float
    country: str
    fraud: bool


class Fault(enum.StrEnum):
    """What is wrong with a record."""

    EMPTY = "empty"
    """It has no value."""
    RUBBISH = "rubbish"
    """It is the error page of a gateway."""
    CUT_OFF = "cut off"
    """Its last byte is missing."""
    NO_TIME = "no time"
    """It does not say when it happened."""
    NO_AMOUNT = "no amount"
    """It does not say how much was paid."""
    WRONG_TYPE = "wrong type"
    """Its amount is a text: a terminal of the last release."""
    AHEAD = "ahead"
    """Its clock is a century ahead. The record is well formed."""


MALFORMED = tuple(fault for fault in Fault if fault is not Fault.AHEAD)


@dataclass(frozen=True, slots=True)
class Record:
    """What is sent: an event, by whom it is keyed, and what becomes of it on the way."""

    source: str
    arrival_us: int
    key: str
    event: Event
    fault: Fault | None

    @property
    def event_time_us(self) -> int:
        return int(self.event["event_time"])


@dataclass(frozen=True)
class Traffic:
    """Everything that a scenario makes: transactions in order of time, records in order of arrival."""

    scenario: Scenario
    users: Sequence[User]
    merchants: Sequence[Merchant]
    transactions: Sequence[Transaction]
    records: Sequence[Record]


def make(scenario: Scenario) -> Traffic:
    """The traffic of a scenario."""
    # Each part draws from its own seed, so that a change of one leaves the others as they are.
    shops = people.merchants(_draw(scenario, "merchants"), scenario.merchants)
    payers = people.users(_draw(scenario, "users"), scenario.users, shops)
    visits = [
        *_habits(_draw(scenario, "habits"), scenario, payers, shops),
        *_thefts(_draw(scenario, "thefts"), scenario, payers, shops),
    ]
    visits.sort(key=lambda visit: (visit.at_us, visit.user.user_id))
    transactions = [visit.numbered(number) for number, visit in enumerate(visits)]
    draw = _draw(scenario, "records")
    records = [_transaction_record(draw, scenario, transaction) for transaction in transactions]
    records += _chargebacks(_draw(scenario, "chargebacks"), transactions)
    sent = [record for record in records if record.arrival_us < scenario.end_us]
    sent.sort(key=lambda record: (record.arrival_us, record.source, str(record.event["transaction_id"])))
    return Traffic(scenario, payers, shops, transactions, sent)


def _draw(scenario: Scenario, part: str) -> Random:
    return Random(f"{scenario.seed} {part}")  # noqa: S311 (a draw, no secret)


# --- Paying -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Visit:
    """A transaction that has no number yet."""

    at_us: int
    user: User
    merchant: Merchant
    amount: float
    place: tuple[float, float, str]
    fraud: bool

    def numbered(self, number: int) -> Transaction:
        lat, lon, country = self.place
        present = not self.merchant.online
        return Transaction(
            number, self.at_us, self.user, self.merchant, self.amount, present, lat, lon, country, self.fraud
        )


_RHYTHM = (1, 1, 1, 1, 1, 2, 5, 9, 11, 10, 10, 12, 15, 13, 10, 10, 12, 16, 18, 16, 12, 9, 5, 2)
"""How often people pay by the hour of the day."""


def _habits(draw: Random, scenario: Scenario, payers: Sequence[User], shops: Sequence[Merchant]) -> Iterator[_Visit]:
    """What the users themselves pay."""
    by_city: dict[City, list[Merchant]] = {}
    for shop in shops:
        if not shop.online:
            by_city.setdefault(shop.city, []).append(shop)
    net = [shop for shop in shops if shop.online]
    activity = sum(user.activity for user in payers)
    for user in payers:
        trip = _trip(draw, scenario, by_city)
        mean = scenario.rate * 24 * scenario.days * user.activity / activity
        for at_us in _moments(draw, scenario, mean):
            abroad = trip.city if trip is not None and trip.begin_us <= at_us < trip.end_us else None
            if abroad is not None:
                shop = draw.choice(by_city[abroad] if draw.random() < 0.8 else net or by_city[abroad])
            elif draw.random() < 0.85:
                shop = shops[user.favourites[min(int(draw.expovariate(0.6)), len(user.favourites) - 1)]]
            else:
                shop = draw.choice([*by_city.get(user.city, shops), *net])
            place = _place(draw, shop, abroad or user.city, (user.lat, user.lon) if abroad is None else None)
            yield _Visit(at_us, user, shop, _amount(draw, user, shop, 1.0), place, fraud=False)


@dataclass(frozen=True, slots=True)
class _Trip:
    city: City
    begin_us: int
    end_us: int


def _trip(draw: Random, scenario: Scenario, by_city: Mapping[City, Sequence[Merchant]]) -> _Trip | None:
    """Every second user is away once, for two to six days."""
    city, begin = draw.choice(list(by_city)) if by_city else None, draw.random()
    if city is None or draw.random() < 0.5:
        return None
    begin_us = START_US + round(begin * scenario.days * DAY)
    return _Trip(city, begin_us, begin_us + round(draw.uniform(2, 6) * DAY))


def _moments(draw: Random, scenario: Scenario, mean: float) -> Iterator[int]:
    """Instants of a user's payments: about ``mean`` of them, by the rhythm of the day."""
    left = mean + draw.gauss(0, 1) * math.sqrt(mean)
    days = max(1, math.ceil(scenario.days))
    for _ in range(max(0, round(left))):
        day = draw.randrange(days)
        hour = draw.choices(range(24), _RHYTHM)[0]
        at_us = START_US + day * DAY + hour * HOUR + draw.randrange(HOUR)
        # A part of a day: its hours stand for the whole.
        yield START_US + (at_us - START_US) % round(scenario.days * DAY)


def _place(draw: Random, shop: Merchant, city: City, home: tuple[float, float] | None) -> tuple[float, float, str]:
    """Where the payer is: at the shop; or, if it is on the net, around his home or somewhere in the city."""
    if not shop.online:
        return shop.lat, shop.lon, shop.city.country
    lat, lon = people.around(draw, *(home or (city.lat, city.lon)), 8)
    return lat, lon, city.country


def _amount(draw: Random, user: User, shop: Merchant, factor: float) -> float:
    """EUR with two digits, at least half a euro."""
    return max(0.5, round(shop.price * user.level * factor * math.exp(draw.gauss(0, 0.45)), 2))


def _thefts(draw: Random, scenario: Scenario, payers: Sequence[User], shops: Sequence[Merchant]) -> Iterator[_Visit]:
    """What thieves pay: sprees of two to nine payments within minutes, often at weak merchants.

    Every second thief is at work in the city where the user lives.
    """
    weak = [shop for shop in shops if shop.weak] or list(shops)
    for _ in range(max(1, round(scenario.sprees * scenario.users * scenario.days / 30))):
        user = draw.choice(payers)
        at_us = START_US + draw.randrange(round(scenario.days * DAY))
        thief = user.city if draw.random() < 0.5 else draw.choice(people.CITIES)
        around = [shop for shop in shops if shop.online or shop.city == thief]
        for _ in range(draw.randint(2, 9)):
            shop = draw.choice(weak if draw.random() < 0.25 else around or shops)
            place = _place(draw, shop, thief, None)
            if at_us < scenario.end_us:
                yield _Visit(at_us, user, shop, _amount(draw, user, shop, draw.uniform(0.5, 2.5)), place, fraud=True)
            at_us += draw.randrange(40 * SECOND, 9 * MINUTE)


# --- Sending ------------------------------------------------------------------------------------------------


def _transaction_record(draw: Random, scenario: Scenario, transaction: Transaction) -> Record:
    chance = draw.random()
    arrival_us = transaction.at_us + _network(draw)
    fault: Fault | None = None
    event_time_us = transaction.at_us
    if chance < scenario.malformed:
        fault = draw.choice(MALFORMED)
    elif chance < scenario.malformed + scenario.ahead:
        fault = Fault.AHEAD
        event_time_us += CENTURY
    elif chance < scenario.malformed + scenario.ahead + scenario.offline:
        arrival_us += round(math.exp(draw.uniform(math.log(2 * MINUTE), math.log(36 * HOUR))))
    merchant = transaction.merchant
    event: dict[str, str | int | float | bool] = {
        "transaction_id": transaction.transaction_id,
        "user_id": transaction.user.user_id,
        "merchant_id": merchant.merchant_id,
        "amount": transaction.amount,
        "currency": merchant.city.currency,
        "country": transaction.country,
        "lat": transaction.lat,
        "lon": transaction.lon,
        "card_present": transaction.card_present,
        "event_time": event_time_us,
    }
    return Record(TRANSACTIONS, arrival_us, transaction.user.user_id, event, fault)


def _chargebacks(draw: Random, transactions: Sequence[Transaction]) -> Iterator[Record]:
    """Nine thefts in ten are reported, one to twelve days later."""
    for transaction in transactions:
        if not transaction.fraud or draw.random() >= 0.9:
            continue
        at_us = transaction.at_us + draw.randrange(DAY, 12 * DAY)
        event: dict[str, str | int | float | bool] = {
            "transaction_id": transaction.transaction_id,
            "user_id": transaction.user.user_id,
            "merchant_id": transaction.merchant.merchant_id,
            "amount": transaction.amount,
            "event_time": at_us,
        }
        yield Record(CHARGEBACKS, at_us + _network(draw), transaction.merchant.merchant_id, event, None)


def _network(draw: Random) -> int:
    """How long a record is on its way: a fraction of a second, sometimes up to a minute."""
    return round((0.15 + min(60.0, draw.expovariate(1 / 4.0))) * SECOND)
