"""The chart from nothing with its trial parts: installed, used, hurt, upgraded, uninstalled."""

from __future__ import annotations

import io
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from examples.fraud import demo, generator
from tests.k8s import guide, truth
from tests.k8s.checks import Step
from tests.k8s.client.scenario import SCENARIO
from tests.k8s.clientpod import ClientPod, Reading
from tests.k8s.cluster import Cluster, name_of, restarts
from tests.k8s.release import SERVICES, Release, everything
from tests.k8s.shell import SuiteError, eventually
from tests.k8s.usage import Usage

TRIAL_PARTS = ("trial-valkey", "trial-kafka", "trial-postgres")
UPGRADED = {"settings": {"log_level": "DEBUG"}}
"""A change that every service gets to see."""
LEAST_READS = 100
_WRITE = """
import os, sys
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
with open(sys.argv[1], "wb") as file:
    file.write(sys.stdin.buffer.read())
"""


@dataclass
class Mesh:
    """A release with everything bundled, and a client beside it.

    found: what goes into the report.
    """

    cluster: Cluster
    release: Release
    client: ClientPod
    usage: Usage
    found: dict[str, Any] = field(default_factory=dict)
    _before: set[str] = field(default_factory=set)

    def steps(self) -> list[Step]:
        return [
            Step("a namespace with restricted Pod Security takes a client pod", self.prepare, vital=True),
            Step("the chart installs and all is Ready", self.install, vital=True),
            Step("helm test passes", self.test),
            Step("the notes lead to the first feature", self.follow_notes),
            Step("the guide leads to the first feature", self.follow_guide),
            Step("the fraud example is streamed, served, counted and replayed", self.use, vital=True),
            Step("served values are those of the oracle", self.compare),
            Step("pods of every service are deleted and heal under reads", self.delete_services),
            Step("pods of the trial parts are deleted and heal", self.delete_trial_parts),
            Step("an upgrade that replaces every service fails no request", self.upgrade),
            Step("a rollback fails no request", self.roll_back),
            Step("new events are served, and everything served replays equal", self.use_again),
            Step("no container was restarted", self.look_for_restarts),
            Step("uninstall leaves what the notes name", self.uninstall),
        ]

    def prepare(self) -> None:
        self.cluster.make_namespace(self.release.namespace, "restricted")
        self.client.make()
        self._before = everything(self.cluster, self.release.namespace, self.release.name)

    def install(self) -> None:
        begun = time.monotonic()
        self.release.install(timeout_s=300)
        self.release.wait_until_ready(within_s=10)
        self.found["ready_s"] = round(time.monotonic() - begun, 1)
        self.found["pods"] = self.cluster.call("get", "pods,svc", "-n", self.release.namespace)
        self.usage.mark_idle()

    def test(self) -> None:
        self.release.test(timeout_s=120)

    def follow_notes(self) -> None:
        guide.type_in(self.cluster, guide.in_notes(self.release.notes()))

    def follow_guide(self) -> None:
        guide.type_in(self.cluster, guide.in_guide(self.release.namespace))

    def use(self) -> None:
        self._write_tables()
        found = self.client.run("scenario", self.release.addresses(), timeout_s=420)
        self.found["scenario"] = found
        self.found["mismatches"] = found["mismatches"]
        _refuse(found["faults"])
        if found["mismatches"] or found["equal"] != found["served"]:
            raise SuiteError(
                f"{found['equal']} of {found['served']} vectors replay equal: {found['mismatches']} differ"
            )

    def compare(self) -> None:
        sample = self.found["scenario"].pop("sample")
        contradictions = truth.contradictions(sample)
        self.found["compared_with_oracle"] = len(sample)
        _refuse(contradictions)

    def delete_services(self) -> None:
        healed = self.found.setdefault("heal_s", {})
        with self._reading(at_most_s=400) as reading:
            for component in SERVICES:
                healed[component] = self._delete_one(component)
        self._judge("failed_during_deletions", reading)

    def delete_trial_parts(self) -> None:
        """What is asked while they are away cannot be known; afterwards everything is as it was."""
        healed = self.found.setdefault("heal_s", {})
        for component in TRIAL_PARTS:
            healed[component] = self._delete_one(component)
        self.release.wait_until_ready(within_s=120)
        with self._reading(at_most_s=60) as reading:
            time.sleep(LEAST_READS / 15)
        self._judge("failed_after_trial_parts", reading)

    def upgrade(self) -> None:
        before = self._names()
        with self._reading(at_most_s=400) as reading:
            self.release.upgrade(UPGRADED, timeout_s=300)
            self.release.wait_until_ready(but=before, within_s=60)
        self._judge("failed_during_upgrade", reading)

    def roll_back(self) -> None:
        before = self._names()
        with self._reading(at_most_s=400) as reading:
            self.release.rollback(timeout_s=300)
            self.release.wait_until_ready(but=before, within_s=60)
        self._judge("failed_during_rollback", reading)

    def use_again(self) -> None:
        found = self.client.run("again", self.release.addresses(), timeout_s=240)
        self.found["after"] = found
        self.found["mismatches"] += found["mismatches"] + found["validator_mismatches"]
        _refuse(found["faults"])
        if found["mismatches"] or found["equal"] != found["vectors"]:
            raise SuiteError(
                f"{found['equal']} of {found['vectors']} vectors replay equal: {found['mismatches']} differ"
            )
        if found["validator_mismatches"] or found["validator_pending"]:
            raise SuiteError(f"the validator is not content: {found}")

    def look_for_restarts(self) -> None:
        _refuse([f"{name_of(pod)}: {restarts(pod)} restarts" for pod in self.release.pods() if restarts(pod)])

    def uninstall(self) -> None:
        # What the notes say of an uninstall is all that may be left.
        named = set(self.release.notes().rpartition(" uninstall ")[2].split())
        self.release.uninstall(timeout_s=120)

        def left() -> set[str]:
            return everything(self.cluster, self.release.namespace, self.release.name) - self._before

        def unnamed() -> list[str]:
            return sorted(item for item in left() if item.partition("/")[2] not in named)

        try:
            eventually("nothing is left but what the notes name", lambda: not unnamed(), within_s=90)
        finally:
            self.found["left_after_uninstall"] = unnamed()
            self.found["kept_after_uninstall"] = sorted(left() - set(unnamed()))
        if not self.found["kept_after_uninstall"]:
            raise SuiteError("the notes name a volume that is kept, and it is gone")

    def _reading(self, at_most_s: float) -> Any:
        return self.client.reading(self.release.addresses(), at_most_s=at_most_s)

    def _judge(self, key: str, reading: Reading) -> None:
        """Takes note of a load of reads; refuses one of which any failed, or was not answered as before."""
        found = reading.found
        self.found[key] = found["failed"]
        self.found.setdefault("readings", {})[key] = found
        if found["failed"] or found["wrong"]:
            raise SuiteError(
                f"of {found['asked']} reads {found['failed']} failed, {found['wrong']} were wrong: {found}"
            )
        if found["asked"] < LEAST_READS:
            raise SuiteError(f"only {found['asked']} reads were made, which shows nothing")

    def _names(self) -> frozenset[str]:
        """The pods of all services."""
        return frozenset(name_of(pod) for component in SERVICES for pod in self.release.pods(component))

    def _delete_one(self, component: str) -> float:
        """Deletes one pod of a component and waits until another one does its work; seconds."""
        begun = time.monotonic()
        name = name_of(self.release.pods(component)[0])
        self.cluster.delete("pod", name, namespace=self.release.namespace)
        self.release.wait_until_ready(component, but=frozenset({name}), within_s=120)
        return round(time.monotonic() - begun, 1)

    def _write_tables(self) -> None:
        """The users' table, to where the offline service looks for tables."""
        with TemporaryDirectory() as directory:
            demo.write_tables(generator.make(SCENARIO), Path(directory))
            content = (Path(directory) / "users.parquet").read_bytes()
        pod = name_of(self.release.pods("offline")[0])
        place = f"{self._sources()}/users.parquet"
        self.cluster.exec(pod, self.release.namespace, "python", "-c", _WRITE, place, stdin=content)

    def _sources(self) -> str:
        """The directory of tables, from the settings of the offline service."""
        settings: Mapping[str, str] = self.cluster.items(
            "configmap", self.release.namespace, "app.kubernetes.io/component=offline"
        )[0]["data"]
        return str(tomllib.load(io.BytesIO(settings["settings.toml"].encode()))["sources"])


def _refuse(faults: list[str]) -> None:
    if faults:
        raise SuiteError("; ".join(faults))
