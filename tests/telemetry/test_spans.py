"""What must follow from what, on the spans of a real mesh; and nothing in them that is not declared."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from skewless.telemetry import names
from tests.telemetry.conftest import Observed

ROOT = Path(__file__).resolve().parents[2]
DECLARED = yaml.safe_load((ROOT / "docs/telemetry/spans.yaml").read_text())
EDGES = yaml.safe_load((ROOT / "docs/telemetry/edges.yaml").read_text())
BY_ID = {span["id"]: span for span in DECLARED["spans"]}
CLOCKS_NS = 5_000_000
"""How much two clocks of one machine may differ after they were read one after the other."""
TYPES: dict[str, Any] = {"string": str, "int": int, "string[]": list}


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: f"{edge['from']} -> {edge['to']}")
def test_edge(edge: dict[str, str], observed: Observed) -> None:
    found = {(earlier.label, by, later.label) for earlier, by, later in observed.spans.edges()}
    assert (edge["from"], edge["by"], edge["to"]) in found


def test_an_effect_begins_after_its_cause(observed: Observed) -> None:
    early = [
        (earlier.label, later.label)
        for earlier, _, later in observed.spans.edges()
        if later.start_ns < earlier.start_ns - 5_000_000  # the clocks of two processes are read at different costs
    ]
    assert early == []


def test_spans_have_declared_names_and_attributes(observed: Observed) -> None:
    wrong = []
    for span in observed.spans.all:
        if span.service == "application" and span.id == "producer":
            continue  # the application's own
        declared = BY_ID.get(span.id)
        if declared is None or declared["kind"] != span.kind or span.service not in declared["services"]:
            wrong.append(f"{span.label} is not declared")
            continue
        if span.name != declared["name"].replace("{rpc.service}", span.attributes.get("rpc.service", "")).replace(
            "{rpc.method}", span.attributes.get("rpc.method", "")
        ):
            wrong.append(f"{span.label} is named {span.name}")
        required = set(declared["required"])
        allowed = required | set(declared["optional"])
        wrong += [f"{span.label} lacks {name}" for name in required - set(span.attributes)]
        wrong += [f"{span.label} has {name}" for name in set(span.attributes) - allowed]
        for name, value in span.attributes.items():
            if not isinstance(value, TYPES[DECLARED["attributes"][name]["type"]]):
                wrong.append(f"{span.label}: {name} is {value!r}")
    assert wrong == []


def test_the_stages_of_a_request_are_events_of_its_span(observed: Observed) -> None:
    declared = {
        (service, event)
        for span in DECLARED["spans"]
        for service, all_ in span.get("events", {}).items()
        for event in all_
    }
    assert {(span.service, event["name"]) for span in observed.spans.all for event in span.events} == declared
    requests = [span for span in observed.spans.all if span.label == "online: rpc.server GetOnlineFeatures"]
    assert any(len(span.events) == len(declared) for span in requests)
    for span in requests:
        times = [span.start_ns, *(event["at_ns"] for event in span.events), span.end_ns]
        assert times == sorted(times), span
    # The read of the store is inside of its stage.
    for span in requests:
        ends = {event["name"]: event["at_ns"] for event in span.events}
        for read in observed.spans.all:
            if read.name == "store.read" and read.parent_id == span.span_id:
                assert read.start_ns >= ends["resolve"] - CLOCKS_NS
                assert read.end_ns <= ends["fetch"] + CLOCKS_NS


def test_every_declared_span_is_emitted_by_each_of_its_services(observed: Observed) -> None:
    seen = {(span.id, span.service) for span in observed.spans.all}
    wanted = {(span["id"], service) for span in DECLARED["spans"] for service in span["services"]}
    assert wanted - seen == set()


def test_code_and_declarations_agree() -> None:
    assert {(span.id, span.kind, span.named or span.id) for span in names.SPANS} == {
        (span["id"], span["kind"], span["name"]) for span in DECLARED["spans"]
    }
    assert set(DECLARED["attributes"]) == names.ATTRIBUTES
    used = {name for span in DECLARED["spans"] for name in (*span["required"], *span["optional"])}
    assert used == set(DECLARED["attributes"])


def test_every_name_is_used_by_code() -> None:
    files = [*(ROOT / "src/skewless").rglob("*.py"), *(ROOT / "services").rglob("*.py")]
    code = "".join(path.read_text() for path in files if path.name != "names.py")
    constants = [name for name, value in vars(names).items() if name.isupper() and name not in {"SPANS", "ATTRIBUTES"}]
    assert constants
    assert [name for name in constants if not re.search(rf"\bnames\.{name}\b", code)] == []


def test_the_trace_of_one_event_and_of_one_request(observed: Observed) -> None:
    """From the producer to the served value, and on to the log of what was served."""
    (pay,) = (span for span in observed.spans.all if span.trace_id == observed.trace_id and span.name == "pay")
    event = observed.spans.tree(pay)
    requests = [s for s in observed.spans.all if s.attributes.get("skewless.request_id") == observed.request_id]
    (server,) = (span for span in requests if span.label == "online: rpc.server GetOnlineFeatures")
    (client,) = (span for span in observed.spans.all if span.span_id == server.parent_id)
    request = observed.spans.tree(client)
    print(f"\nOne event:\n{event}\n\nOne request:\n{request}")
    assert client.trace_id == pay.trace_id
    for label in ("stream_agg: fold", "stream_agg: store.write", "stream_agg: account", "stream_agg: rekey"):
        assert label in event
        assert label not in request
    for label in ("online: store.read", "offline: ingest", "offline: table.append"):
        assert label in request


def test_the_log_names_the_trace(observed: Observed) -> None:
    """What a service logs while it handles a call leads to the span of that call."""
    lines = [json.loads(line) for line in observed.logs["stream_agg"].splitlines()]
    (line,) = (line for line in lines if "Rewind is refused" in line["message"])
    (span,) = (span for span in observed.spans.all if span.label == "stream_agg: rpc.server Rewind")
    assert (line["trace_id"], line["span_id"]) == (span.trace_id, span.span_id)
    assert line["trace_id"] == observed.trace_id


def test_every_line_of_a_log_is_one_object(observed: Observed) -> None:
    for name, text in observed.logs.items():
        assert all(json.loads(line)["logger"] for line in text.splitlines()), name
        assert text, name
