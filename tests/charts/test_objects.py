"""What is rendered: objects that Kubernetes knows, that find one another, with no rights that they do not need."""

from __future__ import annotations

import math
from typing import Any

import kubernetes_validate
import pytest

from services.offline.settings import Settings as Offline
from tests.charts.charting import CASES, Object, component, find, pods, render, services
from tools.chart.settings import facts

CUSTOM = {
    "ServiceMonitor": "of the Prometheus operator, whose schemas are not those of Kubernetes",
    "PrometheusRule": "of the Prometheus operator; see test_metrics.py",
}
SELECTOR = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}

HEALTH = 50059
"""The port of the online service where health alone is answered, without TLS."""


@pytest.fixture(params=CASES)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    example, values = CASES[request.param]
    return render(example, values)


def test_every_object_is_valid(objects: list[Object]) -> None:
    for one in objects:
        if one["kind"] not in CUSTOM:
            kubernetes_validate.validate(one, "1.37", strict=True)


def test_no_two_objects_have_one_name(objects: list[Object]) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, name in names)


def test_names_of_a_long_release_are_short_enough() -> None:
    for one in render("production", {"fullnameOverride": "a" * 40}):
        assert len(one["metadata"]["name"]) <= 63


def test_objects_carry_the_labels(objects: list[Object]) -> None:
    for one in objects:
        assert {*SELECTOR, "app.kubernetes.io/managed-by", "helm.sh/chart"} <= set(one["metadata"]["labels"])
        assert "namespace" not in one["metadata"]  # helm's --namespace says it


def test_selectors_meet_their_pods(objects: list[Object]) -> None:
    templates = [
        one["spec"]["template"]["metadata"]["labels"] for kind in ("Deployment", "Job") for one in find(objects, kind)
    ]

    def met(selector: dict[str, str]) -> int:
        return sum(selector.items() <= labels.items() for labels in templates)

    for one in find(objects, "Deployment"):
        assert met(one["spec"]["selector"]["matchLabels"]) == 1
    for one in find(objects, "Service"):
        assert met(one["spec"]["selector"]) == 1
    for one in [*find(objects, "PodDisruptionBudget")]:
        assert met(one["spec"]["selector"]["matchLabels"]) == 1
    for one in find(objects, "NetworkPolicy"):
        assert met(one["spec"]["podSelector"]["matchLabels"]) == 1
    names = {one["metadata"]["name"] for one in find(objects, "Deployment")}
    for one in find(objects, "HorizontalPodAutoscaler"):
        assert one["spec"]["scaleTargetRef"]["name"] in names


def test_selectors_stay_the_same_in_an_upgrade(objects: list[Object]) -> None:
    """An upgrade that changes one is refused by Kubernetes; so nothing that values or versions say is in them."""
    for one in find(objects, "Deployment"):
        assert one["spec"]["selector"]["matchLabels"] == {
            "app.kubernetes.io/name": "skewless",
            "app.kubernetes.io/instance": "skewless",
            "app.kubernetes.io/component": component(one),
        }


