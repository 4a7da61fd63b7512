"""Records of the topic ``skewless.served``: bytes to `skewless.served`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.message import DecodeError

from skewless.api.events.v1 import served_pb2
from skewless.api.online.v1 import online_service_pb2 as online_pb2
from skewless.api.types.v1 import value_pb2
from skewless.codec.values import column_from_proto, type_of_value, value_from_proto
from skewless.served import Prediction, ServedColumn, ServedVector
from skewless.types import Cell, Status, ValueType

_STATUSES: Final = {int(status): status for status in Status}


def decode_served(record: bytes) -> ServedVector | Prediction:
    """One record. Raises ValueError for bytes that are none."""
    message = served_pb2.ServedRecord()
    try:
        message.ParseFromString(record)
    except DecodeError as error:
        raise ValueError(f"not a served record: {error}") from error
    match message.WhichOneof("record"):
        case "vector":
            return _vector(message.vector)
        case "prediction":
            return _prediction(message.prediction)
        case other:
            raise ValueError(f"a served record of an unknown kind: {other}")


def _vector(message: served_pb2.ServedVector) -> ServedVector:
    request, response = message.request, message.response
    entities, entity_types = _columns(request.entities)
    fields, field_types = _columns(request.request_fields)
    return ServedVector(
        request_id=response.request_id,
        project=request.project,
        feature_service=request.feature_service,
        features=tuple(request.features),
        entities=entities,
        request_fields=fields,
        types=entity_types | field_types,
        request_time_us=response.request_time_us,
        token=response.as_of_token,
        columns=tuple(
            _column(name, column) for name, column in zip(response.feature_names, response.columns, strict=True)
        ),
        served_at_us=message.served_at_us,
        revision=message.revision,
    )


def _column(name: str, column: online_pb2.FeatureColumn) -> ServedColumn:
    return ServedColumn(
        feature=name,
        values=[value_from_proto(value) for value in column.values],
        statuses=[_STATUSES[status] for status in column.statuses],
        event_times_us=[time or None for time in column.event_times_us],
    )


def _columns(
    columns: Mapping[str, value_pb2.ValueColumn],
) -> tuple[dict[str, Sequence[Cell]], dict[str, ValueType | None]]:
    cells: dict[str, Sequence[Cell]] = {name: column_from_proto(column) for name, column in columns.items()}
    types = {name: _type(column) for name, column in columns.items()}
    return cells, types


def _type(column: value_pb2.ValueColumn) -> ValueType | None:
    kinds = (type_of_value(value) for value in column.values)
    return next((kind for kind in kinds if kind is not None), None)


def _prediction(message: served_pb2.Prediction) -> Prediction:
    return Prediction(
        request_id=message.request.request_id,
        project=message.request.project,
        model=message.request.model,
        scores=tuple(message.request.scores),
        predicted_at_us=message.request.predicted_at_us,
        logged_at_us=message.logged_at_us,
    )
