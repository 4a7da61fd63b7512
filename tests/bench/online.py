"""Vectors per second: a closed loop against the online service, generator, service, store and broker on this machine.

    python tests/bench/online.py [--seconds N] [--in-flight N] [--rows N] [--services N]
        [--connections N]

A request asks for 24 features of 3 views (one windowed) of 2 entities and 2 on-demand features, one row, at a time at
which windows hold tiles. The case `no_served_log` leaves out the served log; `headline` logs every answer to the
broker. `echo_req_per_s` is the same server with features that need no store. `online_cpus_at_10k` and
`store_cpus_at_10k` are how many CPUs service and store have to do at 10,000 requests/s of the model; `store_bytes_VIEW`
is what the store holds for an entity with 40 events or one row. JSON lines on stdout, progress on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import grpc
import redis

import skewless as sk
from skewless import kernel
from skewless.api.online.v1 import online_service_pb2 as pb
from skewless.api.online.v1 import online_service_pb2_grpc as stubs
from skewless.client import Store
from skewless.local import STORE, LocalMesh

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.mesh import online_world as world  # noqa: E402 (found through the path set above)

METHOD = "/skewless.api.online.v1.OnlineService/GetOnlineFeatures"
USERS, SHOPS, REQUESTS = 1_000, 100, 2_000
APPLIED = 1_000
"""Definitions of one apply, the most that the registry takes."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def generator() -> Path:
    """The load generator, built if need be."""
    command = ["cargo", "build", "--release", "--locked", "-p", "skewless-loadgen", "--message-format", "json"]
    done = subprocess.run(
        [*command, "--manifest-path", str(ROOT / "kernel" / "Cargo.toml")], check=True, stdout=subprocess.PIPE
    )
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "skewless-loadgen":
            return Path(message["executable"])
    raise RuntimeError("cargo built no load generator")


def write_requests(path: Path, requests: Iterable[pb.GetOnlineFeaturesRequest]) -> Path:
    """Requests as the generator reads them: each behind its length."""
    with path.open("wb") as file:
        for request in requests:
            encoded = request.SerializeToString()
            file.write(len(encoded).to_bytes(4, "big") + encoded)
    return path


