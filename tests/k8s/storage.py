"""Volumes for a cluster that provides none: directories of one node, made and removed by short pods as root."""

from __future__ import annotations

from dataclasses import dataclass

from tests.k8s.cluster import MADE_BY, Cluster, Object, name_of
from tests.k8s.shell import SuiteError

UID = 65532
"""Who must be able to write; of every image."""
ROOT = "/var/tmp"  # noqa: S108 (a directory of the node that outlives its pods)
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_PREPARE = """
import os, sys
for path in sys.argv[2:]:
    os.makedirs(path, exist_ok=True)
    os.chown(path, int(sys.argv[1]), int(sys.argv[1]))
    os.chmod(path, 0o770)
"""
_REMOVE = """
import shutil, sys
shutil.rmtree(sys.argv[1])
"""


def has_default_class(cluster: Cluster) -> bool:
    """Whether the cluster makes volumes by itself."""
    return any(one["metadata"].get("annotations", {}).get(_DEFAULT) == "true" for one in cluster.items("storageclass"))


@dataclass(frozen=True)
class Volumes:
    """Local volumes on one node and a class of their own.

    name: of the class, of the namespace of the pods as root, and of the directory below ROOT.
    image: has Python.
    """

    cluster: Cluster
    name: str
    image: str
    count: int = 6
    size: str = "4Gi"

    def make(self) -> None:
        self.cluster.make_namespace(self.name, "privileged")
        node = self._node()
        places = [f"{ROOT}/{self.name}/{number}" for number in range(self.count)]
        self._as_root("prepare", node, _PREPARE, str(UID), *places)
        hostname = self.cluster.get("node", node)["metadata"]["labels"]["kubernetes.io/hostname"]
        self.cluster.apply(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": self.name, "labels": MADE_BY},
                "provisioner": "kubernetes.io/no-provisioner",
                "volumeBindingMode": "WaitForFirstConsumer",
            },
            *(self._volume(number, place, hostname) for number, place in enumerate(places)),
        )

    def remove(self) -> None:
        """Takes everything away again, files included. Claims must be gone."""
        names = [name_of(one) for one in self.cluster.items("persistentvolume") if self._is_ours(one)]
        if names:
            self.cluster.delete("persistentvolume", *names)
        self.cluster.delete("storageclass", self.name)
        if self.cluster.call("get", "namespace", self.name, "--ignore-not-found", "-o", "name"):
            self._as_root("remove", self._node(), _REMOVE, f"{ROOT}/{self.name}")
            self.cluster.delete("namespace", self.name)

    def _is_ours(self, volume: Object) -> bool:
        return bool(volume["spec"].get("storageClassName") == self.name)

    def _volume(self, number: int, path: str, hostname: str) -> Object:
        here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [hostname]}
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{self.name}-{number}", "labels": MADE_BY},
            "spec": {
                "capacity": {"storage": self.size},
                "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": self.name,
                "local": {"path": path},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
            },
        }

    def _node(self) -> str:
        """The first node that takes pods; always the same one as long as there is no change among them."""
        for node in sorted(self.cluster.items("node"), key=name_of):
            closed = node["spec"].get("unschedulable") or any(
                taint["effect"] in {"NoSchedule", "NoExecute"} for taint in node["spec"].get("taints", ())
            )
            ready = any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])
            if ready and not closed:
                return name_of(node)
        raise SuiteError("the cluster has no node that is Ready and takes pods")

    def _as_root(self, what: str, node: str, program: str, *arguments: str) -> None:
        """Runs a program as root on the node, with ROOT of the node."""
        self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": what, "namespace": self.name},
                "spec": {
                    "nodeName": node,
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "containers": [
                        {
                            "name": what,
                            "image": self.image,
                            "imagePullPolicy": "IfNotPresent",
                            "command": ["python", "-c", program, *arguments],
                            "securityContext": {"runAsUser": 0, "runAsGroup": 0},
                            "volumeMounts": [{"name": "root", "mountPath": ROOT}],
                        }
                    ],
                    "volumes": [{"name": "root", "hostPath": {"path": ROOT, "type": "DirectoryOrCreate"}}],
                },
            }
        )
        self.cluster.wait_for_end(what, self.name, within_s=90)
        self.cluster.delete("pod", what, namespace=self.name)
