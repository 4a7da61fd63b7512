"""Definitions written in Python become canonical documents, or a list of everything that is wrong with them."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import skewless
from skewless.definitions import durations
from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import OnDemandView, Quantile, WindowView
from skewless.definitions.reading import read
from skewless.definitions.resource import (
    Definition,
    Version,
    canonical,
    digest,
    split_feature_ref,
    split_ref,
)
from skewless.definitions.versions import differences, next_version
from skewless.errors import InvalidDefinitionError, Violation

COLUMNS = {"event_time": "timestamp", "origin": "string", "tailnum": "string", "delay": "float64", "n": "int64"}


def entity() -> skewless.Entity:
    return skewless.Entity("origin")


def source(**members: Any) -> skewless.StreamSource:
    options: dict[str, Any] = {
        "topic": "flights.departures",
        "columns": COLUMNS,
        "event_time": "event_time",
        "record_key": ["tailnum"],
        **members,
    }
    return skewless.StreamSource("departures", **options)


def view(**members: Any) -> skewless.StreamFeatureView:
    options: dict[str, Any] = {
        "entity": entity(),
        "source": source(),
        "features": [skewless.count("departures", windows=["1h"])],
        **members,
    }
    return skewless.StreamFeatureView("by_origin", **options)


def vars_of(resource: Any) -> dict[str, Any]:
    """The members of a definition beside its name."""
    return {name: value for name, value in vars(resource).items() if name != "name"}


def document(resource: Any) -> dict[str, Any]:
    made = skewless.Project("flights", resource).definitions()
    (found,) = (definition for definition in made if definition.name == resource.name)
    loaded: dict[str, Any] = json.loads(found.meaning_json)
    return loaded


def faults(*resources: Any) -> list[Violation]:
    with pytest.raises(InvalidDefinitionError) as caught:
        skewless.Project("flights", *resources).definitions()
    return list(caught.value.violations)


def test_a_window_view_is_written_out_with_every_default() -> None:
    made = view(filter="delay IS NOT NULL", features=[skewless.avg("delay", "delay", windows=["7d"])])
    columns = [{"name": n, "type": t, "nullable": n != "event_time"} for n, t in COLUMNS.items()]
    assert document(made) == {
        "format": 1,
        "semantics": 1,
        "kind": "window_view",
        "project": "flights",
        "name": "by_origin",
        "entity": {"name": "origin", "keys": [{"name": "origin", "type": "string"}]},
        "source": {
            "kind": "stream",
            "name": "departures",
            "topic": "flights.departures",
            "payload": "json",
            "record_key": ["tailnum"],
            "columns": columns,
            "event_time": "event_time",
            "future_tolerance_us": 5_000_000,
        },
        "filter": {
            "op": "call",
            "fn": "not",
            "args": [{"op": "call", "fn": "is_null", "args": [{"op": "col", "name": "delay"}]}],
        },
        "origin_us": 345_600_000_000,
        "head_slack_us": 2_000_000,
        "back_slack_us": 300_000_000,
        "head_max": 256,
        "state_limit_bytes": 65_536,
        "features": [
            {
                "name": "delay_7d",
                "agg": "avg",
                "column": "delay",
                "window_us": 604_800_000_000,
                "hop_us": 3_600_000_000,
                "bound": None,
                "type": "float64",
            }
        ],
    }


def test_each_aggregate_has_its_type_and_each_window_its_feature() -> None:
    made = view(
        state_limit_bytes=1 << 20,
        features=[
            skewless.count("a", windows=["1h", "24h"]),
            skewless.count("b", "delay", windows="1h"),
            skewless.sum("c", "n", windows="1h"),
            skewless.sum("d", "delay", windows="1h", hop="5m"),
            skewless.min("e", "tailnum", windows={"first_tail": "1h"}),
            skewless.max("f", "event_time", windows=[dt.timedelta(hours=6)]),
            skewless.variance("g", "n", windows="1h"),
            skewless.stddev("h", "n", windows="1h"),
            skewless.count_distinct("i", "tailnum", windows="1h", bound=50),
            skewless.last("j", "tailnum", windows="1h"),
            skewless.time_since_last("k", windows="1h"),
            skewless.first("l", "tailnum", windows="1h"),
            skewless.rate("m", windows="1h"),
            skewless.rate("n", "n", windows="1h"),
            skewless.variance_pop("o", "n", windows="1h"),
            skewless.stddev_pop("p", "delay", windows="1h"),
            skewless.count_where("q", "delay > 15", windows="1h"),
        ],
    )
    features = document(made)["features"]
    assert {f["name"]: f["type"] for f in features} == {
        "a_1h": "int64",
        "a_24h": "int64",
        "b_1h": "int64",
        "c_1h": "int64",
        "d_1h": "float64",
        "first_tail": "string",
        "f_6h": "timestamp",
        "g_1h": "float64",
        "h_1h": "float64",
        "i_1h": "int64",
        "j_1h": "string",
        "k_1h": "int64",
        "l_1h": "string",
        "m_1h": "float64",
        "n_1h": "float64",
        "o_1h": "float64",
        "p_1h": "float64",
        "q_1h": "int64",
    }
    assert [f["hop_us"] for f in features][:5] == [60_000_000, 900_000_000, 60_000_000, 60_000_000, 300_000_000]
    assert [f["bound"] for f in features if f["bound"]] == [50]


def test_definitions_read_back_as_they_were_written() -> None:
    base = view()
    derived = skewless.OnDemandFeatureView(
        "derived",
        inputs=[base["departures_1h"]],
        request=skewless.RequestSource({"scheduled": "timestamp"}),
        features={"busy": "departures_1h > 10", "at": "hour(scheduled, 'America/New_York')"},
    )
    again = skewless.OnDemandFeatureView("again", inputs={"x": derived["at"]}, features={"y": "x + 1"})
    planes = skewless.BatchSource(
        "planes", path="planes.parquet", columns={"tailnum": "string not null", "seats": "int64"}
    )
    plane = skewless.BatchFeatureView(
        "plane",
        entity=skewless.Entity("plane", keys={"tailnum": "string"}),
        source=planes,
        features={"plane_seats": "seats"},
    )
    model = skewless.FeatureService("model", features=[plane, again["y"], "derived@1.0.0:busy"])
    made = skewless.Project("flights", model).definitions()
    catalog = Catalog(made, 1)
    assert [definition.ref for definition in made] == [
        "origin",
        "plane",
        "departures",
        "planes",
        "by_origin@1.0.0",
        "plane@1.0.0",
        "again@1.0.0",
        "derived@1.0.0",
        "model@1.0.0",
    ]
    service = catalog.service("flights", "model@1.0.0")
    assert [pin.label for pin in service.pins] == ["plane:plane_seats", "again:y", "derived:busy"]
    reader = catalog.view("flights", "derived")
    assert isinstance(reader, OnDemandView)
    stored = catalog.view_by_hash(reader.inputs[0].pin.meaning)
    assert isinstance(stored, WindowView)
    assert stored.ref == "by_origin@1.0.0"
    assert [str(feature.type) for feature in reader.features] == ["bool", "int64"]
    assert [v.ref for v in catalog.batch_views()] == ["plane@1.0.0"]


def test_words_are_outside_the_meaning() -> None:
    plain, described = view(), view(description="what", owner="who", tags={"a": "b"}, version="1.0.1")
    one = skewless.Project("flights", plain).definitions()[-1]
    other = skewless.Project("flights", described).definitions()[-1]
    assert one.meaning_hash == other.meaning_hash
    assert (other.description, other.owner, dict(other.tags)) == ("what", "who", {"a": "b"})


def test_every_fault_of_every_definition_is_told_at_once() -> None:
    bad_source = source(columns={**COLUMNS, "delay": "decimal"}, future_tolerance="5 seconds")
    stored = view(
        source=bad_source,
        version="1.0",
        back_slack="x",
        features=[skewless.avg("a", "lateness", windows=["1h"]), skewless.count("b", windows=["7s", "soon"])],
    )
    derived = skewless.OnDemandFeatureView(
        "derived", inputs=["by_origin@9.9.9:a"], features={"x": "1 +", "y": "sqrt('a')"}
    )
    found = [(violation.path, violation.reason) for violation in faults(stored, derived)]
    assert found == [
        ("source departures.future_tolerance", "MALFORMED_DURATION"),
        ("source departures.source.columns[3].type", "UNKNOWN_TYPE"),
        ("window view by_origin@1.0.version", "MALFORMED_VERSION"),
        ("window view by_origin@1.0.features[1]", "NO_DEFAULT_HOP"),
        ("window view by_origin@1.0.features[1]", "MALFORMED_DURATION"),
        ("window view by_origin@1.0.back_slack", "MALFORMED_DURATION"),
        ("on demand view derived@1.0.0.inputs[0]", "UNKNOWN_VIEW"),
        ("on demand view derived@1.0.0.features[0].expr", "SYNTAX"),
        ("on demand view derived@1.0.0.features[1].expr", "WRONG_TYPE"),
    ]


def test_a_fault_of_an_expression_is_shown_in_its_text() -> None:
    (fault,) = faults(view(filter="delay > 5\n  AND origins = 'JFK'"))
    assert fault.path.startswith("window view by_origin@1.0.0.filter")
    assert fault.message.startswith("line 2, column 7: ")
    assert "origins" in fault.message


def test_a_count_has_its_own_condition_in_every_window() -> None:
    late = skewless.count_where("late", "delay > 15", windows=["1h", "24h"])
    plain = skewless.count("departures", windows="1h")
    features = {f["name"]: f for f in document(view(features=[plain, late]))["features"]}
    assert "where" not in features["departures_1h"]
    assert features["late_1h"]["where"] == features["late_24h"]["where"]
    assert features["late_1h"]["where"]["fn"] == "gt"
    made = read(skewless.Project("flights", view(features=[plain, late])).definitions()[-1])
    assert isinstance(made, WindowView)
    assert [feature.where for feature in made.features] == [None, *[features["late_1h"]["where"]] * 2]


@pytest.mark.parametrize(
    ("where", "reason", "words"),
    [
        ("delay >", "SYNTAX", "line 1, column"),
        ("delay + 1", "TYPE_MISMATCH", "gives bool"),
        ("nothing > 1", "UNKNOWN_COLUMN", "nothing"),
        (5, "WRONG_TYPE", "expected an expression as text"),
    ],
)
def test_a_condition_that_cannot_be_is_told_with_its_place(where: Any, reason: str, words: str) -> None:
    (fault,) = faults(view(features=[skewless.count_where("late", where, windows=["1h"])]))
    assert fault.path.startswith("window view by_origin@1.0.0.features[0].where")
    assert fault.reason == reason
    assert words in fault.message


def test_a_precision_stands_only_where_it_is_declared() -> None:
    exact = skewless.count_distinct("exact", "tailnum", windows="1h")
    about = skewless.count_distinct("about", "tailnum", windows="1h", bound=50, precision=9)
    features = {f["name"]: f for f in document(view(features=[exact, about]))["features"]}
    assert "precision" not in features["exact_1h"]
    assert features["about_1h"]["precision"] == 9
    made = read(skewless.Project("flights", view(features=[exact, about])).definitions()[-1])
    assert isinstance(made, WindowView)
    assert [feature.precision for feature in made.features] == [None, 9]


def test_a_quantile_is_written_in_millionths() -> None:
    slow = skewless.quantile("slow", "delay", 0.95, windows="1h", accuracy=0.05, bins=20)
    (feature,) = document(view(features=[slow]))["features"]
    own = {"q_millionths": 950_000, "accuracy_millionths": 50_000, "bins": 20}
    assert {name: feature[name] for name in own} == own
    assert feature["type"] == "float64"
    made = read(skewless.Project("flights", view(features=[slow])).definitions()[-1])
    assert isinstance(made, WindowView)
    assert made.features[0].quantile == Quantile(950_000, 50_000, 20)


@pytest.mark.parametrize(
    ("own", "place"),
    [
        ({"q": 1.5}, "q_millionths"),
        ({"q": 0.12345678}, "q"),
        ({"q": float("nan")}, "q"),
        ({"accuracy": 0.3}, "accuracy_millionths"),
        ({"bins": 1}, "bins"),
    ],
)
def test_a_quantile_that_cannot_be_is_told_with_its_place(own: dict[str, Any], place: str) -> None:
    (fault,) = faults(view(features=[skewless.quantile("slow", "delay", windows="1h", **{"q": 0.5, **own})]))
    assert fault.path == f"window view by_origin@1.0.0.features[0].{place}"
    assert fault.reason == "OUT_OF_RANGE"


def test_a_cycle_is_named() -> None:
    first = skewless.OnDemandFeatureView("first", inputs=["second@1.0.0:b"], features={"a": "b"})
    second = skewless.OnDemandFeatureView("second", inputs=[first["a"]], features={"b": "a"})
    messages = [fault.message for fault in faults(first, second) if fault.reason == "CYCLE"]
    assert len(messages) == 1
    assert "a cycle: first@1.0.0 -> second@1.0.0 -> first@1.0.0" in messages[0]


@pytest.mark.parametrize(
    ("resource", "reason", "words"),
    [
        (
            view(features=[skewless.count("a", windows=["90m"], hop="1h")]),
            "WINDOW_NOT_DIVISIBLE",
            "multiple of the hop",
        ),
        (view(features=["departures"]), "WRONG_TYPE", "expected an aggregate"),
        (view(filter=3), "WRONG_TYPE", "expected an expression as text"),
        (skewless.BatchSource("b", columns={"a": "int64"}), "TABLE_OR_QUERY", "give either path"),
        (skewless.FeatureService("s", features=["nothing"]), "MALFORMED_REFERENCE", "view@MAJOR.MINOR.PATCH:feature"),
        (skewless.FeatureService("s", features=[view()["x"]]), "UNKNOWN_FEATURE", "it has departures_1h"),
        (skewless.Entity("Origin"), "BAD_NAME", "must match"),
    ],
)
def test_what_cannot_be_written_down_is_refused(resource: Any, reason: str, words: str) -> None:
    assert any(fault.reason == reason and words in fault.message for fault in faults(resource))


def test_two_definitions_of_one_name_are_refused_but_not_the_same_one_twice() -> None:
    assert [f.reason for f in faults(view(), view(head_max=5))] == ["DUPLICATE_NAME"]
    assert len(skewless.Project("flights", view(), view()).definitions()) == 3


def test_a_project_loads_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "features.py"
    path.write_text(
        "import skewless\n"
        "project = skewless.Project('trips')\n"
        "driver = skewless.Entity('driver', keys={'driver_id': 'int64'})\n",
        encoding="utf-8",
    )
    assert [d.ref for d in skewless.load(path).definitions()] == ["driver"]
    path.write_text("import skewless\n", encoding="utf-8")
    with pytest.raises(InvalidDefinitionError, match="expected one project, found 0"):
        skewless.load(path)
    with pytest.raises(FileNotFoundError):
        skewless.load(tmp_path / "missing.py")


def test_importing_is_cheap_and_every_name_is_there() -> None:
    heavy = ("pandas", "pyarrow", "grpc", "google.protobuf", "skewless_kernel")
    code = f"import sys, skewless; print(*(name for name in {heavy} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
    assert all(getattr(skewless, name) for name in skewless.__all__)
    assert set(skewless.__all__) == set(skewless._FOUND_IN)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = skewless.nothing


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=6), st.randoms(use_true_random=False))
def test_the_bytes_do_not_depend_on_the_order_of_members(found: dict[str, Any], shuffle: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            items = [(key, shuffled(item)) for key, item in value.items()]
            shuffle.shuffle(items)
            return dict(items)
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    assert digest(canonical(shuffled(found))) == digest(canonical(found))
    assert canonical(json.loads(canonical(found))) == canonical(found)


@given(st.integers(1, 10**12), st.sampled_from(sorted(durations.UNITS)))
def test_lengths_of_time_are_read_back(count: int, unit: str) -> None:
    length = durations.micros(f"{count % 10**6 + 1}{unit}")
    assert durations.micros(durations.text(length)) == length


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "1.5h", "5w", "m", 5, None])
def test_other_lengths_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected a whole number with a unit"):
        durations.micros(text)


@pytest.mark.parametrize("text", ["1", "1.0", "1.0.0.0", "v1.0.0", "1.0.x", "01.0.0", "-1.0.0", "1.0.1000000"])
def test_versions_have_one_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"MAJOR\.MINOR\.PATCH"):
        Version.parse(text)


def test_references_come_apart() -> None:
    assert split_ref("a_b@1.20.3") == ("a_b", (1, 20, 3))
    assert split_feature_ref("v@1.0.0:Feature") == ("v", (1, 0, 0), "Feature")
    for bad in ("v", "v@1", "@1.0.0", "V@1.0.0"):
        with pytest.raises(ValueError, match=r"expected"):
            split_ref(bad)


def definition(**members: Any) -> Definition:
    return skewless.Project("flights", view(**members)).definitions()[-1]


A, B = skewless.count("a", windows=["1h"]), skewless.count("b", windows=["1h"])


@pytest.mark.parametrize(
    ("old", "new", "advised"),
    [
        ({"features": [A]}, {"features": [A, B]}, (1, 5, 0)),
        ({"features": [A]}, {"features": [B, A]}, (1, 5, 0)),
        ({"features": [A, B]}, {"features": [A]}, (3, 0, 0)),
        ({"features": [A]}, {"features": [A], "head_max": 9}, (3, 0, 0)),
        ({"features": [A]}, {"features": [A], "description": "new"}, (1, 0, 1)),
    ],
)
def test_the_next_version_follows_from_what_changed(old: Any, new: Any, advised: Any) -> None:
    taken = [Version(1, 4, 0), Version(2, 0, 0)]
    assert next_version(definition(**old), definition(**new), taken) == advised


def test_differences_name_what_changed() -> None:
    lines = differences(
        definition(features=[A], description="old"), definition(features=[B, A], head_max=9, description="new")
    )
    assert lines[0].startswith('features[b_1h]: absent -> {"agg": "count"')
    assert lines[1:] == ["head_max: 256 -> 9", 'description: "old" -> "new"']


def window(*widths: object, **options: Any) -> skewless.StreamFeatureView:
    return view(features=[skewless.count("n", windows=list(widths), **options)])  # type: ignore[arg-type]


LONG = "a" * 500
ONE_FAULT: dict[str, tuple[Any, str, str]] = {
    "a window beyond every number": (window("999999999999d"), ".features[0]", "OUT_OF_RANGE"),
    "a window beyond a document": (window("99999999d"), ".features[0]", "OUT_OF_RANGE"),
    "the longest timedelta": (window(dt.timedelta.max), ".features[0]", "OUT_OF_RANGE"),
    "a window that is too long": (window("500d"), ".features[0].window_us", "OUT_OF_RANGE"),
    "a window of nothing": (window("0h"), ".features[0].window_us", "OUT_OF_RANGE"),
    "a window to the future": (window(dt.timedelta(minutes=-90)), ".features[0].window_us", "OUT_OF_RANGE"),
    "a minus sign": (window("1h", "-1h"), ".features[0]", "MALFORMED_DURATION"),
    "a negative hop": (window("1h", hop=dt.timedelta(hours=-1)), ".features[0].hop_us", "OUT_OF_RANGE"),
    "a hop beyond every number": (window("1h", hop="999999999999d"), ".features[0]", "OUT_OF_RANGE"),
    "a slack beyond every number": (view(back_slack="999999999999d"), ".back_slack", "OUT_OF_RANGE"),
    "a negative slack": (view(back_slack=dt.timedelta(hours=-1)), ".back_slack_us", "OUT_OF_RANGE"),
    "a long name of a view": (skewless.StreamFeatureView(LONG, **vars_of(view())), ".name", "BAD_NAME"),
    "a long name in a service": (
        skewless.FeatureService("m", features=[skewless.StreamFeatureView(LONG, **vars_of(view()))]),
        ".name",
        "BAD_NAME",
    ),
    "a long name of a service": (skewless.FeatureService(LONG, features=[view()]), ".name", "BAD_NAME"),
    "a long name of an entity": (view(entity=skewless.Entity(LONG)), ".name", "BAD_NAME"),
    "a long name of a feature": (
        view(features=[skewless.count(LONG, windows=["1h"])]),
        ".features[0].name",
        "BAD_NAME",
    ),
    "no source": (view(source=None), "view by_origin@1.0.0.source", "WRONG_TYPE"),
    "a source by its name": (view(source="departures"), "view by_origin@1.0.0.source", "WRONG_TYPE"),
    "no entity": (view(entity=None), "view by_origin@1.0.0.entity", "WRONG_TYPE"),
    "no features": (view(features=None), "view by_origin@1.0.0.features", "WRONG_TYPE"),
    "no columns": (view(source=source(columns=None)), "source departures.columns", "WRONG_TYPE"),
    "no source in a service": (
        skewless.FeatureService("m", features=[view(source=None)]),
        "view by_origin@1.0.0.source",
        "WRONG_TYPE",
    ),
    "no source of a batch view": (
        skewless.BatchFeatureView("b", entity=entity(), source=None, features=["delay"]),  # type: ignore[arg-type]
        "view b@1.0.0.source",
        "WRONG_TYPE",
    ),
    "nothing": (None, "", "WRONG_TYPE"),
}


@pytest.mark.parametrize("what", ONE_FAULT)
def test_one_cause_makes_one_fault(what: str) -> None:
    resource, place, reason = ONE_FAULT[what]
    (fault,) = faults(resource)
    assert fault.path.endswith(place)
    assert fault.reason == reason


def test_what_every_definition_must_have_is_asked_of_its_class() -> None:
    class Unfinished(skewless.definitions.objects.Resource):
        kind = skewless.definitions.resource.Kind.ENTITY

    with pytest.raises(TypeError, match=r"abstract method '?document"):
        Unfinished("x")  # type: ignore[abstract]


def test_an_unknown_type_of_a_request_field_is_told_at_its_place() -> None:
    view = skewless.OnDemandFeatureView(
        "v", request=skewless.RequestSource({"a": "floaty"}), features={"x": "a + 1.0", "y": "a"}
    )
    with pytest.raises(InvalidDefinitionError, match="floaty") as caught:
        skewless.Project("shop", view).definitions()
    assert [violation.path for violation in caught.value.violations] == ["on demand view v@1.0.0.request[0].type"]
