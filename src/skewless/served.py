"""What was served: a request with its answer, and the predictions made from it, as the served log keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from skewless.functions.environment import Environment
from skewless.types import Cell


class ServedColumn(NamedTuple):
    """One feature of an answer: a cell per row of the request.

    statuses: the numbers of `skewless.types.Status`.
    """

    feature: str
    values: Sequence[Cell]
    statuses: Sequence[int]


@dataclass(frozen=True, slots=True)
class ServedVector:
    """A request and its answer.

    feature_service: ``name@version``, or empty when single features were asked for.
    features: the features asked for, as ``view@version:feature``, when there is no feature service.
    entities, request_fields: the columns of the request by name, a cell per row.
    token: the whole as-of token.
    columns: by feature, in the order of the answer. A decoded answer reads them anew each time they are iterated.
    rows: how many vectors the answer has; 0 without columns.
    environment: where the Python functions among the features ran; None if there are none, or they did not run.
    arguments: by the meaning of an on-demand view and the name of a function in it, 16 bytes per row that tell what it
        was called with.
    """

    request_id: str
    project: str
    feature_service: str
    features: Sequence[str]
    entities: Mapping[str, Sequence[Cell]]
    request_fields: Mapping[str, Sequence[Cell]]
    request_time_us: int
    token: bytes
    columns: Iterable[ServedColumn]
    rows: int
    served_at_us: int
    environment: Environment | None = None
    arguments: Mapping[tuple[bytes, str], bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model made of an answer: a score per row."""

    request_id: str
    project: str
    model: str
    scores: Sequence[float]
    predicted_at_us: int
    logged_at_us: int
