"""Who pays and who is paid: users with a home and a level of spending, merchants with a place and a price."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START_US = 1_704_067_200_000_000
"""2024-01-01T00:00Z, a Monday: when every scenario begins."""


@dataclass(frozen=True, slots=True)
class City:
    """A place with people and shops."""

    name: str
    country: str
    currency: str
    lat: float
    lon: float


CITIES = (
    City("Berlin", "DE", "EUR", 52.52, 13.405),
    City("Hamburg", "DE", "EUR", 53.551, 9.994),
    City("Munich", "DE", "EUR", 48.137, 11.576),
    City("Cologne", "DE", "EUR", 50.938, 6.96),
    City("Vienna", "AT", "EUR", 48.208, 16.373),
    City("Zurich", "CH", "CHF", 47.377, 8.542),
    City("Paris", "FR", "EUR", 48.857, 2.352),
    City("Lyon", "FR", "EUR", 45.764, 4.836),
    City("Madrid", "ES", "EUR", 40.417, -3.704),
    City("Lisbon", "PT", "EUR", 38.722, -9.139),
    City("London", "GB", "GBP", 51.507, -0.128),
    City("Warsaw", "PL", "PLN", 52.23, 21.012),
    City("Prague", "CZ", "CZK", 50.076, 14.438),
    City("New York", "US", "USD", 40.713, -74.006),
    City("Istanbul", "TR", "TRY", 41.008, 28.978),
    City("Singapore", "SG", "SGD", 1.352, 103.82),
)
FAR_FROM = len(CITIES) - 3
"""Nobody lives in the cities from here on, but people travel there."""

# Category, usual price in EUR, whether it is bought over the net, how often it is chosen.
_CATEGORIES = (
    ("groceries", 38.0, False, 30),
    ("restaurant", 27.0, False, 22),
    ("transport", 9.0, False, 18),
    ("fashion", 64.0, False, 9),
    ("electronics", 180.0, False, 4),
    ("marketplace", 45.0, True, 10),
    ("streaming", 13.0, True, 4),
    ("travel", 210.0, True, 3),
)


@dataclass(frozen=True, slots=True)
class User:
    """A cardholder.

    level: what he spends in proportion to others; activity: how often he pays, likewise.
    favourites: indices of merchants, the dearest to him first.
    opened_us: when the account was opened.
    """

    user_id: str
    city: City
    lat: float
    lon: float
    level: float
    activity: float
    favourites: tuple[int, ...]
    opened_us: int


@dataclass(frozen=True, slots=True)
class Merchant:
    """A shop. Weak ones let thieves pay easily."""

    merchant_id: str
    category: str
    city: City
    lat: float
    lon: float
    price: float
    online: bool
    weak: bool


def merchants(draw: Random, count: int) -> list[Merchant]:
    """As many merchants as asked for, spread over all cities, one in ten of them weak."""
    made = []
    for number in range(count):
        city = CITIES[number % len(CITIES)] if number < len(CITIES) else draw.choice(CITIES)
        weights = [weight for *_, weight in _CATEGORIES]
        category, price, online, _ = draw.choices(_CATEGORIES, weights)[0]
        lat, lon = around(draw, city.lat, city.lon, 6)
        made.append(
            Merchant(
                f"m{number:04d}", category, city, lat, lon, price * _spread(draw, 0.3), online, draw.random() < 0.1
            )
        )
    return made


def users(draw: Random, count: int, shops: Sequence[Merchant]) -> list[User]:
    """As many users as asked for, who shop where they live and on the net."""
    net = [index for index, shop in enumerate(shops) if shop.online]
    made = []
    for number in range(count):
        city = draw.choice(CITIES[:FAR_FROM])
        lat, lon = around(draw, city.lat, city.lon, 12)
        nearby = [index for index, shop in enumerate(shops) if shop.city == city and not shop.online]
        favourites = draw.sample(nearby, min(6, len(nearby))) + draw.sample(net, min(2, len(net)))
        draw.shuffle(favourites)
        age_days = 20 + round(draw.expovariate(1 / 900))
        made.append(
            User(
                f"u{number:05d}",
                city,
                lat,
                lon,
                _spread(draw, 0.5),
                _spread(draw, 0.6),
                tuple(favourites) or (draw.randrange(len(shops)),),
                START_US - age_days * DAY,
            )
        )
    return made


def around(draw: Random, lat: float, lon: float, spread_km: float) -> tuple[float, float]:
    """A place not far from another one, in degrees to five digits."""
    north, east = draw.gauss(0, spread_km), draw.gauss(0, spread_km)
    return round(lat + north / 111.2, 5), round(lon + east / (111.2 * math.cos(math.radians(lat))), 5)


def _spread(draw: Random, sigma: float) -> float:
    """A factor around 1 that is never far from it."""
    return round(math.exp(max(-2.5, min(2.5, draw.gauss(0, 1))) * sigma), 4)
