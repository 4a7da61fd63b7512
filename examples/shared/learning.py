"""Models over served values: trained on earlier rows, tested on later ones, and compared with hindsight."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.progress import Progress
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from examples.shared.asking import Asked, patiently
from skewless.client import Store


@dataclass(frozen=True)
class Model:
    """A trained model and how it did.

    scores: for each test row, in order, the probability that the label is true.
    """

    classifier: Any
    training_rows: int
    auc: float
    scores: np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Learned:
    """What `learn` found out.

    training_s: seconds to fetch the values and to train.
    skewed: by feature, the rows whose served value or status is not the one of hindsight; only features with any.
    """

    model: Model
    training_s: float
    skewed: dict[str, int]


def learn(
    store: Store, asked: Asked, service: str, model_name: str, *, split_us: int, seed: int, progress: Progress
) -> Learned:
    """Trains on what was served before ``split_us``, scores what was served from then on, logs each score.

    model_name: under which the predictions are logged.
    """
    task = progress.add_task("training on the values that were served", total=4)
    begun = time.perf_counter()
    frame = asked.frame()
    served = patiently(lambda: store.get_historical_features(frame, service, knowledge="as_served", with_statuses=True))
    progress.advance(task)
    features = [name for name in served.schema.names if ":" in name and not name.endswith("__status")]
    early, late = _split(served, split_us)
    model = train(early, late, numeric(served, features), seed=seed)
    seconds = time.perf_counter() - begun
    progress.advance(task)
    for request_id, score in zip(late["request_id"].to_pylist(), model.scores, strict=True):
        _log_prediction(store, request_id, model_name, score)
    progress.advance(task)
    truth = patiently(lambda: store.get_historical_features(frame, service, with_statuses=True))
    progress.advance(task)
    return Learned(model, seconds, skewed(served, truth, features))


def train(early: pa.Table, late: pa.Table, features: list[str], *, seed: int) -> Model:
    """Trains on the early rows and measures on the late ones; both have a column ``label`` without nulls."""
    classifier = HistGradientBoostingClassifier(
        max_iter=80, learning_rate=0.1, l2_regularization=1.0, random_state=seed
    )
    with threadpool_limits(1):  # threads that wait by spinning make it twenty times slower where cores are shared
        classifier.fit(_matrix(early, features), _labels(early))
        scores = classifier.predict_proba(_matrix(late, features))[:, 1]
    return Model(classifier, early.num_rows, float(roc_auc_score(_labels(late), scores)), scores)


def numeric(frame: pa.Table, features: list[str]) -> list[str]:
    """The features that are numbers; a text has no order to learn from."""
    kinds = {name: frame.schema.field(name).type for name in features}
    return [name for name, kind in kinds.items() if pa.types.is_integer(kind) or pa.types.is_floating(kind)]


def skewed(served: pa.Table, truth: pa.Table, features: list[str]) -> dict[str, int]:
    """Per feature, the rows whose value or status differs; only features with any."""
    counts: dict[str, int] = {}
    for name in features:
        differs = pc.not_equal(served[f"{name}__status"], truth[f"{name}__status"])
        values = pc.fill_null(pc.not_equal(served[name], truth[name]), fill_value=False)
        count = pc.sum(pc.or_(differs, values)).as_py()
        if count:
            counts[name] = count
    return counts


def _split(frame: pa.Table, split_us: int) -> tuple[pa.Table, pa.Table]:
    """The rows with a label, before the instant and from it on."""
    labelled = frame.filter(pc.is_valid(frame["label"]))
    early = pc.less(labelled["request_time"].cast(pa.int64()), split_us)
    return labelled.filter(early), labelled.filter(pc.invert(early))


def _log_prediction(store: Store, request_id: str, model_name: str, score: float) -> None:
    patiently(lambda: store.log_prediction(request_id, model_name, [score]))


def _labels(frame: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(frame["label"].to_numpy(), dtype=np.bool_)


def _matrix(frame: pa.Table, features: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column per feature, null as NaN."""
    columns = [frame[name].cast(pa.float64()).to_numpy() for name in features]
    return np.column_stack(columns)
