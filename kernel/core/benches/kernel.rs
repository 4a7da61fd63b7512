//! CPU seconds of the kernel's smallest steps: what one event costs a writer and one request costs a reader.
//!
//! `tests/bench/kernel.py` makes the definitions and events, runs this and tells what the figures mean. One argument:
//! a JSON file of `on_demand_view` (a meaning document), `clock_us` and `cases`, each a `name`, a `window_view`, the
//! `events` folded before (pairs of time and amount) and the `coming` ones. Gives one JSON object.

use std::error::Error;
use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value as Json, json};
use skewless_core::definition::{Definition, OnDemandView, WindowView, compile};
use skewless_core::expr::Cell;
use skewless_core::ondemand::{OneRow, eval};
use skewless_core::schema::Column;
use skewless_core::state::{Position, Prefix};
use skewless_core::status::Status;
use skewless_core::value::{Type, Value};
use skewless_core::window::{BodyMark, Event, EventPosition, WindowState, read};

type Fault = Box<dyn Error>;

/// Each figure is the least of so many runs: what others do on the machine only ever adds.
const RUNS: usize = 9;
/// At least so long is one run, in seconds.
const RUN_S: f64 = 0.05;

fn main() -> Result<(), Fault> {
    // cargo adds `--bench` of its own.
    let path = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let path = path.ok_or("give the file of definitions and events, as tests/bench/kernel.py does")?;
    let given: Json = serde_json::from_slice(&std::fs::read(path)?)?;
    let mut found = Map::new();
    for case in given["cases"].as_array().ok_or("no cases")? {
        let name = case["name"].as_str().ok_or("a case without a name")?;
        let view = window_view(&case["window_view"])?;
        let figures = Case::of(&view, &given, case)?.measure()?;
        found.insert(name.to_owned(), figures);
    }
    found.insert(
        "expressions".to_owned(),
        expressions(&on_demand(&given["on_demand_view"])?)?,
    );
    println!("{}", Json::Object(found));
    Ok(())
}

fn meaning(document: &Json) -> Result<Definition, Fault> {
    let text = document.as_str().ok_or("no meaning")?;
    compile(text.as_bytes()).map_err(|faults| format!("{faults:?}").into())
}

fn window_view(document: &Json) -> Result<WindowView, Fault> {
    match meaning(document)? {
        Definition::Window(view) => Ok(view),
        _ => Err("not a window view".into()),
    }
}

fn on_demand(document: &Json) -> Result<OnDemandView, Fault> {
    match meaning(document)? {
        Definition::OnDemand(view) => Ok(view),
        _ => Err("not an on-demand view".into()),
    }
}

/// One activity of an entity.
struct Case<'v> {
    view: &'v WindowView,
    /// The columns of the source, and where the amount stands in them.
    columns: &'v [Column],
    amount: usize,
    clock: i64,
    events: Vec<(i64, f64)>,
    coming: Vec<(i64, f64)>,
}

/// A state as the store has it.
#[derive(Clone)]
struct Stored {
    head: Vec<u8>,
    body: Option<Vec<u8>>,
    mark: Option<BodyMark>,
    next_offset: u64,
}

impl<'v> Case<'v> {
    fn of(view: &'v WindowView, given: &Json, case: &Json) -> Result<Self, Fault> {
        let columns = view.source.columns.columns();
        let amount = columns.iter().position(|column| column.name == "amount");
        Ok(Self {
            view,
            columns,
            amount: amount.ok_or("the source has no amount")?,
            clock: given["clock_us"].as_i64().ok_or("no clock")?,
            events: serde_json::from_value(case["events"].clone())?,
            coming: serde_json::from_value(case["coming"].clone())?,
        })
    }

    fn event(&self, (t, amount): (i64, f64), offset: u64) -> Event {
        let mut row = vec![Value::Null; self.columns.len()];
        #[allow(clippy::cast_possible_truncation)] // whole, and small
        let whole = || Value::Int(amount as i64);
        row[self.amount] = match self.columns[self.amount].kind {
            Type::Int64 => whole(),
            _ => Value::Float(amount),
        };
        Event::of(&self.view.layout, t, EventPosition { epoch: 1, offset }, &row)
    }

