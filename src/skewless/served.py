"""What was served: a request with its answer, and the predictions made from it, as the served log keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skewless.types import Cell, Status, ValueType


@dataclass(frozen=True, slots=True)
class ServedColumn:
    """One feature of an answer: a cell per row of the request.

    event_times_us: None where there is none or it is not known.
    """

    feature: str
    values: Sequence[Cell]
    statuses: Sequence[Status]
    event_times_us: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class ServedVector:
    """A request and its answer.

    feature_service: ``name@version``, or empty when single features were asked for.
    features: the features asked for, as ``view@version:feature``, when there is no feature service.
    entities, request_fields: the columns of the request by name, a cell per row; ``types`` has the type of each.
    token: the whole as-of token.
    """

    request_id: str
    project: str
    feature_service: str
    features: Sequence[str]
    entities: Mapping[str, Sequence[Cell]]
    request_fields: Mapping[str, Sequence[Cell]]
    types: Mapping[str, ValueType | None]
    request_time_us: int
    token: bytes
    columns: Sequence[ServedColumn]
    served_at_us: int
    revision: int

    @property
    def rows(self) -> int:
        """How many vectors the answer has."""
        return len(self.columns[0].values) if self.columns else 0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model made of an answer: a score per row."""

    request_id: str
    project: str
    model: str
    scores: Sequence[float]
    predicted_at_us: int
    logged_at_us: int
