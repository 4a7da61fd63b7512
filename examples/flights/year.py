"""The year, replayed: events are published in steps, and before some steps vectors are asked for.

A step is 15 simulated minutes. At about 1,600 steps, drawn by a seed, the run waits until the aggregator has
absorbed everything so far and then asks for a vector for every departure scheduled in the *next* step, each at
its scheduled time. What happens between is not known to the server: real as-served knowledge.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from examples.flights.data import HOUR, MINUTE, Event, Flights

STEP_US = 15 * MINUTE
WEEK_US = 7 * 24 * HOUR


@dataclass(frozen=True)
class Step:
    """One step: what happens in ``[start_us, end_us)``.

    asked: the flights to ask for when the step is absorbed, those scheduled in the next one; empty: go on.
    week_ends: a simulated week ends with this step.
    """

    start_us: int
    end_us: int
    asked: tuple[Event, ...]
    week_ends: bool


def steps(flights: Flights, *, seed: int, served_steps: int) -> Iterator[Step]:
    """Every step of the year in order.

    served_steps: how many of the steps that have departures scheduled in the next one are asked at.
    """
    streams = (flights.departures, flights.arrivals, flights.weather, flights.schedule)
    first = min(stream.first_us for stream in streams) // STEP_US * STEP_US
    last = max(stream.last_us for stream in streams)
    starts = range(first, last + 1, STEP_US)
    busy = [start for start in starts if _scheduled(flights, start + STEP_US)]
    chosen = set(random.Random(seed).sample(busy, min(served_steps, len(busy))))  # noqa: S311 (a draw, no secret)
    for start in starts:
        following = start + STEP_US
        asked = flights.schedule.events_between(following, following + STEP_US) if start in chosen else ()
        yield Step(start, following, tuple(asked), (following - first) % WEEK_US < STEP_US)


def step_count(flights: Flights) -> int:
    """How many steps `steps` gives."""
    streams = (flights.departures, flights.arrivals, flights.weather, flights.schedule)
    first = min(stream.first_us for stream in streams) // STEP_US * STEP_US
    return len(range(first, max(stream.last_us for stream in streams) + 1, STEP_US))


def publish_step(flights: Flights, step: Step, publish: Callable[[str, Iterator[Event]], None]) -> None:
    """Hands the events of a step to ``publish`` by stream, each in event-time order."""
    publish("weather", flights.weather.events_between(step.start_us, step.end_us))
    publish("departures", flights.departures.events_between(step.start_us, step.end_us))
    publish("arrivals", flights.arrivals.events_between(step.start_us, step.end_us))


def _scheduled(flights: Flights, start_us: int) -> int:
    return flights.schedule.count_between(start_us, start_us + STEP_US)
