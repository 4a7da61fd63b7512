use serde_json::{Value as Json, json};

use super::*;
use crate::time::{HOUR, MINUTE, SECOND};

fn stream() -> Json {
    json!({
        "kind": "stream", "name": "departures", "topic": "flights.departures", "payload": "json",
        "record_key": ["origin"],
        "columns": [
            {"name": "origin", "type": "string", "nullable": false},
            {"name": "event_time", "type": "timestamp", "nullable": false},
            {"name": "dest", "type": "string", "nullable": true},
            {"name": "delay", "type": "float64", "nullable": true},
        ],
        "event_time": "event_time", "future_tolerance_us": 5 * SECOND,
    })
}

fn entity() -> Json {
    json!({"name": "origin", "keys": [{"name": "origin", "type": "string"}]})
}

fn feature(name: &str, agg: &str, column: Option<&str>, kind: &str) -> Json {
    json!({
        "name": name, "agg": agg, "column": column, "window_us": HOUR, "hop_us": MINUTE, "bound": null, "type": kind,
    })
}

fn window() -> Json {
    json!({
        "format": 1, "semantics": 1, "kind": "window_view", "project": "flights", "name": "origin_departures",
        "entity": entity(), "source": stream(), "filter": null, "origin_us": 345_600_000_000_i64,
        "head_slack_us": 2 * SECOND, "back_slack_us": 5 * MINUTE, "head_max": 256, "state_limit_bytes": 65536,
        "features": [feature("dep_count_1h", "count", None, "int64"), feature("delay_1h", "sum", Some("delay"), "float64")],
    })
}

fn latest(source: &Json) -> Json {
    json!({
        "format": 1, "semantics": 1, "kind": "latest_view", "project": "flights", "name": "planes",
        "entity": entity(), "source": source, "filter": null, "ttl_us": null,
        "head_slack_us": 2 * SECOND, "head_max": 4, "state_limit_bytes": 65536,
        "features": [{"name": "delay", "column": "delay", "type": "float64"}],
    })
}

fn batch() -> Json {
    json!({
        "kind": "batch", "name": "planes", "columns": stream()["columns"], "event_time": null, "created_time": null,
        "table": {"path": "planes.csv"},
    })
}

fn on_demand() -> Json {
    json!({
        "format": 1, "semantics": 1, "kind": "on_demand_view", "project": "flights", "name": "deviation",
        "request": [{"name": "amount", "type": "float64"}],
        "inputs": [{
            "name": "avg_7d", "view": "v", "version": "1.0.0", "feature": "f", "meaning": "ab".repeat(32), "type": "float64",
        }],
        "features": [{
            "name": "deviation", "type": "float64",
            "expr": {"op": "call", "fn": "sub", "args": [{"op": "col", "name": "amount"}, {"op": "col", "name": "avg_7d"}]},
        }],
    })
}

fn faults(document: &Json) -> Vec<(String, &'static str)> {
    let bytes = canonical::write(document).unwrap();
    match compile(bytes.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(faults) => faults
            .into_iter()
            .map(|fault| (fault.path, fault.reason))
            .collect(),
    }
}

/// The faults of a document in which the value at a JSON pointer is another.
fn with(mut document: Json, pointer: &str, value: Json) -> Vec<(String, &'static str)> {
    *document
        .pointer_mut(pointer)
        .expect("the pointer leads somewhere") = value;
    faults(&document)
}

fn one(path: &str, reason: &'static str) -> Vec<(String, &'static str)> {
    vec![(path.to_owned(), reason)]
}

#[test]
fn whole_documents_compile() {
    let service = json!({
        "format": 1, "semantics": 1, "kind": "feature_service", "project": "p", "name": "s",
        "features": [{"view": "v", "version": "1.0.0", "meaning": "00".repeat(32), "feature": "f"}],
    });
    let entity = json!({"format": 1, "kind": "entity", "project": "p", "name": "e", "keys": [{"name": "k", "type": "int64"}]});
    let source =
        json!({"format": 1, "kind": "source", "project": "p", "name": "departures", "source": stream()});
    for document in [
        window(),
        latest(&stream()),
        latest(&batch()),
        on_demand(),
        service,
        entity,
        source,
    ] {
        assert_eq!(faults(&document), [], "{}", document["kind"]);
    }
}

