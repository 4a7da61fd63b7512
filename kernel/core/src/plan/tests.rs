//! Plans: what is found in them, and every fault of a broken one.

use serde_json::{Value as Json, json};

use super::compile::MOST_DEEP;
use super::{Plan, Slot, Vector, compile};
use crate::definition::canonical;
use crate::token::ViewKind;
use crate::value::Type;

fn text(document: &Json) -> String {
    canonical::write(document).unwrap()
}

fn hash(document: &Json) -> String {
    let digest = canonical::hash(text(document).as_bytes());
    digest
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn pinned(version: &str, document: &Json) -> Json {
    json!({"version": version, "meaning": text(document)})
}

fn columns() -> Json {
    json!([
        {"name": "k", "type": "string", "nullable": false},
        {"name": "at", "type": "timestamp", "nullable": false},
        {"name": "x", "type": "float64", "nullable": true},
    ])
}

fn window(key_type: &str) -> Json {
    let mut columns = columns();
    columns[0]["type"] = json!(key_type);
    json!({
        "format": 1, "semantics": 1, "kind": "window_view", "project": "p", "name": "departures",
        "entity": {"name": "origin", "keys": [{"name": "k", "type": key_type}]},
        "source": {"kind": "stream", "name": "s", "topic": "t", "payload": "json", "record_key": ["k"],
                   "columns": columns, "event_time": "at", "future_tolerance_us": 5_000_000},
        "filter": null, "origin_us": 345_600_000_000_i64, "head_slack_us": 2_000_000,
        "back_slack_us": 300_000_000, "head_max": 16, "state_limit_bytes": 65536,
        "features": [
            {"name": "count_1h", "agg": "count", "column": null, "window_us": 3_600_000_000_i64,
             "hop_us": 60_000_000, "bound": null, "type": "int64"},
            {"name": "avg_1h", "agg": "avg", "column": "x", "window_us": 3_600_000_000_i64,
             "hop_us": 60_000_000, "bound": null, "type": "float64"},
        ],
    })
}

fn latest() -> Json {
    json!({
        "format": 1, "semantics": 1, "kind": "latest_view", "project": "p", "name": "planes",
        "entity": {"name": "plane", "keys": [{"name": "k", "type": "string"}]},
        "source": {"kind": "batch", "name": "b", "columns": columns(), "event_time": "at", "created_time": null,
                   "table": {"path": "planes.parquet"}},
        "filter": null, "ttl_us": null, "head_slack_us": 2_000_000, "head_max": 16, "state_limit_bytes": 65536,
        "features": [{"name": "seats", "column": "x", "type": "float64"}],
    })
}

fn col(name: &str) -> Json {
    json!({"op": "col", "name": name})
}

fn input(name: &str, view: &str, feature: &str, meaning: &str) -> Json {
    json!({"name": name, "view": view, "version": "1.0.0", "feature": feature, "meaning": meaning,
           "type": "float64"})
}

/// Reads `inputs`; its features are `ratio` (the first input and the field) and `plain` (the field alone).
fn on_demand(name: &str, inputs: &[Json], field_type: &str) -> Json {
    json!({
        "format": 1, "semantics": 1, "kind": "on_demand_view", "project": "p", "name": name,
        "request": [{"name": "unused", "type": "bool"}, {"name": "amount", "type": field_type}],
        "inputs": inputs,
        "features": [
            {"name": "plain", "type": field_type, "expr": col("amount")},
            {"name": "ratio", "type": "float64",
             "expr": {"op": "call", "fn": "div", "args": [col("amount"), inputs[0]["name"].as_str().map(col)]}},
        ],
    })
}

fn service(features: &[(&str, &str, &str)]) -> Json {
    let features: Vec<Json> = features
        .iter()
        .map(|(view, feature, meaning)| {
            json!({"view": view, "version": "1.0.0", "meaning": meaning, "feature": feature})
        })
        .collect();
    json!({"format": 1, "semantics": 1, "kind": "feature_service", "project": "p", "name": "delay",
           "features": features})
}

fn plan_of(views: &[Json], services: &[Json]) -> Result<Plan, Vec<(String, &'static str)>> {
    let document = json!({"revision": 7, "projects": {"p": {"views": views, "services": services}}});
    compile(document.to_string().as_bytes()).map_err(|faults| {
        faults
            .into_iter()
            .map(|fault| (fault.path, fault.reason))
            .collect()
    })
}

/// `second` reads `first`, which reads the average of `departures`.
fn whole() -> (Vec<Json>, Json) {
    let (window, latest) = (window("string"), latest());
    let first = on_demand(
        "first",
        &[input("avg", "departures", "avg_1h", &hash(&window))],
        "float64",
    );
    let second = on_demand(
        "second",
        &[input("inner", "first", "ratio", &hash(&first))],
        "float64",
    );
    let service = service(&[
        ("second", "ratio", &hash(&second)),
        ("departures", "count_1h", &hash(&window)),
        ("planes", "seats", &hash(&latest)),
    ]);
    let views = [&second, &latest, &first, &window].map(|view| pinned("1.0.0", view));
    (views.to_vec(), pinned("1.0.0", &service))
}

#[test]
fn a_service_says_what_to_read_and_compute() {
    let (views, service) = whole();
    let plan = plan_of(&views, &[service]).unwrap();
    assert_eq!(plan.revision, 7);
    let project = &plan.projects["p"];
    let service = project.service("delay@1.0.0").unwrap();
    let vector = &service.vector;
    assert_eq!(
        vector.names,
        ["second:ratio", "departures:count_1h", "planes:seats"]
    );
    let stored: Vec<(&str, &[usize], usize)> = vector
        .stored
        .iter()
        .map(|stored| (stored.view.name(), stored.features.as_slice(), stored.entity))
        .collect();
    assert_eq!(
        stored,
        [
            ("departures", [0, 1].as_slice(), 0),
            ("planes", [0].as_slice(), 1)
        ]
    );
    let computed: Vec<&str> = vector
        .computed
        .iter()
        .map(|computed| computed.view.name())
        .collect();
    assert_eq!(computed, ["first", "second"]);
    assert_eq!(
        vector.outputs,
        [
            Slot::Computed { view: 1, feature: 1 },
            Slot::Stored { view: 0, feature: 0 },
            Slot::Stored { view: 1, feature: 0 },
        ]
    );
    assert_eq!(
        vector.computed[0].inputs,
        [Some(Slot::Stored { view: 0, feature: 1 })]
    );
    assert_eq!(
        vector.computed[1].inputs,
        [Some(Slot::Computed { view: 0, feature: 1 })]
    );
    assert_eq!(vector.computed[1].request, [None, Some(0)]);
    assert!(vector.computed[1].definition().is_some());
    let fields: Vec<(&str, Type)> = vector
        .request
        .iter()
        .map(|field| (field.name.as_str(), field.kind))
        .collect();
    assert_eq!(fields, [("amount", Type::Float64)]);
    assert_eq!(vector.keys.len(), 1);
    assert_eq!(vector.entities.len(), 2);
    assert_eq!(vector.stored[0].key("s.JFK"), "{p:origin:s.JFK}:departures:v1.0");
    assert_eq!(vector.stored[1].sentinel, "skewless:sentinel:p:planes:v1.0");
    let kinds = vector
        .stored
        .iter()
        .map(|stored| stored.view.token_view().unwrap().kind);
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [ViewKind::Window, ViewKind::LatestTable]
    );
}

