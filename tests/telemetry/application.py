"""An application that traces itself by OpenTelemetry, as a process: sends an event, asks for the value it made.

    python tests/telemetry/application.py ADDRESSES SPANS

ADDRESSES: a JSON object, ``host:port`` by part of the mesh. SPANS: the file of its spans. Writes ``{"trace_id": ...}``,
the trace of the event and of the request, to stdout.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import skewless as sk
from skewless.bus import Bus
from skewless.client import Store
from skewless.errors import SkewlessError, UnknownResourceError
from skewless.telemetry.files import FileExporter
from skewless.types import Status
from tests.mesh import world

PROFILES = sk.BatchSource("profiles", path="profiles.parquet", columns={"user": "string not null", "limit": "float64"})
PROFILE = sk.BatchFeatureView("profile", entity=world.USER, source=PROFILES, features=["limit"])
MODEL = sk.FeatureService("model", features=[world.BY_USER, world.BY_SHOP, PROFILE])
PROJECT = sk.Project(world.PROJECT, MODEL)
USER, SHOP = world.USERS[0], 3


def run(addresses: dict[str, str]) -> dict[str, str]:
    """Goes the whole way once; the ids of its trace."""
    tracer = trace.get_tracer("application")
    bus = Bus(addresses["broker"])
    bus.ensure_topic(world.TOPIC)
    mesh = Store(
        world.PROJECT,
        registry=addresses["registry"],
        online=addresses["online"],
        offline=addresses["offline"],
        stream_agg=addresses["stream_agg"],
        validator=addresses["validator"],
    )
    with mesh as store, bus.sender() as sender:
        store.apply(PROJECT)
        ask(store, wanted=0)  # every service has heard of the definitions then, the offline one too
        store.materialize("profile@1.0.0")
        with tracer.start_as_current_span("pay", kind=trace.SpanKind.PRODUCER) as paying:
            event = {"user": USER, "shop": SHOP, "amount": 12.5, "items": 1, "event_time": time.time_ns() // 1_000}
            sender.send(world.TOPIC, json.dumps(event).encode(), key=USER.encode(), partition=0)
            sender.send(world.TOPIC, b"{", key=USER.encode(), partition=0)  # malformed
            assert sender.flush(30)
            store.stream_status(wait_for=[(world.SOURCE, 0, 2)], wait_for_log=True, timeout_s=30)
            request_id = ask(store, wanted=1)
            refused(store)
            store.log_prediction(request_id, "model", [0.5])
        deadline = time.monotonic() + 30
        while not store.report().replayed:
            assert time.monotonic() < deadline, store.report()
            time.sleep(0.2)
    return {"trace_id": f"{paying.get_span_context().trace_id:032x}", "request_id": request_id}


def refused(store: Store) -> None:
    """Asks for what there is not; the service logs that it refuses."""
    try:
        store.rewind("nothing", records=1)
    except UnknownResourceError:
        return
    raise AssertionError("a source that is not there was read again")


def ask(store: Store, wanted: int) -> str:
    """Asks until every view is online; the id of the answer, in which the user has so many payments."""
    deadline = time.monotonic() + 30
    while True:
        try:
            answer = store.get_online_features("model@1.0.0", {"user": USER, "shop": SHOP})
            if all(Status.REBUILDING not in cells for cells in answer.statuses.values()):
                assert answer.values["by_user:n_1h"] == (wanted,)
                assert answer.values["by_shop:n_1h"] == (wanted,)
                return answer.request_id
        except SkewlessError:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline
        time.sleep(0.1)


if __name__ == "__main__":
    provider = TracerProvider(resource=Resource.create({"service.name": "application"}))
    provider.add_span_processor(SimpleSpanProcessor(FileExporter(Path(sys.argv[2]))))
    trace.set_tracer_provider(provider)
    print(json.dumps(run(json.loads(sys.argv[1]))))
    provider.shutdown()
