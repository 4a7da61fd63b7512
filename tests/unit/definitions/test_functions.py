"""Python functions as on-demand features: how they are written into a meaning, and which are refused."""

from __future__ import annotations

import hashlib
import importlib
import json
from typing import Any

import pytest

import skewless
from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import OnDemandView
from skewless.definitions.resource import Version
from skewless.definitions.versions import differences, next_version
from skewless.errors import InvalidDefinitionError, Violation
from skewless.functions.environment import FunctionRef
from tests.functions import samples

samples.install()
scoring = importlib.import_module("sample_functions.scoring")
faulty = importlib.import_module("sample_functions.faulty")

REQUEST = skewless.RequestSource({"amount": "float64", "usual": "float64", "x": "int64"})


def view(function: Any, kind: str = "int64", **options: Any) -> skewless.OnDemandFeatureView:
    computed = skewless.PythonFunction(function, kind, **options)
    return skewless.OnDemandFeatureView("scores", request=REQUEST, features={"found": computed})


def faults(function: Any, kind: str = "int64", **options: Any) -> list[Violation]:
    with pytest.raises(InvalidDefinitionError) as caught:
        skewless.Project("shop", view(function, kind, **options)).definitions()
    return list(caught.value.violations)


def test_a_function_is_written_down_by_name_and_hash() -> None:
    (made,) = skewless.Project("shop", view(scoring.score, "float64", budget="2ms")).definitions()
    source = hashlib.sha256((samples.INSTALLED / "sample_functions" / "scoring.py").read_bytes()).hexdigest()
    assert json.loads(made.meaning_json)["features"] == [
        {
            "name": "found",
            "type": "float64",
            "function": {
                "module": "sample_functions.scoring",
                "name": "score",
                "source": source,
                "arguments": ["amount", "usual"],
                "budget_us": 2000,
            },
        }
    ]
    read = Catalog([made]).view("shop", "scores", "1.0.0")
    assert isinstance(read, OnDemandView)
    wanted = FunctionRef("sample_functions.scoring", "score", samples.SOURCE, ("amount", "usual"), "float64", 2000)
    assert read.by_name["found"].function == wanted


def test_a_function_may_be_named_and_a_parameter_keeps_its_default() -> None:
    named = skewless.Project("shop", view("sample_functions.scoring:with_default")).definitions()
    given = skewless.Project("shop", view(scoring.with_default)).definitions()
    assert named == given
    assert json.loads(named[0].meaning_json)["features"][0]["function"]["arguments"] == ["x"]


def test_another_source_is_another_major_version(monkeypatch: pytest.MonkeyPatch) -> None:
    (applied,) = skewless.Project("shop", view(scoring.echo)).definitions()
    monkeypatch.setattr(scoring, "__file__", str(samples.INSTALLED / "sample_functions" / "steps.py"))
    (wanted,) = skewless.Project("shop", view(scoring.echo)).definitions()
    assert next_version(applied, wanted, []) == Version(2, 0, 0)
    (line,) = differences(applied, wanted)
    assert line.startswith(f'features[found].function.source: "{samples.SOURCE.hex()}" -> "')


@pytest.mark.parametrize(
    ("function", "reason", "says"),
    [
        (faulty.nameless, "LAMBDA", "define it with def at the top of a module"),
        (faulty.nested, "NESTED_FUNCTION", "move it to the top of a module"),
        (faulty.Holder.method, "NESTED_FUNCTION", "a class"),
        (faulty.closure, "CLOSURE", "pass them as arguments"),
        (faulty.decorated, "CLOSURE", "a function around it"),
        (faulty.bound, "NOT_A_FUNCTION", "defines with def"),
        (faulty.part, "NOT_A_FUNCTION", "partial"),
        (len, "NOT_A_FUNCTION", "builtin"),
        (7, "NOT_A_FUNCTION", "int 7"),
        (faulty.waiting, "ASYNC_FUNCTION", "write def"),
        (faulty.many, "GENERATOR_FUNCTION", "return one value"),
        (faulty.mutable, "MUTABLE_DEFAULT", "the default of seen is list []"),
        (faulty.variadic, "BAD_PARAMETER", r"*x"),
        (faulty.late, "LATE_IMPORT", "import it at the top"),
        (faulty.counting, "NOT_PURE", "changes the global calls"),
        (faulty.texts, "WRONG_TYPE", "annotated as str, and int64 is int"),
        (faulty.stranger, "UNKNOWN_COLUMN", "nowhere is no input and no request field"),
        ("sample_functions.scoring", "MALFORMED_REFERENCE", "package.module:function"),
        ("sample_functions.nowhere:score", "NOT_IMPORTABLE", "No module named"),
        ("sample_functions.broken:score", "NOT_IMPORTABLE", "no licence found"),
        ("sample_functions.scoring:nothing", "NOT_IMPORTABLE", "has no attribute 'nothing'"),
    ],
)
def test_what_another_process_could_not_call_alike_is_refused(function: Any, reason: str, says: str) -> None:
    found = [fault for fault in faults(function) if fault.reason == reason]
    assert len(found) >= 1, faults(function)
    assert says in found[0].message
    assert found[0].path.startswith("on demand view scores@1.0.0.features[0].function")


def test_a_function_of_the_program_or_of_a_file_of_definitions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, says in (("__main__", "the program that runs"), ("skewless_definitions_shop", "a file of definitions")):
        with monkeypatch.context() as patch:
            patch.setattr(scoring.echo, "__module__", module)
            found = [fault for fault in faults(scoring.echo) if fault.reason == "NOT_IMPORTABLE"]
            assert says in found[0].message


def test_a_source_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "__file__", "scoring.so")
    assert [fault.reason for fault in faults(scoring.echo)] == ["SOURCE_UNREADABLE"]


def test_a_budget_has_bounds_and_a_type_is_one() -> None:
    assert [fault.reason for fault in faults(scoring.echo, budget="2s")] == ["OUT_OF_RANGE"]
    assert [fault.reason for fault in faults(scoring.echo, budget="soon")] == ["MALFORMED_DURATION"]
    assert "UNKNOWN_TYPE" in [fault.reason for fault in faults(scoring.echo, "decimal")]
    assert [fault.reason for fault in faults(scoring.score, "int64")] == ["WRONG_TYPE"]