#[test]
fn features_are_asked_for_by_name() {
    let (views, _) = whole();
    let plan = plan_of(&views, &[]).unwrap();
    let project = &plan.projects["p"];
    let vector = project
        .vector(&["first@1.0.0:plain", "planes@1.0.0:seats"])
        .unwrap();
    assert_eq!(vector.computed[0].inputs, [None]);
    assert_eq!(vector.stored.len(), 1);
    let reasons = |features: &[&str]| -> Vec<(String, &'static str)> {
        let faults = project.vector(features).unwrap_err();
        faults
            .into_iter()
            .map(|fault| (fault.path, fault.reason))
            .collect()
    };
    assert_eq!(
        reasons(&[
            "planes:seats",
            "planes@2.0.0:seats",
            "planes@1.0.0:wings",
            "planes@1.0.0:seats"
        ]),
        [
            ("$.features[0]".to_owned(), "BAD_FEATURE_NAME"),
            ("$.features[1]".to_owned(), "UNKNOWN_VIEW"),
            ("$.features[2]".to_owned(), "UNKNOWN_FEATURE"),
        ]
    );
    assert_eq!(reasons(&[])[0].1, "WRONG_COUNT");
    assert_eq!(reasons(&["planes@1.0.0:seats"; 513])[0].1, "WRONG_COUNT");
}

