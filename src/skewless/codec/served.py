"""Records of the topic ``skewless.served``: bytes to `skewless.served`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from google.protobuf.message import DecodeError

from skewless.api.events.v1 import served_pb2
from skewless.api.online.v1 import online_service_pb2 as online_pb2
from skewless.api.types.v1 import value_pb2
from skewless.codec.values import column_from_proto, value_from_proto
from skewless.functions.environment import Environment
from skewless.served import Prediction, ServedColumn, ServedVector
from skewless.types import Cell


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
    columns = response.columns
    if len(response.feature_names) != len(columns):
        text = f"{len(columns)} column(s) for {len(response.feature_names)} name(s)"
        raise ValueError(f"not a served record: {text}")
    return ServedVector(
        request_id=response.request_id,
        project=request.project,
        feature_service=request.feature_service,
        features=tuple(request.features),
        entities=_cells(request.entities),
        request_fields=_cells(request.request_fields),
        request_time_us=response.request_time_us,
        token=response.as_of_token,
        columns=_Columns(response),
        rows=_rows(response),
        served_at_us=message.served_at_us,
        environment=_environment(message),
        arguments={(found.meaning, found.feature): found.digests for found in message.function_arguments},
    )


def _environment(message: served_pb2.ServedVector) -> Environment | None:
    if not message.HasField("function_environment"):
        return None
    found = message.function_environment
    return Environment(found.interpreter, found.machine, found.lock)


class _Columns:
    """The columns of an answer. Most readers want the rest of the answer only, and cells are what costs."""

    __slots__ = ("_response",)

    def __init__(self, response: online_pb2.GetOnlineFeaturesResponse) -> None:
        self._response = response

    def __iter__(self) -> Iterator[ServedColumn]:
        columns = zip(self._response.feature_names, self._response.columns, strict=True)
        if _rows(self._response) == 1:  # nearly always, and much faster without loops
            for name, column in columns:
                yield ServedColumn(name, (value_from_proto(column.values[0]),), (column.statuses[0],))
        else:
            for name, column in columns:
                yield ServedColumn(name, [value_from_proto(value) for value in column.values], column.statuses)


def _rows(response: online_pb2.GetOnlineFeaturesResponse) -> int:
    return len(response.columns[0].statuses) if response.columns else 0


def _cells(columns: Mapping[str, value_pb2.ValueColumn]) -> dict[str, Sequence[Cell]]:
    return {name: column_from_proto(column) for name, column in columns.items()}


def _prediction(message: served_pb2.Prediction) -> Prediction:
    return Prediction(
        request_id=message.request.request_id,
        project=message.request.project,
        model=message.request.model,
        scores=tuple(message.request.scores),
        predicted_at_us=message.request.predicted_at_us,
        logged_at_us=message.logged_at_us,
    )
