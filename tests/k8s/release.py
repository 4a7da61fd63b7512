"""A release of the chart: installed, upgraded, looked at, uninstalled."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.k8s.cluster import Cluster, Object, describe_pods, is_ready, name_of
from tests.k8s.shell import SuiteError, eventually, run

SERVICES = ("registry", "online", "offline", "stream-agg", "validator")
_COMPONENT = "app.kubernetes.io/component"
_INSTANCE = "app.kubernetes.io/instance"
_UNASKED = frozenset({"events", "events.events.k8s.io", "endpoints", "endpointslices.discovery.k8s.io"})
"""Kinds that come and go by themselves with others."""


@dataclass(frozen=True)
class Release:
    """helm: the program; files: values files in their order; values: what the suite sets on top of them."""

    cluster: Cluster
    helm: str
    chart: Path
    name: str
    namespace: str
    files: Sequence[Path]
    values: Mapping[str, Any]

    def begin_install(self, *, timeout_s: float) -> subprocess.Popen[bytes]:
        """An install that goes on by itself."""
        process = subprocess.Popen(
            self._command("install", *self._chart(timeout_s)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        if process.stdin is None:
            raise SuiteError("helm has no stdin")
        process.stdin.write(json.dumps(self.values).encode())
        process.stdin.close()
        process.stdin = None  # which `communicate` would close again
        return process

    def install(self, *, timeout_s: float) -> None:
        """Until all is Ready."""
        self._run("install", *self._chart(timeout_s), stdin=self.values, timeout_s=timeout_s)

    def upgrade(self, values: Mapping[str, Any], *, timeout_s: float) -> None:
        """With other values on top of those of the install."""
        more = ["--reuse-values"]
        self._run("upgrade", *self._chart(timeout_s, files=()), *more, stdin=values, timeout_s=timeout_s)

    def rollback(self, *, timeout_s: float) -> None:
        self._run("rollback", self.name, "--wait", f"--timeout={round(timeout_s)}s", timeout_s=timeout_s)

    def test(self, *, timeout_s: float) -> None:
        self._run("test", self.name, "--logs", f"--timeout={round(timeout_s)}s", timeout_s=timeout_s)

    def uninstall(self, *, timeout_s: float) -> None:
        """Also of a release that failed; one that is not there is no fault."""
        more = ["--ignore-not-found", "--wait", f"--timeout={round(timeout_s)}s"]
        self._run("uninstall", self.name, *more, timeout_s=timeout_s)

    def notes(self) -> str:
        return self._run("get", "notes", self.name)

    def pods(self, component: str = "") -> list[Object]:
        """Those that are not on their way out; of one component or of all, without tests and hooks."""
        chosen = f"{_INSTANCE}={self.name}" + (f",{_COMPONENT}={component}" if component else "")
        return [
            pod
            for pod in self.cluster.items("pod", self.namespace, chosen)
            if not pod["metadata"].get("deletionTimestamp")
            and any(
                owner["kind"] in {"ReplicaSet", "StatefulSet"} for owner in pod["metadata"].get("ownerReferences", ())
            )
        ]

    def wait_until_ready(self, component: str = "", *, but: frozenset[str] = frozenset(), within_s: float) -> None:
        """Until all pods are Ready and as many as there shall be; ``but``: pods that must be gone by then."""

        def ready() -> bool:
            pods = self.pods(component)
            wanted = self.wanted(component)
            return len(pods) == wanted and all(map(is_ready, pods)) and not but & set(map(name_of, pods))

        eventually(
            f"all pods of {component or self.name} are Ready",
            ready,
            within_s=within_s,
            state=lambda: describe_pods(self.pods(component)),
        )

    def wanted(self, component: str = "") -> int:
        """How many pods there shall be."""
        chosen = f"{_INSTANCE}={self.name}" + (f",{_COMPONENT}={component}" if component else "")
        return sum(
            owner["spec"]["replicas"]
            for kind in ("deployment", "statefulset")
            for owner in self.cluster.items(kind, self.namespace, chosen)
        )

    def address(self, component: str, port: str = "grpc") -> str:
        """``host:port`` by which pods of the namespace reach a component."""
        chosen = f"{_INSTANCE}={self.name},{_COMPONENT}={component}"
        for service in self.cluster.items("service", self.namespace, chosen):
            for one in service["spec"]["ports"]:
                if one["name"] == port and service["spec"].get("clusterIP") != "None":
                    return f"{name_of(service)}:{one['port']}"
        raise SuiteError(f"{component} has no service with a port that is called {port}")

    def addresses(self) -> dict[str, str]:
        """Of all services by their names in Python, and of the trial's broker."""
        found = {component.replace("-", "_"): self.address(component) for component in SERVICES}
        return {**found, "broker": self.address("trial-kafka", "kafka")}

    def _chart(self, timeout_s: float, files: Sequence[Path] | None = None) -> list[str]:
        given = self.files if files is None else files
        values = [word for file in given for word in ("--values", str(file))]
        return [self.name, str(self.chart), *values, "--values", "-", "--wait", f"--timeout={round(timeout_s)}s"]

    def _command(self, *arguments: str) -> list[str]:
        return [self.helm, *arguments, f"--namespace={self.namespace}", f"--kubeconfig={self.cluster.kubeconfig}"]

    def _run(self, *arguments: str, stdin: Mapping[str, Any] | None = None, timeout_s: float = 30) -> str:
        document = None if stdin is None else json.dumps(stdin).encode()
        return run(self._command(*arguments), stdin=document, timeout_s=timeout_s + 15)


def everything(cluster: Cluster, namespace: str, release: str) -> set[str]:
    """``kind/name`` of all objects of a namespace, and of those outside that carry the release's label."""
    found: set[str] = set()
    for scope in ("true", "false"):
        command = ["api-resources", "--verbs=list", f"--namespaced={scope}", "-o", "name"]
        kinds = sorted(set(cluster.call(*command).split()) - _UNASKED)
        where = ["-n", namespace] if scope == "true" else ["-l", f"{_INSTANCE}={release}"]
        listed = cluster.call("get", ",".join(kinds), "-o", "name", "--ignore-not-found", *where)
        found |= set(listed.split())
    return found
