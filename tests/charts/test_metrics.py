"""Alerts and dashboards: PromQL, over metrics that services have, with labels that these have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import promql_parser
import pytest
import yaml

from skewless.api.errors.v1.reason_pb2 import Reason
from skewless.telemetry.metrics import METRICS, REQUESTS
from tests.charts.charting import SCRAPED, component, find, render, services
from tools.chart.settings import CHART

_ENDINGS: Final = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
SERIES: Final = {
    f"{metric.name}{ending}": {*metric.labels, *({"le"} if ending == "_bucket" else ())}
    for metric in METRICS
    for ending in _ENDINGS[metric.kind]
} | {"up": set()}
"""By name what a scrape has of every metric, with its labels; and what Prometheus adds itself."""
ON: Final = {
    "metrics": {"serviceMonitor": {"enabled": True}, "rules": {"enabled": True}, "dashboards": {"enabled": True}}
}


def alerts() -> list[dict[str, Any]]:
    (rules,) = find(render("production"), "PrometheusRule")
    return [rule for group in rules["spec"]["groups"] for rule in group["rules"]]


def dashboards() -> dict[str, dict[str, Any]]:
    found = {}
    for one in find(render("production"), "ConfigMap"):
        if component(one) == "metrics":
            ((name, text),) = one["data"].items()
            found[name] = json.loads(text)
    return found


def queries() -> Iterator[tuple[str, str, str]]:
    """Every query with where it stands, and the text that shows its labels."""
    for alert in alerts():
        yield alert["alert"], alert["expr"], json.dumps(alert["annotations"])
    for name, board in dashboards().items():
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["expr"], target["legendFormat"]


QUERIES: Final = list(queries())


def nodes(expression: str) -> list[Any]:
    """Every part of a query. Raises ValueError if it is none."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expression), pre_visit=found.append)
    return found


@pytest.mark.parametrize(
    ("place", "expression", "shown"), QUERIES, ids=[f"{place}-{at}" for at, (place, _, _) in enumerate(QUERIES)]
)
def test_a_query_asks_for_what_is_there(place: str, expression: str, shown: str) -> None:
    selectors = [node for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]
    assert selectors
    labels = set(SCRAPED)
    for selector in selectors:
        assert selector.name in SERIES, place
        labels |= SERIES[selector.name]
        asked = {matcher.name for matcher in selector.matchers.matchers}
        assert asked <= SERIES[selector.name] | SCRAPED, place
        assert {"namespace", "job"} <= asked, f"{place}: would mix releases; write {{$mesh}}"
    kept = labels
    for node in nodes(expression):
        if isinstance(node, promql_parser.AggregateExpr) and "topk" not in str(node.op):
            by = set(node.modifier.labels) if node.modifier is not None else set()
            assert by <= labels, place
            kept = by if kept is labels else kept & by
    named = set(re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", shown))
    assert named <= kept, f"{place} shows labels that its query does not keep"


def test_releases_are_told_apart() -> None:
    jobs = "|".join(f"skewless-{name}" for name in sorted(services()))
    assert f'{{namespace="features", job=~"{jobs}"}}' in alerts()[0]["expr"]
    (rules,) = find(render("trial", {"metrics": {**ON["metrics"], "selector": 'cluster="a"'}}), "PrometheusRule")
    assert rules["spec"]["groups"][0]["rules"][0]["expr"] == 'up{cluster="a"} == 0'


def test_nothing_is_left_to_be_put_in() -> None:
    assert [place for place, expression, _ in QUERIES if "$" in expression] == []


def test_every_service_is_scraped_once() -> None:
    objects = render("trial", ON)
    (monitor,) = find(objects, "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    chosen = monitor["spec"]["selector"]["matchLabels"]
    scraped = [
        component(one)
        for one in find(objects, "Service")
        if chosen.items() <= one["metadata"]["labels"].items()
        and any(port["name"] == endpoint["port"] for port in one["spec"]["ports"])
    ]
    assert sorted(scraped) == sorted(services())


def test_a_service_that_is_not_there_is_missed() -> None:
    def missing(values: dict[str, Any]) -> list[str]:
        (rules,) = find(render("trial", {**ON, **values}), "PrometheusRule")
        alerts = [alert for group in rules["spec"]["groups"] for alert in group["rules"]]
        return [alert["expr"].rpartition("< ")[2] for alert in alerts if alert["alert"] == "SkewlessMissing"]

    assert missing({}) == ["5"]
    assert missing({"components": {"validator": {"enabled": False}, "offline": {"replicas": 0}}}) == ["3"]
    # Another selector may make one job of them all.
    assert missing({"metrics": {**ON["metrics"], "selector": 'cluster="a"'}}) == []


def test_alerts_say_what_happened_and_what_to_do() -> None:
    names = [alert["alert"] for alert in alerts()]
    assert len(names) == len(set(names))
    for alert in alerts():
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert alert["annotations"].keys() == {"summary", "description"}


def test_dashboards_are_of_this_release_and_have_room_for_their_panels() -> None:
    uids = [board["uid"] for board in dashboards().values()]
    assert len(uids) == len(set(uids)) == len(list((CHART / "files" / "dashboards").glob("*.yaml")))
    assert all(len(uid) <= 40 for uid in uids)
    for board in dashboards().values():
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
        assert len(places) == len(set(places))
        assert all(x + 8 <= 24 for x, _ in places)


def test_thresholds_are_those_that_are_promised() -> None:
    found = {alert["alert"]: alert["expr"].rsplit(maxsplit=2)[-2:] for alert in alerts()}
    assert found["SkewlessPipelineFailing"] == ["<", "0.99"]
    assert found["SkewlessFeaturesStale"] == [">", "600"]
    assert found["SkewlessOnlineSlow"] == [">", "0.02"]
    assert found["SkewlessValuesMissing"] == [">", "0.01"]
    assert found["SkewlessInconsistent"] == ["<", "0.99"]
    assert found["SkewlessVeryInconsistent"] == ["<", "0.95"]
    assert found["SkewlessKeysRefused"] == [">", "0.1"]
    assert found["SkewlessRateLimited"] == [">", "0.01"]
    assert found["SkewlessShedding"] == [">", "0"]


def test_refusals_that_alerts_count_are_reasons_of_refusals() -> None:
    """An outcome that the service never tells would make an alert that never fires."""
    reasons = [name.removeprefix("REASON_").lower() for name in Reason.DESCRIPTOR.values_by_name]
    for place, expression, _ in QUERIES:
        for node in nodes(expression):
            if not isinstance(node, promql_parser.VectorSelector) or node.name != f"{REQUESTS.name}_total":
                continue
            for matcher in node.matchers.matchers:
                if matcher.name == "outcome":
                    assert any(re.fullmatch(matcher.value, reason) for reason in reasons), place
    keyed = {reason for reason in reasons if reason.startswith("api_key_")}
    (alert,) = [one["expr"] for one in alerts() if one["alert"] == "SkewlessKeysRefused"]
    (counted,) = re.findall(r'outcome=~"([^"]+)"', alert)
    assert {reason for reason in reasons if re.fullmatch(counted, reason)} == keyed
    assert len(keyed) == 5


def test_what_alerts_are_made_from_is_plain() -> None:
    """So that they can be given to a Prometheus without operator, with labels put in place of $mesh."""
    groups = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    assert all("$mesh" in rule["expr"] for group in groups for rule in group["rules"])
