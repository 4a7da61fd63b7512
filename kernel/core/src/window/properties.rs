//! Generated cases: what a state answers, in memory and from its bytes, is the definition; bytes are one function
//! of events and horizons. Every failure names its seed.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::answer::Answer;
use crate::definition::{Definition, WindowFeature, WindowView, compile};
use crate::latest::frame::{Asked, Known, LogPosition};
use crate::state::{Position, Prefix};
use crate::status::Status;
use crate::time::{HOUR, MINUTE, SECOND, floor_to_hop};
use crate::value::{Type, Value};

/// A seeded generator (splitmix64): the same cases on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.next() % end.unsigned_abs()).unwrap()
    }
}

/// So few that bins are joined.
const QUANTILE_BINS: usize = 6;

/// Aggregation, column, window, hop, bound, type.
type FeatureRow = (
    &'static str,
    Option<&'static str>,
    i64,
    i64,
    Option<i64>,
    &'static str,
);

pub(crate) fn view_of(features: &[FeatureRow], head_max: i64) -> WindowView {
    view_with(&features_of(features), head_max)
}

fn features_of(features: &[FeatureRow]) -> Vec<serde_json::Value> {
    features
        .iter()
        .enumerate()
        .map(|(place, (agg, column, window, hop, bound, kind))| {
            let mut feature = serde_json::json!({
                "name": format!("f{place}"), "agg": agg, "column": column, "window_us": window, "hop_us": hop,
                "bound": bound, "type": kind,
            });
            if *agg == "count_where" {
                let column = serde_json::json!({"op": "col", "name": "n"});
                feature["where"] = serde_json::json!({"op": "call", "fn": "is_null", "args": [column]});
            }
            if *agg == "count_distinct" && *bound == Some(2) {
                feature["precision"] = 4.into();
            }
            if *agg == "quantile" {
                feature["q_millionths"] = [500_000, 950_000, 0, 1_000_000][place % 4].into();
                feature["accuracy_millionths"] = [10_000, 10_000, 200_000][place % 3].into();
                feature["bins"] = QUANTILE_BINS.into();
            }
            if matches!(*agg, "first_n" | "last_n" | "last_distinct_n" | "top_n") {
                feature["n"] = serde_json::json!(place % 5 + 1);
            }
            if *agg == "histogram" {
                feature["edges"] = match *column {
                    Some("n") => serde_json::json!(["-3", "0", "4"]),
                    _ => serde_json::json!([-1.5, 0.0, 2.25]),
                };
            }
            feature
        })
        .collect()
}

fn view_with(features: &[serde_json::Value], head_max: i64) -> WindowView {
    let column = |name: &str, kind: &str| serde_json::json!({"name": name, "type": kind, "nullable": true});
    let document = serde_json::json!({
        "format": 1, "semantics": 1, "kind": "window_view", "project": "p", "name": "v",
        "entity": {"name": "e", "keys": [{"name": "k", "type": "string"}]},
        "source": {
            "kind": "stream", "name": "s", "topic": "t", "payload": "json", "record_key": ["k"],
            "columns": [column("k", "string"), column("at", "timestamp"), column("n", "int64"),
                        column("x", "float64"), column("s", "string")],
            "event_time": "at", "future_tolerance_us": 5 * SECOND,
        },
        "filter": null, "origin_us": 345_600_000_000_i64, "head_slack_us": 2 * SECOND,
        "back_slack_us": 5 * MINUTE, "head_max": head_max, "state_limit_bytes": 4_194_304,
        "features": features,
    });
    let bytes = crate::definition::canonical::write(&document).unwrap();
    match compile(bytes.as_bytes()) {
        Ok(Definition::Window(view)) => view,
        other => panic!("{other:?}"),
    }
}

