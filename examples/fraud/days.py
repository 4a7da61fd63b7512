"""The weeks, replayed: records are published in steps, and after some steps vectors are asked for.

A step is 10 simulated minutes; its records are those that arrive in it. After steps that a seed draws, the run waits
until the aggregator has absorbed everything so far and then asks for a vector for every payment of the *next* step,
each at its own time. What happens between is not known to the server: real as-served knowledge.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from examples.fraud.generator import Record, Scenario, Traffic, Transaction
from examples.fraud.people import DAY, MINUTE, START_US

STEP_US = 10 * MINUTE


@dataclass(frozen=True)
class Run:
    """How a scenario is replayed.

    served_steps: how many steps are asked after, of those that are followed by payments.
    rewinds: how many times the reader of transactions is moved back, somewhere in the second half of the time.
    rewound_by: by how many records, at least and at most; a partition must have had so many by then.
    warm_up: the share of the time before the first of them.
    training: the share of the time whose vectors train the model; the others test it.
    """

    scenario: Scenario
    served_steps: int = 440
    rewinds: int = 0
    rewound_by: tuple[int, int] = (100, 2_000)
    warm_up: float = 0.25
    training: float = 0.75

    @property
    def split_us(self) -> int:
        """The instant between training and testing."""
        return self._instant(self.training)

    @property
    def served_from_us(self) -> int:
        """The instant before which nothing is asked."""
        return self._instant(self.warm_up)

    def _instant(self, share: float) -> int:
        return START_US + round(share * (self.scenario.end_us - START_US))


@dataclass(frozen=True)
class Step:
    """One step: what arrives in ``[start_us, end_us)``.

    asked: the payments to ask for when the step is absorbed, those of the next one; empty: go on.
    day_ends: a simulated day ends with this step.
    rewind: by how many records the reader of transactions is moved back when the step is absorbed; 0: it is not.
    """

    start_us: int
    end_us: int
    records: Sequence[Record]
    asked: Sequence[Transaction]
    day_ends: bool
    rewind: int


def step_count(run: Run) -> int:
    """How many steps `steps` gives."""
    return len(_starts(run))


def steps(run: Run, traffic: Traffic) -> Iterator[Step]:
    """Every step in order."""
    arrivals = [record.arrival_us for record in traffic.records]
    times = [transaction.at_us for transaction in traffic.transactions]

    def following(start_us: int) -> Sequence[Transaction]:
        first, end = bisect_left(times, start_us + STEP_US), bisect_left(times, start_us + 2 * STEP_US)
        return traffic.transactions[first:end]

    busy = [start for start in _starts(run) if start >= run.served_from_us and following(start)]
    draw = Random(f"{run.scenario.seed} steps")  # noqa: S311 (a draw, no secret)
    chosen = set(draw.sample(busy, min(run.served_steps, len(busy))))
    rewinds = _rewinds(run)
    for start in _starts(run):
        end = start + STEP_US
        records = traffic.records[bisect_left(arrivals, start) : bisect_left(arrivals, end)]
        asked = following(start) if start in chosen else ()
        yield Step(start, end, records, asked, (end - START_US) % DAY == 0, rewinds.get(start, 0))


def _rewinds(run: Run) -> dict[int, int]:
    """By the start of a step, by how many records is moved back after it."""
    draw = Random(f"{run.scenario.seed} rewinds")  # noqa: S311 (a draw, no secret)
    starts = _starts(run)
    chosen = draw.sample(starts[len(starts) // 2 :], run.rewinds)
    return {start: draw.randint(*run.rewound_by) for start in sorted(chosen)}


def _starts(run: Run) -> range:
    return range(START_US, run.scenario.end_us, STEP_US)
