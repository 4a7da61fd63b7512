"""The settings files are read by the services themselves, and say what the rest of the chart says."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from services.online.settings import Settings as Online
from skewless.settings import BrokerSettings, Secret, ServiceSettings, load
from tests.charts.charting import CASES, Object, component, find, pods, render, services
from tools.chart.settings import kinds, reserved

SERVICES = sorted(services())
MOUNTED = "/etc/skewless/"


def settings_of(objects: list[Object], name: str) -> str:
    (found,) = [one for one in find(objects, "ConfigMap") if component(one) == name]
    text: str = found["data"]["settings.toml"]
    return text


def read(objects: list[Object], name: str, folder: Path) -> ServiceSettings:
    """The settings as the service reads them in its pod, with a file for every Secret that is mounted."""
    (deployment,) = [one for one in find(objects, "Deployment") if component(one) == name]
    spec = deployment["spec"]["template"]["spec"]
    environ = {one["name"]: one["value"] for one in spec["containers"][0]["env"] if "value" in one}
    assert environ["SKEWLESS_SETTINGS_FILE"] == f"{MOUNTED}settings/settings.toml"
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for mount in spec["containers"][0]["volumeMounts"]:
        secret = volumes[mount["name"]].get("secret")
        for item in secret["items"] if secret else ():
            path = folder / mount["mountPath"].removeprefix(MOUNTED) / item["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"rediss://{secret['secretName']}\n")
    folder.mkdir(exist_ok=True)
    file = folder / "settings.toml"
    file.write_text(settings_of(objects, name).replace(MOUNTED, f"{folder}/"))
    return load(kinds()[name], {**environ, "SKEWLESS_SETTINGS_FILE": str(file)})


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_takes_its_settings(name: str, case: str, tmp_path: Path) -> None:
    example, values = CASES[case]
    objects = render(example, values)
    settings: Any = read(objects, name, tmp_path)
    ports = services()[name]["ports"]
    assert settings.listen == f"0.0.0.0:{ports['grpc']}"
    assert settings.metrics_listen == f"0.0.0.0:{ports['metrics']}"
    assert settings.log_format == "json"
    # What it calls are Services of the release, with their ports.
    there = {
        f"{one['metadata']['name']}:{port['port']}" for one in find(objects, "Service") for port in one["spec"]["ports"]
    }
    for called in services()[name]["calls"]:
        assert getattr(settings, called.replace("-", "_")) in there
    if isinstance(settings, BrokerSettings):
        assert example == "production" or settings.broker in there


def test_what_is_outside_comes_from_secrets(tmp_path: Path) -> None:
    objects = render("production")
    registry: Any = read(objects, "registry", tmp_path / "registry")
    assert registry.database_url == Secret("rediss://skewless-database")
    assert registry.migrate == "never"
    online: Any = read(objects, "online", tmp_path / "online")
    assert online.store_url == Secret("rediss://skewless-store")
    assert str(online.store_ca_file).endswith("/store-ca/ca.crt")
    assert online.store_identity is None
    assert online.broker_password == online.broker_username == Secret("rediss://skewless-broker")
    assert (online.broker_protocol, online.broker_mechanism) == ("SASL_SSL", "SCRAM-SHA-512")
    assert str(online.broker_ca_file).endswith("/broker-ca/ca.crt")
    assert online.otlp_endpoint == Secret("http://collector.observability:4317")
    stream: Any = read(objects, "stream-agg", tmp_path / "stream")
    offline: Any = read(objects, "offline", tmp_path / "offline")
    assert stream.lake == offline.lake == "s3://features/skewless"


def test_a_certificate_for_the_store_is_mounted(tmp_path: Path) -> None:
    objects = render("production", {"store": {"certificate": {"secretName": "own", "keyKey": "private"}}})
    for name in ("online", "offline", "stream-agg"):
        settings: Any = read(objects, name, tmp_path / name)
        certificate, key = settings.store_identity
        assert certificate.read_text() == key.read_text() == "rediss://own\n"
        assert settings.store_files.identity == (certificate, key)
    assert not hasattr(read(objects, "validator", tmp_path / "validator"), "store_url")


def test_online_has_tls_and_keys_and_is_probed_where_there_is_no_tls(tmp_path: Path) -> None:
    objects = render("production", {"access": {"clientCa": {"secretName": "callers"}}})
    settings: Any = read(objects, "online", tmp_path)
    assert settings.api_keys == "required"
    assert all(path.read_text() == "rediss://skewless-online-tls\n" for path in settings.tls_identity)
    assert settings.tls_client_ca_file.read_text() == "rediss://callers\n"
    (deployment,) = [one for one in find(objects, "Deployment") if component(one) == "online"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {container[probe]["grpc"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {f"0.0.0.0:{port}" for port in ports} == {settings.health_listen}
    plain: Any = read(render("trial"), "online", tmp_path / "trial")
    assert (plain.api_keys, plain.tls_identity, plain.health_listen) == ("off", None, "")


def test_rates_are_those_of_values(tmp_path: Path) -> None:
    rates = {"keyRate": 50, "projectRate": 2_000_000, "queueTargetMs": 0}
    settings: Any = read(render("trial", {"access": rates}), "online", tmp_path / "own")
    assert (settings.key_rate, settings.project_rate, settings.queue_target_ms) == (50, 2_000_000, 0)
    usual: Any = read(render("trial"), "online", tmp_path / "usual")
    assert (usual.key_rate, usual.project_rate, usual.queue_target_ms) == (
        Online.key_rate,
        Online.project_rate,
        Online.queue_target_ms,
    )


@pytest.mark.parametrize("case", ["trial", "production"])
def test_the_command_line_reaches_the_broker_as_services_do(case: str, tmp_path: Path) -> None:
    objects = render(case, {"components": {"cli": {"enabled": True}}})
    (deployment,) = [one for one in find(objects, "Deployment") if component(one) == "cli"]
    environ = {one["name"]: one["value"] for one in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
    for name, value in environ.items():
        if name.endswith("_FILE"):
            environ[name] = str(tmp_path / Path(value).name)
            Path(environ[name]).write_text("rediss://skewless-broker\n")
    settings = load(BrokerSettings, environ)
    online: Any = read(objects, "online", tmp_path)
    for field in dataclasses.fields(BrokerSettings):
        if field.name.startswith("broker") and field.name != "broker_ca_file":
            assert getattr(settings, field.name) == getattr(online, field.name)
    assert (settings.broker_ca_file is None) == (online.broker_ca_file is None)


def test_the_migration_has_the_settings_of_the_registry(tmp_path: Path) -> None:
    given = {"lock_wait_s": 90, "threads": 3}
    values = {"settings": {"log_level": "DEBUG"}, "components": {"registry": {"settings": given}}}
    (job,) = find(render("production", values), "Job")
    environ = {one["name"]: one["value"] for one in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    (tmp_path / "url").write_text("postgresql://skewless@db/skewless")
    assert environ["SKEWLESS_DATABASE_URL_FILE"] == f"{MOUNTED}database/url"
    settings: Any = load(kinds()["registry"], {**environ, "SKEWLESS_DATABASE_URL_FILE": str(tmp_path / "url")})
    assert (settings.lock_wait_s, settings.log_level, settings.log_format) == (90.0, "DEBUG", "json")


def test_a_trial_finds_its_parts(tmp_path: Path) -> None:
    objects = render("trial")
    ports = {
        (one["metadata"]["name"], port["port"]) for one in find(objects, "Service") for port in one["spec"]["ports"]
    }
    registry: Any = read(objects, "registry", tmp_path / "registry")
    online: Any = read(objects, "online", tmp_path / "online")
    for url in (registry.database_url.reveal(), online.store_url.reveal(), f"kafka://{online.broker}"):
        found = re.fullmatch(r"\w+://(?:skewless@)?([\w-]+):(\d+)(?:/\w+)?", url)
        assert found is not None
        assert (found[1], int(found[2])) in ports
    assert registry.migrate == "auto"
    (kafka,) = find(objects, "Deployment", "skewless-trial-kafka")
    arguments = kafka["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[arguments.index("--advertise") + 1] == online.broker


@pytest.mark.parametrize("name", SERVICES)
def test_every_setting_gets_through_values_as_it_is(name: str, tmp_path: Path) -> None:
    """Numbers, texts and switches of YAML, through helm, TOML and the service."""
    kind = kinds()[name]
    given: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name not in reserved() and not isinstance(field.default, Path | None):
            given[field.name] = ["shop.scoring", "shop.steps"] if field.default == () else field.default
    values: dict[str, Any] = {"components": {name: {"settings": given, "terminationGracePeriodSeconds": 600}}}
    settings = read(render("trial", values), name, tmp_path)
    wanted = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    assert {key: getattr(settings, key) for key in wanted} == wanted
    assert all(type(getattr(settings, key)) is type(value) for key, value in wanted.items())


@pytest.mark.parametrize("level", ["debug", "Warning", "ERROR"])
def test_words_may_be_written_as_services_take_them(level: str, tmp_path: Path) -> None:
    settings = read(render("trial", {"settings": {"log_level": level}}), "online", tmp_path)
    assert settings.log_level == level


def test_texts_are_kept_letter_by_letter(tmp_path: Path) -> None:
    text = '/a "b" \\ c\td <e> & ü = # \n'
    settings: Any = read(render("trial", {"lake": {"sources": text}}), "offline", tmp_path)
    assert settings.sources == text


def test_settings_of_a_component_come_on_top_of_those_of_all() -> None:
    values = {"settings": {"log_level": "WARNING"}, "components": {"online": {"settings": {"log_level": "DEBUG"}}}}
    objects = render("trial", values)
    levels = {name: tomllib.loads(settings_of(objects, name))["log_level"] for name in SERVICES}
    assert levels == {**dict.fromkeys(SERVICES, "WARNING"), "online": "DEBUG"}


@pytest.mark.parametrize("name", SERVICES)
def test_the_chart_knows_services_as_they_are(name: str) -> None:
    """Ports, what they use, whom they call and how long their calls may take to end."""
    fields = {field.name: field for field in dataclasses.fields(kinds()[name])}
    facts = services()[name]
    assert str(fields["listen"].default).rpartition(":")[2] == str(facts["ports"]["grpc"])
    needs = {"database_url": "database", "store_url": "store", "broker": "broker", "lake": "lake"}
    assert set(facts["uses"]) == {use for field, use in needs.items() if field in fields}
    others = {fact["service"]: other for other, fact in services().items()}
    assert set(facts["calls"]) == {others[field] for field in fields if field in others}
    graces = {field for field in fields if "grace" in field}
    assert graces == ({facts["graceSetting"]} if "graceSetting" in facts else set())


def test_every_secret_and_every_address_is_the_charts() -> None:
    known = {field.name for kind in kinds().values() for field in dataclasses.fields(kind)}
    assert set(reserved()) <= known
    secrets = {
        field.name
        for kind in kinds().values()
        for field in dataclasses.fields(kind)
        if isinstance(field.default, Secret)
    }
    assert secrets <= set(reserved())


@pytest.mark.parametrize("case", CASES)
def test_no_secret_is_in_what_anybody_may_read(case: str) -> None:
    example, values = CASES[case]
    objects = render(example, values)
    shown = json.dumps(find(objects, "ConfigMap"))
    assert re.findall(r"://[^/\"\s]*:[^/\"\s]*@", shown) == []
    for one in find(objects, "ConfigMap"):
        if component(one) in services():
            keys = set(tomllib.loads(one["data"]["settings.toml"]))
            assert not keys & {"store_url", "database_url", "broker_username", "broker_password", "otlp_endpoint"}
    for name, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            for variable in container.get("env", ()):
                # A trial has no password that could be shown.
                assert not re.search(r"://[^/]*:[^/]*@", variable.get("value", "")), name