fn every_feature(window: i64, hop: i64) -> Vec<FeatureRow> {
    vec![
        ("count", None, window, hop, None, "int64"),
        ("count", Some("x"), window, hop, None, "int64"),
        ("sum", Some("n"), window, hop, None, "int64"),
        ("sum", Some("x"), window, hop, None, "float64"),
        ("avg", Some("n"), window, hop, None, "float64"),
        ("stddev", Some("n"), window, hop, None, "float64"),
        ("min", Some("x"), window, hop, None, "float64"),
        ("max", Some("s"), window, hop, None, "string"),
        ("count_distinct", Some("s"), window, hop, Some(3), "int64"),
        ("count_distinct", Some("n"), window, hop, Some(40), "int64"),
        ("count_distinct", Some("n"), window, hop, Some(2), "int64"),
        ("last", Some("n"), window, hop, None, "int64"),
        ("time_since_last", None, window, hop, None, "int64"),
        ("first", Some("n"), window, hop, None, "int64"),
        ("first", Some("s"), window, hop, None, "string"),
        ("count_where", None, window, hop, None, "int64"),
        ("rate", None, window, hop, None, "float64"),
        ("rate", Some("x"), window, hop, None, "float64"),
        ("stddev_pop", Some("n"), window, hop, None, "float64"),
        ("quantile", Some("n"), window, hop, None, "float64"),
        ("quantile", Some("x"), window, hop, None, "float64"),
    ]
}

/// Lists take more bytes: not in windows of the finest hops.
fn every_list(window: i64, hop: i64) -> Vec<FeatureRow> {
    vec![
        ("count", None, window, hop, None, "int64"),
        ("first_n", Some("n"), window, hop, None, "list<int64>"),
        ("last_n", Some("s"), window, hop, None, "list<string>"),
        ("last_n", Some("x"), window, hop, None, "list<float64>"),
        ("last_distinct_n", Some("n"), window, hop, None, "list<int64>"),
        ("last_distinct_n", Some("s"), window, hop, None, "list<string>"),
        ("histogram", Some("x"), window, hop, None, "list<int64>"),
        ("histogram", Some("n"), window, hop, None, "list<int64>"),
        ("top_n", Some("n"), window, hop, Some(3), "list<int64>"),
        ("top_n", Some("n"), window, hop, Some(50), "list<int64>"),
        ("top_n", Some("x"), window, hop, Some(50), "list<float64>"),
    ]
}

fn many_features(head_max: i64) -> WindowView {
    let mut features: Vec<FeatureRow> = Vec::new();
    for (window, hop) in [
        (MINUTE, SECOND),
        (HOUR, MINUTE),
        (6 * HOUR, 5 * MINUTE),
        (24 * HOUR, HOUR),
        (2 * HOUR, HOUR),
    ] {
        features.extend(every_feature(window, hop));
    }
    // Windows that only some aggregates have: their slots leave old tiles.
    features.push(("variance", Some("x"), 3 * HOUR, 15 * MINUTE, None, "float64"));
    features.push(("variance_pop", Some("x"), 3 * HOUR, 15 * MINUTE, None, "float64"));
    features.push(("first", Some("x"), 3 * HOUR, 15 * MINUTE, None, "float64"));
    view_of(&features, head_max)
}

