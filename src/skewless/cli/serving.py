"""``get``: a feature vector, as a model gets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skewless.cli import values
from skewless.cli.answer import Answer, CliError, table
from skewless.definitions.catalog import Catalog
from skewless.errors import UnknownFeatureServiceError

if TYPE_CHECKING:
    from skewless.client import OnlineFeatures, Store
    from skewless.definitions.meanings import FeatureService


def service_of(catalog: Catalog, project: str, name: str) -> FeatureService:
    """The feature service ``name@1.0.0``, or of a bare name the newest. Raises UnknownFeatureServiceError."""
    if "@" in name:
        return catalog.service(project, name)
    versions = [service for service in catalog.services(project) if service.name == name]
    if not versions:
        raise UnknownFeatureServiceError(name=name, known=[service.ref for service in catalog.services(project)])
    return max(versions, key=lambda service: service.version)


def get(
    store: Store,
    service: str | None,
    *,
    features: Sequence[str],
    entities: Sequence[str],
    request: Sequence[str],
    at: str | None,
) -> Answer:
    """One vector, of a feature service or of single features."""
    if (service is None) == (not features):
        raise CliError("give a feature service, or features with --feature view@1.0.0:name, and not both")
    catalog = Catalog(store.list_definitions())
    found = service_of(catalog, store.project, service) if service is not None else None
    what = found.ref if found is not None else "these features"
    keys, fields = values.inputs(catalog, store.project, found if found is not None else features)
    answer = store.get_online_features(
        found.ref if found is not None else list(features),
        values.typed(values.pairs(entities, "--entity"), keys, "--entity", what),
        request=values.typed(values.pairs(request, "--request"), fields, "--request", what),
        request_time=values.instant(at, "--at"),
    )
    return Answer(_document(answer), _text(answer))


def _rows(answer: OnlineFeatures) -> list[dict[str, Any]]:
    return [
        {
            "feature": name,
            "value": answer.values[name][0],
            "status": answer.statuses[name][0].name,
            "event_time": values.moment(time := answer.event_times_us[name][0]),
            "age_s": None if time is None else (answer.request_time_us - time) / 1e6,
        }
        for name in answer.names
    ]


def _document(answer: OnlineFeatures) -> dict[str, Any]:
    return {
        "request_id": answer.request_id,
        "request_time": values.moment(answer.request_time_us),
        "earliest_answerable": values.moment(answer.earliest_answerable_us),
        "features": [{**row, "value": values.plain(row["value"])} for row in _rows(answer)],
    }


def _text(answer: OnlineFeatures) -> str:
    rows = [
        (row["feature"], values.shown(row["value"]), row["status"], row["event_time"], values.age(row["age_s"]))
        for row in _rows(answer)
    ]
    lines = [table(("feature", "value", "status", "event time", "age"), rows)]
    lines.append(f"request {answer.request_id} about {values.moment(answer.request_time_us)}")
    if answer.earliest_answerable_us is not None:
        lines.append(f"every value can be answered from {values.moment(answer.earliest_answerable_us)} on")
    return "\n".join(lines)
