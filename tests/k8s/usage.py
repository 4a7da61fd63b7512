"""Memory and CPU of pods while something happens, as kubelets measure them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.k8s.cluster import Cluster, name_of
from tests.k8s.shell import CommandError

EVERY_S = 2.0
_MIB = 1 << 20
_UNIQUE = re.compile(r"-[a-z0-9]{5,10}-[a-z0-9]{5}$")


@dataclass
class PodUsage:
    """One pod.

    idle_mib, peak_mib: working set when all was just Ready, and at most; peak_cores: over a measuring interval of the
    kubelet, some 10 s; cpu_s: in all.
    """

    idle_mib: float = 0.0
    peak_mib: float = 0.0
    peak_cores: float = 0.0
    cpu_s: float = 0.0


@dataclass
class Usage:
    """The pods of a namespace, sampled in the background."""

    cluster: Cluster
    namespace: str
    pods: dict[str, PodUsage] = field(default_factory=dict)
    _said: bool = False

    @contextmanager
    def sampled(self) -> Iterator[None]:
        """Inside, samples are taken."""
        ended = threading.Event()
        sampler = threading.Thread(target=self._sample_until, args=(ended,))
        sampler.start()
        try:
            yield
        finally:
            ended.set()
            sampler.join()

    def mark_idle(self) -> None:
        """What the pods use now is what they use idle."""
        for pod, memory, _, _ in self._measures():
            self.pods.setdefault(pod, PodUsage()).idle_mib = memory

    def document(self) -> dict[str, dict[str, float]]:
        """By the name that pods share: how many there were, and the most that one of them used."""
        kinds: dict[str, list[PodUsage]] = {}
        for name, usage in self.pods.items():
            kinds.setdefault(_UNIQUE.sub("", name), []).append(usage)
        return {
            kind: {"pods": len(usages)}
            | {key: round(max(vars(one)[key] for one in usages), 2) for key in vars(usages[0])}
            for kind, usages in sorted(kinds.items())
        }

    def _sample_until(self, ended: threading.Event) -> None:
        while not ended.wait(EVERY_S):
            for pod, memory, cores, seconds in self._measures():
                usage = self.pods.setdefault(pod, PodUsage())
                usage.peak_mib = max(usage.peak_mib, memory)
                usage.peak_cores = max(usage.peak_cores, cores)
                usage.cpu_s = max(usage.cpu_s, seconds)

    def _measures(self) -> list[tuple[str, float, float, float]]:
        """None where kubelets are not to be asked, which is said once."""
        try:
            return list(self._measured())
        except CommandError as error:
            if not self._said:
                print(f"       (memory and CPU are not measured: {error})", flush=True)
            self._said = True
            return []

    def _measured(self) -> Iterator[tuple[str, float, float, float]]:
        """Pod, MiB, cores, seconds of CPU."""
        for node in self.cluster.items("node"):
            summary = json.loads(
                self.cluster.call("get", "--raw", f"/api/v1/nodes/{name_of(node)}/proxy/stats/summary")
            )
            for pod in summary["pods"]:
                if pod["podRef"]["namespace"] == self.namespace:
                    yield pod["podRef"]["name"], *_sums(pod["containers"])


def _sums(containers: list[dict[str, Any]]) -> tuple[float, float, float]:
    memory = sum(one.get("memory", {}).get("workingSetBytes", 0) for one in containers) / _MIB
    cores = sum(one.get("cpu", {}).get("usageNanoCores", 0) for one in containers) / 1e9
    seconds = sum(one.get("cpu", {}).get("usageCoreNanoSeconds", 0) for one in containers) / 1e9
    return memory, cores, seconds