/// Views of windows of other kinds, alone and beside others.
fn views_of_kinds(head_max: i64) -> Vec<WindowView> {
    let shaped = |rows: &[FeatureRow], window: i64, hop: i64, shape: &serde_json::Value| {
        let widthless = window == 0;
        let mut features = features_of(rows);
        if widthless {
            features.retain(|feature| feature["agg"] != "rate");
        }
        for feature in &mut features {
            feature["window"] = shape.clone();
            let closed = shape["kind"] == "lag" || shape["previous"] == true;
            if let Some(members) = feature.as_object_mut().filter(|_| closed) {
                members.remove("precision");
            }
            if widthless {
                feature["window_us"] = serde_json::Value::Null;
            }
            if widthless && hop == 0 {
                feature["hop_us"] = serde_json::Value::Null;
            }
        }
        features
    };
    let of = |window, hop, shape: &serde_json::Value| shaped(&every_feature(window, hop), window, hop, shape);
    let lists = |window, hop, shape: &serde_json::Value| shaped(&every_list(window, hop), window, hop, shape);
    let sliding_lists = |window, hop| features_of(&every_list(window, hop));
    let sliding = |window, hop| features_of(&every_feature(window, hop));
    let bucket = serde_json::json!({"kind": "tumbling", "previous": false});
    let full = serde_json::json!({"kind": "tumbling", "previous": true});
    let lag = |lag: i64| serde_json::json!({"kind": "lag", "lag_us": lag});
    let lifetime = of(0, 0, &serde_json::json!({"kind": "lifetime"}));
    let exact = |window, bound: i64| of(window, 0, &serde_json::json!({"kind": "exact", "bound": bound}));
    let groups: Vec<Vec<Vec<serde_json::Value>>> = vec![
        vec![
            of(6 * HOUR, HOUR, &bucket),
            of(10 * MINUTE, MINUTE, &bucket),
            sliding(HOUR, MINUTE),
        ],
        vec![
            of(6 * HOUR, HOUR, &full),
            of(HOUR, MINUTE, &lag(HOUR)),
            sliding(HOUR, MINUTE),
        ],
        vec![of(10 * MINUTE, 10 * SECOND, &full)],
        vec![
            of(12 * HOUR, HOUR, &lag(24 * HOUR)),
            exact(HOUR, 3),
            lifetime.clone(),
        ],
        vec![lifetime.clone()],
        vec![lifetime.clone(), sliding(HOUR, MINUTE), sliding(24 * HOUR, HOUR)],
        vec![exact(HOUR, 4), exact(7 * MINUTE + 3, 2)],
        vec![exact(10 * MINUTE, 60)],
        vec![
            exact(HOUR, 3),
            sliding(6 * HOUR, 5 * MINUTE),
            lifetime,
            of(24 * HOUR, 6 * HOUR, &bucket),
        ],
        vec![
            sliding_lists(HOUR, 5 * MINUTE),
            sliding_lists(6 * HOUR, 15 * MINUTE),
            sliding_lists(24 * HOUR, 6 * HOUR),
            features_of(&[
                ("top_n", Some("s"), 2 * HOUR, HOUR, Some(3), "list<string>"),
                ("first_n", Some("s"), 2 * HOUR, HOUR, None, "list<string>"),
            ]),
        ],
        vec![
            sliding_lists(6 * HOUR, HOUR),
            lists(6 * HOUR, HOUR, &bucket),
            lists(6 * HOUR, HOUR, &full),
            lists(12 * HOUR, HOUR, &lag(24 * HOUR)),
            lists(0, 0, &serde_json::json!({"kind": "lifetime"})),
            lists(HOUR, 0, &serde_json::json!({"kind": "exact", "bound": 3})),
        ],
    ];
    let numbered = |group: Vec<Vec<serde_json::Value>>| {
        let mut features = group.concat();
        for (place, feature) in features.iter_mut().enumerate() {
            feature["name"] = format!("f{place}").into();
        }
        view_with(&features, head_max)
    };
    groups.into_iter().map(numbered).collect()
}

/// A view of many windows that slide, or of other kinds.
fn some_view(seed: u64, head_max: i64) -> WindowView {
    let mut views = views_of_kinds(head_max);
    let place = usize::try_from(seed).unwrap() % (2 * views.len());
    if place < views.len() {
        return views.swap_remove(place);
    }
    many_features(head_max)
}

