"""What helm says after an install: where things are, how to begin, what stays."""

from __future__ import annotations

import ast
import re

import pytest

from skewless.cli.main import app
from tests.charts.charting import component, find, render, services
from tools.chart.rendered import NAMESPACE, RELEASE, helm, values_of
from tools.chart.settings import CHART


def notes(case: str, *arguments: str) -> str:
    options = ("--dry-run=client", "--namespace", NAMESPACE, "--values")
    return helm("install", RELEASE, CHART, *options, values_of(case), *arguments).partition("\nNOTES:\n")[2]


@pytest.mark.parametrize("case", ["trial", "production"])
def test_every_service_is_named_with_its_port(case: str) -> None:
    said = notes(case)
    for one in find(render(case), "Service"):
        if component(one) in services():
            assert f"{one['metadata']['name']}:{services()[component(one)]['ports']['grpc']}" in said


def test_a_trial_says_that_it_is_one() -> None:
    said = notes("trial")
    assert (
        "THIS IS A TRIAL. Bundled, one replica each, without passwords and backups: broker database store lake." in said
    )
    assert "as long as its pod" not in said
    passing = notes("trial", "--set", "components.trial-kafka.data.size=")
    assert "What skewless-trial-kafka keeps lasts as long as its pod" in passing
    assert "skewless-trial-valkey keeps" not in passing
    assert "TRIAL" not in notes("production")
    less = notes("trial", "--set", "store.url.secretName=valkey,components.trial-kafka.data.size=1Gi")
    assert "backups: broker database lake." in less
    assert "skewless-trial-valkey" not in less
    assert "skewless-trial-kafka keeps" not in less


def test_the_way_to_the_first_feature_is_of_commands_that_exist() -> None:
    said = notes("trial")
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    used = set(re.findall(r"^skewless (\w+)", said, re.MULTILINE))
    assert {"init", "apply", "get"} <= used <= commands
    (program,) = re.findall(r"<<'END'\n(.*?)^END$", said, re.MULTILINE | re.DOTALL)
    ast.parse(program)
    assert find(render("trial"), "Deployment", "skewless-cli")
    assert "--reset-then-reuse-values --set components.cli.enabled=true" in notes("production")


def test_what_stays_is_named() -> None:
    assert "the claim" not in notes("trial")
    kept = notes("trial", "--set", "lake.volume.keep=true")
    assert "the claim skewless-lake" in kept
    assert f"kubectl -n {NAMESPACE} delete pvc skewless-lake" in kept
