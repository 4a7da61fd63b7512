"""Served records as rows of the served log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from skewless.lake import SERVED_COLUMNS, date_of
from skewless.served import Prediction, ServedVector


def row_of(record: ServedVector | Prediction, raw: bytes) -> Mapping[str, Any]:
    """One row. raw: the record as it came."""
    if isinstance(record, ServedVector):
        kind, service, at_us = "vector", record.feature_service, record.served_at_us
        request_time_us: int | None = record.request_time_us
        count = record.rows
    else:
        kind, service, at_us = "prediction", "", record.logged_at_us
        request_time_us = None
        count = len(record.scores)
    return {
        "request_id": record.request_id,
        "kind": kind,
        "feature_service": service,
        "request_time_us": request_time_us,
        "at_us": at_us,
        "rows": count,
        "record": raw,
        "date": date_of(at_us),
    }


def table_of(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of the served log."""
    return pa.Table.from_pylist(list(rows), schema=SERVED_COLUMNS)