def test_ports_agree(objects: list[Object]) -> None:
    for one in find(objects, "Deployment"):
        (container,) = one["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        encrypted = any(mount["name"] == "tls" for mount in container["volumeMounts"])
        assert ports == facts()[component(one)]["ports"] | ({"health": HEALTH} if encrypted else {})
        for service in find(objects, "Service"):
            if component(service) == component(one):
                for port in service["spec"]["ports"]:
                    assert ports[port["targetPort"]] == port["port"]
        for policy in find(objects, "NetworkPolicy"):
            if component(policy) == component(one):
                opened = [port["port"] for rule in policy["spec"].get("ingress", ()) for port in rule["ports"]]
                assert sorted(opened) == sorted(ports)


def test_probes_ask_what_is_there(objects: list[Object]) -> None:
    for one in find(objects, "Deployment"):
        (container,) = one["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        probes = {kind: container.get(f"{kind}Probe", {}) for kind in ("startup", "liveness", "readiness")}
        if component(one) in services():
            # With TLS, health is answered without it at a port of its own.
            encrypted = any(mount["name"] == "tls" for mount in container["volumeMounts"])
            port = HEALTH if encrypted else ports["grpc"]
            assert probes["startup"]["grpc"] == probes["liveness"]["grpc"] == {"port": port, "service": "live"}
            assert probes["readiness"]["grpc"] == {"port": port}
        else:
            assert all(probe.get("tcpSocket", {}).get("port") in {None, *ports} for probe in probes.values())
        assert bool(ports) == all(probes.values())


def test_pods_are_restricted(objects: list[Object]) -> None:
    """As the Pod Security Standard `restricted` wants it, and more."""
    for name, pod in pods(objects):
        spec, security = pod["spec"], pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert security.get("runAsUser") in {65532, None}, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec), name
        assert spec["automountServiceAccountToken"] is False, name
        # Variables of Services in the environment would be taken for settings.
        assert spec["enableServiceLinks"] is False, name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
        assert not any("hostPath" in volume for volume in spec["volumes"]), name
        (tmp,) = [volume for volume in spec["volumes"] if volume["name"] == "tmp"]
        assert tmp["emptyDir"]["sizeLimit"], name


def test_images_are_of_one_tag_that_is_not_latest(objects: list[Object]) -> None:
    for name, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            assert container["image"].endswith((":0.1.0", f"@sha256:{'0' * 64}")), name


def test_nothing_asks_for_rights(objects: list[Object]) -> None:
    assert {one["kind"] for one in objects} & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} == set()
    accounts = {one["metadata"]["name"] for one in find(objects, "ServiceAccount")}
    assert all(one["automountServiceAccountToken"] is False for one in find(objects, "ServiceAccount"))
    for name, pod in pods(objects):
        if not name.startswith("Pod/"):
            assert pod["spec"]["serviceAccountName"] in {*accounts, "online"}, name