#[test]
fn the_hash_is_of_the_exact_bytes() {
    let bytes = canonical::write(&window()).unwrap();
    let Ok(Definition::Window(view)) = compile(bytes.as_bytes()) else {
        panic!("the view compiles")
    };
    assert_eq!(Ok(view.meaning), meaning_hash(bytes.as_bytes()));
    assert_eq!(meaning_hash(b"{ }").unwrap_err().reason, "NOT_CANONICAL");
}

#[test]
// A table of faults, one a line before formatting.
#[allow(clippy::too_many_lines)]
fn each_fault_of_a_window_view_is_named_with_its_place() {
    let place = |key: &str| format!("$.features[1].{key}");
    let cases = [
        (
            "/features/1/column",
            json!("nope"),
            place("column"),
            "UNKNOWN_COLUMN",
        ),
        (
            "/features/1/column",
            json!("dest"),
            place("column"),
            "TYPE_MISMATCH",
        ),
        (
            "/features/1/column",
            json!(null),
            place("column"),
            "TYPE_MISMATCH",
        ),
        ("/features/1/type", json!("int64"), place("type"), "TYPE_MISMATCH"),
        (
            "/features/1/type",
            json!("decimal"),
            place("type"),
            "UNKNOWN_TYPE",
        ),
        (
            "/features/1/agg",
            json!("median"),
            place("agg"),
            "UNKNOWN_AGGREGATION",
        ),
        (
            "/features/1/window_us",
            json!(HOUR + 1),
            place("window_us"),
            "WINDOW_NOT_DIVISIBLE",
        ),
        (
            "/features/1/hop_us",
            json!(7),
            place("hop_us"),
            "HOP_NOT_ON_LADDER",
        ),
        (
            "/features/1/hop_us",
            json!(0),
            place("hop_us"),
            "HOP_NOT_ON_LADDER",
        ),
        (
            "/features/1/window_us",
            json!(0),
            place("window_us"),
            "OUT_OF_RANGE",
        ),
        ("/features/1/bound", json!(5), place("bound"), "UNEXPECTED_BOUND"),
        (
            "/features/1/name",
            json!("dep_count_1h"),
            place("name"),
            "DUPLICATE_NAME",
        ),
        ("/features/1/name", json!("a__b"), place("name"), "BAD_NAME"),
        ("/features", json!([]), "$.features".into(), "WRONG_COUNT"),
        (
            "/source/kind",
            json!("table"),
            "$.source.kind".into(),
            "UNKNOWN_KIND",
        ),
        (
            "/source/event_time",
            json!("dest"),
            "$.source.event_time".into(),
            "TYPE_MISMATCH",
        ),
        (
            "/source/event_time",
            json!("when"),
            "$.source.event_time".into(),
            "UNKNOWN_COLUMN",
        ),
        (
            "/source/record_key",
            json!(["delay"]),
            "$.source.record_key[0]".into(),
            "KEY_TYPE",
        ),
        (
            "/source/payload",
            json!("avro"),
            "$.source.payload".into(),
            "UNKNOWN_PAYLOAD",
        ),
        (
            "/source/columns/2/name",
            json!("origin"),
            "$.source.columns[2].name".into(),
            "DUPLICATE_NAME",
        ),
        (
            "/entity/keys/0/name",
            json!("tail"),
            "$.entity.keys[0].name".into(),
            "UNKNOWN_COLUMN",
        ),
        (
            "/entity/keys/0/type",
            json!("int64"),
            "$.entity.keys[0].type".into(),
            "TYPE_MISMATCH",
        ),
        (
            "/entity/keys/0/type",
            json!("float64"),
            "$.entity.keys[0].type".into(),
            "KEY_TYPE",
        ),
        ("/semantics", json!(2), "$.semantics".into(), "UNKNOWN_SEMANTICS"),
        ("/format", json!(2), "$.format".into(), "OUT_OF_RANGE"),
        ("/kind", json!("view"), "$.kind".into(), "UNKNOWN_KIND"),
        (
            "/state_limit_bytes",
            json!(2048),
            "$.state_limit_bytes".into(),
            "STATE_TOO_LARGE",
        ),
        ("/head_max", json!(0), "$.head_max".into(), "OUT_OF_RANGE"),
        (
            "/filter",
            json!({"op": "col", "name": "dest"}),
            "$.filter".into(),
            "TYPE_MISMATCH",
        ),
        (
            "/filter",
            json!({"op": "col", "name": "x"}),
            "$.filter.name".into(),
            "UNKNOWN_COLUMN",
        ),
        (
            "/filter",
            json!({"op": "call", "fn": "lt", "args": [{"op": "col", "name": "event_time"}, {"op": "request_time"}]}),
            "$.filter".into(),
            "FILTER_USES_REQUEST_TIME",
        ),
    ];
    for (pointer, value, path, reason) in cases {
        assert_eq!(
            with(window(), pointer, value.clone()),
            one(&path, reason),
            "{pointer} = {value}"
        );
    }
    assert_eq!(
        with(window(), "/source", batch()),
        one("$.source.kind", "UNSUPPORTED_SOURCE")
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let mut document = window();
    document["features"][0]["hop_us"] = json!(7);
    document["features"][1]["column"] = json!("nope");
    document["head_max"] = json!(0);
    document["more"] = json!(1);
    assert_eq!(faults(&document), one("$.more", "UNKNOWN_KEY"));
    document.as_object_mut().unwrap().remove("more");
    let found: Vec<&str> = faults(&document).into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(found, ["OUT_OF_RANGE", "HOP_NOT_ON_LADDER", "UNKNOWN_COLUMN"]);
    document.as_object_mut().unwrap().remove("filter");
    assert_eq!(faults(&document), one("$.filter", "MISSING_KEY"));
}

#[test]
fn a_state_that_may_grow_too_large_names_the_features_to_blame() {
    let mut document = window();
    document["features"][0]["bound"] = json!(null);
    document["features"].as_array_mut().unwrap().push(json!({
        "name": "dests", "agg": "count_distinct", "column": "dest", "window_us": HOUR, "hop_us": MINUTE,
        "bound": 10_000, "type": "int64",
    }));
    let bytes = canonical::write(&document).unwrap();
    let faults = compile(bytes.as_bytes()).unwrap_err();
    assert_eq!(faults[0].reason, "STATE_TOO_LARGE");
    assert!(faults[0].message.contains("dests ("), "{}", faults[0].message);
}

#[test]
fn faults_of_other_kinds_are_named_too() {
    let cases = [
        (
            on_demand(),
            "/features/0/type",
            json!("int64"),
            "$.features[0].type",
            "TYPE_MISMATCH",
        ),
        (
            on_demand(),
            "/request/0/name",
            json!("avg_7d"),
            "$.inputs[0].name",
            "DUPLICATE_NAME",
        ),
        (
            on_demand(),
            "/inputs/0/meaning",
            json!("AB"),
            "$.inputs[0].meaning",
            "BAD_HASH",
        ),
        (
            on_demand(),
            "/inputs/0/version",
            json!("1"),
            "$.inputs[0].version",
            "BAD_VERSION",
        ),
        (
            latest(&batch()),
            "/features/0/column",
            json!("x"),
            "$.features[0].column",
            "UNKNOWN_COLUMN",
        ),
        (
            latest(&batch()),
            "/features/0/type",
            json!("int64"),
            "$.features[0].type",
            "TYPE_MISMATCH",
        ),
        (
            latest(&batch()),
            "/source/table",
            json!({}),
            "$.source.table.query",
            "MISSING_KEY",
        ),
        (latest(&stream()), "/ttl_us", json!(0), "$.ttl_us", "OUT_OF_RANGE"),
    ];
    for (document, pointer, value, path, reason) in cases {
        let found = with(document, pointer, value.clone());
        assert_eq!(found.first(), one(path, reason).first(), "{pointer} = {value}");
    }
}
