"""What the online server is tested and measured with: two entities, three stored views, one on-demand view.

`definitions` and `plan` say what is served, `fill` writes states through the kernel into a real store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
import pyarrow as pa
import redis
import rfc8785

import skewless as sk
from skewless import kernel
from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.api.online.v1 import online_service_pb2_grpc as stubs
from skewless.api.types.v1 import value_pb2
from skewless.definitions.resource import Definition, Kind

PROJECT = "shop"
T0 = 1_700_000_000_000_000
"""When the newest event happened, in microseconds."""
SECOND = 1_000_000
MINUTE = 60 * SECOND

USER = sk.Entity("user")
SHOP = sk.Entity("shop", keys={"shop": "int64"})
PAYMENTS = sk.StreamSource(
    "payments",
    topic="shop.payments",
    record_key=["user"],
    event_time="event_time",
    columns={"event_time": "timestamp", "user": "string", "amount": "float64", "city": "string"},
)
SPENDING = sk.StreamFeatureView(
    name="spending",
    entity=USER,
    source=PAYMENTS,
    features=[
        sk.count("n", windows=["1h", "24h"]),
        sk.sum("paid", "amount", windows=["1h", "24h"]),
        sk.avg("mean", "amount", windows=["24h"]),
        sk.max("most", "amount", windows=["24h"]),
        sk.stddev("spread", "amount", windows=["24h"]),
        sk.last("city", "city", windows=["24h"]),
    ],
)
PEOPLE = sk.BatchSource(
    "people",
    path="people",
    event_time="since",
    columns={
        "user": "string",
        "since": "timestamp",
        "age": "int64",
        "score": "float64",
        "member": "bool",
        "name": "string",
        "born": "timestamp",
        "visits": "int64",
        "rate": "float64",
        "tier": "string",
    },
)
PROFILE = sk.LatestFeatureView(
    name="profile",
    entity=USER,
    source=PEOPLE,
    features=["age", "score", "member", "name", "born", "visits", "rate", "tier"],
    ttl="365d",
)
PRICES = sk.StreamSource(
    "prices",
    topic="shop.prices",
    record_key=["shop"],
    event_time="event_time",
    columns={
        "event_time": "timestamp",
        "shop": "int64",
        **{f"price_{n}": "float64" for n in range(6)},
        "open": "bool",
        "label": "string",
    },
)
OFFERS = sk.LatestFeatureView(
    name="offers",
    entity=SHOP,
    source=PRICES,
    features=[*(f"price_{n}" for n in range(6)), "open", "label"],
)
DEAL = sk.OnDemandFeatureView(
    name="deal",
    request=sk.RequestSource({"amount": "float64"}),
    inputs=[SPENDING["mean_24h"], SPENDING["spread_24h"], OFFERS["price_0"]],
    features={
        "deviation": "clip((amount - mean_24h) / nullif(spread_24h, 0.0), -5.0, 5.0)",
        "relative": "amount / nullif(price_0, 0.0)",
    },
)
ALONE = sk.OnDemandFeatureView(
    name="alone",
    request=sk.RequestSource({"amount": "float64"}),
    features={"half": "amount / 2.0", "big": "amount > 100.0"},
)
MODEL = sk.FeatureService(name="model", features=[SPENDING, PROFILE, OFFERS, DEAL])
ECHO = sk.FeatureService(name="echo", features=[ALONE])
STORED = (SPENDING.name, PROFILE.name, OFFERS.name)


def project() -> sk.Project:
    return sk.Project(PROJECT, MODEL, ECHO)


def meanings(definitions: Sequence[Definition]) -> dict[str, bytes]:
    """The meaning of each view by its name."""
    return {made.name: made.meaning_json for made in definitions if made.kind.is_view}


def plan(definitions: Iterable[Definition], revision: int = 1) -> bytes:
    """What the server is given, as services/online makes it."""

    def documents(wanted: Iterable[Definition]) -> list[dict[str, str]]:
        return [{"version": str(made.version), "meaning": made.meaning_json.decode()} for made in wanted]

    made = list(definitions)
    project = {
        "views": documents(d for d in made if d.kind.is_view),
        "services": documents(d for d in made if d.kind is Kind.FEATURE_SERVICE),
    }
    return json.dumps({"revision": revision, "projects": {PROJECT: project}}).encode()


@dataclass
class States:
    """States as they were written: by view, the entity ids and their values (head and body)."""

    heads: dict[str, dict[str, bytes]] = field(default_factory=dict)
    bodies: dict[str, dict[str, bytes | None]] = field(default_factory=dict)


def fill(store_url: str, definitions: Sequence[Definition], users: int, shops: int, events: int = 40) -> States:
    """Writes the states of all entities and the sentinels. The newest event of each stream happens at `T0`."""
    by_name = meanings(definitions)
    states = States()
    with redis.Redis.from_url(store_url) as store:
        write_stream = store.register_script(kernel.WRITE_STREAM_STATE)
        write_row = store.register_script(kernel.WRITE_LATEST_ROW)

        def stream(view: str, entity: str, rows: list[tuple[str, dict[str, Any]]]) -> None:
            for identity, head, body, expiry in fold(by_name[view], rows):
                key = kernel.state_key(PROJECT, entity, identity, view, "1.0.0")
                states.heads.setdefault(view, {})[identity] = head
                states.bodies.setdefault(view, {})[identity] = body
                # Tests live in the past: what they write must not have expired already.
                del expiry
                assert write_stream(keys=[key, f"{key}:b"], args=[head, body or b"", b""]) == 1

        stream(SPENDING.name, USER.name, list(payments(users, events)))
        stream(OFFERS.name, SHOP.name, list(prices(shops)))
        rows = kernel.LatestView(by_name[PROFILE.name]).encode(people(users))
        for identity, value, _ in rows:
            key = kernel.state_key(PROJECT, USER.name, identity, PROFILE.name, "1.0.0")
            states.heads.setdefault(PROFILE.name, {})[identity] = value
            write_row(keys=[key], args=[value, b""])
        for view in STORED:
            store.set(sentinel(view), kernel.meaning_hash(by_name[view]).hex())
    return states


def sentinel(view: str) -> str:
    """The key that says that the store has all states of a view."""
    return f"skewless:sentinel:{PROJECT}:{view}:v1.0"


def payments(users: int, events: int) -> Iterable[tuple[str, dict[str, Any]]]:
    """Payments in the order of their times, as (record key, payload)."""
    cities = ("Paris", "Zürich", "São Paulo")
    for n in range(events):
        for user in range(users):
            amount = float((user * 7 + n * 13) % 100) + 0.25
            time = T0 - (events - 1 - n) * 30 * MINUTE - user % 7 * (n < events - 1)
            yield (
                f"user-{user}",
                {"event_time": time, "user": f"user-{user}", "amount": amount, "city": cities[(user + n) % 3]},
            )


def prices(shops: int) -> Iterable[tuple[str, dict[str, Any]]]:
    for shop in range(shops):
        row: dict[str, Any] = {f"price_{n}": shop + n / 4 for n in range(6)}
        yield str(shop), {"event_time": T0, "shop": shop, "open": shop % 2 == 0, "label": f"shop {shop}", **row}


def people(users: int) -> pa.RecordBatch:
    """One row per user; every fifth has no score."""
    count = range(users)
    return pa.RecordBatch.from_pydict(
        {
            "entity_id": [kernel.entity_id([f"user-{n}"]) for n in count],
            "event_time_us": pa.array([T0 - 10 * 24 * 60 * MINUTE] * users, pa.int64()),
            "created_time_us": pa.array([None] * users, pa.int64()),
            "run_seq": pa.array([3] * users, pa.int64()),
            "deleted": [False] * users,
            "f_age": pa.array([20 + n % 60 for n in count], pa.int64()),
            "f_score": pa.array([None if n % 5 == 0 else n / 8 for n in count], pa.float64()),
            "f_member": pa.array([n % 2 == 0 for n in count], pa.bool_()),
            "f_name": pa.array([f"Ünsal {n}" for n in count], pa.string()),
            "f_born": pa.array([T0 - n * MINUTE for n in count], pa.timestamp("us", "UTC")),
            "f_visits": pa.array([n * n for n in count], pa.int64()),
            "f_rate": pa.array([n / 1000 for n in count], pa.float64()),
            "f_tier": pa.array(["gold" if n % 10 == 0 else "blue" for n in count], pa.string()),
        }
    )


def fold(
    meaning: bytes, rows: list[tuple[str, dict[str, Any]]], wall: int = T0
) -> list[tuple[str, bytes, bytes | None, int | None]]:
    """The states that a writer flushes which folds these records at ``wall``: entity id, head, body, expiry."""
    document = json.loads(meaning)
    keys = [(key["name"], key["type"]) for key in document["entity"]["keys"]]
    decoder = kernel.StreamDecoder(rfc8785.dumps(document["source"]), keys, direct=True)
    batch = decoder.decode(
        [key.encode() for key, _ in rows],
        [json.dumps(row).encode() for _, row in rows],
        [row["event_time"] for _, row in rows],
    )
    partition = kernel.StreamView(meaning).open_partition(1, 0, 1)
    identities = [identity for identity in pa.record_batch(batch).column("entity_id").to_pylist() if identity]
    for identity in partition.missing(identities):
        partition.load(identity, None, None)
    report = partition.fold(batch, range(len(rows)), wall)
    assert report.folded == len(rows)
    return partition.flush(len(rows))


def texts(*values: str | None) -> value_pb2.ValueColumn:
    return value_pb2.ValueColumn(
        values=[value_pb2.Value() if v is None else value_pb2.Value(string_value=v) for v in values]
    )


def integers(*values: int) -> value_pb2.ValueColumn:
    return value_pb2.ValueColumn(values=[value_pb2.Value(int64_value=v) for v in values])


def floats(*values: float) -> value_pb2.ValueColumn:
    return value_pb2.ValueColumn(values=[value_pb2.Value(float64_value=v) for v in values])


def request(
    users: Sequence[str], shops: Sequence[int], amounts: Sequence[float], time_us: int | None = T0 + SECOND
) -> pb.GetOnlineFeaturesRequest:
    """Asks for the whole model, a row per user."""
    return pb.GetOnlineFeaturesRequest(
        project=PROJECT,
        feature_service="model@1.0.0",
        entities={"user": texts(*users), "shop": integers(*shops)},
        request_fields={"amount": floats(*amounts)},
        request_time_us=time_us,
    )


class Online:
    """A server in this process, with a stub that calls it through the loopback device."""

    def __init__(self, store_url: str, **settings: Any) -> None:
        given = {
            "listen": "127.0.0.1:0",
            "max_in_flight": 64,
            "max_message_bytes": 1 << 20,
            "served_queue": 10_000,
            "threads": 2,
            **settings,
        }
        self.server = kernel.OnlineServer(store_url=store_url, **given)
        self.address = ""

    def __enter__(self) -> Self:
        self.address = f"127.0.0.1:{self.server.start()}"
        self.channel = grpc.insecure_channel(self.address)
        self.stub = stubs.OnlineServiceStub(self.channel)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()
        self.server.stop(1_000)

    def ask(self, asked: pb.GetOnlineFeaturesRequest) -> pb.GetOnlineFeaturesResponse:
        return self.stub.GetOnlineFeatures(asked, timeout=10)

    def echo(self, amount: float) -> pb.GetOnlineFeaturesRequest:
        """Asks for features that need no store."""
        return pb.GetOnlineFeaturesRequest(
            project=PROJECT, feature_service="echo@1.0.0", request_fields={"amount": floats(amount)}
        )

    def drain(self) -> list[tuple[bytes, bytes]]:
        """The served records that wait."""
        return self.server.drain_served(10_000, 20)
