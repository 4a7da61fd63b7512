"""What served features look like: one pass, bounded memory, the same result in any order of the values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from skewless.served import ServedColumn, ServedVector
from skewless.types import Status


class ExactSum:
    """A sum of numbers without rounding.

    A double is an integer over a power of two, a decimal one over a divisor of a power of ten; integers are added
    up per denominator, of which there are some 1,400.
    """

    def __init__(self) -> None:
        self.count = 0
        self._numerators: dict[int, int] = {}

    def add(self, value: float | Decimal) -> None:
        """Adds a finite number."""
        numerator, denominator = value.as_integer_ratio()
        self._numerators[denominator] = self._numerators.get(denominator, 0) + numerator
        self.count += 1

    def mean(self) -> float | None:
        """The double nearest to the mean; None of nothing."""
        if self.count == 0:
            return None
        common = math.lcm(*self._numerators)
        total = sum(numerator * (common // denominator) for denominator, numerator in self._numerators.items())
        return float(Fraction(total, common * self.count))


@dataclass(frozen=True, slots=True)
class FeatureProfile:
    """One served feature, since the service started.

    feature: ``view:feature``. feature_service: ``name@version``; empty for lists of features.
    served: values of any status. min, max, mean: of the numeric values; None without any.
    """

    feature_service: str
    feature: str
    served: int
    statuses: Mapping[Status, int]
    min: float | None
    max: float | None
    mean: float | None

    @property
    def present(self) -> int:
        """How many came with a value."""
        return sum(count for status, count in self.statuses.items() if status.has_value)

    @property
    def coverage(self) -> float:
        """Share of the served that came with a value, 0 to 1; 0 of nothing."""
        return self.present / self.served if self.served else 0.0

    @property
    def missing_rate(self) -> float:
        """Share of the served that came without a value, 0 to 1; 0 of nothing."""
        return (self.served - self.present) / self.served if self.served else 0.0


class _Running:
    """A feature's profile while it grows."""

    def __init__(self) -> None:
        self.statuses = [0] * (max(Status) + 1)
        self.sum = ExactSum()
        self.min: float | Decimal | None = None
        self.max: float | Decimal | None = None

    def add(self, column: ServedColumn) -> None:
        for status in column.statuses:
            self.statuses[status] += 1
        for value in column.values:
            if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
                self.sum.add(value)
                if self.min is None or value < self.min:
                    self.min = value
                if self.max is None or value > self.max:
                    self.max = value

    def freeze(self, feature_service: str, feature: str) -> FeatureProfile:
        return FeatureProfile(
            feature_service=feature_service,
            feature=feature,
            served=sum(self.statuses),
            statuses={status: self.statuses[status] for status in Status if self.statuses[status]},
            min=None if self.min is None else float(self.min),
            max=None if self.max is None else float(self.max),
            mean=self.sum.mean(),
        )


class Profiles:
    """The profiles of the features of all projects.

    capacity: features at most; values of further ones are counted as `left_out` and not profiled.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held: dict[str, dict[tuple[str, str], _Running]] = {}
        self._count = 0
        self.left_out = 0

    def add(self, vector: ServedVector) -> None:
        """Counts every value of an answer."""
        features = self._held.setdefault(vector.project, {})
        for column in vector.columns:
            key = (vector.feature_service, column.feature)
            if key not in features:
                if self._count >= self._capacity:
                    self.left_out += len(column.statuses)
                    continue
                features[key] = _Running()
                self._count += 1
            features[key].add(column)

    def of(self, project: str) -> Sequence[FeatureProfile]:
        """The profiles of a project by (feature service, feature)."""
        return [running.freeze(*key) for key, running in sorted(self._held.get(project, {}).items())]