def test_secrets_are_named_and_waited_for(objects: list[Object]) -> None:
    assert find(objects, "Secret") == []
    for name, pod in pods(objects):
        mounted = {mount["name"] for container in pod["spec"]["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}, name
        for volume in pod["spec"]["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["optional"] is True, name


def test_the_end_of_a_pod_comes_after_the_calls_that_run(objects: list[Object]) -> None:
    for one in find(objects, "Deployment"):
        spec = one["spec"]["template"]["spec"]
        drain = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if component(one) in services():
            assert drain > 0
            assert spec["terminationGracePeriodSeconds"] > drain + 5


def test_only_what_may_run_twice_is_renewed_beside_the_old(objects: list[Object]) -> None:
    for one in find(objects, "Deployment"):
        if facts()[component(one)]["scales"]:
            assert one["spec"]["strategy"]["type"] == "RollingUpdate"
            assert one["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        else:
            assert one["spec"]["strategy"] == {"type": "Recreate"}
            assert one["spec"]["replicas"] == 1


def test_replicas_are_left_to_the_autoscaler() -> None:
    objects = render("production")
    (online,) = find(objects, "Deployment", "skewless-online")
    assert "replicas" not in online["spec"]
    (scaler,) = find(objects, "HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 12)
    budgets = {one["metadata"]["name"] for one in find(objects, "PodDisruptionBudget")}
    assert budgets == {"skewless-online", "skewless-registry"}
    assert find(render("trial"), "PodDisruptionBudget") == []


def test_pods_are_renewed_when_their_settings_are_others_and_only_then() -> None:
    def sums(values: dict[str, Any]) -> dict[str, str]:
        return {
            component(one): one["spec"]["template"]["metadata"]["annotations"].get("checksum/settings", "")
            for one in find(render("trial", values), "Deployment")
        }

    before = sums({})
    after = sums({"components": {"online": {"settings": {"threads": 3}}}})
    assert {name for name in before if before[name] != after[name]} == {"online"}
    assert {name for name, found in sums({"settings": {"trace_ratio": 0.5}}).items() if found != before[name]} == set(
        services()
    )


def test_callers_are_let_in_and_nobody_else() -> None:
    def callers(name: str) -> set[str]:
        (policy,) = find(render("trial", {"networkPolicy": {"enabled": True}}), "NetworkPolicy", f"skewless-{name}")
        peers = [peer for rule in policy["spec"]["ingress"] for peer in rule.get("from", ())]
        labels = [peer["podSelector"]["matchLabels"] for peer in peers]
        return {found.get("app.kubernetes.io/component", *(set(found) - SELECTOR)) for found in labels}

    client = "skewless-client"
    assert callers("registry") == {"online", "offline", "stream-agg", "cli", client}
    assert callers("offline") == {"validator", "cli", client}
    assert callers("stream-agg") == {"cli", client}
    assert callers("trial-valkey") == {"online", "offline", "stream-agg"}
    assert callers("trial-kafka") == {"online", "offline", "stream-agg", "validator", "cli"}
    assert callers("trial-postgres") == {"registry"}


def test_health_with_tls_is_open_to_probes_and_to_nobody_without() -> None:
    def open_to_all(values: dict[str, Any]) -> list[str]:
        (policy,) = find(render("trial", values), "NetworkPolicy", "skewless-online")
        return sorted(
            port["port"] for rule in policy["spec"]["ingress"] if "from" not in rule for port in rule["ports"]
        )

    policy = {"networkPolicy": {"enabled": True}}
    assert open_to_all(policy) == ["metrics"]
    assert open_to_all({**policy, "access": {"tls": {"secretName": "own"}}}) == ["health", "metrics"]


def test_whom_a_component_calls_lets_it_in(objects: list[Object]) -> None:
    """Every way out to a pod of the mesh is a way in there, at the same port."""
    policies = {component(one): one["spec"] for one in find(objects, "NetworkPolicy")}
    for name, spec in policies.items():
        for rule in spec.get("egress", ()):
            for peer in rule.get("to", ()):
                called = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component")
                if called is None:
                    continue
                ports = {port["port"] for port in rule["ports"]}
                entries = [
                    entry for entry in policies[called]["ingress"]
                    if any(
                        source.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component") == name
                        for source in entry.get("from", ())
                    )
                ]  # fmt: skip
                assert ports <= {port["port"] for entry in entries for port in entry["ports"]}, (name, called)


def test_pods_that_share_a_volume_of_one_node_go_there_together() -> None:
    def affinities(values: dict[str, Any]) -> list[Any]:
        found = {component(one): one["spec"]["template"] for one in find(render("trial", values), "Deployment")}
        return [found[name]["spec"].get("affinity") for name in ("stream-agg", "offline", "online")]

    stream, offline, online = affinities({})
    (term,) = stream["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert stream == offline
    assert online is None
    (template,) = [
        one["spec"]["template"] for one in find(render("trial"), "Deployment") if component(one) == "offline"
    ]
    assert term["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert affinities({"lake": {"volume": {"accessModes": ["ReadWriteMany"]}}}) == [None, None, None]


def test_sql_has_the_memory_that_the_limit_allows(objects: list[Object]) -> None:
    (offline,) = [one for one in find(objects, "Deployment") if component(one) == "offline"]
    limit = offline["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    (settings,) = [one for one in find(objects, "ConfigMap") if component(one) == "offline"]
    lines = dict(line.split(" = ") for line in settings["data"]["settings.toml"].strip().splitlines())
    memory_mb = int(lines.get("memory_mb", Offline().memory_mb))
    assert memory_mb * 2 <= _mib(limit)


def _mib(text: str) -> float:
    for unit, factor in {"Mi": 1.0, "Gi": 1024.0}.items():
        if text.endswith(unit):
            return math.floor(float(text.removesuffix(unit)) * factor)
    raise ValueError(text)


def _hook(one: Object) -> str:
    found: str = one["metadata"].get("annotations", {}).get("helm.sh/hook", "")
    return found


def test_migrations_run_before_anything_else_of_a_release() -> None:
    hooks = [one for one in render("production") if "pre-upgrade" in _hook(one)]
    assert {one["kind"] for one in hooks} == {"Job", "NetworkPolicy", "ServiceAccount"}
    (job,) = find(hooks, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["migrate", "--within", "220"]
    assert container["image"] == "registry.example.com/skewless/registry:0.1.0"
    used = {volume["name"]: volume for volume in job["spec"]["template"]["spec"]["volumes"]}
    assert used["database"]["secret"]["secretName"] == "skewless-database"
    # Nothing of the release is there yet.
    assert not any("configMap" in volume for volume in used.values())
    assert job["spec"]["template"]["spec"]["serviceAccountName"] in {
        one["metadata"]["name"] for one in find(hooks, "ServiceAccount")
    }
    assert find(render("trial"), "Job") == []


def test_migrations_run_with_what_the_registry_is_given() -> None:
    registry: dict[str, Any] = {
        "serviceAccount": {"name": "registry"},
        "extraVolumes": [{"name": "ca", "secret": {"secretName": "database-ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
        "extraEnv": [{"name": "PGSSLROOTCERT", "value": "/ca/ca.crt"}],
        "podAnnotations": {"sidecar.istio.io/inject": "false"},
    }
    objects = render("production", {"commonLabels": {"team": "features"}, "components": {"registry": registry}})
    (job,) = find(objects, "Job")
    pod = job["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert pod["metadata"]["labels"]["team"] == "features"
    assert registry["podAnnotations"].items() <= pod["metadata"]["annotations"].items()
    assert pod["spec"]["serviceAccountName"] == "registry"
    assert find(objects, "ServiceAccount", "skewless-migrate") == []
    assert registry["extraVolumes"][0] in pod["spec"]["volumes"]
    assert registry["extraVolumeMounts"][0] in container["volumeMounts"]
    assert registry["extraEnv"][0] in container["env"]


@pytest.mark.parametrize(("deadline", "within"), [(25, "10"), (100, "80")])
def test_a_migration_that_fails_leaves_its_log(deadline: int, within: str) -> None:
    (job,) = find(render("production", {"migrations": {"activeDeadlineSeconds": deadline}}), "Job")
    spec = job["spec"]["template"]["spec"]
    assert spec["containers"][0]["args"][-1] == within
    assert spec["restartPolicy"] == "Never"
    assert "ttlSecondsAfterFinished" not in job["spec"]
    (final,) = [rule for rule in job["spec"]["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
    assert final["onExitCodes"] == {"containerName": "migrate", "operator": "In", "values": [1, 2]}


def test_a_migration_may_call_its_database_and_nobody_may_call_it() -> None:
    (policy,) = find(render("production"), "NetworkPolicy", "skewless-migrate")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy["spec"]
    ports = [[port["port"] for port in rule["ports"]] for rule in policy["spec"]["egress"]]
    assert ports == [[53, 53], [5432]]


def test_helm_test_asks_every_service() -> None:
    (pod,) = find(render("production"), "Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["skewless", "status"]
    (address,) = container["env"]
    named = dict(pair.split("=") for pair in address["value"].split(","))
    assert named.keys() == {fact["service"] for fact in services().values()}
    there = {
        f"{one['metadata']['name']}:{port['port']}"
        for one in find(render("production"), "Service")
        for port in one["spec"]["ports"]
    }
    assert set(named.values()) <= there


def test_a_trial_leaves_no_claim_and_others_keep_their_tables() -> None:
    claims = find(render("trial"), "PersistentVolumeClaim")
    assert {claim["metadata"]["name"] for claim in claims} == {
        "skewless-lake",
        *(f"skewless-trial-{part}" for part in ("kafka", "postgres", "valkey")),
    }
    assert not any("annotations" in claim["metadata"] for claim in claims)
    for kept in ({"lake": {"volume": {"keep": True}}}, {"broker": {"address": "kafka:9092"}}):
        (claim,) = find(render("trial", kept), "PersistentVolumeClaim", "skewless-lake")
        assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    gone = {"broker": {"address": "kafka:9092"}, "lake": {"volume": {"keep": False}}}
    (claim,) = find(render("trial", gone), "PersistentVolumeClaim", "skewless-lake")
    assert "annotations" not in claim["metadata"]
    assert find(render("production"), "PersistentVolumeClaim") == []
