"""What replay says of a vector, and how its account adds up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import skewless as sk
from services.offline.store.events import DeltaEvents
from services.offline.store.runs import DeltaRuns
from services.offline.workflow.compute import Computer
from services.offline.workflow.replay import Outcome, Replayer, Report
from skewless.definitions.catalog import Catalog
from skewless.functions.pool import FunctionPool
from skewless.kernel import write_token
from skewless.lake import Lake
from skewless.served import ServedColumn, ServedVector
from skewless.types import Status

doubled = sk.OnDemandFeatureView(
    "doubled", request=sk.RequestSource({"amount": "float64"}), features={"twice": "amount * 2.0"}
)
project = sk.Project("shop", sk.FeatureService("numbers", features=[doubled]))
catalog = Catalog(project.definitions(), 1)

Answered = tuple[float | None, Status]
RIGHT: Answered = (3.0, Status.PRESENT)
WRONG: Answered = (3.5, Status.PRESENT)
UNAVAILABLE: Answered = (None, Status.UNAVAILABLE)
REBUILDING: Answered = (None, Status.REBUILDING)


@dataclass
class Logged:
    """Answers to the amount 1.5, as a served log and a catalogue."""

    answers: dict[str, Sequence[Answered]]

    def current(self) -> Catalog:
        return catalog

    def vectors(
        self,
        project: str,
        *,
        request_ids: Sequence[str],  # noqa: ARG002
        from_us: int | None,  # noqa: ARG002
        until_us: int | None,  # noqa: ARG002
    ) -> Iterator[ServedVector]:
        for request_id, rows in self.answers.items():
            column = ServedColumn("doubled:twice", [value for value, _ in rows], [status for _, status in rows])
            yield ServedVector(
                request_id=request_id,
                project=project,
                feature_service="numbers@1.0.0",
                features=(),
                entities={},
                request_fields={"amount": [1.5] * len(rows)},
                request_time_us=0,
                token=write_token(0, [], [[] for _ in rows]),
                columns=[column],
                rows=len(rows),
                served_at_us=0,
            )


def replayed(answers: dict[str, Sequence[Answered]], root: Path) -> tuple[dict[str, Outcome], Report]:
    """The outcomes, and the account at the end."""
    log, lake = Logged(answers), Lake(str(root))
    computer = Computer(DeltaEvents(lake), DeltaRuns(lake), FunctionPool((), 1))
    outcomes: dict[str, Outcome] = {}
    last = Report()
    for last in Replayer(log, log, computer).replay("shop", [], None, None):  # type: ignore[arg-type]
        outcomes |= last.outcomes
    return outcomes, last


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        ([RIGHT], Outcome.EQUAL),
        ([WRONG], Outcome.DIFFERENT),
        ([UNAVAILABLE], Outcome.NOT_ANSWERED),
        ([UNAVAILABLE, REBUILDING], Outcome.NOT_ANSWERED),
        ([UNAVAILABLE, RIGHT], Outcome.EQUAL),
        ([RIGHT, WRONG, UNAVAILABLE], Outcome.DIFFERENT),
    ],
)
def test_a_vector_without_a_claim_is_not_called_equal(
    rows: Sequence[Answered], outcome: Outcome, tmp_path: Path
) -> None:
    outcomes, report = replayed({"a": rows}, tmp_path)
    assert outcomes == {"a": outcome}
    assert report.done
    assert report.unanswered == sum(row in (UNAVAILABLE, REBUILDING) for row in rows) == report.not_answered
    assert (report.equal, report.different) == (rows.count(RIGHT), rows.count(WRONG))
    assert report.vectors == report.replayed + report.unanswered == len(rows)
