"""What the online service demands of its read path and of the log of what was served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

SpanTuple: TypeAlias = tuple[str, bytes, bytes, bytes | None, int, int, int, bytes | None, Sequence[tuple[str, int]]]
"""Name, trace id, span id, parent's span id, start and end in nanoseconds since 1970, gRPC code, request id, and the
stages that ended, each with when."""


CallTuple: TypeAlias = tuple[int, str, str, bytes, Sequence[str], str, int, float, bytes]
"""Ticket, module, function, SHA-256 of the module's source, parameters, type, budget of a row in microseconds, seconds
left for all of it, and the rows as JSON."""


class ReadPath(Protocol):
    """The server of vectors; `skewless_kernel.OnlineServer`."""

    def publish(self, plan_json: bytes) -> Sequence[str]:
        """Serves this plan from now on; gives what of it cannot be served."""

    def publish_access(self, lists_json: bytes) -> None:
        """Replaces the lists of who may call: ``projects`` (names) and ``keys`` (API keys with their hashes)."""

    def drain_key_uses(self) -> Sequence[tuple[str, int]]:
        """API keys that were used since the last time: id, and when, in microseconds since 1970."""

    def set_serving(self, serving: bool) -> None:
        """What the health of the server says."""

    def say_waiting_for(self, what: str) -> None:
        """What callers are told before the first plan."""

    def drain_served(self, max_records: int, timeout_ms: int) -> Sequence[tuple[bytes, bytes]]:
        """Takes served records, each with its request id; waits for the first at most that long."""

    def open_functions(self, interpreter: str, machine: str, lock: bytes) -> None:
        """Takes calls of Python functions from now on, which are made in this environment."""

    def next_call(self, timeout_ms: int) -> CallTuple | None:
        """The next call of a Python function to be made, waited for at most that long."""

    def finish_call(self, ticket: int, results: bytes | None, failure: str | None = None) -> None:
        """Hands over the results of a call, or why there are none."""

    def trace(self, most: int, share: float) -> None:
        """Traces requests from now on; at most so many spans wait, and a share of the requests that begin a trace."""

    def drain_spans(self, max_spans: int) -> Sequence[SpanTuple]:
        """Takes finished spans."""

    def drain_contexts(self) -> Sequence[tuple[bytes, str]]:
        """Takes (request id, ``traceparent``) of served records; each is there before its record can be drained."""

    def exemplars(self) -> Sequence[tuple[str, int, bytes, int, int]]:
        """Of each class of latency the newest traced call: the call, the place of the class, trace id, how long it took
        in microseconds, and when it ended in nanoseconds since 1970."""

    def counters(self) -> Mapping[str, int]:
        """What was counted since the start, by name.

        ``served.waiting``: how many served records wait. ``latency_us.<call>.<upper end>``: calls that took at most so
        many microseconds and more than the class below, up to ``inf``; ``latency_us.<call>.sum``: all they took.
        ``stage_us.<stage>.<upper end>`` likewise: stages of calls, of a sample.
        """

    @property
    def revision(self) -> int | None:
        """The revision of the definitions served; None before the first."""

    @property
    def store_error(self) -> str | None:
        """What is wrong with the store, naming its address; None while it answers."""

    @property
    def tls_error(self) -> str | None:
        """Why renewed certificates are not taken; None if they are, or there are none."""
