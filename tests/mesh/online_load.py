"""Load on an online service whose every answer is held against what it must be."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc

from skewless.api.online.v1 import online_service_pb2 as pb

UNAVAILABLE = 10
Row = list[tuple[bytes, int, int]]
"""Per feature: the value in its wire form, status, event time."""


def rows(answer: pb.GetOnlineFeaturesResponse) -> list[Row]:
    columns = [
        [
            (value.SerializeToString(), status, at)
            for value, status, at in zip(c.values, c.statuses, c.event_times_us, strict=True)
        ]
        for c in answer.columns
    ]
    return [list(row) for row in zip(*columns, strict=True)]


@dataclass
class Load:
    """Requests one after another, on several threads, each answer held against what is wanted."""

    ask: Callable[[pb.GetOnlineFeaturesRequest], pb.GetOnlineFeaturesResponse]
    request: Callable[[Sequence[int]], pb.GetOnlineFeaturesRequest]
    """Of these users."""
    wanted: Sequence[Row]
    """By user."""
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    ill: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self._run, args=(n,)) for n in range(3)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _run(self, number: int) -> None:
        while not self.stop.is_set():
            users = [(number * 31 + n * 7) % len(self.wanted) for n in range(number * 9 + 1)]
            number += 1
            number %= 11
            try:
                found = rows(self.ask(self.request(users)))
            except grpc.RpcError as error:
                self.answers[f"refused {error.code().name}"] += 1
                self.ill.append(time.monotonic())
                continue
            whole = True
            for user, row in zip(users, found, strict=True):
                for (value, status, at), right in zip(row, self.wanted[user], strict=True):
                    if status == UNAVAILABLE and not value:
                        whole = False
                    elif (value, status, at) != right:
                        self.wrong.append(f"user {user}: {value!r} {status} {at}, not {right}")
            self.answers["whole" if whole else "in part"] += 1
            if not whole:
                self.ill.append(time.monotonic())
