"""What a plan says: additions, descriptions, refusals with advice, and every fault at once."""

from typing import Any

import pytest

from services.registry.domain.plan import ChangeKind, plan, refuse_changed_meaning
from skewless.definitions.resource import Definition, Version
from skewless.errors import InvalidDefinitionError, MeaningChangedError, Violation
from tests.unit.registry.flights import by_name, changed, definitions


def faults(wanted: list[Definition], applied: list[Definition] | None = None) -> list[Violation]:
    with pytest.raises(InvalidDefinitionError) as caught:
        plan(wanted, applied or [])
    return list(caught.value.violations)


def reasons(wanted: list[Definition], applied: list[Definition] | None = None) -> list[tuple[str, str]]:
    return [(violation.path, violation.reason) for violation in faults(wanted, applied)]


def test_what_is_not_there_is_added_in_the_order_of_listings() -> None:
    wanted = definitions()
    changes = plan(list(reversed(wanted)), [])
    assert [change.definition for change in changes] == wanted
    assert {change.kind for change in changes} == {ChangeKind.ADD}
    sizes = {change.definition.name: change.state_bytes_per_key for change in changes}
    assert sizes["origin_departures"] > 0
    assert sizes["weekly"] > 0
    assert sizes["deviation"] == sizes["model"] == sizes["departures"] == 0


def test_what_is_there_is_unchanged() -> None:
    wanted = definitions()
    assert {change.kind for change in plan(wanted, wanted)} == {ChangeKind.UNCHANGED}


def test_words_may_change_under_the_same_version() -> None:
    changes = plan(definitions(description="new"), definitions())
    (described,) = (change for change in changes if change.kind is ChangeKind.DESCRIBE)
    assert described.differences == ('description: "" -> "new"',)


def test_a_changed_meaning_is_refused_with_the_next_version() -> None:
    changes = plan(definitions(windows=("1h", "6h")), definitions())
    refused = {c.definition.name: c for c in changes if c.kind is ChangeKind.REFUSED}
    view = refused["origin_departures"]
    assert view.next_version == (2, 0, 0)
    assert [line.partition(":")[0] for line in view.differences] == [
        "features[departures_24h]",
        "features[departures_6h]",
    ]
    # What pins the view means something else with it.
    assert set(refused) == {"origin_departures", "deviation", "model"}
    with pytest.raises(MeaningChangedError, match=r"origin_departures@1.0.0: .* use 2.0.0"):
        refuse_changed_meaning(changes)


def test_adding_a_feature_calls_for_a_minor_version() -> None:
    changes = plan(definitions(windows=("1h", "24h", "7d")), definitions())
    advised = {c.definition.name: c.next_version for c in changes if c.next_version}
    assert advised["origin_departures"] == (1, 1, 0)


def test_the_advised_version_is_not_taken() -> None:
    applied = definitions()
    view = by_name(applied)["origin_departures"]
    wider = changed(view, lambda d: d["features"][0].update(name="other"), version="2.0.0")
    changes = plan(definitions(windows=("1h", "6h")), [*applied, wider])
    advised = {c.definition.name: c.next_version for c in changes}
    assert advised["origin_departures"] == (3, 0, 0)


def test_an_entity_has_no_versions_so_a_new_name_is_advised() -> None:
    origin = by_name(definitions())["origin"]
    other = changed(origin, lambda d: d["keys"][0].update(type="int64"))
    (change,) = plan([other], [origin])
    assert (change.kind, change.next_version) == (ChangeKind.REFUSED, None)
    assert change.differences == ('keys[origin].type: "string" -> "int64"',)
    with pytest.raises(MeaningChangedError, match=r"entity origin: .* a new name"):
        refuse_changed_meaning([change])


def test_a_patch_keeps_the_meaning() -> None:
    applied = definitions()
    view = by_name(applied)["origin_departures"]
    patch = changed(view, lambda _: None, version="1.0.1")
    assert [c.kind for c in plan([patch], applied)] == [ChangeKind.ADD]
    other = changed(view, lambda d: d.update(head_max=128), version="1.0.1")
    (change,) = plan([other], applied)
    assert (change.kind, change.next_version) == (ChangeKind.REFUSED, Version(2, 0, 0))


def test_versions_of_other_meaning_live_together() -> None:
    applied = definitions()
    other = changed(by_name(applied)["origin_departures"], lambda d: d.update(head_max=128), version="2.0.0")
    assert [c.kind for c in plan([other], applied)] == [ChangeKind.ADD]


def test_two_patches_of_one_request_share_their_meaning() -> None:
    wanted = definitions()
    other = changed(by_name(wanted)["origin_departures"], lambda d: d.update(head_max=128), version="1.0.1")
    assert reasons([*wanted, other]) == [("definitions[7].version", "MEANING_CHANGED")]


def test_references_resolve_in_the_request_and_in_what_is_applied() -> None:
    wanted = definitions()
    model = by_name(wanted)["model"]
    applied = [d for d in wanted if d is not model]
    assert [c.kind for c in plan([model], applied)] == [ChangeKind.ADD]
    names = {path.partition(".features[")[0] for path, _ in reasons([model])}
    assert names == {"definitions[0].meaning_json"}


def set_input(member: str, value: Any) -> Any:
    return lambda document: document["inputs"][0].update({member: value})


