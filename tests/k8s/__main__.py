"""``make test-k8s``: the chart and the images of this commit on a real cluster, from nothing to nothing.

    python -m tests.k8s --kubeconfig FILE --image-load COMMAND [--images DIRECTORY] [--report FILE]

The first two are taken from KUBECONFIG and IMAGE_LOAD in the environment, if they are there.

A program and not a part of the tests that pytest collects: its checks follow from one another on one cluster, and one
that cannot be made because another has failed counts as failed. Everything it makes is in namespaces, volumes and a
class whose names begin with ``skewless-test-``, and is removed in the end. Exit status: 0 if every check has passed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.k8s import images, late, logs
from tests.k8s.checks import Checks, Step
from tests.k8s.clientpod import ClientPod
from tests.k8s.cluster import Cluster
from tests.k8s.images import Images
from tests.k8s.late import Late
from tests.k8s.mesh import TRIAL_PARTS, Mesh
from tests.k8s.release import Release
from tests.k8s.shell import CommandError, SuiteError, run
from tests.k8s.storage import Volumes, has_default_class
from tests.k8s.usage import Usage

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "skewless"
TRIAL = CHART / "examples" / "trial" / "values.yaml"
RELEASE = "skewless"


class Suite:
    """What is made for a run, and taken away again."""

    def __init__(self, cluster: Cluster, helm: str, found: Images, report: Path) -> None:
        self.checks = Checks()
        self.report: dict[str, Any] = {}
        self._cluster, self._helm, self._images, self._file = cluster, helm, found, report
        # Two runs on one cluster do not meet.
        self._name = f"skewless-test-{int(time.time()):x}"
        self._class: str | None = None
        self._cleaning = ExitStack()

    def run(self, image_load: str) -> None:
        begun = time.monotonic()
        try:
            if self.checks.run(self._beginning(image_load)):
                self._mesh()
                self._late()
        finally:
            self.checks.run([Step("everything that the suite made is removed", self._cleaning.close)])
            self.report["wall_s"] = round(time.monotonic() - begun, 1)
            self._write()

    def _beginning(self, image_load: str) -> list[Step]:
        def load() -> None:
            self._images.load(image_load)
            self.report["images_mib"] = self._images.sizes()

        def store() -> None:
            if has_default_class(self._cluster):
                return
            volumes = Volumes(self._cluster, self._name, self._images.by_part["cli"].name)
            self._cleaning.callback(volumes.remove)
            volumes.make()
            self._class = self._name

        return [
            Step("the cluster answers", self._ask_cluster, vital=True),
            Step("images are loaded", load, vital=True),
            Step("the cluster has storage", store, vital=True),
        ]

    def _ask_cluster(self) -> None:
        version = json.loads(self._cluster.call("version", "-o", "json"))
        self.report["kubernetes"] = version["serverVersion"]["gitVersion"]

    def _mesh(self) -> None:
        namespace = f"{self._name}-mesh"
        claim = {"size": "1Gi", "storageClassName": self._class}
        values = {
            **self._image_values(),
            "lake": {"volume": {**claim, "keep": True}},
            "components": {
                # One of them leaves while the other answers.
                "online": {"replicas": 2},
                **{part: {"data": claim} for part in TRIAL_PARTS},
            },
        }
        release = Release(self._cluster, self._helm, CHART, RELEASE, namespace, (TRIAL,), values)
        cli = self._images.by_part["cli"].name
        client = ClientPod(self._cluster, namespace, cli, {f"{RELEASE}-client": "true"})
        mesh = Mesh(self._cluster, release, client, Usage(self._cluster, namespace))
        self._remove_later(release)
        with mesh.usage.sampled():
            self._take(mesh.steps(), namespace)
        self.report |= mesh.found
        self.report["resources"] = mesh.usage.document()

    def _late(self) -> None:
        namespace = f"{self._name}-late"
        values = deepcopy(late.VALUES) | self._image_values()
        values["lake"]["volume"]["storageClassName"] = self._class
        release = Release(self._cluster, self._helm, CHART, RELEASE, namespace, (), values)
        surroundings = Late(self._cluster, release, self._images)
        self._remove_later(release)
        self._cleaning.callback(surroundings.stop)
        self._take(surroundings.steps(), namespace)
        self.report |= surroundings.found

    def _take(self, steps: list[Step], namespace: str) -> None:
        before = self.checks.failed
        self.checks.run(steps)
        if self.checks.failed > before:
            logs.save(self._cluster, namespace, self._file.parent / "k8s-logs" / namespace.rpartition("-")[2])

    def _remove_later(self, release: Release) -> None:
        """The namespace with all that is in it, and what the release has outside of it."""
        self._cleaning.callback(self._cluster.delete, "namespace", release.namespace)
        self._cleaning.callback(self._if_there(release.namespace, lambda: release.uninstall(timeout_s=90)))

    def _if_there(self, namespace: str, act: Callable[[], None]) -> Callable[[], None]:
        def acted() -> None:
            if self._cluster.call("get", "namespace", namespace, "--ignore-not-found", "-o", "name"):
                act()

        return acted

    def _image_values(self) -> dict[str, Any]:
        return {"image": {"repository": self._images.repository, "tag": self._images.tag}}

    def _write(self) -> None:
        self.report["checks"] = self.checks.document()
        self._file.write_text(json.dumps(self.report, indent=2) + "\n", encoding="utf-8")
        if pods := self.report.get("pods"):
            self._file.with_name("k8s-pods.txt").write_text(pods, encoding="utf-8")


def commit() -> str:
    """Of the checkout; marked if it is not clean."""
    try:
        return run(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]).strip()
    except CommandError:
        return "unknown"


def program(name: str) -> str:
    """One of `make tools`, else of the PATH."""
    built = ROOT / ".tools" / "bin" / name
    found = str(built) if built.is_file() else shutil.which(name)
    if found is None:
        sys.exit(f"{name} is not there: run `make tools`, or put it on the PATH")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="make test-k8s", description=__doc__)
    kubeconfig, load = os.environ.get("KUBECONFIG"), os.environ.get("IMAGE_LOAD")
    parser.add_argument("--kubeconfig", default=kubeconfig, required=not kubeconfig, help="of an administrator")
    parser.add_argument("--image-load", default=load, required=not load, help="command; a tar is its last argument")
    parser.add_argument("--images", type=Path, default=ROOT / "dist" / "images", help="directory of the image tars")
    parser.add_argument("--report", type=Path, default=Path("k8s-report.json"), help="where to write the report")
    arguments = parser.parse_args()
    try:
        found = images.found_in(arguments.images)
    except SuiteError as error:
        sys.exit(str(error))
    # What was made is removed also when the suite is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    cluster = Cluster(program("kubectl"), Path(arguments.kubeconfig).resolve())
    suite = Suite(cluster, program("helm"), found, arguments.report.resolve())
    suite.report["commit"] = commit()
    suite.run(arguments.image_load)
    print(f"report: {arguments.report}")
    print(suite.checks.closing_line())
    return 1 if suite.checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