/// The edges of a window, from its definition.
fn edges(feature: &WindowFeature, request: i64, origin: i64) -> (i64, i64) {
    let floor = |t, hop| floor_to_hop(t, hop, origin).unwrap();
    match feature.shape {
        WindowKind::Sliding => (floor(request - feature.window, feature.hop), request),
        WindowKind::Tumbling => (floor(request, feature.window), request),
        WindowKind::Lifetime => (i64::MIN, request),
        WindowKind::Previous => {
            let end = floor(request, feature.window);
            (end - feature.window, end)
        }
        WindowKind::Lag { lag } => (
            floor(request - lag - feature.window, feature.hop),
            floor(request - lag, feature.hop),
        ),
        WindowKind::Exact { .. } => (request - feature.window, request),
        // Judged against the zone data of another library, in Python.
        WindowKind::Calendar(_) => {
            let window = feature.edges();
            (
                window.lower_edge(request, origin),
                window.upper_edge(request, origin),
            )
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) t: i64,
    pub(crate) offset: u64,
    pub(crate) row: Vec<Value>,
}

/// Events around a clock that walks on; some late, some dated ahead, some at the same instant.
fn events(dice: &mut Dice, count: u64) -> Vec<Raw> {
    let mut now = dice.below(1_000_000) * SECOND - 500_000 * SECOND;
    (0..count)
        .map(|offset| {
            now += match dice.below(10) {
                0 => 2 * HOUR,
                1..=3 => 10 * MINUTE,
                4..=6 => 20 * SECOND,
                _ => 0,
            } * dice.below(100)
                / 100;
            let t = match dice.below(12) {
                0 => now - dice.below(30 * HOUR),
                1 => now - dice.below(10 * MINUTE),
                2 => now + dice.below(5 * SECOND),
                _ => now,
            };
            let n = if dice.below(8) == 0 {
                Value::Null
            } else {
                Value::Int(dice.below(60) - 30)
            };
            let x = match dice.below(12) {
                0 => Value::Null,
                1 => Value::Float(1e300),
                2 => Value::Float(-0.0),
                draw => Value::Float(f64::from(i32::try_from(draw - 6).unwrap()) / 8.0),
            };
            let s = match dice.below(7) {
                0 => Value::Null,
                1 => Value::from(
                    "y".repeat(usize::try_from(120 + dice.below(20)).unwrap())
                        .as_str(),
                ),
                draw => Value::from(
                    ["a", "b", "c", "d", "a text longer than fifteen bytes"]
                        [usize::try_from(draw - 2).unwrap()],
                ),
            };
            Raw {
                t,
                offset,
                row: vec![Value::from("k"), Value::Timestamp(t), n, x, s],
            }
        })
        .collect()
}

/// A cell as a feature gives it: negative zero is zero.
fn read_back(cell: Option<&Value>) -> Value {
    match cell {
        Some(Value::Float(x)) => Value::Float(x + 0.0),
        cell => cell.cloned().unwrap_or_default(),
    }
}

fn list<'v>(feature: &WindowFeature, cells: impl Iterator<Item = &'v Value>) -> Value {
    let cells = cells.take(feature.items.unwrap_or(usize::MAX));
    Value::List(
        feature.kind.element().unwrap(),
        cells.map(|cell| read_back(Some(cell))).collect(),
    )
}

fn precedes(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a < b,
        (Value::Float(a), Value::Float(b)) => a < b,
        (Value::String(a), Value::String(b)) => a < b,
        _ => panic!("ordered cells"),
    }
}

