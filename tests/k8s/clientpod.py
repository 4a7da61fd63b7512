"""A pod that asks the mesh as an application would: the image of the command line, and code streamed into it."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.k8s.cluster import Cluster
from tests.k8s.shell import SuiteError
from tests.k8s.storage import UID

ROOT = Path(__file__).resolve().parents[2]
CODE = (
    "examples/__init__.py",
    *(f"examples/fraud/{name}" for name in ("__init__.py", "*.py", "payments.binpb")),
    *(f"examples/shared/{name}.py" for name in ("__init__", "asking", "publish")),
    "tests/k8s/client/*.py",
    "tests/mesh/fraud_run.py",
)
"""What the client's part needs beside its image."""
PLACE = "/tmp/suite"  # noqa: S108 (of the pod, which has nothing else that it may write)
_UNPACK = "import sys, tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode='r|').extractall(sys.argv[1])"
_IDLE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); signal.pause()"
_SETTLE_S = 2.0


@dataclass
class Reading:
    """A load of reads; `found` is there when it has ended."""

    found: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ClientPod:
    """The pod ``client`` of a namespace. labels: those of a pod that may call the services."""

    cluster: Cluster
    namespace: str
    image: str
    labels: Mapping[str, str]
    name: str = "client"

    def make(self) -> None:
        restricted = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": self.name, "namespace": self.namespace, "labels": dict(self.labels)},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 5,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": UID,
                        "runAsGroup": UID,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": self.name,
                            "image": self.image,
                            "imagePullPolicy": "IfNotPresent",
                            "command": ["python", "-c", _IDLE],
                            "env": [{"name": "PYTHONPATH", "value": PLACE}],
                            "securityContext": restricted,
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 (of the pod)
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            }
        )
        self.cluster.wait_for_pod(self.name, self.namespace, within_s=90)
        self.cluster.exec(self.name, self.namespace, "python", "-c", _UNPACK, PLACE, stdin=_packed())

    def run(self, part: str, addresses: Mapping[str, str], *, timeout_s: float) -> dict[str, Any]:
        """What a part of `tests.k8s.client` prints."""
        said = self.cluster.exec(self.name, self.namespace, *_client(part, addresses), timeout_s=timeout_s)
        return _document(said)

    @contextmanager
    def reading(self, addresses: Mapping[str, str], *, at_most_s: float) -> Iterator[Reading]:
        """Inside, vectors are read all the time."""
        reading = Reading()
        limit = ("--at-most-s", str(at_most_s))
        process = self.cluster.begin_exec(self.name, self.namespace, *_client("read", addresses), *limit)
        try:
            time.sleep(_SETTLE_S)
            yield reading
            time.sleep(_SETTLE_S)
            stdout, stderr = process.communicate(timeout=60)
        except subprocess.TimeoutExpired as error:
            raise SuiteError("the client did not stop reading within 60 s") from error
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise SuiteError(f"the client that read ended with {process.returncode}: {stderr.decode()[-2000:]}")
        reading.found.update(_document(stdout.decode()))


def _client(part: str, addresses: Mapping[str, str]) -> tuple[str, ...]:
    return "python", "-m", "tests.k8s.client", part, "--addresses", json.dumps(addresses)


def _document(said: str) -> dict[str, Any]:
    lines = said.strip().splitlines()
    if not lines:
        raise SuiteError("the client said nothing")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _packed() -> bytes:
    """The code as a tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for file in sorted({file for pattern in CODE for file in ROOT.glob(pattern)}):
            archive.add(file, str(file.relative_to(ROOT)))
    return packed.getvalue()
