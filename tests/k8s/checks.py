"""Checks in an order: each passes, fails, or cannot be run because one that it needs has failed."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.k8s.shell import SuiteError


@dataclass(frozen=True)
class Step:
    """A check and how it is done.

    vital: the steps after it make no sense without it.
    """

    name: str
    act: Callable[[], None]
    vital: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a check. ``fault`` is empty if it passed."""

    name: str
    seconds: float
    fault: str


@dataclass
class Checks:
    """The outcomes so far."""

    outcomes: list[Outcome] = field(default_factory=list)

    def run(self, steps: Sequence[Step]) -> bool:
        """Takes the steps in order; False if a vital one failed. Those behind it count as failed, too."""
        for place, step in enumerate(steps):
            if not self._take(step) and step.vital:
                for left in steps[place + 1 :]:
                    self._note(Outcome(left.name, 0.0, f"not run, since it needs: {step.name}"))
                return False
        return True

    @property
    def failed(self) -> int:
        return sum(bool(outcome.fault) for outcome in self.outcomes)

    def closing_line(self) -> str:
        """``=== 12 passed, 1 failed in 93.21s ===``, as test runners close."""
        seconds = sum(outcome.seconds for outcome in self.outcomes)
        passed = len(self.outcomes) - self.failed
        failed = f", {self.failed} failed" if self.failed else ""
        return f"=== {passed} passed{failed} in {seconds:.2f}s ==="

    def document(self) -> list[dict[str, Any]]:
        return [asdict(outcome) for outcome in self.outcomes]

    def _take(self, step: Step) -> bool:
        begun = time.monotonic()
        fault = ""
        try:
            step.act()
        except SuiteError as error:
            fault = str(error)
        except Exception:  # noqa: BLE001 (whatever it is, the cluster is cleaned and the report written)
            fault = traceback.format_exc()
        self._note(Outcome(step.name, round(time.monotonic() - begun, 2), fault))
        return not fault

    def _note(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        word = "FAILED" if outcome.fault else "ok"
        print(f"{word:<6} {outcome.seconds:6.1f} s  {outcome.name}", flush=True)
        if outcome.fault:
            print("       " + outcome.fault.replace("\n", "\n       "), flush=True)