    fn prefix(next_offset: u64) -> Prefix {
        let position = Position {
            epoch: 1,
            partition: 3,
            next_offset,
        };
        Prefix { position, run: 7 }
    }

    /// The state after the events of before, each folded at its own time.
    fn state(&self) -> WindowState {
        let mut state = WindowState::new(self.view);
        for (event, offset) in self.events.iter().zip(0..) {
            state.fold(self.view, self.event(*event, offset));
            state.raise(self.view, event.0);
        }
        state.raise(self.view, self.clock);
        state
    }

    fn stored(&self) -> Stored {
        let state = self.state();
        let next_offset = self.events.len() as u64;
        let encoded = state.encode(&self.view.layout, &Self::prefix(next_offset));
        let mark = BodyMark::of(&encoded.body);
        Stored {
            head: encoded.head,
            body: mark.map(|_| encoded.body),
            mark,
            next_offset,
        }
    }

    /// What the writer does for an event of an entity that it does not hold in memory.
    fn update(&self, stored: &mut Stored, event: (i64, f64)) -> Result<(), Fault> {
        let (_, mut state, mark) =
            WindowState::decode_marked(self.view, &stored.head, stored.body.as_deref())?;
        state.fold(self.view, self.event(event, stored.next_offset));
        state.raise(self.view, event.0);
        stored.mark = mark;
        if let Some(body) = state.take_body(&self.view.layout) {
            stored.mark = BodyMark::of(&body);
            stored.body = stored.mark.map(|_| body);
        }
        stored.next_offset += 1;
        stored.head = state.write_head(&self.view.layout, &Self::prefix(stored.next_offset), stored.mark);
        Ok(())
    }

    fn measure(&self) -> Result<Json, Fault> {
        let stored = self.stored();
        let request = self.clock + 1;
        let (head, body) = (&stored.head, stored.body.as_deref());
        let update = least(self.coming.len(), || {
            let mut stored = stored.clone();
            for event in &self.coming {
                self.update(&mut stored, *event)?;
            }
            black_box(stored);
            Ok(())
        })?;
        let reading = least(1, || {
            black_box(read(self.view, Some(black_box(head)), body, request)?);
            Ok(())
        })?;
        let state = self.state();
        let merging = least(1, || {
            black_box(black_box(&state).answer(self.view, request));
            Ok(())
        })?;
        let mut document = Document::of(&self.events);
        let json = least(self.coming.len(), || {
            for event in &self.coming {
                document = document.updated(*event)?;
            }
            Ok(())
        })?;
        let naive = least(1, || {
            black_box(self.by_hand(request));
            Ok(())
        })?;
        let answers = read(self.view, Some(head), body, request)?.answers;
        let by_hand = self.by_hand(request);
        for (answer, own) in answers.iter().zip(&by_hand) {
            if !agrees(&answer.value, *own) {
                return Err(format!("{answer:?} is not about {own:?}").into());
            }
        }
        Ok(json!({
            "update_us": update,
            "update_json_us": json,
            "read_us": reading,
            "merge_us": merging,
            "by_hand_us": naive,
            "features": by_hand.len(),
            "head_bytes": head.len(),
            "body_bytes": body.map_or(0, <[u8]>::len),
        }))
    }

    /// The features in the same order from the raw events, in doubles: count, sum, min, max, stddev of each window.
    fn by_hand(&self, request: i64) -> Vec<Option<f64>> {
        let mut answers = Vec::with_capacity(20);
        for feature in self.view.features.chunks(5) {
            let edge = feature[0].edges().lower_edge(request, self.view.origin);
            let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
            let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
            for (_, x) in self.events.iter().filter(|(t, _)| (edge..request).contains(t)) {
                n += 1.0;
                sum += x;
                squares += x * x;
                low = low.min(*x);
                high = high.max(*x);
            }
            let any = |value: f64| (n > 0.0).then_some(value);
            let variance = (squares - sum * sum / n) / (n - 1.0);
            let spread = (n > 1.0).then(|| variance.max(0.0).sqrt());
            answers.extend([Some(n), Some(sum), any(low), any(high), spread]);
        }
        answers
    }
}

