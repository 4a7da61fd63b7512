"""A client of several online servers at one address: calls are spread, and a server that stops costs no call."""

from __future__ import annotations

from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.api.online.v1 import online_service_pb2_grpc as stubs
from skewless.rpc.channel import connect
from tests.mesh import online_world as world

NO_STORE = "redis://127.0.0.1:1"
CALLS = 60


def answered(server: world.Online) -> int:
    """How many calls this server has answered."""
    return server.server.counters()["requests.get_online_features.OK"]


def test_calls_are_spread_and_survive_an_orderly_stop() -> None:
    plan = world.plan(world.project().definitions())
    with world.Online(NO_STORE) as one, world.Online(NO_STORE) as other:
        for server in (one, other):
            server.server.publish(plan)
        # Without the retries that a client asks for: what is shown here is gRPC's own doing.
        with connect(f"ipv4:{one.address},{other.address}") as channel:
            stub = stubs.OnlineServiceStub(channel)

            def ask(times: int) -> list[pb.GetOnlineFeaturesResponse]:
                return [stub.GetOnlineFeatures(one.echo(float(n)), timeout=10) for n in range(times)]

            assert len(ask(CALLS)) == CALLS
            while not (answered(one) and answered(other)):  # the second connection may come a moment later
                ask(1)
            before = answered(other)
            one.server.stop(1_000)
            assert len(ask(CALLS)) == CALLS
            assert answered(other) - before == CALLS