#[test]
fn views_are_found_by_version_and_by_meaning() {
    let (mut views, _) = whole();
    views.push(pinned("1.0.1", &window("string")));
    let plan = plan_of(&views, &[]).unwrap();
    let project = &plan.projects["p"];
    assert_eq!(project.views().len(), 5);
    assert_eq!(project.services().count(), 0);
    let first = project.view("departures@1.0.0").unwrap();
    let patched = project.view("departures@1.0.1").unwrap();
    assert_eq!(first.meaning(), patched.meaning());
    assert_eq!(project.view_of_meaning(first.meaning()).unwrap().version, "1.0.0");
    assert!(project.view("departures@1.0.2").is_none());
    assert!(project.view_of_meaning(&[0; 32]).is_none());
}

#[test]
fn all_faults_are_told_at_once() {
    let (window, latest) = (window("string"), latest());
    let wrong = "0".repeat(64);
    let mut cut = latest.clone();
    cut["features"] = json!([]);
    let mut elsewhere = latest.clone();
    elsewhere["project"] = json!("q");
    let mut other_type = input("avg", "departures", "count_1h", &hash(&window));
    other_type["type"] = json!("float64");
    let views = [
        pinned("1.0.0", &window),
        pinned("1.0.0", &cut),
        pinned("1.0", &elsewhere),
        pinned("1.0.0", &service(&[("departures", "count_1h", &hash(&window))])),
        pinned("1.0.0", &window),
        pinned(
            "1.0.0",
            &on_demand("a", &[input("i", "departures", "avg_1h", &wrong)], "float64"),
        ),
        pinned(
            "1.0.0",
            &on_demand("b", &[input("i", "nowhere", "x", &wrong)], "float64"),
        ),
        pinned(
            "1.0.0",
            &on_demand(
                "c",
                &[input("i", "departures", "none", &hash(&window))],
                "float64",
            ),
        ),
        pinned("1.0.0", &on_demand("d", &[other_type], "float64")),
    ];
    let services = [
        pinned("1.0.0", &service(&[("departures", "count_1h", &wrong)])),
        pinned("1.0.0", &window),
    ];
    let faults = plan_of(&views, &services).unwrap_err();
    let expected = [
        ("views[1].meaning.features", "WRONG_COUNT"),
        ("views[2].version", "BAD_VERSION"),
        ("views[2].meaning.project", "WRONG_PROJECT"),
        ("views[3].meaning.kind", "WRONG_KIND"),
        ("views[4]", "DUPLICATE_VERSION"),
        ("views[5].meaning.inputs[0].meaning", "MEANING_MISMATCH"),
        ("views[6].meaning.inputs[0]", "UNKNOWN_VIEW"),
        ("views[7].meaning.inputs[0].feature", "UNKNOWN_FEATURE"),
        ("views[8].meaning.inputs[0].type", "TYPE_MISMATCH"),
        ("services[0].meaning.features[0].meaning", "MEANING_MISMATCH"),
        ("services[1].meaning.kind", "WRONG_KIND"),
    ];
    let expected = expected.map(|(path, reason)| (format!("$.projects.p.{path}"), reason));
    assert_eq!(faults, expected);
}

#[test]
fn a_cycle_is_named_beside_the_hashes_that_cannot_fit() {
    let wrong = "0".repeat(64);
    let views = [
        pinned(
            "1.0.0",
            &on_demand("a", &[input("i", "b", "ratio", &wrong)], "float64"),
        ),
        pinned(
            "1.0.0",
            &on_demand("b", &[input("i", "c", "ratio", &wrong)], "float64"),
        ),
        pinned(
            "1.0.0",
            &on_demand("c", &[input("i", "b", "ratio", &wrong)], "float64"),
        ),
    ];
    let faults = plan_of(&views, &[]).unwrap_err();
    let cycles: Vec<&str> = faults
        .iter()
        .filter(|(_, reason)| *reason == "CYCLE")
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(cycles, ["$.projects.p.views[1]"]);
    assert_eq!(faults.len(), 4);
}

