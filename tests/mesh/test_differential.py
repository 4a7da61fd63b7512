"""Random requests to the real server against the oracle, while records arrive, definitions change and values expire.

Every answer says what it knew (its token); the oracle computes each cell from the records that were sent, at the same
request time and knowledge. Equal means equal in every bit, in status and in event time. 10,000 requests with
``make test-long``, a few hundred always. The seed is in the test's name.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

import skewless
from skewless import kernel
from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.api.online.v1 import online_service_pb2_grpc as stubs
from skewless.api.types.v1 import value_pb2
from skewless.lake import Lake
from skewless.local import LocalMesh
from tests.mesh import world
from tests.mesh.test_kill import REKEYED, settle, start
from tests.oracle.cells import Cell, Status, Value, same_value
from tests.oracle.events import Event, Known, Nothing, Position
from tests.oracle.latest import stream_latest
from tests.oracle.windows import Ask, window_values
from tests.store_servers import until

TTL_S = 3
NEWEST = skewless.LatestFeatureView(
    name="newest", entity=world.USER, source=world.PAYMENTS, features=["amount", "items"], ttl=f"{TTL_S}s"
)
COMPARED = skewless.OnDemandFeatureView(
    name="compared",
    request=skewless.RequestSource({"offered": "float64"}),
    inputs={"most": world.BY_USER["most_1h"], "last": NEWEST["amount"]},
    features={"above": "offered - most", "again": "offered = last"},
)
WINDOWED = [feature.name for feature in world.WHAT]
FEATURES = [
    *(f"by_user@1.0.0:{name}" for name in WINDOWED),
    *(f"by_shop@1.0.0:{name}" for name in WINDOWED),
    *(f"newest@1.0.0:{name}" for name in ("amount", "items")),
    *(f"compared@1.0.0:{name}" for name in ("above", "again")),
]
WITH_VALUE = {Status.PRESENT, Status.PARTIAL}
_REVISIONS = 3
"""At least so many are served during a run."""


def service(number: int) -> skewless.FeatureService:
    """Each is a new version of the same: what the server has to take over while it answers."""
    views = [world.BY_USER, world.BY_SHOP, NEWEST, COMPARED]
    return skewless.FeatureService(
        name="all", version=f"1.0.{number}", features=views, description=f"revision {number}"
    )


@dataclass
class Asked:
    """A request and what it was answered."""

    request: pb.GetOnlineFeaturesRequest
    answer: pb.GetOnlineFeaturesResponse
    users: list[str]
    shops: list[int]
    offered: list[float]


class Asker:
    """Asks for random features of random rows at random times."""

    def __init__(self, address: str, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 (a choice to be repeated)
        self._channel = grpc.insecure_channel(address)
        self._stub = stubs.OnlineServiceStub(self._channel)

    def ask(self, newest_service: int) -> Asked:
        rnd = self._random
        count = rnd.choice((1, 1, 1, 2, 3, 8))
        users = [rnd.choice((*world.USERS, "stranger")) for _ in range(count)]
        shops = [rnd.choice((*world.SHOPS, 99)) for _ in range(count)]
        offered = [rnd.choice((0.1, 12.5, -3.0, 1e300)) for _ in range(count)]
        request = pb.GetOnlineFeaturesRequest(project=world.PROJECT)
        if rnd.random() < 0.5:
            request.feature_service = f"all@1.0.{rnd.randint(0, newest_service)}"
            asked = set(FEATURES)
        else:
            features = rnd.sample(FEATURES, rnd.randint(1, len(FEATURES)))
            request.features.extend(features)
            asked = set(features)
        if any(not feature.startswith("by_shop") for feature in asked):
            request.entities["user"].values.extend(value_pb2.Value(string_value=user) for user in users)
        if any(feature.startswith("by_shop") for feature in asked):
            request.entities["shop"].values.extend(value_pb2.Value(int64_value=shop) for shop in shops)
        if any(feature.startswith("compared") for feature in asked):
            request.request_fields["offered"].values.extend(value_pb2.Value(float64_value=x) for x in offered)
        if (seconds := rnd.choice((None, None, 0, 0, 1, TTL_S, 60, 4_000, -1, -30, -300))) is not None:
            request.request_time_us = time.time_ns() // 1_000 + seconds * 1_000_000 + rnd.randrange(1_000)
        answer = self._stub.GetOnlineFeatures(request, timeout=20)
        return Asked(request, answer, users, shops, offered)


class Truth:
    """What every cell must be, from the records that were sent."""

    def __init__(self, payments: world.Payments, mesh: LocalMesh) -> None:
        self._users: dict[str, list[Event]] = defaultdict(list)
        self._shops: dict[str, list[Event]] = defaultdict(list)
        by_source = {}
        for sent, position in payments.events():
            by_source[position.partition, position.offset] = sent
            self._users[sent.user].append(Event(sent.user, sent.event_time, position, sent.row))
        # The re-keyed log has an order of its own.
        columns = ["partition", "offset", "source_partition", "source_offset", "verdict"]
        table = Lake(str(mesh.lake)).events(world.PROJECT, REKEYED).read(columns)
        assert table is not None
        for row in table.to_pylist():
            if row["verdict"] == "accepted":
                sent = by_source[row["source_partition"], row["source_offset"]]
                at = Position(1, row["partition"], row["offset"])
                self._shops[str(sent.shop)].append(Event(str(sent.shop), sent.event_time, at, sent.row))
        hashes = {
            made.meaning_hash[:16]: made.name for made in skewless.Project(world.PROJECT, service(0)).definitions()
        }
        self._views = hashes

    def rows(self, asked: Asked) -> Iterator[dict[str, Cell]]:
        token = kernel.read_token(asked.answer.as_of_token)
        assert token.request_time_us == asked.answer.request_time_us
        at = token.request_time_us
        views = [self._views[meaning] for meaning, _ in token.views]
        for number, positions in enumerate(token.positions):
            known = {
                view: Nothing() if position is None else Known(*_whole(position))
                for view, position in zip(views, positions, strict=True)
            }
            yield self._row(known, asked.users[number], asked.shops[number], asked.offered[number], at)

    def _row(self, known: dict[str, Known | Nothing], user: str, shop: int, offered: float, at: int) -> dict[str, Cell]:
        cells: dict[str, Cell] = {}
        for view, key, events in (("by_user", user, self._users[user]), ("by_shop", str(shop), self._shops[str(shop)])):
            if view in known:
                found = window_values(world.WHAT, events, [Ask(key, at, known[view])])[0]
                cells |= {f"{view}:{name}": cell for name, cell in zip(WINDOWED, found, strict=True)}
        if "newest" in known:
            columns, ask = ("amount", "items"), Ask(user, at, known["newest"])
            found = stream_latest(columns, self._users[user], [ask], ttl=TTL_S * 1_000_000)[0]
            cells |= {f"newest:{name}": cell for name, cell in zip(columns, found, strict=True)}
        if "by_user" in known:
            cells["compared:above"] = _computed(cells["by_user:most_1h"], lambda most: offered - most)
        if "newest" in known:
            cells["compared:again"] = _computed(cells["newest:amount"], lambda last: offered == last)
        return cells


def _whole(position: tuple[int, int, int] | int) -> tuple[int, int, int]:
    assert isinstance(position, tuple)
    return position


def _computed(cell: Cell, function: Callable[[float], Value]) -> Cell:
    """X13 and X14: an input that is there is computed with; without one the value is null."""
    if cell.status not in WITH_VALUE:
        return Cell(None, Status.NULL)
    assert isinstance(cell.value, float)
    return Cell(function(cell.value), cell.status)


def differences(asked: Asked, truth: Truth) -> tuple[list[str], Counter[Status]]:
    """What is not as it must be, and the statuses that were seen."""
    wrong: list[str] = []
    seen: Counter[Status] = Counter()
    wanted = list(truth.rows(asked))
    for name, column in zip(asked.answer.feature_names, asked.answer.columns, strict=True):
        for row, (value, code, event_time) in enumerate(
            zip(column.values, column.statuses, column.event_times_us, strict=True)
        ):
            status, got = Status(code), plain(value)
            seen[status] += 1
            where = f"{name} of {asked.users[row]}, {asked.shops[row]} at {asked.answer.request_time_us}"
            if status is Status.NOT_ANSWERABLE:
                # Only for a time of the caller's choice, and before the time that is told.
                lawful = asked.request.HasField("request_time_us") and (
                    asked.answer.request_time_us < asked.answer.earliest_answerable_us
                )
                if got is not None or not lawful:
                    wrong.append(f"{where}: not answerable")
                continue
            cell = wanted[row][name]
            same_time = name.startswith("compared") or event_time == (cell.event_time or 0)
            if status is not cell.status or not same_value(got, cell.value) or not same_time:
                wrong.append(f"{where}: {got!r} {status!r} {event_time}, not {cell}")
    return wrong, seen


def plain(value: value_pb2.Value) -> Value:
    kind = value.WhichOneof("kind")
    if kind is None:
        return None
    found = getattr(value, kind)
    return list(found.values) if kind.endswith("_list") else found


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("seed", "count"), [(1, 300), pytest.param(2, 10_000, marks=pytest.mark.long)], ids=["seed1", "seed2-long"]
)
def test_every_answer_is_the_oracles(tmp_path: Path, seed: int, count: int) -> None:
    environ = {"SKEWLESS_COMMIT_MS": "200"}
    with LocalMesh(tmp_path, services=("registry", "online", "stream_agg"), environ=environ) as mesh:
        bus, store = start(mesh)
        store.apply(skewless.Project(world.PROJECT, service(0)))
        payments = world.Payments(bus, seed)
        payments.send(200)
        settle(store, payments)
        asker = Asker(mesh.addresses["online"], seed)
        until(lambda: not _rebuilding(asker.ask(0)), "views are not ready")

        services, done = [0], threading.Event()
        answers: list[Asked] = []
        with ThreadPoolExecutor(2) as pool:
            others = [
                pool.submit(_write, payments, done, seed),
                pool.submit(_reload, store, services, done),
            ]
            try:
                while len(answers) < count or len(services) < _REVISIONS:
                    answers.append(asker.ask(services[-1]))
                    assert not any(other.done() for other in others), [other.exception() for other in others]
            finally:
                done.set()
        for other in others:
            other.result()
        settle(store, payments)
        truth = Truth(payments, mesh)
        seen: Counter[Status] = Counter()
        for asked in answers:
            wrong, statuses = differences(asked, truth)
            assert wrong == []
            seen += statuses
        store.close()
    print(f"{len(answers)} requests, {len(payments.sent)} records, {len(services)} revisions; cells: {seen}")
    assert {Status.PRESENT, Status.NULL, Status.NOT_FOUND, Status.OUTSIDE_TTL, Status.NOT_ANSWERABLE} <= set(seen)


def _rebuilding(asked: Asked) -> bool:
    return any(int(Status.REBUILDING) in map(int, column.statuses) for column in asked.answer.columns)


def _write(payments: world.Payments, done: threading.Event, seed: int) -> None:
    rnd = random.Random(seed)  # noqa: S311 (a choice to be repeated)
    while not done.wait(0.05):
        payments.send(rnd.randrange(1, 20))


def _reload(store: skewless.Store, services: list[int], done: threading.Event) -> None:
    """A new version of the service every now and then; it is asked for once the server must know it."""
    while not done.wait(0.2):
        number = services[-1] + 1
        store.apply(skewless.Project(world.PROJECT, service(number)))
        store.get_online_features(
            f"all@1.0.{number}", entities={"user": [world.USERS[0]], "shop": [1]}, request={"offered": 1.0}
        )
        services.append(number)
