"""The served log in its Delta table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skewless.codec.served import decode_served
from skewless.lake import Condition, Lake
from skewless.served import Prediction, ServedVector


@dataclass(frozen=True)
class DeltaServed:
    """Reads what is committed at the time of the call."""

    lake: Lake

    def vectors(
        self, project: str, *, request_ids: Sequence[str], from_us: int | None, until_us: int | None
    ) -> Iterator[ServedVector]:
        """As `services.offline.ports.ServedLog.vectors`."""
        where: list[Condition] = [("kind", "=", "vector")]
        if request_ids:
            where.append(("request_id", "in", request_ids))
        if from_us is not None:
            where.append(("at_us", ">=", from_us))
        if until_us is not None:
            where.append(("at_us", "<", until_us))
        previous = None
        for record in self._records(project, where):
            if isinstance(record, ServedVector) and record.request_id != previous:
                yield record
            previous = record.request_id

    def predictions(self, project: str, request_id: str) -> Sequence[Prediction]:
        """As `services.offline.ports.ServedLog.predictions`."""
        where: list[Condition] = [("kind", "=", "prediction"), ("request_id", "=", request_id)]
        found = [record for record in self._records(project, where) if isinstance(record, Prediction)]
        return sorted(found, key=lambda prediction: prediction.predicted_at_us)

    def _records(self, project: str, where: Sequence[Condition]) -> Iterator[ServedVector | Prediction]:
        rows = self.lake.served(project).read(["request_id", "record"], where=where)
        if rows is None:
            return
        for batch in rows.sort_by("request_id").to_batches(max_chunksize=10_000):
            yield from (decode_served(raw.as_py()) for raw in batch.column("record"))
