"""Every case of tests/spec/functions/replay.yaml: a served vector of one Python function, replayed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import skewless as sk
from services.offline.store.events import DeltaEvents
from services.offline.store.runs import DeltaRuns
from services.offline.workflow.compute import Computer
from services.offline.workflow.replay import Outcome, Replayer
from skewless import kernel
from skewless.definitions.catalog import Catalog
from skewless.definitions.resource import Kind
from skewless.functions.pool import FunctionPool
from skewless.lake import Lake
from skewless.served import Prediction, ServedColumn, ServedVector
from skewless.types import Status
from tests.functions import samples
from tests.roads.cases import SPEC, load

samples.install()

CASES: list[dict[str, Any]] = load(SPEC / "functions" / "replay.yaml")["cases"]
FUNCTION = sk.PythonFunction(f"{samples.SCORING}:reciprocal", "float64", budget="500ms")
VIEW = sk.OnDemandFeatureView("inverse", request=sk.RequestSource({"x": "float64"}), features={"found": FUNCTION})


@pytest.fixture(scope="module")
def pool() -> Iterator[FunctionPool]:
    made = FunctionPool([samples.SCORING], 1)
    yield made
    made.close()


class Logged:
    """A served log of one vector, and the catalogue that it was served by."""

    def __init__(self, catalog: Catalog, vector: ServedVector) -> None:
        self._catalog, self._vector = catalog, vector

    def current(self) -> Catalog:
        return self._catalog

    def vectors(
        self,
        project: str,  # noqa: ARG002
        *,
        request_ids: Sequence[str],  # noqa: ARG002
        from_us: int | None,  # noqa: ARG002
        until_us: int | None,  # noqa: ARG002
    ) -> Iterator[ServedVector]:
        yield self._vector

    def predictions(self, project: str, request_id: str) -> Sequence[Prediction]:  # noqa: ARG002
        return ()


def served(case: dict[str, Any], meaning: bytes, pool: FunctionPool) -> ServedVector:
    here = pool.environment()
    assert here is not None
    view = kernel.OnDemandView(meaning)
    _, digests = view.arguments("found", pa.record_batch({"x": pa.array([4.0])}), pa.array([0], pa.int64()))
    arguments = {"same": digests, "other": digests[::-1], "none": bytes(16)}[case["arguments"]]
    value, status = {
        "right": (0.25, Status.PRESENT),
        "wrong": (0.5, Status.PRESENT),
        "not computed": (None, Status.NOT_COMPUTED),
    }[case["value"]]
    return ServedVector(
        request_id="a",
        project="shop",
        feature_service="model@1.0.0",
        features=(),
        entities={},
        request_fields={"x": [4.0]},
        request_time_us=0,
        token=kernel.write_token(0, [], [[]]),
        columns=[ServedColumn("inverse:found", [value], [status])],
        rows=1,
        served_at_us=0,
        environment=here if case["environment"] == "same" else replace(here, lock=bytes(32)),
        arguments={(kernel.meaning_hash(meaning), "found"): arguments},
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, Any], pool: FunctionPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if case.get("source") == "other":
        import sample_functions.scoring as scoring  # type: ignore[import-not-found]  # noqa: PLC0415, PLR0402

        monkeypatch.setattr(scoring, "__file__", str(samples.INSTALLED / "sample_functions" / "steps.py"))
    made = sk.Project("shop", sk.FeatureService("model", features=[VIEW])).definitions()
    (view,) = (definition for definition in made if definition.kind is Kind.ON_DEMAND_VIEW)
    log, lake = Logged(Catalog(made), served(case, view.meaning_json, pool)), Lake(str(tmp_path))
    replayer = Replayer(log, log, Computer(DeltaEvents(lake), DeltaRuns(lake), pool))
    reports = list(replayer.replay("shop", [], None, None))
    last = reports[-1]
    counts = {
        Outcome.EQUAL: last.equal,
        Outcome.DIFFERENT: last.different,
        Outcome.NOT_REPLAYED: last.not_replayed,
        Outcome.NOT_ANSWERED: last.unanswered,
    }
    assert counts == {outcome: int(outcome.name == case["outcome"]) for outcome in counts}
    assert last.vectors == 1
