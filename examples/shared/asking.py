"""The application's side: waiting until events are absorbed, asking for vectors, replaying and explaining them.

Every call is tried again while its error says that it may pass: services go away for seconds and come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa
from rich.progress import Progress

from examples.shared.publish import Publisher
from skewless.client import OnlineFeatures, Replay, Store
from skewless.clock import Backoff
from skewless.errors import SkewlessError, UnknownFeatureError
from skewless.types import from_micros

T = TypeVar("T")

PATIENCE_S = 60.0
_PAUSE = Backoff(0.05, 1.0)


def patiently(call: Callable[[], T], *, also: tuple[type[SkewlessError], ...] = ()) -> T:
    """What the call gives, as soon as it gives something.

    also: errors that pass as well in this place, beside those that say so of themselves.
    Raises the last error after PATIENCE_S.
    """
    deadline = time.monotonic() + PATIENCE_S
    failures = 0
    while True:
        try:
            return call()
        except SkewlessError as error:
            if not (error.retry or isinstance(error, also)) or time.monotonic() > deadline:
                raise
        failures += 1
        time.sleep(_PAUSE.after(failures))


@dataclass
class Asked:
    """What was asked, a row per vector, with the outcome that a model is to predict.

    types: the columns of entity keys, request fields and ``request_time``.
    """

    types: Mapping[str, pa.DataType]
    request_ids: list[str] = field(default_factory=list)
    labels: list[bool | None] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._cells: dict[str, list[Any]] = {name: [] for name in self.types}

    def ask(
        self,
        store: Store,
        service: str,
        keys: Mapping[str, Any],
        *,
        request: Mapping[str, Any],
        request_time_us: int,
        label: bool | None,
    ) -> OnlineFeatures:
        """Asks for one vector and notes it. The latency is that of the call that was answered."""

        def call() -> tuple[OnlineFeatures, float]:
            begun = time.perf_counter()
            answer = store.get_online_features(service, keys, request=request, request_time=request_time_us)
            return answer, (time.perf_counter() - begun) * 1_000

        answer, latency_ms = patiently(call)
        self.request_ids.append(answer.request_id)
        self.labels.append(label)
        self.latencies_ms.append(latency_ms)
        for name, cell in {**keys, **request, "request_time": request_time_us}.items():
            self._cells[name].append(cell)
        return answer

    def frame(self) -> pa.Table:
        """The frame that training starts from."""
        columns: dict[str, Any] = {
            "request_id": pa.array(self.request_ids, pa.string()),
            "label": pa.array(self.labels, pa.bool_()),
        }
        columns |= {name: pa.array(cells, self.types[name]) for name, cells in self._cells.items()}
        return pa.table(columns)


def load_tables(store: Store, views: Iterable[str]) -> None:
    """Brings static tables online, as soon as the offline service has heard of their views."""
    for view in views:
        run(store, view)


def run(store: Store, view: str, *, as_of_us: int | None = None) -> None:
    """Brings a batch view up to an instant (None: now)."""
    patiently(lambda: store.materialize(view, as_of=as_of_us), also=(UnknownFeatureError,))


def absorb(store: Store, publisher: Publisher, *, logged: bool = False) -> None:
    """Waits until everything published is readable online; with ``logged``, in the event log as well."""
    publisher.flush()
    positions = publisher.positions()
    patiently(lambda: store.stream_status(wait_for=positions, wait_for_log=logged, timeout_s=120))


def replay(store: Store, asked: Asked, progress: Progress) -> Replay:
    """Has every served vector computed again, as soon as the served log has the last ones."""
    task = progress.add_task("replaying what was served", total=len(asked.request_ids))
    patiently(lambda: store.replay(asked.request_ids[-100:]))
    return store.replay(on_progress=lambda so_far: progress.update(task, completed=so_far.replayed))


def explain(store: Store, request_id: str, feature: str, decode: Callable[[bytes], Any]) -> dict[str, Any]:
    """One served value taken apart, down to its events.

    decode: a record's payload as something that JSON can hold.
    """
    found = store.explain(request_id, feature, max_events=1_000)
    return {
        "feature": feature,
        "entity": found.entity,
        "request_time": from_micros(found.request_time_us).isoformat(),
        "value": found.value,
        "events": [
            {"event_time": from_micros(event.event_time_us).isoformat(), "log": event.log,
             "partition": event.partition, "offset": event.offset, "payload": decode(event.payload)}
            for event in found.events
        ],
    }  # fmt: skip
