"""Skewless: a feature store that serves, trains and replays the very same values.

    import skewless

    origin = skewless.Entity("origin")

Importing it is cheap: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skewless.definitions.aggregates import (
        avg,
        count,
        count_distinct,
        count_where,
        first,
        first_n,
        histogram,
        last,
        last_distinct_n,
        last_n,
        quantile,
        rate,
        stddev,
        stddev_pop,
        time_since_last,
        top_n,
        variance,
        variance_pop,
    )
    from skewless.definitions.aggregates import max_ as max  # noqa: A004
    from skewless.definitions.aggregates import min_ as min  # noqa: A004
    from skewless.definitions.aggregates import sum_ as sum  # noqa: A004
    from skewless.definitions.functions import PythonFunction
    from skewless.definitions.loading import load
    from skewless.definitions.objects import BatchSource, Entity, Operation, RequestSource, StreamSource
    from skewless.definitions.project import Project
    from skewless.definitions.views import (
        BatchFeatureView,
        FeatureService,
        LatestFeatureView,
        OnDemandFeatureView,
        StreamFeatureView,
    )
    from skewless.definitions.windows import calendar, exact, lag, lifetime, tumbling
    from skewless.protobuf.payload import Protobuf

__all__ = [
    "BatchFeatureView",
    "BatchSource",
    "Entity",
    "FeatureService",
    "LatestFeatureView",
    "OnDemandFeatureView",
    "Operation",
    "Project",
    "Protobuf",
    "PythonFunction",
    "RequestSource",
    "StreamFeatureView",
    "StreamSource",
    "avg",
    "calendar",
    "count",
    "count_distinct",
    "count_where",
    "exact",
    "first",
    "first_n",
    "histogram",
    "lag",
    "last",
    "last_distinct_n",
    "last_n",
    "lifetime",
    "load",
    "max",
    "min",
    "quantile",
    "rate",
    "stddev",
    "stddev_pop",
    "sum",
    "time_since_last",
    "top_n",
    "tumbling",
    "variance",
    "variance_pop",
]

_HOMES = {
    "skewless.definitions.aggregates": (
        "avg count count_distinct count_where first first_n histogram last last_distinct_n last_n max_ min_ quantile "
        "rate stddev stddev_pop sum_ time_since_last top_n variance variance_pop"
    ),
    "skewless.definitions.functions": "PythonFunction",
    "skewless.definitions.loading": "load",
    "skewless.definitions.objects": "BatchSource Entity Operation RequestSource StreamSource",
    "skewless.definitions.project": "Project",
    "skewless.definitions.views": (
        "BatchFeatureView FeatureService LatestFeatureView OnDemandFeatureView StreamFeatureView"
    ),
    "skewless.definitions.windows": "calendar exact lag lifetime tumbling",
    "skewless.protobuf.payload": "Protobuf",
}
_FOUND_IN = {name.rstrip("_"): (home, name) for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _FOUND_IN:
        raise AttributeError(f"module 'skewless' has no attribute {name!r}")
    home, own = _FOUND_IN[name]
    value = getattr(importlib.import_module(home), own)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