def model_requests(rows: int = 1) -> Iterable[pb.GetOnlineFeaturesRequest]:
    rnd = random.Random(1)  # noqa: S311 (the same load each time)
    for _ in range(max(REQUESTS // rows, 100)):
        users = [f"user-{rnd.randrange(USERS)}" for _ in range(rows)]
        shops = [rnd.randrange(SHOPS) for _ in range(rows)]
        yield world.request(users, shops, [rnd.random() * 100 for _ in range(rows)])


def echo_requests() -> Iterable[pb.GetOnlineFeaturesRequest]:
    for n in range(REQUESTS):
        yield pb.GetOnlineFeaturesRequest(
            project=world.PROJECT, feature_service="echo@1.0.0", request_fields={"amount": world.floats(float(n))}
        )


def wait_until_served(address: str) -> None:
    """Until the service answers the model with every value from the store."""
    deadline = time.monotonic() + 30
    with grpc.insecure_channel(address) as channel:
        stub = stubs.OnlineServiceStub(channel)
        while True:
            try:
                answer = stub.GetOnlineFeatures(next(iter(model_requests())), timeout=5)
            except grpc.RpcError as error:
                problem = str(error.details())
            else:
                unanswered = {s for column in answer.columns for s in column.statuses if s > 7}
                if not unanswered:
                    return
                problem = f"statuses {unanswered}"
            if time.monotonic() > deadline:
                raise TimeoutError(f"the service does not answer the model: {problem}")
            time.sleep(0.1)


def crowd(services: int) -> sk.Project:
    """The model among so many feature services, each of a view of ten features that nobody asks for."""
    columns = {f"c{n}": "float64" for n in range(10)}
    source = sk.BatchSource(
        "crowd", path="crowd", event_time="at", columns={"user": "string", "at": "timestamp"} | columns
    )
    views = [
        sk.BatchFeatureView(f"crowd_{n}", entity=world.USER, source=source, features=list(columns))
        for n in range(services)
    ]
    others = (sk.FeatureService(view.name, features=[view]) for view in views)
    return sk.Project(world.PROJECT, world.MODEL, world.ECHO, *others)


def measure(args: argparse.Namespace, program: Path, *, served_log: bool) -> dict[str, tuple[float, str]]:
    """Each metric with its unit."""
    environ = {"SKEWLESS_SERVED_LOG": str(served_log), "SKEWLESS_PROJECT_RATE": "0"}
    with (
        tempfile.TemporaryDirectory(prefix="skewless-bench-") as directory,
        LocalMesh(directory, services=("registry", "online"), environ=environ) as mesh,
        Store(world.PROJECT, registry=mesh.addresses["registry"], online=mesh.addresses["online"]) as store,
    ):
        say(f"served log {'on' if served_log else 'off'}: states of {USERS} users and {SHOPS} shops")
        project = crowd(args.services)
        definitions = project.definitions()
        for first in range(0, len(definitions), APPLIED):
            store.apply(definitions[first : first + APPLIED])
        states = world.fill(mesh.store_url, definitions, USERS, SHOPS)
        held = {f"store_bytes_{view}": (size, "B") for view, size in bytes_held(mesh.store_url, states).items()}
        address = mesh.addresses["online"]
        wait_until_served(address)

        def load(name: str, requests: Callable[[], Iterable[pb.GetOnlineFeaturesRequest]]) -> dict[str, Any]:
            file = write_requests(Path(directory) / name, requests())
            command = [str(program), "--target", address, "--method", METHOD, "--requests", str(file)]
            command += ["--in-flight", str(args.in_flight), "--connections", str(args.connections)]
            command += ["--seconds", str(args.seconds), "--warm-up", "2"]
            say(f"{name}: {args.in_flight} in flight for {args.seconds} s")
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            result: dict[str, Any] = json.loads(done.stdout)
            if result["failures"]:
                raise RuntimeError(f"calls failed: {result['failures']}, first: {result['first_failure']}")
            say(f"  {result['req_per_s']:.0f}/s, p95 {result['p95_ms']:.2f} ms, p99 {result['p99_ms']:.2f} ms")
            return result

        pids = {part: mesh.pid(part) for part in ("online", STORE)}
        if None in pids.values():
            raise RuntimeError(f"not all of it runs: {pids}")
        echo = load("echo", echo_requests)
        before, began = {part: cpu_s(pid) for part, pid in pids.items() if pid}, time.monotonic()
        model = load("model", lambda: model_requests(args.rows))
        took = time.monotonic() - began
        cpus = {
            f"{part}_cpus_at_10k": ((cpu_s(pid) - before[part]) / took * 10_000 / model["req_per_s"], "")
            for part, pid in pids.items()
            if pid
        }
        return (
            held
            | cpus
            | {
                "req_per_s": (model["req_per_s"], "1/s"),
                "p50_ms": (model["p50_ms"], "ms"),
                "p95_ms": (model["p95_ms"], "ms"),
                "p99_ms": (model["p99_ms"], "ms"),
                "echo_req_per_s": (echo["req_per_s"], "1/s"),
                "ratio_to_echo": (model["req_per_s"] / echo["req_per_s"], ""),
                "peak_rss_mb": (peak_rss_mb(pids["online"] or 0), "MiB"),
            }
        )


def bytes_held(store_url: str, states: world.States) -> dict[str, float]:
    """What the store holds for an entity, by view: its keys, their values and what the store needs to find them."""
    entities = {view.name: view.entity.name for view in (world.SPENDING, world.PROFILE, world.OFFERS)}
    found = {}
    with redis.Redis.from_url(store_url) as store:
        for view, heads in states.heads.items():
            total = 0
            for identity in heads:
                key = kernel.state_key(world.PROJECT, entities[view], identity, view, "1.0.0")
                total += sum(store.memory_usage(part) or 0 for part in (key, f"{key}:b"))
            found[view] = total / len(heads)
    return found


def cpu_s(pid: int) -> float:
    """The CPU time that a process has used, all of its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_rss_mb(pid: int) -> float:
    """The most memory that a process has held, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmHWM")


def main() -> int:
    """The process. Non-zero if it could not measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each load lasts")
    parser.add_argument("--in-flight", type=int, default=64, help="calls in flight")
    parser.add_argument("--services", type=int, default=0, help="further feature services, of ten features each")
    parser.add_argument("--rows", type=int, default=1, help="entity rows of a request of the model")
    parser.add_argument("--connections", type=int, default=4, help="connections of the generator")
    args = parser.parse_args()
    program = generator()
    versions = {
        "python": platform.python_version(),
        "grpc": grpc.__version__,
        "semantics": str(kernel.SEMANTICS_REVISION),
    }
    shape = {
        "features": 24,
        "views": 3,
        "entities": 2,
        "on_demand": 2,
        "rows": args.rows,
        "services": args.services,
        "users": USERS,
    }
    shape |= {"in_flight": args.in_flight, "connections": args.connections, "cpus": os.cpu_count() or 0}
    for case, served_log in (("no_served_log", False), ("headline", True)):
        for metric, (value, unit) in measure(args, program, served_log=served_log).items():
            line = {
                "bench": "online",
                "metric": metric,
                "value": round(value, 3),
                "unit": unit,
                "params": {"case": case, "served_log": served_log, **shape},
                "versions": versions,
            }
            print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