/// The same moments as a JSON document by hour: what a writer without a form of its own would keep.
#[derive(Clone)]
struct Document(String);

impl Document {
    fn of(events: &[(i64, f64)]) -> Self {
        let mut hours = Hours::new();
        for event in events.iter().rev().take(events.len() / 2) {
            note(&mut hours, *event);
        }
        Self(json!(hours).to_string())
    }

    fn updated(&self, event: (i64, f64)) -> Result<Self, Fault> {
        let mut hours: Hours = serde_json::from_str(black_box(&self.0))?;
        note(&mut hours, event);
        while hours.len() > 30 * 24 {
            hours.pop_first();
        }
        Ok(Self(serde_json::to_string(&hours)?))
    }
}

type Hours = std::collections::BTreeMap<i64, [f64; 5]>;

fn note(hours: &mut Hours, (t, x): (i64, f64)) {
    let hour = hours
        .entry(t.div_euclid(3_600_000_000))
        .or_insert([0.0, 0.0, x, x, 0.0]);
    *hour = [
        hour[0] + 1.0,
        hour[1] + x,
        hour[2].min(x),
        hour[3].max(x),
        hour[4] + x * x,
    ];
}

fn agrees(value: &Value, own: Option<f64>) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
    match (value, own) {
        (Value::Null, None) => true,
        #[allow(clippy::cast_precision_loss)] // counts
        (Value::Int(a), Some(b)) => close(*a as f64, b),
        (Value::Float(a), Some(b)) => close(*a, b),
        _ => false,
    }
}

/// Microseconds of a row: every feature of the view, one row at a time.
fn expressions(view: &OnDemandView) -> Result<Json, Fault> {
    const ROWS: usize = 1024;
    let mut step = 0.0_f64;
    let mut next = || {
        step = (step * 7.31 + 12.97) % 97.0;
        step
    };
    let mut cell = |kind: Type| match kind {
        Type::Float64 => Ok(Cell::Float(next() - 40.0)),
        #[allow(clippy::cast_possible_truncation)] // below 97
        Type::Int64 => Ok(Cell::Int(next() as i64)),
        other => Err(format!("no cell of type {other:?} is made here")),
    };
    let mut rows = Vec::with_capacity(ROWS);
    for _ in 0..ROWS {
        let request: Result<Vec<_>, _> = view.request.iter().map(|field| cell(field.kind)).collect();
        let inputs: Result<Vec<_>, _> = view
            .inputs
            .iter()
            .map(|input| cell(input.kind).map(|cell| (cell, Status::Present)))
            .collect();
        rows.push((request?, inputs?));
    }
    let row_us = least(ROWS, || {
        for ((request, inputs), at) in rows.iter().zip(0..) {
            for feature in 0..view.features.len() {
                let row = OneRow { request, inputs };
                black_box(eval(
                    view,
                    feature,
                    &row,
                    0,
                    1_767_571_200_000_000 + at * 3_600_000_000,
                ));
            }
        }
        Ok(())
    })?;
    Ok(json!({"features": view.features.len(), "row_us": row_us}))
}

/// CPU microseconds of one of `count` steps that the work consists of.
fn least(count: usize, mut work: impl FnMut() -> Result<(), Fault>) -> Result<f64, Fault> {
    let mut best = f64::INFINITY;
    let mut times = 1_u32;
    let mut runs = 0;
    while runs < RUNS {
        let began = cpu_s();
        for _ in 0..times {
            work()?;
        }
        let took = cpu_s() - began;
        if took < RUN_S {
            times = times.saturating_mul(2);
            continue;
        }
        runs += 1;
        #[allow(clippy::cast_precision_loss)] // small
        let steps = f64::from(times) * count as f64;
        best = best.min(took * 1e6 / steps);
    }
    Ok(best)
}

#[allow(clippy::cast_precision_loss)] // seconds of one process
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