/// The definition, straight: filter the events of the window, then aggregate in plain integers.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    clippy::too_many_lines
)]
fn naive(view: &WindowView, known: &[Raw], request: i64) -> Vec<Answer> {
    view.features
        .iter()
        .map(|feature| {
            let (lower, upper) = edges(feature, request, view.origin);
            let mut inside: Vec<&Raw> = known.iter().filter(|e| lower <= e.t && e.t < upper).collect();
            inside.sort_by_key(|event| (event.t, event.offset));
            let newest = inside.last().map(|event| event.t);
            if matches!(feature.shape, WindowKind::Exact { bound } if inside.len() > bound) {
                return Answer {
                    event_time: newest,
                    ..Answer::without(Status::OverBound)
                };
            }
            let cells: Vec<&Value> = feature
                .column
                .map(|c| inside.iter().map(|event| &event.row[c]).collect())
                .unwrap_or_default();
            let returns_text = feature.aggregation.law().keeps.gives_back();
            let invalid = |cell: &Value| match cell {
                Value::Float(x) => !(x.is_finite() && x.abs() < 9_223_372_036_854_775_808.0),
                Value::String(text) => returns_text && text.len() > 128,
                _ => false,
            };
            let valid: Vec<&Value> = cells
                .iter()
                .copied()
                .filter(|c| !invalid(c) && !c.is_null())
                .collect();
            let ints: Vec<i128> = valid
                .iter()
                .map(|cell| match cell {
                    Value::Int(n) => i128::from(*n),
                    #[allow(clippy::cast_possible_truncation)] // eighths
                    Value::Float(x) => (x * 8.0) as i128,
                    _ => 0,
                })
                .collect();
            let unit = if feature.column == Some(3) { 8.0 } else { 1.0 };
            let (n, s): (i128, i128) = (valid.len() as i128, ints.iter().sum());
            let spread = n * ints.iter().map(|x| x * x).sum::<i128>() - s * s;
            let per_hour = |total: i128| (total * i128::from(HOUR)) as f64 / feature.window as f64 / unit;
            let population = (n > 0).then(|| spread as f64 / ((n * n) as f64) / unit / unit);
            let variance = (n > 1).then(|| spread as f64 / ((n * (n - 1)) as f64) / unit / unit);
            let float = |x: Option<f64>| x.map_or(Value::Null, Value::Float);
            let least = |sign: i32| {
                let order = |a: &&Value, b: &&Value| match (a, b) {
                    (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
                    (Value::String(a), Value::String(b)) => a.cmp(b),
                    _ => panic!("ordered cells"),
                };
                let found = if sign < 0 {
                    valid.iter().copied().min_by(order)
                } else {
                    valid.iter().copied().max_by(order)
                };
                read_back(found)
            };
            let value = match feature.aggregation.name() {
                "count" if feature.column.is_none() => Value::Int(inside.len() as i64),
                "count_where" => {
                    Value::Int(inside.iter().filter(|event| event.row[2].is_null()).count() as i64)
                }
                "count" => Value::Int(valid.len() as i64),
                "sum" if unit > 1.0 => Value::Float(s as f64 / unit),
                "sum" => Value::Int(i64::try_from(s).unwrap()),
                "avg" => float((n > 0).then(|| s as f64 / n as f64 / unit)),
                "variance" => float(variance),
                "stddev" => float(variance.map(f64::sqrt)),
                "variance_pop" => float(population),
                "stddev_pop" => float(population.map(f64::sqrt)),
                "rate" if feature.column.is_none() => Value::Float(per_hour(inside.len() as i128)),
                "rate" => Value::Float(per_hour(s)),
                "quantile" => float(naive_quantile(feature.quantile.unwrap(), &ints, unit)),
                "min" => least(-1),
                "max" => least(1),
                "first" => read_back(cells.iter().copied().find(|c| !invalid(c))),
                "last" => read_back(cells.iter().copied().rfind(|c| !invalid(c))),
                "time_since_last" => newest.map_or(Value::Null, |t| Value::Int(request - t)),
                "count_distinct" => {
                    let different: BTreeSet<String> = valid.iter().map(|cell| format!("{cell:?}")).collect();
                    if different.len() > feature.bound.unwrap() && feature.precision.is_some() {
                        let found = naive_estimate(&ints).max(3);
                        return Answer::of(Value::Int(found as i64), newest);
                    }
                    if different.len() > feature.bound.unwrap() {
                        return Answer {
                            value: Value::Null,
                            status: Status::OverBound,
                            event_time: newest,
                        };
                    }
                    Value::Int(different.len() as i64)
                }
                "histogram" => {
                    let edges = feature.edges.as_deref().unwrap().iter().map(Cell::value);
                    let edges: Vec<Value> = edges.collect();
                    let mut counts = vec![0; edges.len() + 1];
                    for cell in &valid {
                        counts[edges.iter().filter(|edge| !precedes(cell, edge)).count()] += 1;
                    }
                    Value::List(&Type::Int64, counts.into_iter().map(Value::Int).collect())
                }
                "top_n" => {
                    let mut counted: Vec<(i32, &Value)> = Vec::new();
                    for cell in &valid {
                        match counted.iter_mut().find(|(_, own)| own == cell) {
                            Some((count, _)) => *count += 1,
                            None => counted.push((1, cell)),
                        }
                    }
                    if counted.len() > feature.bound.unwrap() {
                        return Answer {
                            value: Value::Null,
                            status: Status::OverBound,
                            event_time: newest,
                        };
                    }
                    counted.sort_by(|a, b| {
                        let least = if precedes(a.1, b.1) {
                            Ordering::Less
                        } else {
                            Ordering::Greater
                        };
                        b.0.cmp(&a.0).then(least)
                    });
                    list(feature, counted.into_iter().map(|(_, cell)| cell))
                }
                "first_n" => list(feature, valid.iter().copied()),
                "last_n" => list(feature, valid.iter().rev().copied()),
                "last_distinct_n" => {
                    let mut different: Vec<&Value> = Vec::new();
                    for cell in valid.iter().rev().copied() {
                        if !different
                            .iter()
                            .any(|own| read_back(Some(own)) == read_back(Some(cell)))
                        {
                            different.push(cell);
                        }
                    }
                    list(feature, different.into_iter())
                }
                other => panic!("{other}"),
            };
            let mut answer = Answer::of(value, newest);
            if answer.status == Status::Present && cells.iter().any(|c| invalid(c)) {
                answer.status = Status::Partial;
            }
            answer
        })
        .collect()
}

/// From sixteen registers.
fn naive_estimate(cells: &[i128]) -> u64 {
    let mut greatest = [0; 16];
    for cell in cells {
        let bytes = i64::try_from(*cell).unwrap().to_be_bytes();
        let hash = u32::from_be_bytes(blake3::hash(&bytes).as_bytes()[..4].try_into().unwrap());
        let rank = u8::try_from((hash << 4).leading_zeros() + 1).unwrap().min(24);
        let own: &mut u8 = &mut greatest[(hash >> 28) as usize];
        *own = rank.max(*own);
    }
    crate::numbers::estimate(&greatest)
}

/// Bins by counting down from the finest, cells in eighths (or whole) and far above the grid's finest step.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn naive_quantile(what: crate::definition::Quantile, cells: &[i128], unit: f64) -> Option<f64> {
    let bits = if what.grid == crate::numbers::Grid::new(10_000, QUANTILE_BINS) {
        6
    } else {
        2
    };
    let scale = if unit > 1.0 { 1_i128 << 61 } else { 1 };
    let index = |units: i128| {
        let power = units.unsigned_abs().ilog2();
        (power << bits) + (((units.unsigned_abs() - (1 << power)) << bits) >> power) as u32
    };
    let key = |units: i128, joined: u32| match units.signum() {
        0 => 0,
        sign => sign * (i128::from(index(units) >> joined) + 1),
    };
    let mut units: Vec<i128> = cells.iter().map(|cell| cell * scale).collect();
    units.sort_unstable();
    let inhabited = |joined: u32| {
        units
            .iter()
            .map(|cell| key(*cell, joined))
            .collect::<BTreeSet<_>>()
    };
    let joined = (0..32).find(|joined| inhabited(*joined).len() <= QUANTILE_BINS)?;
    let last = units.len().checked_sub(1)?;
    let cell = units[(u64::from(what.q) * last as u64 / 1_000_000) as usize];
    if cell == 0 {
        return Some(0.0);
    }
    let bound = |bin: u32| {
        let (power, step) = (bin >> bits, u128::from(bin & ((1 << bits) - 1)));
        (((1_u128 << bits) + step) << power).div_ceil(1 << bits)
    };
    let bin = index(cell) >> joined;
    let middle = (bound(bin << joined) + bound((bin + 1) << joined) - 1) as f64 / 2.0;
    Some(cell.signum() as f64 * middle / scale as f64 / unit)
}

