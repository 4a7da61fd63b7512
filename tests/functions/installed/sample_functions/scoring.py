"""Functions of the cases in ``tests/spec/functions`` and of the tests."""

from __future__ import annotations

import math
import os
import time
from typing import Any

from sample_functions.steps import STEP


def score(amount: float | None, usual: float | None) -> float | None:
    """What expressions cannot say: a loop whose length depends on its input."""
    if amount is None or usual is None:
        return None
    found, left = 0.0, abs(amount - usual)
    while left >= STEP:
        found += 1.0 / (1.0 + left)
        left /= 2.0
    return math.copysign(found, amount - usual)


def echo(x: Any) -> Any:
    """Its argument."""
    return x


def kind_of(x: Any) -> str:
    """What a parameter gets, with every bit of a double."""
    return f"float {x.hex()}" if isinstance(x, float) else f"{type(x).__name__} {x}"


def when(request_time_us: int) -> int:
    """The request time."""
    return request_time_us


def with_default(x: int | None, step: int = 3) -> int | None:
    """A parameter that is no column keeps its default."""
    return None if x is None else x + step


def reciprocal(x: float | None) -> float:
    """Raises where there is none."""
    return 1.0 / x if x is not None else 0.0


def give(what: str) -> Any:
    """Whatever a function might return."""
    return {
        "none": None,
        "int": 7,
        "wide int": 2**63,
        "great int": 2**53 + 1,
        "float": 1.5,
        "negative zero": -0.0,
        "nan": math.nan,
        "infinity": math.inf,
        "true": True,
        "text": "é",
        "half a pair": "\ud800",
        "long text": "x" * (64 * 1024 + 1),
        "list": [1],
        "no items": [],
        "pair": (1.5, 2),
        "two texts": ["é", ""],
        "with None": [1, None],
        "with nan": [1.5, math.nan],
        "wide item": [1, 2**63, None],
        "None, then wide": [None, 2**63],
        "long list": [0] * 1001,
        "much text": ["x" * 40_000] * 2,
        "list of lists": [[1]],
        "bytes": b"x",
        "year 10000": 253_402_300_800_000_000,
    }[what]


def patient(seconds: float | None) -> float | None:
    """Takes its time, computing."""
    end = time.perf_counter() + (seconds or 0.0)
    while time.perf_counter() < end:
        pass
    return seconds


def fatal(x: int | None) -> int | None:
    """Ends its process for 13."""
    if x == 13:
        os.abort()
    return x