@pytest.mark.parametrize(
    ("change", "path", "reason", "words"),
    [
        (set_input("view", "nobody"), "inputs[0].view", "UNKNOWN_VIEW", "no view 'nobody@1.0.0'; known: "),
        (set_input("version", "9.0.0"), "inputs[0].view", "UNKNOWN_VIEW", "no view 'origin_departures@9.0.0'"),
        (set_input("feature", "delay"), "inputs[0].feature", "UNKNOWN_FEATURE", "it has departures_1h"),
        (set_input("type", "int64"), "inputs[0].type", "TYPE_MISMATCH", "is float64, not int64"),
        (set_input("meaning", "0" * 64), "inputs[0].meaning", "MEANING_DIFFERS", "pin what it means"),
    ],
)
def test_a_pin_that_leads_nowhere_is_named(change: Any, path: str, reason: str, words: str) -> None:
    wanted = definitions()
    deviation = changed(by_name(wanted)["deviation"], change, version="2.0.0")
    (fault,) = faults([deviation], wanted)
    assert (fault.path, fault.reason) == (f"definitions[0].meaning_json.{path}", reason)
    assert words in fault.message


def test_a_cycle_is_refused_and_named() -> None:
    wanted = definitions()
    deviation = by_name(wanted)["deviation"]
    pin = {"view": "second", "version": "1.0.0", "feature": "deviation", "meaning": "0" * 64, "type": "float64"}
    first = changed(deviation, lambda d: d["inputs"][0].update(pin))
    back = {**pin, "view": "deviation", "meaning": first.meaning_hash.hex()}
    second = changed(deviation, lambda d: (d.update(name="second"), d["inputs"][0].update(back)), name="second")
    wanted = [d for d in wanted if d.name not in {"deviation", "model"}]
    messages = [fault.message for fault in faults([*wanted, first, second]) if fault.reason == "CYCLE"]
    assert len(messages) == 2
    assert "a cycle: deviation@1.0.0 -> second@1.0.0 -> deviation@1.0.0" in messages[0]


def test_a_view_holds_entity_and_source_as_they_are_defined() -> None:
    wanted = definitions()
    view = by_name(wanted)["origin_departures"]
    other = changed(
        view,
        lambda d: (d["entity"]["keys"][0].update(name="tailnum"), d["source"].update(topic="t")),
        version="2.0.0",
    )
    assert reasons([other], wanted) == [
        ("definitions[0].meaning_json.entity", "ENTITY_DIFFERS"),
        ("definitions[0].meaning_json.source", "SOURCE_DIFFERS"),
    ]
    assert reasons([view]) == [
        ("definitions[0].meaning_json.entity.name", "UNKNOWN_ENTITY"),
        ("definitions[0].meaning_json.source.name", "UNKNOWN_SOURCE"),
    ]


def test_views_of_all_kinds_share_their_names() -> None:
    wanted = definitions()
    deviation = by_name(wanted)["deviation"]
    other = changed(deviation, lambda d: d.update(name="weekly"), name="weekly", version="3.0.0")
    assert reasons([other], wanted) == [("definitions[0].name", "DUPLICATE_NAME")]


def test_a_topic_has_one_source() -> None:
    wanted = definitions()
    second = changed(
        by_name(wanted)["departures"],
        lambda d: (d.update(name="again"), d["source"].update(name="again")),
        name="again",
    )
    assert reasons([second], wanted) == [("definitions[0].meaning_json.source.topic", "TOPIC_TAKEN")]


def test_a_query_reads_only_logs_that_somebody_writes() -> None:
    wanted = by_name(definitions())
    needed = [wanted[name] for name in ("origin", "delays", "departures", "weekly")]
    assert reasons(needed) == [("definitions[1].meaning_json.source.table.inputs[0]", "NO_EVENT_LOG")]
    other = changed(wanted["delays"], lambda d: d["source"]["table"].update(inputs=["nothing"]))
    assert ("definitions[0].meaning_json.source.table.inputs[0]", "UNKNOWN_SOURCE") in reasons([other])


def test_versions_are_where_they_belong() -> None:
    wanted = by_name(definitions())
    entity = changed(wanted["origin"], lambda _: None, version="1.0.0")
    (fault,) = faults([entity])
    assert (fault.path, fault.reason) == ("definitions[0].version", "UNEXPECTED_VERSION")


def test_the_meaning_is_about_what_the_definition_says() -> None:
    origin = by_name(definitions())["origin"]
    other = changed(origin, lambda d: d.update(name="airport"))
    assert reasons([other]) == [("definitions[0].meaning_json.name", "MALFORMED_MEANING")]


def test_the_same_definition_twice_is_told() -> None:
    wanted = definitions()
    assert reasons([*wanted, wanted[0]]) == [("definitions[7]", "DUPLICATE_NAME")]


def test_all_faults_of_all_definitions_are_told_at_once() -> None:
    wanted = by_name(definitions())
    view = changed(
        wanted["origin_departures"],
        lambda d: (d["features"][0].update(hop_us=7_000_000), d["features"][2].update(column="delay")),
    )
    deviation = changed(wanted["deviation"], set_input("view", "nobody"), version="2.0.0")
    found = reasons([view, deviation], list(wanted.values()))
    assert found == [
        ("definitions[0].meaning_json.features[0].hop_us", "HOP_NOT_ON_LADDER"),
        ("definitions[0].meaning_json.features[2].column", "UNKNOWN_COLUMN"),
        ("definitions[1].meaning_json.inputs[0].view", "UNKNOWN_VIEW"),
    ]


def test_a_fault_is_not_told_again_where_it_is_referred_to() -> None:
    wanted = definitions()
    place = next(i for i, d in enumerate(wanted) if d.name == "origin_departures")
    wanted[place] = changed(wanted[place], lambda d: d.update(head_max=0))
    assert reasons(wanted) == [(f"definitions[{place}].meaning_json.head_max", "OUT_OF_RANGE")]
