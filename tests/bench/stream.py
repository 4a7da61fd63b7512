"""Freshness of a live stream: 10,000 events a second through broker, worker and store, read back by gRPC.

    python tests/bench/stream.py [--rate N] [--seconds N] [--keys N]

Beside the load, probes are sent: events of entities of their own. A probe's freshness is the time from just before
it is given to the Kafka client until an online request answers with it. JSON lines on stdout, progress on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka
import pyarrow as pa

import skewless as sk
from skewless import kernel
from skewless.bus import Bus
from skewless.client import Store
from skewless.local import BROKER, STORE, LocalMesh

TOPIC = "bench.payments"
PARTITIONS = 4
TICK_S = 0.01
PROBE_EVERY_S = 0.1
PROBE_LIMIT_S = 30.0

user = sk.Entity("user")
payments = sk.StreamSource(
    "payments",
    topic=TOPIC,
    record_key=["user"],
    event_time="event_time",
    columns={"event_time": "timestamp", "user": "string", "amount": "float64", "merchant": "string"},
)
view = sk.StreamFeatureView(
    "spending",
    entity=user,
    source=payments,
    features=[
        sk.count("n", windows=["1h", "24h"]),
        sk.sum("paid", "amount", windows=["1h", "24h"]),
        sk.max("most", "amount", windows=["1h", "24h"]),
        sk.stddev("spread", "amount", windows=["24h"]),
        sk.last("merchant", "merchant", windows=["24h"]),
    ],
)
PROBED = "spending@1.0.0:n_1h"


@dataclass
class Load:
    """Sends at a steady rate from its own thread; late ticks are made up for."""

    bus: Bus
    rate: int
    seconds: float
    keys: int
    sent: int = 0
    late_s: float = 0.0
    error: BaseException | None = None

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 (handed to the main thread)
            self.error = error

    def _run(self) -> None:
        rnd = random.Random(1)  # noqa: S311 (the same load each time)
        users = [f"user-{n}".encode() for n in range(self.keys)]
        with self.bus.sender(linger_ms=2) as sender:
            began = time.monotonic()
            while (elapsed := time.monotonic() - began) < self.seconds:
                now = time.time_ns() // 1_000
                for _ in range(int(elapsed * self.rate) - self.sent):
                    number = rnd.randrange(self.keys)
                    value = (
                        b'{"event_time":%d,"user":"%b","amount":%d.25,"merchant":"m%d"}'
                        % (now, users[number], number % 90, number % 40)
                    )  # fmt: skip
                    sender.send(TOPIC, value, key=users[number], partition=number % PARTITIONS)
                    self.sent += 1
                time.sleep(TICK_S)
                self.late_s = max(self.late_s, time.monotonic() - began - elapsed - TICK_S)
            sender.flush(30)


def probe(bus: Bus, store: Store, until: float, run: int) -> list[float]:
    """Freshness of each probe in seconds. Raises TimeoutError if one does not arrive."""
    found: list[float] = []
    with bus.sender(linger_ms=0) as sender:
        while time.monotonic() < until:
            name = f"probe-{run}-{len(found)}"
            began = time.monotonic()
            value = {"event_time": time.time_ns() // 1_000, "user": name, "amount": 1.0, "merchant": "m"}
            sender.send(TOPIC, json.dumps(value).encode(), key=name.encode(), partition=len(found) % PARTITIONS)
            while True:
                answer = store.get_online_features([PROBED], entities={"user": [name]})
                took = time.monotonic() - began
                if answer.values["spending:n_1h"][0] == 1:
                    break
                if took > PROBE_LIMIT_S:
                    raise TimeoutError(f"{name} was not readable within {PROBE_LIMIT_S} s")
                time.sleep(0.002)
            found.append(took)
            time.sleep(max(0.0, PROBE_EVERY_S - took))
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_rss_mb(pid: int) -> float:
    """The most memory that a process has held, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmHWM")


def quantile(values: list[float], q: float) -> float:
    """The least value that a share of ``q`` does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measure(args: argparse.Namespace) -> dict[str, tuple[float, str]]:
    """Each metric with its unit."""
    with (
        tempfile.TemporaryDirectory(prefix="skewless-bench-") as directory,
        LocalMesh(directory, services=("registry", "online", "stream_agg")) as mesh,
    ):
        bus = Bus(mesh.addresses[BROKER])
        bus.ensure_topic(TOPIC, partitions=PARTITIONS)
        at = mesh.addresses
        with Store("bench", registry=at["registry"], online=at["online"], stream_agg=at["stream_agg"]) as store:
            store.apply(sk.Project("bench", view))
            wait_until_known(store)
            say("warming up")
            warm = Load(bus, args.rate, min(5.0, args.seconds), args.keys)
            warm.run()
            if warm.error:
                raise warm.error
            probe(bus, store, time.monotonic() + 1, 0)
            pid, store_pid = mesh.pid("stream_agg"), mesh.pid(STORE)
            if pid is None or store_pid is None:
                raise RuntimeError("the aggregator or the store does not run")
            say(f"{args.rate} events/s for {args.seconds} s")
            before, store_before = cpu_s(pid), cpu_s(store_pid)
            load = Load(bus, args.rate, args.seconds, args.keys)
            thread = threading.Thread(target=load.run)
            began = time.monotonic()
            thread.start()
            taken = probe(bus, store, began + args.seconds, 1)
            thread.join()
            wall = time.monotonic() - began
            if load.error:
                raise load.error
            status = store.stream_status(wait_for=[], wait_for_log=True)
            say(f"sent {load.sent} in {wall:.1f} s, late by at most {load.late_s:.3f} s; {len(taken)} probes")
            say(f"store: {cpu_s(store_pid) - store_before:.1f} CPU s; {status[0].records}")
            return {
                "events_per_s": (load.sent / args.seconds, "1/s"),
                "freshness_p50_ms": (quantile(taken, 0.5) * 1e3, "ms"),
                "freshness_p99_ms": (quantile(taken, 0.99) * 1e3, "ms"),
                "cpu_s": (cpu_s(pid) - before, "s"),
                "peak_rss_mb": (peak_rss_mb(pid), "MiB"),
            }


def wait_until_known(store: Store) -> None:
    """Until the aggregator reads the log and the online service knows the view."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = store.stream_status()
        if status and not status[0].stopped and status[0].partitions:
            try:
                store.get_online_features([PROBED], entities={"user": ["nobody"]})
            except sk.errors.SkewlessError as error:
                say(f"waiting: {error}")
            else:
                return
        time.sleep(0.1)
    raise TimeoutError("the mesh did not take the definitions up")


def main() -> int:
    """The process. Non-zero if it could not measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=int, default=10_000, help="events per second")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long")
    parser.add_argument("--keys", type=int, default=10_000, help="entities")
    args = parser.parse_args()
    metrics = measure(args)
    params = {"case": "headline", "rate": args.rate, "seconds": args.seconds, "keys": args.keys}
    params |= {"views": 1, "features": 8}
    versions = {
        "python": platform.python_version(),
        "confluent_kafka": str(confluent_kafka.version()),
        "pyarrow": pa.__version__,
        "semantics": str(kernel.SEMANTICS_REVISION),
    }
    for metric, (value, unit) in metrics.items():
        line = {
            "bench": "stream",
            "metric": metric,
            "value": round(value, 3),
            "unit": unit,
            "params": params,
            "versions": versions,
        }
        print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
