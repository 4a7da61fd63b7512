"""The model: will a flight arrive more than 15 minutes late, asked when it is scheduled to leave?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

SPLIT_US = 1_380_585_600_000_000
"""2013-10-01T00:00Z: rows before it train, rows from it on test."""


@dataclass(frozen=True)
class Model:
    """A trained model and how it did.

    scores: for each test row, in order, the probability of being late.
    """

    classifier: Any
    training_rows: int
    auc: float
    scores: np.ndarray[Any, np.dtype[np.float64]]


def train(frame: pa.Table, features: list[str], *, seed: int) -> Model:
    """Trains on the rows before October that have a label, and measures on the rows after.

    frame: feature columns, ``label`` (bool, null where the flight never arrived), ``request_time`` (timestamp).
    """
    labelled = frame.filter(pc.is_valid(frame["label"]))
    early = pc.less(labelled["request_time"].cast(pa.int64()), SPLIT_US)
    before, after = labelled.filter(early), labelled.filter(pc.invert(early))
    classifier = HistGradientBoostingClassifier(
        max_iter=80, learning_rate=0.1, l2_regularization=1.0, random_state=seed
    )
    classifier.fit(_matrix(before, features), _labels(before))
    scores = classifier.predict_proba(_matrix(after, features))[:, 1]
    return Model(classifier, before.num_rows, float(roc_auc_score(_labels(after), scores)), scores)


def tested(frame: pa.Table) -> pa.Table:
    """The rows that `Model.scores` are for."""
    labelled = frame.filter(pc.is_valid(frame["label"]))
    return labelled.filter(pc.greater_equal(labelled["request_time"].cast(pa.int64()), SPLIT_US))


def _labels(frame: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(frame["label"].to_numpy(), dtype=np.bool_)


def _matrix(frame: pa.Table, features: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column per feature, null as NaN."""
    columns = [frame[name].cast(pa.float64()).to_numpy() for name in features]
    return np.column_stack(columns)


def numeric(frame: pa.Table, features: list[str]) -> list[str]:
    """The features that are numbers; a text has no order to learn from."""
    kinds = {name: frame.schema.field(name).type for name in features}
    return [name for name, kind in kinds.items() if pa.types.is_integer(kind) or pa.types.is_floating(kind)]
