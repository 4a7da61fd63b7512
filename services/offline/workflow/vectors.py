"""Served vectors as rows to compute, at exactly the knowledge their tokens name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from services.offline.domain.features import needed_views
from services.offline.domain.rows import LogKnowledge, Rows, RunKnowledge
from services.offline.workflow.compute import Knowledge
from skewless import kernel
from skewless.columns import ARROW_TYPES
from skewless.definitions.catalog import Catalog, is_stream_view
from skewless.definitions.meanings import LatestView, OnDemandView, Pin, WindowView
from skewless.errors import InvalidArgumentError, Violation
from skewless.functions.environment import Environment
from skewless.served import ServedVector
from skewless.types import Cell, ValueType


@dataclass(frozen=True)
class Group:
    """Served vectors of one list of features, row by row.

    places: (vector, row in it) of each row.
    environment: where the Python functions of all of them ran; None: nowhere, or not in one.
    """

    pins: Sequence[Pin]
    vectors: Sequence[ServedVector]
    places: Sequence[tuple[ServedVector, int]]
    rows: Rows
    knowledge: Knowledge
    environment: Environment | None


def pins_of(catalog: Catalog, vector: ServedVector) -> tuple[Pin, ...]:
    """The features of a vector, in its order."""
    if vector.feature_service:
        return catalog.service(vector.project, vector.feature_service).pins
    found = []
    for ref in vector.features:
        view, feature = catalog.feature(vector.project, ref)
        found.append(Pin(view.name, view.version, feature.name, view.meaning_hash))
    return tuple(found)


def groups(catalog: Catalog, vectors: Iterable[ServedVector]) -> list[Group]:
    """Vectors with the same features together, so that each view is computed once for all of them."""
    together: dict[tuple[str, str, tuple[str, ...], Environment | None], list[ServedVector]] = {}
    for vector in vectors:
        key = (vector.project, vector.feature_service, tuple(vector.features), vector.environment)
        together.setdefault(key, []).append(vector)
    return [group_of(catalog, pins_of(catalog, found[0]), found) for found in together.values()]


def group_of(catalog: Catalog, pins: Sequence[Pin], vectors: Sequence[ServedVector]) -> Group:
    """These vectors as rows, for these features: those that were served, or others over the same views."""
    views = needed_views(catalog, pins)
    columns: dict[str, pa.Array] = {}
    for view in views:
        if isinstance(view, OnDemandView):
            for field in view.request:
                columns[field.name] = _column(vectors, field.name, field.type, "request_fields")
        else:
            for key in view.entity.keys:
                columns[key.name] = _column(vectors, key.name, key.type, "entities")
    times = [vector.request_time_us for vector in vectors for _ in range(vector.rows)]
    stored = [view for view in views if isinstance(view, WindowView | LatestView)]
    return Group(
        pins=pins,
        vectors=vectors,
        places=[(vector, row) for vector in vectors for row in range(vector.rows)],
        rows=Rows(columns, pa.array(times, pa.int64())),
        knowledge=_knowledge(stored, vectors),
        environment=vectors[0].environment if len({vector.environment for vector in vectors}) == 1 else None,
    )


def served_cells(vectors: Sequence[ServedVector]) -> list[tuple[list[Cell], list[int]]]:
    """Values and numbers of statuses of vectors with the same features: per feature, a cell per row."""
    found: list[tuple[list[Cell], list[int]]] = []
    for vector in vectors:
        columns = list(vector.columns)
        found = found or [([], []) for _ in columns]
        for (values, statuses), column in zip(found, columns, strict=True):
            values.extend(column.values)
            statuses.extend(column.statuses)
    return found


def _column(vectors: Sequence[ServedVector], name: str, kind: ValueType, part: str) -> pa.Array:
    cells: list[Cell] = []
    for vector in vectors:
        given: Mapping[str, Sequence[Cell]] = getattr(vector, part)
        cells.extend(given.get(name, [None] * vector.rows))
    return pa.array(cells, ARROW_TYPES[kind])


def _knowledge(views: Sequence[WindowView | LatestView], vectors: Sequence[ServedVector]) -> Knowledge:
    known: dict[bytes, list[tuple[int, int, int] | int | None]] = {view.meaning_hash: [] for view in views}
    for vector in vectors:
        token = kernel.read_token(vector.token)
        places = {bytes(prefix): place for place, (prefix, _) in enumerate(token.views)}
        for view in views:
            place = places.get(view.meaning_hash[:16])
            if place is None:
                text = f"the token of {vector.request_id} does not know {view.ref}"
                raise InvalidArgumentError([Violation("feature_service", text, "NOT_SERVED")])
            known[view.meaning_hash].extend(token.positions[row][place] for row in range(vector.rows))
    return {view.meaning_hash: _positions(view, known[view.meaning_hash]) for view in views}


def _positions(
    view: WindowView | LatestView, positions: Sequence[tuple[int, int, int] | int | None]
) -> LogKnowledge | RunKnowledge:
    if is_stream_view(view):
        return LogKnowledge.of([p if isinstance(p, tuple) else None for p in positions])
    return RunKnowledge.of([p if isinstance(p, int) else None for p in positions])
