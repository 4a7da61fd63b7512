"""A cluster by its KUBECONFIG, through the command `kubectl`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.k8s.shell import CommandError, SuiteError, eventually, run

Object = dict[str, Any]

MADE_BY = {"app.kubernetes.io/managed-by": "skewless-test-k8s"}
"""The label of whatever the suite makes outside of its namespaces."""


@dataclass(frozen=True)
class Cluster:
    """kubectl: the program; kubeconfig: how it reaches the cluster."""

    kubectl: str
    kubeconfig: Path

    def call(self, *arguments: str, timeout_s: float = 60.0, stdin: bytes | None = None) -> str:
        """What kubectl prints."""
        return run(self.command(*arguments), timeout_s=timeout_s, stdin=stdin)

    def command(self, *arguments: str) -> list[str]:
        return [self.kubectl, f"--kubeconfig={self.kubeconfig}", *arguments]

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        """One object."""
        found: Object = json.loads(self.call("get", kind, name, "-o", "json", *_in(namespace)))
        return found

    def items(self, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        """The objects of a kind."""
        chosen = ["-l", selector] if selector else []
        found: list[Object] = json.loads(self.call("get", kind, "-o", "json", *_in(namespace), *chosen))["items"]
        return found

    def apply(self, *objects: Object) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.call("apply", "-f", "-", stdin=json.dumps(document).encode())

    def delete(self, kind: str, *names: str, namespace: str = "", timeout_s: float = 90.0) -> None:
        """Deletes and waits until they are gone; those that are not there are no fault."""
        limit = f"--timeout={round(timeout_s)}s"
        self.call(
            "delete", kind, *names, *_in(namespace), "--ignore-not-found", "--wait", limit, timeout_s=timeout_s + 15
        )

    def make_namespace(self, name: str, pod_security: str) -> None:
        """A namespace that enforces a level of Pod Security."""
        labels = {**MADE_BY, "pod-security.kubernetes.io/enforce": pod_security}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        eventually(
            f"namespace {name} has its service account",
            lambda: self.call("get", "serviceaccount", "default", *_in(name)),
            within_s=30,
        )

    def wait_for_pod(self, name: str, namespace: str, within_s: float) -> None:
        """Until a pod is Ready."""
        eventually(
            f"pod {name} is Ready",
            lambda: is_ready(self.get("pod", name, namespace)),
            within_s=within_s,
            state=lambda: describe_pod(self.get("pod", name, namespace)),
        )

    def wait_for_end(self, name: str, namespace: str, within_s: float) -> None:
        """Until a pod has ended well."""

        def ended() -> bool:
            phase = self.get("pod", name, namespace)["status"].get("phase")
            if phase == "Failed":
                raise SuiteError(f"pod {name} failed: {self.logs(name, namespace)}")
            return bool(phase == "Succeeded")

        eventually(
            f"pod {name} has ended", ended, within_s=within_s,
            state=lambda: describe_pod(self.get("pod", name, namespace)),
        )  # fmt: skip

    def logs(self, pod: str, namespace: str, *, previous: bool = False, lines: int = -1) -> str:
        """What a pod has said in all of its containers; the reason, if it cannot be had."""
        more = ["--previous"] if previous else []
        try:
            return self.call("logs", pod, *_in(namespace), "--all-containers", f"--tail={lines}", *more)
        except CommandError as error:
            return f"(no log: {error})\n"

    def exec(self, pod: str, namespace: str, *command: str, stdin: bytes | None = None, timeout_s: float = 60) -> str:
        """What a command in a pod prints."""
        way = ["exec", *(["-i"] if stdin is not None else []), pod, *_in(namespace), "--", *command]
        return self.call(*way, stdin=stdin, timeout_s=timeout_s)

    def begin_exec(self, pod: str, namespace: str, *command: str) -> subprocess.Popen[bytes]:
        """A command in a pod that goes on until its stdin is closed."""
        return subprocess.Popen(
            self.command("exec", "-i", pod, *_in(namespace), "--", *command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def name_of(item: Mapping[str, Any]) -> str:
    return str(item["metadata"]["name"])


def is_ready(pod: Mapping[str, Any]) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True" and not pod["metadata"].get("deletionTimestamp")
        for condition in pod["status"].get("conditions", ())
    )


def container_statuses(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        yield from pod["status"].get(kind, ())


def restarts(pod: Mapping[str, Any]) -> int:
    return sum(status["restartCount"] for status in container_statuses(pod))


def describe_pod(pod: Mapping[str, Any]) -> str:
    """How a pod stands, in a line."""
    status = pod["status"]
    words = [f"{name_of(pod)}: {status.get('phase')}"]
    for container in container_statuses(pod):
        for kind, state in container.get("state", {}).items():
            reason = state.get("reason", "")
            words.append(f"{container['name']} {kind}{' ' + reason if reason else ''} {state.get('message', '')}")
        words.append(f"restarts {container['restartCount']}")
    words += [
        f"{condition['type']}: {condition['message']}"
        for condition in status.get("conditions", ())
        if condition["status"] != "True" and condition.get("message")
    ]
    return ", ".join(words)


def describe_pods(pods: Sequence[Mapping[str, Any]]) -> str:
    """Those that are not Ready."""
    return "; ".join(describe_pod(pod) for pod in pods if not is_ready(pod))


def _in(namespace: str) -> list[str]:
    return ["-n", namespace] if namespace else []