fn event_of(view: &WindowView, raw: &Raw) -> Event {
    Event::of(
        &view.layout,
        raw.t,
        EventPosition {
            epoch: 1,
            offset: raw.offset,
        },
        &raw.row,
    )
}

fn prefix(next_offset: u64) -> Prefix {
    Prefix {
        position: Position {
            epoch: 1,
            partition: 0,
            next_offset,
        },
        run: 7,
    }
}

fn assert_same(got: &[Answer], wanted: &[Answer], what: &str) {
    for (place, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        assert!(
            got.same(wanted),
            "{what}, feature {place}: got {got:?}, the definition gives {wanted:?}"
        );
    }
}

#[test]
fn a_state_and_its_bytes_answer_the_definition_at_every_answerable_time() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let view = some_view(seed, [1, 4, 256][usize::try_from(seed % 3).unwrap()]);
        let known = events(&mut dice, 120);
        let mut state = WindowState::new(&view);
        let mut clock = i64::MIN;
        for (place, raw) in known.iter().enumerate() {
            clock = clock.max(raw.t);
            state.fold(&view, event_of(&view, raw));
            if dice.below(3) > 0 {
                state.raise(&view, clock - dice.below(3) * dice.below(HOUR));
            }
            if dice.below(6) > 0 {
                continue;
            }
            let written = state.encode(&view.layout, &prefix(raw.offset + 1));
            let (_, back) = WindowState::decode(&view, &written.head, Some(&written.body)).unwrap();
            let mut opened = back.clone();
            opened.tiles.open_all(&view.layout, &opened.tails);
            for back in [&back, &opened] {
                let again = back.encode(&view.layout, &prefix(raw.offset + 1));
                assert_eq!(again, written, "seed {seed}");
            }
            let base = state.horizon().unwrap_or(clock);
            for request in [
                base - 1,
                base,
                base + 1,
                clock,
                clock + 1,
                clock + dice.below(2 * HOUR),
                clock + 40 * HOUR,
            ] {
                let what = format!("seed {seed}, event {place}, request {request}");
                let reading = read(&view, Some(&written.head), Some(&written.body), request).unwrap();
                let Some(answers) = state.answer(&view, request) else {
                    assert!(request < base, "{what}");
                    assert!(
                        reading
                            .answers
                            .iter()
                            .all(|answer| answer.status == Status::NotAnswerable)
                    );
                    assert_eq!(reading.earliest, Some(base));
                    continue;
                };
                assert_same(&answers, &naive(&view, &known[..=place], request), &what);
                assert_same(&reading.answers, &answers, &what);
                for back in [&back, &opened] {
                    assert_same(&back.answer(&view, request).unwrap(), &answers, &what);
                }
            }
            if dice.below(2) == 0 {
                state = back;
            }
        }
    }
}

