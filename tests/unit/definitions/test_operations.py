"""Sources whose records may take back others."""

import json
from typing import Any

import pytest

import skewless as sk
from skewless.errors import InvalidDefinitionError

COLUMNS = {"at": "timestamp", "user": "string", "op": "string", "gone": "bool", "x": "float64"}
WORDS = sk.Operation("op", inserts=["+I", "+U"], retracts=["-U", "-D"])


def view(operation: Any, *features: Any, **own: Any) -> sk.Project:
    """A project of one view over a source with this operation."""
    source = sk.StreamSource(
        "changes", topic="changes", columns=COLUMNS, event_time="at", record_key=["user"], operation=operation
    )
    entity = sk.Entity("user")
    return sk.Project("shop", sk.StreamFeatureView("v", entity=entity, source=source, features=features, **own))


def source_of(project: sk.Project) -> dict[str, Any]:
    """The source as it stands in the view's meaning."""
    (definition,) = [d for d in project.definitions() if d.name == "v"]
    found: dict[str, Any] = json.loads(definition.meaning_json)["source"]
    return found


def test_an_operation_stands_in_the_meaning_and_its_column_is_never_null() -> None:
    source = source_of(view(WORDS, sk.count("n", windows="1h")))
    assert source["operation"] == {"column": "op", "inserts": ["+I", "+U"], "retracts": ["-U", "-D"]}
    assert {c["name"]: c["nullable"] for c in source["columns"]}["op"] is False
    truth = source_of(view(sk.Operation("gone"), sk.count("n", windows="1h")))
    assert truth["operation"] == {"column": "gone", "inserts": [False], "retracts": [True]}


def test_without_one_the_meaning_has_no_such_member() -> None:
    source = source_of(view(None, sk.count("n", windows="1h")))
    assert "operation" not in source
    assert {c["name"]: c["nullable"] for c in source["columns"]}["op"] is True


def test_each_feature_that_cannot_be_taken_back_is_named() -> None:
    features = [
        sk.count("n", windows="1h"),
        sk.max("top", "x", windows="1h"),
        sk.sum("s", "x", windows=sk.exact("10m", bound=5)),
        sk.count("ops", "op", windows="1h"),
    ]
    with pytest.raises(InvalidDefinitionError) as refused:
        view(WORDS, *features).definitions()
    told = {(v.reason, v.message.split(":")[0]) for v in refused.value.violations}
    assert told == {
        ("NOT_SUBTRACTABLE", "top_1h"),
        ("UNSUPPORTED_WINDOW", "s_exact_10m"),
        ("READS_OPERATION", "ops_1h"),
    }
    assert any("count_where, histogram" in v.message for v in refused.value.violations)


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (sk.Operation("nope"), "UNKNOWN_COLUMN"),
        (sk.Operation("x"), "TYPE_MISMATCH"),
        (sk.Operation("op"), "WRONG_TYPE"),
        (sk.Operation("op", inserts=["c"], retracts=["c"]), "DUPLICATE_VALUE"),
        (sk.Operation("op", inserts=["c"], retracts=[]), "WRONG_COUNT"),
        ("op", "WRONG_TYPE"),
    ],
)
def test_what_is_no_operation_is_refused(operation: Any, reason: str) -> None:
    with pytest.raises(InvalidDefinitionError) as refused:
        view(operation, sk.count("n", windows="1h")).definitions()
    assert {v.reason for v in refused.value.violations} == {reason}


def test_a_filter_cannot_read_the_operation() -> None:
    with pytest.raises(InvalidDefinitionError) as refused:
        view(WORDS, sk.count("n", windows="1h"), filter="op = '+I'").definitions()
    assert [v.reason for v in refused.value.violations] == ["READS_OPERATION"]
