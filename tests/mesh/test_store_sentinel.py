"""A store that a Sentinel watches: its primary dies, a replica takes over, and everybody finds it."""

from pathlib import Path

import pytest

from services.stream_agg.ports import StateWrite
from services.stream_agg.store import ValkeyStore
from skewless.settings import Secret
from skewless.store import StoreLostError
from tests.mesh import online_world as world
from tests.mesh.test_states import head
from tests.store_servers import until, watched_store

UNAVAILABLE = 10


def test_a_replica_takes_over(tmp_path: Path) -> None:
    definitions = world.project().definitions()
    request = world.request(["user-0", "user-1"], [0, 1], [50.0, 7.0])
    with watched_store(tmp_path) as watched:
        world.fill(f"redis://127.0.0.1:{watched.primary.port}", definitions, 2, 2)
        store = ValkeyStore(Secret(watched.url), replicas=1)
        states = store.connect()
        assert states.write([StateWrite("{a}", head(7), b"kept", None)]) == [True]
        states.set_sentinel("there", b"1")
        states.barrier()
        with world.Online(watched.url) as online:
            online.server.publish(world.plan(definitions))
            wanted = online.ask(request).columns
            assert {status for column in wanted for status in column.statuses} <= {1, 2}

            watched.primary.kill()
            with pytest.raises(StoreLostError):
                states.load("there", ["{a}"])
            stored = [column for column in online.ask(request).columns if UNAVAILABLE in column.statuses]
            assert stored
            assert not any(value.WhichOneof("kind") for column in stored for value in column.values)

            until(lambda: watched.replica.role() == "master", "the replica does not take over")
            until(lambda: online.ask(request).columns == wanted, "the values do not come back")
            states = ValkeyStore(Secret(watched.url)).connect()
            assert states.load("there", ["{a}"]) == [(head(7), b"kept")]
            states.close()


def test_a_sentinel_that_is_not_there_or_knows_no_such_service_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreLostError, match=r"127\.0\.0\.1:1"):
        ValkeyStore(Secret("redis+sentinel://127.0.0.1:1/features")).connect()
    with watched_store(tmp_path) as watched:
        url = watched.url.replace("/features", "/nothing")
        with pytest.raises(StoreLostError, match="nothing"):
            ValkeyStore(Secret(url)).connect()
        with world.Online(url) as online:
            online.server.publish(world.plan(world.project().definitions()))
            until(lambda: "knows no nothing" in (online.server.store_error or ""), "it does not say so")