#[test]
fn any_order_and_any_road_to_the_same_horizons_give_the_same_bytes() {
    for seed in 100..140 {
        let mut dice = Dice(seed);
        let view = some_view(seed, 1_000);
        let known = events(&mut dice, 80);
        let end = known.iter().map(|raw| raw.t).max().unwrap();
        let mut written: BTreeMap<usize, Encoded> = BTreeMap::new();
        for turn in 0..3 {
            let mut order: Vec<&Raw> = known.iter().collect();
            if turn > 0 {
                for place in (1..order.len()).rev() {
                    let other = usize::try_from(dice.below(i64::try_from(place).unwrap() + 1)).unwrap();
                    order.swap(place, other);
                }
            }
            let mut state = WindowState::new(&view);
            for raw in order {
                state.fold(&view, event_of(&view, raw));
                // Half-way horizons on some roads.
                if turn == 2 && dice.below(4) == 0 {
                    state.raise(&view, end - 20 * HOUR - dice.below(30 * HOUR));
                }
            }
            state.raise(&view, end);
            written.insert(turn, state.encode(&view.layout, &prefix(80)));
        }
        assert_eq!(written[&0], written[&1], "seed {seed}");
        assert_eq!(written[&0], written[&2], "seed {seed}");
    }
}

#[test]
fn broken_bytes_are_refused_and_never_panic() {
    for (seed, view) in views_of_kinds(8)
        .into_iter()
        .chain([many_features(8)])
        .enumerate()
    {
        break_bytes(&view, 9 + seed as u64);
    }
}

fn break_bytes(view: &WindowView, seed: u64) {
    let mut dice = Dice(seed);
    let known = events(&mut dice, 100);
    let mut state = WindowState::new(view);
    for raw in &known {
        state.fold(view, event_of(view, raw));
        state.raise(view, raw.t);
    }
    let written = state.encode(&view.layout, &prefix(100));
    for length in 0..written.head.len() {
        assert!(WindowState::decode(view, &written.head[..length], Some(&written.body)).is_err());
    }
    let has_body = written.body.len() > 2;
    let others = [None, Some(&written.body[..1]), Some(&written.head[..])];
    for body in others.into_iter().filter(|_| has_body) {
        assert_eq!(
            WindowState::decode(view, &written.head, body)
                .unwrap_err()
                .reason(),
            "STATE_BODY_MISMATCH"
        );
    }
    for _ in 0..6_000 {
        let mut head = written.head.clone();
        for _ in 0..=dice.below(3) {
            let place = usize::try_from(dice.below(i64::try_from(head.len()).unwrap())).unwrap();
            head[place] = dice.next().to_be_bytes()[0];
        }
        if let Ok((prefix, mut state)) = WindowState::decode(view, &head, Some(&written.body)) {
            for _ in 0..2 {
                assert_eq!(
                    state.encode(&view.layout, &prefix).head,
                    head,
                    "what is read is what is written"
                );
                state.tiles.open_all(&view.layout, &state.tails);
            }
        }
        // A read need not see every fault; it must not panic.
        let _ = read(view, Some(&head), Some(&written.body), dice.below(1 << 60));
    }
}

