//! Latest values against their definition: the slow truth is a maximum over all rows.

mod streams;
mod tables;

use crate::definition::{Definition, LatestView, canonical, compile};
use crate::expr::{Cell, Columns};
use crate::value::Value;

/// A latest view with the features `temp` (float64) and `wind` (string); `more` replaces keys of its document.
fn view(source: &str, more: &str) -> LatestView {
    let columns = r#""columns":[{"name":"k","type":"string","nullable":false},
        {"name":"at","type":"timestamp","nullable":false},{"name":"made","type":"timestamp","nullable":true},
        {"name":"temp","type":"float64","nullable":true},{"name":"wind","type":"string","nullable":true}]"#;
    let text = format!(
        r#"{{"format":1,"semantics":1,"kind":"latest_view","project":"p","name":"weather",
            "entity":{{"name":"station","keys":[{{"name":"k","type":"string"}}]}},
            "source":{{"name":"readings",{columns},{source}}},
            "filter":null,"ttl_us":null,"head_slack_us":20,"head_max":4,"state_limit_bytes":65536,
            "features":[{{"name":"temp","column":"temp","type":"float64"}},
                        {{"name":"wind","column":"wind","type":"string"}}]}}"#
    );
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let more: serde_json::Map<String, serde_json::Value> = serde_json::from_str(more).unwrap();
    json.as_object_mut().unwrap().extend(more);
    match compile(canonical::write(&json).unwrap().as_bytes()).unwrap() {
        Definition::Latest(view) => view,
        other => panic!("{other:?}"),
    }
}

fn stream_view(more: &str) -> LatestView {
    let source = r#""kind":"stream","topic":"t","payload":"json","record_key":["k"],"event_time":"at",
        "future_tolerance_us":5000000"#;
    view(source, more)
}

fn table_view(event_time: &str, more: &str) -> LatestView {
    let source = format!(
        r#""kind":"batch","event_time":{event_time},"created_time":"made","table":{{"path":"rows.parquet"}}"#
    );
    view(&source, more)
}

/// Columns as a list of rows.
struct Rows(Vec<Vec<Value>>);

impl Columns for Rows {
    fn cell(&self, row: usize, place: usize) -> Cell<'_> {
        Cell::from(&self.0[row][place])
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn time(&mut self, bound: u64) -> i64 {
        i64::try_from(self.below(bound)).unwrap()
    }

    fn cells(&mut self) -> Vec<Value> {
        let temp = match self.below(5) {
            0 => Value::Null,
            1 => Value::Float(-0.0),
            n => Value::Float(f64::from(u32::try_from(n).unwrap()) / 4.0),
        };
        let wind = match self.below(4) {
            0 => Value::Null,
            n => Value::from(["", "N", "SSW"][usize::try_from(n - 1).unwrap()]),
        };
        vec![temp, wind]
    }
}
