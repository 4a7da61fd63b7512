"""Whether services answer, by the gRPC health protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from skewless.local.ports import LocalError

SERVING: Final = "SERVING"
UNREACHABLE: Final = "UNREACHABLE"
_POLL_S: Final = 0.05


def health(address: str, timeout_s: float = 2.0) -> str:
    """``SERVING``, ``NOT_SERVING``, or ``UNREACHABLE`` if there is no answer in time."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError:
            return UNREACHABLE
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def wait_until_serving(
    addresses: Mapping[str, str], *, timeout_s: float, give_up: Callable[[], bool] = lambda: False
) -> None:
    """Until every service says SERVING. Raises LocalError naming one that does not.

    addresses: by name.
    give_up: asked now and then; once it is true, waiting ends without an error.
    """
    deadline = time.monotonic() + timeout_s
    for name, address in addresses.items():
        while (found := health(address)) != SERVING and not give_up():
            if time.monotonic() > deadline:
                raise LocalError(f"{name} at {address} says {found} after {timeout_s:g} s; its log says why")
            time.sleep(_POLL_S)
