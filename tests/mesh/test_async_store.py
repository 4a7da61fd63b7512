"""The client of asyncio against real services: it says what the blocking one says."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator

import pytest

from skewless.client import AsyncStore, OnlineFeatures, Store
from skewless.definitions.resource import Kind
from skewless.errors import ApiKeyUnknownError, InvalidArgumentError, NotReadyError, UnknownFeatureServiceError
from skewless.local import LocalMesh
from tests.mesh import online_world as world

CALLS = 300


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path_factory.mktemp("mesh"), services=("registry", "online")) as running:
        yield running


def client(mesh: LocalMesh) -> AsyncStore:
    return AsyncStore(world.PROJECT, registry=mesh.addresses["registry"], online=mesh.addresses["online"])


def content(answer: OnlineFeatures) -> dict[str, object]:
    """All but what names an answer."""
    return {name: value for name, value in dataclasses.asdict(answer).items() if name not in {"request_id", "token"}}


def test_it_defines_and_serves_as_the_blocking_one_does(mesh: LocalMesh) -> None:
    async def run() -> tuple[list[OnlineFeatures], list[str]]:
        async with client(mesh) as store:
            plan = await store.plan(world.project())
            assert (await store.apply(world.project(), after=plan)).revision == 1
            names = [definition.ref async for definition in store.list_definitions(Kind.FEATURE_SERVICE)]
            # What was applied is known to the calls that follow, as many as there are at once.
            answers = await asyncio.gather(
                *(
                    store.get_online_features("echo@1.0.0", {}, request={"amount": float(n)}, request_time=world.T0)
                    for n in range(CALLS)
                )
            )
            await store.log_prediction(answers[0].request_id, "m@1", [0.5])
            return answers, names

    answers, names = asyncio.run(run())
    with Store(world.PROJECT, registry=mesh.addresses["registry"], online=mesh.addresses["online"]) as store:
        assert names == [definition.ref for definition in store.list_definitions(Kind.FEATURE_SERVICE)]
        for n, answer in enumerate(answers):
            if n % 50 == 0:
                asked = {"amount": float(n)}
                same = store.get_online_features("echo@1.0.0", {}, request=asked, request_time=world.T0)
                assert content(same) == content(answer)
    assert len({answer.request_id for answer in answers}) == CALLS
    (column,) = {tuple(answer.values) for answer in answers}
    assert [answer.values[column[0]][0] for answer in answers] == [n / 2 for n in range(CALLS)]


def test_refusals_are_the_same_errors(mesh: LocalMesh) -> None:
    async def run() -> None:
        async with client(mesh) as store:
            await store.apply(world.project())
            with pytest.raises(UnknownFeatureServiceError):
                await store.get_online_features("nothing@1.0.0", {})
            with pytest.raises(InvalidArgumentError, match="amuont"):
                await store.get_online_features("echo@1.0.0", {}, request={"amount": 1.0, "amuont": 2.0})

    asyncio.run(run())


def test_a_key_is_sent(tmp_path_factory: pytest.TempPathFactory) -> None:
    environ = {"SKEWLESS_API_KEYS": "required"}
    directory = tmp_path_factory.mktemp("keys")

    async def run(running: LocalMesh) -> OnlineFeatures:
        async with client(running) as store:
            await store.apply(world.project())
            made = await store.create_api_key("inference")
        async with AsyncStore(world.PROJECT, online=running.addresses["online"], api_key=made.key) as store:
            for _ in range(400):
                try:
                    return await store.get_online_features("echo@1.0.0", {}, request={"amount": 1.0})
                except (ApiKeyUnknownError, NotReadyError):  # the news of it, or of any key, has not arrived yet
                    await asyncio.sleep(0.05)
        raise AssertionError("the key stays unknown")

    with LocalMesh(directory, services=("registry", "online"), environ=environ) as running:
        assert len(asyncio.run(run(running))) == 1
