"""What the suite has a client do: ``python -m tests.k8s.client scenario|again|read``. One JSON document on stdout."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from typing import Any

from tests.k8s.client import reading, scenario
from tests.k8s.client.scenario import Addresses


def read(addresses: Addresses, at_most_s: float) -> dict[str, Any]:
    """Reads until stdin is closed, or for so long at most."""
    ended, deadline = threading.Event(), time.monotonic() + at_most_s

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return reading.read(addresses.online, lambda: ended.is_set() or time.monotonic() > deadline).document()


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.k8s.client", description=__doc__)
    parser.add_argument("part", choices=["scenario", "again", "read"])
    parser.add_argument("--addresses", required=True, help="host:port by service, as JSON")
    parser.add_argument("--at-most-s", type=float, default=600.0, help="how long to read, in seconds")
    arguments = parser.parse_args()
    addresses = Addresses(**json.loads(arguments.addresses))
    if arguments.part == "scenario":
        document = scenario.scenario(addresses)
    elif arguments.part == "again":
        document = scenario.again(addresses)
    else:
        document = read(addresses, arguments.at_most_s)
    print(json.dumps(document))


if __name__ == "__main__":
    main()
