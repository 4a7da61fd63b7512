"""Served vectors for the tests of the validator, as records of the library and as bytes of the topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skewless.api.events.v1 import served_pb2
from skewless.api.online.v1 import online_service_pb2 as online_pb2
from skewless.codec.values import infer_value, status_to_proto
from skewless.served import ServedColumn, ServedVector
from skewless.types import Cell, Status

SERVICE = "delay@1.0.0"


def vector(
    request_id: str,
    columns: Mapping[str, Sequence[Cell]] | None = None,
    *,
    project: str = "flights",
    statuses: Mapping[str, Sequence[Status]] | None = None,
    service: str = SERVICE,
    served_at_us: int = 1_000_000,
) -> ServedVector:
    """An answer with these columns; a null is NULL and all else PRESENT unless statuses are given."""
    cells = {"v:f": [1.0]} if columns is None else columns
    found = statuses or {}
    return ServedVector(
        request_id=request_id,
        project=project,
        feature_service=service,
        features=(),
        entities={},
        request_fields={},
        request_time_us=served_at_us,
        token=b"",
        columns=tuple(
            ServedColumn(
                name,
                list(values),
                found.get(name, [Status.NULL if value is None else Status.PRESENT for value in values]),
            )
            for name, values in cells.items()
        ),
        rows=max((len(values) for values in cells.values()), default=0),
        served_at_us=served_at_us,
    )


def record(request_id: str, value: float = 1.0, *, project: str = "flights") -> bytes:
    """An answer with one row and one feature, as the topic has it."""
    served = served_pb2.ServedVector(
        request=online_pb2.GetOnlineFeaturesRequest(project=project, feature_service=SERVICE),
        response=online_pb2.GetOnlineFeaturesResponse(
            request_id=request_id,
            request_time_us=1_000_000,
            feature_names=["v:f"],
            columns=[
                online_pb2.FeatureColumn(
                    values=[infer_value(value)], statuses=[status_to_proto(Status.PRESENT)], event_times_us=[0]
                )
            ],
        ),
        served_at_us=1_000_000,
    )
    return served_pb2.ServedRecord(vector=served).SerializeToString()