#[test]
fn views_may_read_each_other_only_so_deep() {
    let window = window("string");
    let mut views = vec![pinned("1.0.0", &window)];
    let mut below = ("departures".to_owned(), "avg_1h", hash(&window));
    for level in 0..=MOST_DEEP {
        let name = format!("level{level}");
        let view = on_demand(&name, &[input("i", &below.0, below.1, &below.2)], "float64");
        below = (name, "ratio", hash(&view));
        views.push(pinned("1.0.0", &view));
    }
    let upward = plan_of(&views, &[]).unwrap_err();
    assert_eq!(upward.len(), 1);
    assert_eq!(upward[0].1, "VIEWS_TOO_DEEP");
    views.reverse();
    assert!(
        plan_of(&views, &[])
            .unwrap_err()
            .iter()
            .all(|(_, reason)| *reason == "VIEWS_TOO_DEEP")
    );
    views.remove(0);
    let plan = plan_of(&views, &[]).unwrap();
    let pin = format!("level{}@1.0.0:ratio", MOST_DEEP - 1);
    assert_eq!(
        plan.projects["p"].vector(&[&pin]).unwrap().computed.len(),
        MOST_DEEP
    );
}

#[test]
fn what_cannot_be_asked_for_together_is_refused() {
    let (numbers, latest) = (window("int64"), latest());
    let window = window("string");
    let of_float = on_demand(
        "f",
        &[input("avg", "departures", "avg_1h", &hash(&window))],
        "float64",
    );
    let of_int = on_demand(
        "i",
        &[input("avg", "departures", "avg_1h", &hash(&window))],
        "int64",
    );
    let views = [&window, &of_float, &of_int].map(|view| pinned("1.0.0", view));
    let plan = plan_of(&views, &[]).unwrap();
    let reasons = |vector: Result<Vector, Vec<crate::fault::Fault>>| -> Vec<&str> {
        vector
            .unwrap_err()
            .into_iter()
            .map(|fault| fault.reason)
            .collect()
    };
    let project = &plan.projects["p"];
    assert_eq!(
        reasons(project.vector(&["f@1.0.0:ratio", "i@1.0.0:ratio"])),
        ["REQUEST_CONFLICT"]
    );
    assert_eq!(
        reasons(project.vector(&["f@1.0.0:plain", "i@1.0.0:plain"])),
        ["REQUEST_CONFLICT"]
    );
    let mut other = latest.clone();
    other["entity"]["name"] = json!("origin");
    let plan = plan_of(&[pinned("1.0.0", &numbers), pinned("1.0.0", &other)], &[]).unwrap();
    let both = ["departures@1.0.0:count_1h", "planes@1.0.0:seats"];
    assert_eq!(
        reasons(plan.projects["p"].vector(&both)),
        ["ENTITY_CONFLICT", "KEY_CONFLICT"]
    );
    let service = service(&[
        ("departures", "count_1h", &hash(&numbers)),
        ("planes", "seats", &hash(&latest)),
    ]);
    let views = [pinned("1.0.0", &numbers), pinned("1.0.0", &latest)];
    let faults = plan_of(&views, &[pinned("1.0.0", &service)]).unwrap_err();
    assert_eq!(
        faults,
        [(
            "$.projects.p.services[0].meaning.features".to_owned(),
            "KEY_CONFLICT"
        )]
    );
}

#[test]
fn a_plan_of_another_form_is_refused() {
    for text in [
        "",
        "{}",
        r#"{"revision":1,"projects":{},"more":1}"#,
        r#"{"revision":-1,"projects":{}}"#,
    ] {
        assert_eq!(
            compile(text.as_bytes()).unwrap_err()[0].reason,
            "MALFORMED_PLAN",
            "{text}"
        );
    }
    assert!(
        compile(br#"{"revision":1,"projects":{}}"#)
            .unwrap()
            .projects
            .is_empty()
    );
}