#[test]
fn written_states_stay_below_the_worst_case() {
    let mut dice = Dice(77);
    for view in views_of_kinds(256).into_iter().chain([many_features(256)]) {
        let known = events(&mut dice, 3_000);
        let mut state = WindowState::new(&view);
        for raw in &known {
            state.fold(&view, event_of(&view, raw));
            state.raise(&view, raw.t);
        }
        let written = state.encode(&view.layout, &prefix(3_000));
        assert!(written.head.len() + written.body.len() <= view.worst_case_bytes());
    }
}

#[test]
fn no_state_is_the_empty_window() {
    let view = many_features(8);
    let reading = read(&view, None, None, 5 * HOUR).unwrap();
    assert_same(&reading.answers, &naive(&view, &[], 5 * HOUR), "empty");
    assert_eq!((reading.position, reading.earliest), (None, None));
}

/// The events of one entity as a log.
struct Rows<'a>(&'a [Raw]);

impl crate::expr::Columns for Rows<'_> {
    fn cell(&self, row: usize, place: usize) -> crate::expr::Cell<'_> {
        crate::expr::Cell::from(&self.0[row].row[place])
    }
}

impl Log for Rows<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn entity_id(&self, _: usize) -> Option<&str> {
        Some("s.k")
    }

    fn t(&self, row: usize) -> i64 {
        self.0[row].t
    }

    fn position(&self, row: usize) -> (u32, u64) {
        (3, self.0[row].offset)
    }
}

#[test]
fn a_frame_answers_the_definition_at_any_time_and_knowledge() {
    for seed in 200..225 {
        let mut dice = Dice(seed);
        let view = some_view(seed, 8);
        let known = events(&mut dice, 400);
        let times: Vec<i64> = known.iter().map(|raw| raw.t).collect();
        let asked: Vec<Asked<'_, LogPosition>> = (0..40)
            .map(|_| {
                let near = times[usize::try_from(dice.below(400)).unwrap()];
                let next_offset = u64::try_from(dice.below(401)).unwrap();
                Asked {
                    entity_id: [Some("s.k"), Some("s.k"), Some("s.k"), Some("s.other"), None]
                        [usize::try_from(dice.below(5)).unwrap()],
                    request_time: near + [0, 1, MINUTE, 5 * HOUR][usize::try_from(dice.below(4)).unwrap()],
                    known: match dice.below(5) {
                        0 => Known::Nothing,
                        1 => Known::Everything,
                        2 => Known::Upto(LogPosition {
                            partition: 2,
                            next_offset,
                        }),
                        _ => Known::Upto(LogPosition {
                            partition: 3,
                            next_offset,
                        }),
                    },
                }
            })
            .collect();
        let found = frame(&view, &Rows(&known), &asked).unwrap();
        for (place, ask) in asked.iter().enumerate() {
            let features = 0..view.features.len();
            let answers: Vec<Answer> = features
                .map(|feature| found.answer(&view, place, feature))
                .collect();
            let upto = match ask.known {
                _ if ask.entity_id != Some("s.k") => 0,
                Known::Nothing | Known::Upto(LogPosition { partition: 2, .. }) => 0,
                Known::Everything => 400,
                Known::Upto(position) => usize::try_from(position.next_offset).unwrap(),
            };
            let wanted = naive(&view, &known[..upto], ask.request_time);
            assert_same(&answers, &wanted, &format!("seed {seed}, row {place}, {ask:?}"));
            let inside = contributing(&view, 0, &Rows(&known), ask);
            if wanted[0].status != Status::OverBound {
                assert_eq!(
                    Value::Int(i64::try_from(inside.len()).unwrap()),
                    wanted[0].value,
                    "seed {seed}, row {place}"
                );
            }
            assert!(inside.windows(2).all(|pair| {
                (known[pair[0]].t, known[pair[0]].offset) < (known[pair[1]].t, known[pair[1]].offset)
            }));
        }
    }
}
