"""The chart as helm renders it, each set of values once in a run."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tools.chart import rendered
from tools.chart.settings import facts

Object = dict[str, Any]

NOTHING: Final = "nothing"
SCRAPED: Final = {"namespace", "job", "pod", "instance"}
"""Labels that a scrape by the Prometheus operator adds."""


def render(on: str, values: Mapping[str, Any] | None = None) -> list[Object]:
    """What an example renders with values on top of its own; not to be changed. Raises HelmError."""
    return _rendered(on, json.dumps(values or {}, sort_keys=True))


@functools.cache
def _rendered(on: str, values: str) -> list[Object]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(values)
        file.flush()
        example: list[str | Path] = [] if on == NOTHING else ["--values", rendered.values_of(on)]
        text = rendered.template(*example, "--values", Path(file.name))
    return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]


def find(objects: list[Object], kind: str, name: str = "") -> list[Object]:
    """The objects of a kind; of a name, if there is one."""
    return [one for one in objects if one["kind"] == kind and name in {"", one["metadata"]["name"]}]


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod and template of pods, as ``Kind/name`` and what has its metadata and spec."""
    for one in objects:
        name = f"{one['kind']}/{one['metadata']['name']}"
        if one["kind"] == "Pod":
            yield name, one
        elif "template" in one.get("spec", {}):
            yield name, one["spec"]["template"]


def component(one: Object) -> str:
    """Whose object it is."""
    found: str = one["metadata"]["labels"]["app.kubernetes.io/component"]
    return found


def services() -> dict[str, Object]:
    """The facts of the components that are services, by name."""
    return {name: fact for name, fact in facts().items() if "service" in fact}


# What stands apart from the examples: everything that can be switched on, on a volume of the cluster.
EVERYTHING: Final[Mapping[str, Any]] = {
    "fullnameOverride": "mesh",
    "commonLabels": {"team": "features"},
    "runAsUser": None,
    "telemetry": {"otlpEndpoint": "http://collector:4317"},
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Features"}},
        "selector": 'cluster="a"',
    },
    "networkPolicy": {"enabled": True, "egress": {"enabled": True, "to": {"telemetry": [{"ports": [{"port": 4317}]}]}}},
    "lake": {
        "volume": {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": "tables", "keep": True}
    },
    "defaults": {
        "affinity": {"nodeAffinity": {}},
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "podLabels": {"cost": "shared"},
        "podAnnotations": {"sidecar.istio.io/inject": "false"},
        "serviceAccount": {"annotations": {"role": "features"}},
        "serviceAnnotations": {"load-balancer": "internal"},
        "image": {"digest": f"sha256:{'0' * 64}"},
    },
    "components": {
        "registry": {"autoscaling": {"enabled": True}},
        "online": {
            "replicas": 2,
            "serviceType": "LoadBalancer",
            "serviceAccount": {"name": "online"},
            "autoscaling": {
                "enabled": True,
                "extraMetrics": [
                    {
                        "type": "Pods",
                        "pods": {
                            "metric": {"name": "skewless_online_requests_in_flight"},
                            "target": {"type": "AverageValue", "averageValue": "64"},
                        },
                    }
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
            },
        },
        "trial-valkey": {"data": {"size": "1Gi", "storageClassName": "fast"}},
        "trial-kafka": {"data": {"existingClaim": "topics", "size": ""}},
    },
}

CASES: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    **{case: (case, {}) for case in rendered.cases()},
    "everything": ("trial", EVERYTHING),
    "migrated by the registry": (
        "production",
        {
            "migrations": {"by": "registry"},
            "broker": {"mechanism": "PLAIN"},
            "lake": {"credentials": {"secretName": ""}},
        },
    ),
}
"""Values under which what tests say of any mesh is to hold, by name: the example and what comes on top."""
