"""Python functions in replay: called again only where nothing but their arguments can make a difference."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from services.offline.workflow.compute import Digests
from services.offline.workflow.vectors import Group
from skewless.errors import FunctionNotServedError
from skewless.functions.environment import Environment, FunctionRef, Runner
from skewless.types import Status

DIGEST: Final = 16
NOT_CALLED: Final = bytes(DIGEST)


@dataclass(frozen=True)
class SameEnvironment:
    """Runs functions that were served from the environment that is here; others are NOT_COMPUTED."""

    own: Runner
    served: Environment | None

    @property
    def size(self) -> int:
        """As the service's own."""
        return self.own.size

    def environment(self) -> Environment | None:
        """Where functions run here; None: nowhere."""
        try:
            return self.own.environment()
        except FunctionNotServedError:
            return None

    def refusal(self, function: FunctionRef) -> str | None:
        """Why a function is not called again."""
        here = self.environment()
        if here is None:
            return f"{function.label}: this service runs no Python functions"
        if self.served is None or here != self.served:
            return f"{function.label} ran in another environment"
        return self.own.refusal(function)

    def run(self, function: FunctionRef, rows: bytes, *, limit_s: float = math.inf, tries: int = 1) -> bytes:
        """The results; NOT_COMPUTED for all rows of a function that is not called again."""
        why = self.refusal(function)
        if why is None:
            try:
                return self.own.run(function, rows, limit_s=limit_s, tries=tries)
            except FunctionNotServedError as error:
                why = str(error)
        given_up = [None, int(Status.NOT_COMPUTED), why]
        return json.dumps([None if row is None else given_up for row in json.loads(rows)]).encode()


def other_arguments(group: Group, computed: Digests) -> Mapping[tuple[bytes, str], pa.Array]:
    """By function, true for the rows that it was called with other arguments for than it would be now."""
    found = {}
    for function, now in computed.items():
        then = [_of_row(vector.arguments.get(function, b""), row) for vector, row in group.places]
        rows = range(group.rows.count)
        found[function] = pa.array([_differ(before, _of_row(now, row)) for row, before in zip(rows, then, strict=True)])
    return found


def _of_row(digests: bytes, row: int) -> bytes:
    return digests[row * DIGEST : (row + 1) * DIGEST]


def _differ(then: bytes, now: bytes) -> bool:
    """A row that was not called, then or now, has no arguments to compare: an input was unknown."""
    return bool(then) and NOT_CALLED not in (then, now) and then != now
