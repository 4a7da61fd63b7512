"""What is kept of a namespace when something was not as it must be."""

from __future__ import annotations

from pathlib import Path

from tests.k8s.cluster import Cluster, name_of, restarts
from tests.k8s.shell import CommandError


def save(cluster: Cluster, namespace: str, directory: Path) -> None:
    """Logs of all pods, and what the cluster says of them, as files of a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for file, command in (
        ("objects.txt", ("get", "all,pvc,configmap", "-o", "wide")),
        ("pods.txt", ("describe", "pods")),
        ("events.txt", ("get", "events", "--sort-by=.lastTimestamp")),
    ):
        try:
            said = cluster.call(*command, "-n", namespace)
        except CommandError as error:
            said = f"{error}\n"
        (directory / file).write_text(said, encoding="utf-8")
    try:
        pods = cluster.items("pod", namespace)
    except CommandError as error:
        (directory / "no-logs.txt").write_text(f"{error}\n", encoding="utf-8")
        return
    for pod in pods:
        name = name_of(pod)
        (directory / f"{name}.log").write_text(cluster.logs(name, namespace), encoding="utf-8")
        if restarts(pod):
            said = cluster.logs(name, namespace, previous=True)
            (directory / f"{name}.previous.log").write_text(said, encoding="utf-8")
