"""The chart on PostgreSQL, Valkey and Kafka from outside of it, none of which is there yet when it is installed.

Whatever is missing, pods wait, say for what in their log, are not Ready and are not restarted; the install goes on by
itself as things come.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.k8s.checks import Step
from tests.k8s.cluster import Cluster, Object, container_statuses, describe_pod, is_ready, name_of, restarts
from tests.k8s.images import Images
from tests.k8s.release import Release
from tests.k8s.shell import SuiteError, eventually

INSTALL_S = 420
SAYS_SO_S = 60.0
SECRET_S = 150.0
"""How long a Secret may take until it is seen in a pod."""
DATABASE, STORE = "late-database", "late-store"
"""Secrets, each with the key ``url``."""
PORTS = {"postgres": 5432, "valkey": 6379, "kafka": 9092}
VALUES: dict[str, Any] = {
    "trial": False,
    "database": {"url": {"secretName": DATABASE}},
    "migrations": {"activeDeadlineSeconds": INSTALL_S - 20},
    "store": {"url": {"secretName": STORE}},
    "broker": {"address": f"kafka:{PORTS['kafka']}"},
    "lake": {"volume": {"create": True, "size": "1Gi", "keep": False}},
    "components": {
        **{name: {"replicas": 1, "resources": {"requests": {"cpu": "50m"}}} for name in ("registry", "online")},
        **{name: {"resources": {"requests": {"cpu": "50m"}}} for name in ("offline", "stream-agg", "validator")},
    },
}
_VALKEY = ("--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "")  # noqa: S104 (in a pod)
_KAFKA = ("--listen", "0.0.0.0", "--port", "9092", "--advertise", "kafka:9092", "--data-dir", "/data/kafka")  # noqa: S104 (in a pod)
ARGUMENTS = {"postgres": (), "valkey": _VALKEY, "kafka": _KAFKA}


@dataclass
class Late:
    """A release whose surroundings come one after the other.

    found: what goes into the report.
    """

    cluster: Cluster
    release: Release
    images: Images
    found: dict[str, Any] = field(default_factory=dict)
    _helm: subprocess.Popen[bytes] | None = None

    def steps(self) -> list[Step]:
        return [
            Step("an install begins where nothing is there yet", self.begin, vital=True),
            Step("the migration waits for its Secret and says so", self.wait_for_database_secret),
            Step("the migration waits for PostgreSQL and says so", self.wait_for_database, vital=True),
            Step("services wait for the Secret of the store and say so", self.wait_for_store_secret),
            Step("services wait for Kafka and say so", self.wait_for_broker),
            Step("services wait for Valkey and say so", self.wait_for_store, vital=True),
            Step("all is Ready once everything is there, and the install ends well", self.end_well),
            Step("nothing that waited was restarted", self.look_for_restarts),
            Step("helm test passes", lambda: self.release.test(timeout_s=120)),
        ]

    def begin(self) -> None:
        self.cluster.make_namespace(self.release.namespace, "restricted")
        self._helm = self.release.begin_install(timeout_s=INSTALL_S)

    def wait_for_database_secret(self) -> None:
        self._waits(self._migration, "the migration", "/etc/skewless/database/url")

    def wait_for_database(self) -> None:
        self._secret(DATABASE, f"postgresql://skewless@postgres:{PORTS['postgres']}/skewless")
        try:
            self._waits(self._migration, "the migration", f"postgres:{PORTS['postgres']}", within_s=SECRET_S)
        finally:
            self._start("postgres")

    def wait_for_store_secret(self) -> None:
        for component in ("online", "offline", "stream-agg"):
            self._waits(self._one(component), component, "/etc/skewless/store/url", within_s=120)

    def wait_for_broker(self) -> None:
        self._secret(STORE, f"redis://valkey:{PORTS['valkey']}/0")
        try:
            for component in ("offline", "stream-agg", "validator"):
                self._waits(self._one(component), component, f"kafka:{PORTS['kafka']}", within_s=SECRET_S)
        finally:
            self._start("kafka")

    def wait_for_store(self) -> None:
        try:
            for component in ("online", "offline", "stream-agg"):
                self._waits(self._one(component), component, f"valkey:{PORTS['valkey']}")
        finally:
            self._start("valkey")

    def end_well(self) -> None:
        if self._helm is None:
            raise SuiteError("no install was begun")
        begun = time.monotonic()
        self.release.wait_until_ready(within_s=180)
        self.found["late_ready_s"] = round(time.monotonic() - begun, 1)
        try:
            _, said = self._helm.communicate(timeout=60)
        except subprocess.TimeoutExpired as error:
            raise SuiteError("everything is Ready, but helm install --wait does not end") from error
        if self._helm.returncode:
            raise SuiteError(
                f"helm install ended with {self._helm.returncode}: {said.decode(errors='replace')[-2000:]}"
            )

    def look_for_restarts(self) -> None:
        restarted = [f"{name_of(pod)}: {restarts(pod)} restarts" for pod in self.release.pods() if restarts(pod)]
        if restarted:
            raise SuiteError("; ".join(restarted))

    def stop(self) -> None:
        """Ends an install that still waits."""
        if self._helm is not None and self._helm.poll() is None:
            self._helm.terminate()
            self._helm.communicate(timeout=30)

    def _waits(self, find: Callable[[], Object | None], what: str, word: str, within_s: float = SAYS_SO_S) -> None:
        """Until the pod runs, is not Ready, and its log names what it waits for. A restart is a fault at once.

        The pod of a Job has no readiness; it must run.
        """

        def says_so() -> bool:
            pod = find()
            if pod is None:
                return False
            if restarts(pod) or pod["status"].get("phase") == "Failed":
                raise SuiteError(f"{what} does not wait: {describe_pod(pod)}: {self._said(pod)}")
            running = any("running" in status.get("state", {}) for status in container_statuses(pod))
            waits = not is_ready(pod) or any(owner["kind"] == "Job" for owner in pod["metadata"]["ownerReferences"])
            return running and waits and word in self._said(pod)

        def state() -> str:
            pod = find()
            return "there is no such pod" if pod is None else f"{describe_pod(pod)}; its log: {self._said(pod)[-1500:]}"

        eventually(f"{what} waits and names {word} in its log", says_so, within_s=within_s, state=state)

    def _said(self, pod: Object) -> str:
        return self.cluster.logs(name_of(pod), self.release.namespace, lines=40)

    def _migration(self) -> Object | None:
        chosen = f"app.kubernetes.io/instance={self.release.name},app.kubernetes.io/component=migrate"
        return next(iter(self.cluster.items("pod", self.release.namespace, chosen)), None)

    def _one(self, component: str) -> Callable[[], Object | None]:
        return lambda: next(iter(self.release.pods(component)), None)

    def _secret(self, name: str, url: str) -> None:
        meta = {"name": name, "namespace": self.release.namespace}
        self.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"url": url}})
        # Kubelets look at the Secrets of a pod about every minute, and at once when the pod is touched.
        self.cluster.call(
            "annotate", "pods", "--all", "-n", self.release.namespace, f"skewless.io/came={name}", "--overwrite"
        )

    def _start(self, part: str) -> None:
        """A stand-in for what a platform has: a pod of the trial image, and a service before it."""
        meta = {"name": part, "namespace": self.release.namespace, "labels": {"late": part}}
        port = PORTS[part]
        self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": meta,
                "spec": {"selector": {"late": part}, "ports": [{"port": port}]},
            },
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": meta,
                "spec": {
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 5,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "fsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": part,
                            "image": self.images.by_part[f"trial-{part}"].name,
                            "imagePullPolicy": "IfNotPresent",
                            "args": list(ARGUMENTS[part]),
                            "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 2},
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "readOnlyRootFilesystem": True,
                                "capabilities": {"drop": ["ALL"]},
                            },
                            "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in ("tmp", "data")],
                        }
                    ],
                    "volumes": [{"name": name, "emptyDir": {}} for name in ("tmp", "data")],
                },
            },
        )
