"""The offline tables in an object store: the same mesh, with a bucket of an S3 server as its lake."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.shared.asking import patiently
from skewless.local import LocalMesh
from skewless.local.ports import free_port
from tests.mesh import world
from tests.mesh.test_kill import settle, start

BUCKET = "lake"


@pytest.fixture(scope="module")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of an S3 server with an empty bucket."""
    port = free_port()
    log = tmp_path_factory.mktemp("s3") / "log"
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as sink, subprocess.Popen(command, stdout=sink, stderr=sink) as server:
        try:
            deadline = time.monotonic() + 60
            while request(f"127.0.0.1:{port}", "PUT", f"/{BUCKET}") != 200:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def request(address: str, method: str, path: str) -> int:
    """The status of the answer; 0 if there is none yet."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def environment(object_store: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{object_store}",
        "AWS_ALLOW_HTTP": "true",
        "SKEWLESS_LAKE": f"s3://{BUCKET}/features",
        "SKEWLESS_COMMIT_MS": "200",
        "SKEWLESS_SERVED_COMMIT_MS": "200",
    }


def test_what_was_served_is_replayed_from_a_bucket(object_store: str, tmp_path: Path) -> None:
    services = ("registry", "online", "stream_agg", "offline")
    with LocalMesh(tmp_path, services=services, environ=environment(object_store)) as mesh:
        bus, store = start(mesh)
        with store:
            payments = world.Payments(bus, 3)
            payments.send(300, bad=0.1)
            settle(store, payments)
            service = "model@1.0.0"
            asked = [store.get_online_features(service, {"user": user}).request_id for user in world.USERS]
            payments.send(100)  # not known to what was served
            for name in ("offline", "stream_agg"):
                mesh.kill(name)
                mesh.restart(name)
            patiently(lambda: settle(store, payments))
            found = patiently(lambda: store.replay(asked))
    assert (found.replayed, found.different) == (len(asked), 0)
    assert list(mesh.lake.iterdir()) == []
