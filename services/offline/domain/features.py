"""Which views a list of pinned features needs, in which order they are computed, and what they read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import LatestView, OnDemandView, Pin, View, WindowView
from skewless.errors import EntityMismatchError, MissingRequestFieldError, UnknownFeatureError
from skewless.types import ValueType


def needed_views(catalog: Catalog, pins: Iterable[Pin]) -> list[View]:
    """Every view that the features are made of, each once, inputs before what reads them."""
    ordered: dict[bytes, View] = {}

    def visit(pin: Pin) -> None:
        if pin.meaning in ordered:
            return
        view = catalog.view_by_hash(pin.meaning)
        if view is None:
            raise UnknownFeatureError(name=f"{pin.view_ref}:{pin.feature}")
        if isinstance(view, OnDemandView):
            for item in view.inputs:
                visit(item.pin)
        ordered[pin.meaning] = view

    for pin in pins:
        visit(pin)
    return list(ordered.values())


def needed_functions(views: Iterable[View], pins: Iterable[Pin]) -> dict[bytes, set[str]]:
    """By the meaning of each on-demand view, its features that are Python functions and that the pins are made of."""
    on_demand = {view.meaning_hash: view for view in views if isinstance(view, OnDemandView)}
    found: dict[bytes, set[str]] = {meaning: set() for meaning in on_demand}
    read = [*pins, *(item.pin for view in on_demand.values() for item in view.inputs)]
    for pin in read:
        view = on_demand.get(pin.meaning)
        feature = view.by_name.get(pin.feature) if view else None
        if feature is not None and feature.function is not None:
            found[pin.meaning].add(pin.feature)
    return found


def type_of(catalog: Catalog, pin: Pin) -> ValueType:
    """The type of a pinned feature. Raises UnknownFeatureError."""
    view = catalog.view_by_hash(pin.meaning)
    feature = view.by_name.get(pin.feature) if view else None
    if feature is None:
        raise UnknownFeatureError(name=f"{pin.view_ref}:{pin.feature}")
    return feature.type


def check_columns(views: Sequence[View], columns: Iterable[str]) -> None:
    """Raises EntityMismatchError or MissingRequestFieldError where a needed column is absent."""
    have = set(columns)
    keys = {name for view in views if isinstance(view, WindowView | LatestView) for name in view.entity.key_names}
    fields = {field.name for view in views if isinstance(view, OnDemandView) for field in view.request}
    if keys - have:
        raise EntityMismatchError(missing=keys - have)
    if fields - have:
        raise MissingRequestFieldError(fields=fields - have)
