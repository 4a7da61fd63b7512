"""The read path over states that the kernel wrote into a real store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import grpc
import pyarrow as pa
import pytest
import redis

from skewless import kernel
from skewless.api.events.v1 import served_pb2
from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.api.types.v1 import value_pb2
from skewless.definitions.resource import Definition
from skewless.errors import IncompleteError
from skewless.local import STORE, LocalMesh
from skewless.rpc.channel import to_error
from tests.mesh import online_world as world

USERS, SHOPS = 9, 4
PRESENT, NULL, NOT_FOUND, OUTSIDE_TTL = 1, 2, 3, 4
NOT_ANSWERABLE, REBUILDING, UNAVAILABLE = 8, 9, 10


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path_factory.mktemp("mesh"), services=()) as running:
        yield running


@pytest.fixture(scope="module")
def definitions() -> list[Definition]:
    return world.project().definitions()


@pytest.fixture(scope="module")
def states(mesh: LocalMesh, definitions: list[Definition]) -> world.States:
    return world.fill(mesh.store_url, definitions, USERS, SHOPS)


@pytest.fixture(scope="module")
def online(mesh: LocalMesh, states: world.States, definitions: list[Definition]) -> Iterator[world.Online]:
    assert states.heads
    with world.Online(mesh.store_url) as running:
        assert running.server.publish(world.plan(definitions, revision=5)) == []
        yield running


def cells(answer: pb.GetOnlineFeaturesResponse, name: str) -> list[tuple[Any, int, int]]:
    """Values, statuses and event times of a feature, a row each."""
    column = answer.columns[list(answer.feature_names).index(name)]
    rows = zip(column.values, column.statuses, column.event_times_us, strict=True)
    return [(plain(value), status, time_us) for value, status, time_us in rows]


def plain(value: value_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    return getattr(value, kind) if kind else None


def statuses(answer: pb.GetOnlineFeaturesResponse, view: str) -> set[int]:
    return {
        status
        for name, column in zip(answer.feature_names, answer.columns, strict=True)
        if name.startswith(f"{view}:")
        for status in column.statuses
    }


def test_every_value_is_what_the_kernel_reads_from_the_same_state(
    online: world.Online, states: world.States, definitions: list[Definition]
) -> None:
    by_name = world.meanings(definitions)
    users, shops = [f"user-{n}" for n in range(USERS)], [n % SHOPS for n in range(USERS)]
    answer = online.ask(world.request(users, shops, [50.0] * USERS))
    asked_at = world.T0 + world.SECOND
    assert answer.request_time_us == asked_at
    assert len(answer.columns) == len(answer.feature_names) == 26
    spending = kernel.StreamView(by_name["spending"])
    offers = kernel.StreamView(by_name["offers"])
    profile = kernel.LatestView(by_name["profile"])
    for row, (user, shop) in enumerate(zip(users, shops, strict=True)):
        user_id, shop_id = kernel.entity_id([user]), kernel.entity_id([shop])
        expected = [
            *spending.read(states.heads["spending"][user_id], states.bodies["spending"][user_id], asked_at),
            *profile.read(states.heads["profile"][user_id], asked_at),
            *offers.read(states.heads["offers"][shop_id], states.bodies["offers"][shop_id], asked_at),
        ]
        got = [cells(answer, name)[row] for name in answer.feature_names[:24]]
        assert got == [(value, status, time_us or 0) for value, status, time_us in expected]
    assert cells(answer, "spending:n_24h")[0] == (40, PRESENT, world.T0)
    assert cells(answer, "profile:name")[3][:2] == ("Ünsal 3", PRESENT)
    assert cells(answer, "profile:score")[0][:2] == (None, NULL)


def test_on_demand_values_are_those_of_the_kernel(online: world.Online, definitions: list[Definition]) -> None:
    users = ["user-1", "user-2"]
    answer = online.ask(world.request(users, [1, 0], [50.0, 7.0]))
    inputs = {"mean_24h": "spending:mean_24h", "spread_24h": "spending:spread_24h", "price_0": "offers:price_0"}
    columns: dict[str, Any] = {"amount": pa.array([50.0, 7.0])}
    for name, feature in inputs.items():
        found = cells(answer, feature)
        columns[name] = pa.array([value for value, _, _ in found], pa.float64())
        columns[f"{name}__status"] = pa.array([status for _, status, _ in found], pa.uint8())
    deal = kernel.OnDemandView(world.meanings(definitions)["deal"])
    times = pa.array([answer.request_time_us] * 2, pa.int64())
    expected = pa.record_batch(deal.evaluate(pa.record_batch(columns), times)).to_pydict()
    for feature in ("deviation", "relative"):
        got = cells(answer, f"deal:{feature}")
        assert [value for value, _, _ in got] == expected[feature]
        assert [status for _, status, _ in got] == expected[f"{feature}__status"]
    assert cells(answer, "deal:relative")[1][1] == NULL  # the price is zero


def test_the_token_says_what_was_known(online: world.Online) -> None:
    """Q1: and nothing else, neither an entity nor a value."""
    answer = online.ask(world.request(["user-0", "nobody"], [0, 77], [1.0, 1.0]))
    token = kernel.read_token(answer.as_of_token)
    assert token.request_time_us == answer.request_time_us
    assert [kind for _, kind in token.views] == ["window", "latest_table", "latest_stream"]
    assert token.positions == [[(1, 0, 40 * USERS), 3, (1, 0, SHOPS)], [None, None, None]]
    assert kernel.write_token(token.request_time_us, token.views, token.positions) == answer.as_of_token


def test_unknown_entities_are_empty_or_not_found(online: world.Online) -> None:
    answer = online.ask(world.request(["nobody"], [77], [1.0]))
    assert cells(answer, "spending:n_1h") == [(0, PRESENT, 0)]
    assert cells(answer, "spending:mean_24h") == [(None, NULL, 0)]
    assert statuses(answer, "profile") == statuses(answer, "offers") == {NOT_FOUND}
    assert cells(answer, "deal:relative") == [(None, NULL, 0)]


def test_windows_decay_by_time_alone_and_rows_grow_old(online: world.Online) -> None:
    day = 24 * 60 * world.MINUTE
    later = online.ask(world.request(["user-0"], [0], [1.0], world.T0 + 2 * day))
    assert cells(later, "spending:n_24h") == [(0, PRESENT, 0)]
    assert statuses(later, "profile") <= {PRESENT, NULL}
    much_later = online.ask(world.request(["user-0"], [0], [1.0], world.T0 + 400 * day))
    assert statuses(much_later, "profile") == {OUTSIDE_TTL}
    assert statuses(much_later, "offers") == {PRESENT}


def test_a_time_before_the_state_is_not_answered_and_the_earliest_is_named(online: world.Online) -> None:
    early = online.ask(world.request(["user-0"], [0], [1.0], world.T0 - 60 * world.MINUTE))
    assert statuses(early, "spending") == {NOT_ANSWERABLE}
    assert statuses(early, "deal") == {NOT_ANSWERABLE}
    earliest = early.earliest_answerable_us
    assert earliest > world.T0 - 60 * world.MINUTE
    again = online.ask(world.request(["user-0"], [0], [1.0], earliest))
    assert NOT_ANSWERABLE not in statuses(again, "spending")
    assert again.earliest_answerable_us == 0


def test_without_a_time_the_server_takes_its_clock(online: world.Online) -> None:
    """H7: where no state is ahead of it."""
    before = time.time_ns() // 1_000
    answer = online.ask(world.request(["user-0"], [0], [1.0], None))
    assert before <= answer.request_time_us <= time.time_ns() // 1_000


def test_without_a_time_a_state_that_is_ahead_of_the_clock_is_answered_at_its_horizon(
    mesh: LocalMesh, online: world.Online, definitions: list[Definition]
) -> None:
    """H7: one time for all of the request, the greatest horizon of its states."""
    now = time.time_ns() // 1_000
    meaning = world.meanings(definitions)["spending"]
    with redis.Redis.from_url(mesh.store_url) as store:
        write = store.register_script(kernel.WRITE_STREAM_STATE)
        for user, hours in (("ahead", 3), ("less", 2)):
            at = now + hours * 60 * world.MINUTE
            row = {"event_time": at, "user": user, "amount": 2.0, "city": "Rome"}
            for identity, head, body, _ in world.fold(meaning, [(user, row)], at):
                key = kernel.state_key(world.PROJECT, "user", identity, "spending", "1.0.0")
                assert write(keys=[key, f"{key}:b"], args=[head, body or b"", b""]) == 1
        asked = ["less", "ahead", "user-0"]
        answer = online.ask(world.request(asked, [0, 0, 0], [1.0] * 3, None))
        early = online.ask(world.request(asked, [0, 0, 0], [1.0] * 3, answer.request_time_us - 1))
        for user in asked[:2]:
            key = kernel.state_key(world.PROJECT, "user", kernel.entity_id([user]), "spending", "1.0.0")
            store.delete(key, f"{key}:b")
    assert now + 2 * 60 * world.MINUTE < answer.request_time_us <= now + 3 * 60 * world.MINUTE
    assert NOT_ANSWERABLE not in statuses(answer, "spending")
    assert [status for _, status, _ in cells(early, "spending:n_1h")] == [PRESENT, NOT_ANSWERABLE, PRESENT]
    assert early.earliest_answerable_us == answer.request_time_us


def test_features_may_be_listed_and_keep_their_order(online: world.Online) -> None:
    asked = ["offers@1.0.0:label", "deal@1.0.0:relative", "offers@1.0.0:open"]
    answer = online.ask(
        pb.GetOnlineFeaturesRequest(
            project=world.PROJECT,
            features=asked,
            entities={"shop": world.integers(2)},
            request_fields={"amount": world.floats(4.0)},
            request_time_us=world.T0 + world.SECOND,
        )
    )
    assert list(answer.feature_names) == ["offers:label", "deal:relative", "offers:open"]
    assert [cells(answer, name)[0][0] for name in answer.feature_names] == ["shop 2", 2.0, True]
    assert [kind for _, kind in kernel.read_token(answer.as_of_token).views] == ["latest_stream"]


def test_a_request_without_stored_features_needs_no_store(online: world.Online) -> None:
    answer = online.ask(online.echo(210.0))
    assert [cells(answer, name)[0][0] for name in answer.feature_names] == [105.0, True]
    assert kernel.read_token(answer.as_of_token).views == []


def test_every_answer_is_a_served_record_with_its_request(online: world.Online) -> None:
    online.drain()
    request = world.request(["user-0", "user-1"], [0, 1], [1.0, 2.0])
    answer = online.ask(request)
    ((request_id, record),) = online.drain()
    served = served_pb2.ServedRecord.FromString(record).vector
    assert request_id.decode() == answer.request_id
    assert served.request == request
    assert served.response == answer
    assert served.revision == 5
    assert len(served.service_meaning_hash) == 32
    assert abs(served.served_at_us - time.time_ns() // 1_000) < 60 * world.SECOND


def test_a_token_too_large_for_the_answer_is_in_the_record(online: world.Online) -> None:
    online.drain()
    rows = 900
    users = [f"user-{n % USERS}" for n in range(rows)]
    answer = online.ask(world.request(users, [n % SHOPS for n in range(rows)], [1.0] * rows))
    assert answer.as_of_token == b""
    ((_, record),) = online.drain()
    token = served_pb2.ServedRecord.FromString(record).vector.response.as_of_token
    assert len(kernel.read_token(token).positions) == rows


def test_a_prediction_is_a_served_record(online: world.Online) -> None:
    answer = online.ask(world.request(["user-0"], [0], [1.0]))
    online.drain()
    online.stub.LogPrediction(
        pb.LogPredictionRequest(request_id=answer.request_id, project=world.PROJECT, model="m@1", scores=[0.5])
    )
    ((request_id, record),) = online.drain()
    prediction = served_pb2.ServedRecord.FromString(record).prediction
    assert request_id.decode() == prediction.request.request_id == answer.request_id
    assert prediction.request.predicted_at_us == prediction.logged_at_us > 0


def test_a_view_whose_sentinel_is_missing_or_another_is_rebuilding(
    mesh: LocalMesh, online: world.Online, definitions: list[Definition]
) -> None:
    """R6: or of another meaning."""
    hash_hex = kernel.meaning_hash(world.meanings(definitions)["spending"]).hex()
    with redis.Redis.from_url(mesh.store_url) as store:
        for other in (None, "0" * 64):
            store.delete(world.sentinel("spending"))
            if other:
                store.set(world.sentinel("spending"), other)
            answer = online.ask(world.request(["user-0"], [0], [1.0]))
            assert statuses(answer, "spending") == {REBUILDING}
            assert cells(answer, "deal:deviation") == [(None, REBUILDING, 0)]
            assert cells(answer, "deal:relative")[0][1] == NULL
            assert statuses(answer, "offers") == {PRESENT}
        store.set(world.sentinel("spending"), hash_hex)
    assert REBUILDING not in statuses(online.ask(world.request(["user-0"], [0], [1.0])), "spending")


def test_who_wants_all_values_or_none_is_refused_and_told_which_are_missing(
    mesh: LocalMesh, online: world.Online
) -> None:
    asked = world.request(["nobody", "broken", "user-0"], [0, 0, 0], [1.0] * 3)
    asked.partial_results = pb.PARTIAL_RESULTS_FAIL
    whole = world.request(["nobody", "user-0"], [0, 0], [1.0] * 2)
    whole.partial_results = pb.PARTIAL_RESULTS_FAIL
    assert NOT_FOUND in statuses(online.ask(whole), "profile")  # what is not there was looked for
    key = kernel.state_key(world.PROJECT, "user", kernel.entity_id(["broken"]), "spending", "1.0.0")
    online.drain()
    with redis.Redis.from_url(mesh.store_url) as store:
        store.set(key, b"\x07garbage")
        with pytest.raises(grpc.RpcError) as caught:
            online.ask(asked)
        assert online.drain() == []
        asked.partial_results = pb.PARTIAL_RESULTS_STATUS
        assert UNAVAILABLE in statuses(online.ask(asked), "spending")
        store.delete(key)
    error = to_error(caught.value, online.address)
    assert isinstance(error, IncompleteError)
    assert (error.retry, error.metadata["statuses"]) == (True, "UNAVAILABLE")
    assert error.violations[0].path == 'columns["spending:n_1h"].values[1]'
    assert error.violations[0].message == "is UNAVAILABLE"
    assert "of 78 values were not had (UNAVAILABLE)" in error.message


def test_who_wants_all_values_is_told_from_when_on_they_are_there(online: world.Online) -> None:
    asked = world.request(["user-0"], [0], [1.0], world.T0 - 60 * world.MINUTE)
    earliest = online.ask(asked).earliest_answerable_us
    asked.partial_results = pb.PARTIAL_RESULTS_FAIL
    with pytest.raises(grpc.RpcError) as caught:
        online.ask(asked)
    error = to_error(caught.value, online.address)
    assert error.metadata["statuses"] == "NOT_ANSWERABLE"
    assert error.metadata["earliest_answerable_us"] == str(earliest)
    asked.request_time_us = earliest
    assert online.ask(asked).request_id


def test_a_state_that_cannot_be_read_costs_its_own_values(mesh: LocalMesh, online: world.Online) -> None:
    key = kernel.state_key(world.PROJECT, "user", kernel.entity_id(["broken"]), "spending", "1.0.0")
    with redis.Redis.from_url(mesh.store_url) as store:
        store.set(key, b"\x07garbage")
        answer = online.ask(world.request(["broken", "user-0"], [0, 0], [1.0, 1.0]))
        store.delete(key)
    assert [status for _, status, _ in cells(answer, "spending:n_1h")] == [UNAVAILABLE, PRESENT]
    assert "view spending cannot be read" in (online.server.store_error or "")


def test_a_store_that_goes_away_and_comes_back(mesh: LocalMesh, online: world.Online) -> None:
    ask = world.request(["user-0"], [0], [1.0])
    assert UNAVAILABLE not in statuses(online.ask(ask), "spending")
    mesh.kill(STORE)
    deadline = time.monotonic() + 5
    while statuses(online.ask(ask), "spending") != {UNAVAILABLE}:
        assert time.monotonic() < deadline
    for _ in range(20):  # both runtimes
        answer = online.ask(ask)
        assert {s for view in (*world.STORED, "deal") for s in statuses(answer, view)} == {UNAVAILABLE}
    assert mesh.addresses[STORE] in (online.server.store_error or "")
    assert statuses(online.ask(online.echo(1.0)), "alone") == {PRESENT}
    assert kernel.read_token(answer.as_of_token).positions == [[None, None, None]]
    mesh.restart(STORE)
    deadline = time.monotonic() + 15
    while UNAVAILABLE in statuses(online.ask(ask), "spending"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert statuses(online.ask(ask), "offers") == {PRESENT}  # the store keeps its states


def test_a_store_that_is_down_at_the_start(definitions: list[Definition]) -> None:
    with world.Online("redis://127.0.0.1:9") as online:
        online.server.publish(world.plan(definitions))
        answer = online.ask(world.request(["user-0"], [0], [1.0]))
        assert statuses(answer, "spending") == {UNAVAILABLE}
        assert "127.0.0.1:9 does not answer" in (online.server.store_error or "")
        assert online.server.counters()["values.UNAVAILABLE"] == 26


def test_a_store_with_a_wrong_password_says_so(definitions: list[Definition], mesh: LocalMesh) -> None:
    url = mesh.store_url.replace("redis://", "redis://nobody:wrong@")
    with world.Online(url) as online:
        online.server.publish(world.plan(definitions))
        assert statuses(online.ask(world.request(["user-0"], [0], [1.0])), "offers") == {UNAVAILABLE}
        error = online.server.store_error or ""
        assert "WRONGPASS" in error
        assert ":wrong" not in error


def test_counts_are_kept_by_status_and_reason(online: world.Online) -> None:
    before = online.server.counters()
    online.ask(online.echo(1.0))
    with pytest.raises(grpc.RpcError):
        online.ask(pb.GetOnlineFeaturesRequest())
    after = online.server.counters()
    assert after["requests.get_online_features.OK"] == before["requests.get_online_features.OK"] + 1
    assert after["values.PRESENT"] == before["values.PRESENT"] + 2
    assert after["requests.get_online_features.INVALID_ARGUMENT"] >= 1
    assert after["in_flight"] == 0
