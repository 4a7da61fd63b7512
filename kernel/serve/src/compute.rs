//! On-demand features: each step of the vector, for all rows of the request.

use std::collections::HashMap;
use std::time::Instant;

use skewless_core::answer::Answer;
use skewless_core::definition::{Function, OnDemandView};
use skewless_core::expr;
use skewless_core::functions::{Calls, Outcome};
use skewless_core::latest;
use skewless_core::ondemand::{self, Inputs};
use skewless_core::status::Status;
use skewless_core::value::{Type, Value};
use tokio::sync::oneshot;
use tonic::Code;

use crate::answer::{Cell, Content};
use crate::functions::{FunctionCall, Results};
use crate::refusal::Refusal;
use crate::rows::Rows;
use crate::server::Shared;
use crate::vector::{Argument, Step, Vector, View};
use crate::wire::{Reason, events};

/// What came of the Python functions of a request.
#[derive(Debug, Default)]
pub(crate) struct Called {
    /// Why the first row without a value has none, by slot.
    pub(crate) failures: HashMap<usize, String>,
    /// What each was called with.
    pub(crate) arguments: Vec<events::FunctionArguments>,
}

/// A function whose results have not come.
struct Waiting {
    calls: Calls,
    results: Result<oneshot::Receiver<Results>, String>,
}

/// Fills the slots of the on-demand features, in an order in which each finds its inputs filled. Python functions are
/// asked for as soon as their inputs are there, and waited for when something needs them.
pub(crate) async fn on_demand(
    shared: &Shared,
    vector: &Vector,
    rows: &Rows,
    request_time: i64,
    cells: &mut [Cell<'_>],
) -> Result<Called, Refusal> {
    let mut called = Called::default();
    let mut waiting: Vec<(usize, Waiting)> = Vec::new();
    let until = Instant::now() + shared.settings.function_timeout;
    for step in &vector.steps {
        let View::OnDemand(view) = &*step.view else {
            continue;
        };
        for argument in &step.arguments {
            let place = waiting
                .iter()
                .position(|(slot, _)| Argument::Slot(*slot) == *argument);
            if let Some(place) = place {
                let (slot, asked) = waiting.swap_remove(place);
                settle(shared, slot, asked, until, rows.count, cells, &mut called).await;
            }
        }
        let arguments = arguments(step, view, rows, cells)?;
        if let Some(function) = view.features[step.feature].function() {
            let asked = ask(
                shared,
                step,
                view,
                function,
                &arguments,
                request_time,
                until,
                &mut called,
            );
            if let Some(asked) = asked {
                waiting.push((step.slot, asked));
            }
            continue;
        }
        for row in 0..rows.count {
            let answer = ondemand::eval(view, step.feature, &arguments, row, request_time)
                .unwrap_or_else(|| Answer::without(Status::Unavailable));
            cells[step.slot * rows.count + row] = Cell::from(answer);
        }
    }
    for (slot, asked) in waiting {
        settle(shared, slot, asked, until, rows.count, cells, &mut called).await;
    }
    Ok(called)
}

/// Queues the calls of a function.
#[allow(clippy::too_many_arguments)] // the step and all that it is computed from
fn ask(
    shared: &Shared,
    step: &Step,
    view: &OnDemandView,
    function: &Function,
    arguments: &Arguments,
    request_time: i64,
    until: Instant,
    called: &mut Called,
) -> Option<Waiting> {
    let calls = Calls::of(view, step.feature, arguments, arguments.rows)?;
    let times = vec![request_time; arguments.rows];
    let written = calls.arguments(view, function, arguments, &times);
    let feature = &view.features[step.feature];
    called.arguments.push(events::FunctionArguments {
        meaning: view.meaning.to_vec().into(),
        feature: feature.name.clone(),
        digests: written.digests.as_flattened().to_vec().into(),
    });
    if !calls.any() {
        let results = Err(String::new());
        return Some(Waiting { calls, results });
    }
    let results = shared.functions.ask(FunctionCall {
        ticket: 0,
        module: function.module.clone(),
        name: function.name.clone(),
        source: function.source,
        arguments: function.arguments.iter().map(|(name, _)| name.clone()).collect(),
        kind: feature.kind.name(),
        budget_us: function.budget_us,
        until,
        rows: written.text,
    });
    shared.counters.function_asked(results.is_ok());
    Some(Waiting { calls, results })
}

/// Waits for the results of a function, no longer than until then, and fills its slot.
async fn settle(
    shared: &Shared,
    slot: usize,
    asked: Waiting,
    until: Instant,
    rows: usize,
    cells: &mut [Cell<'_>],
    called: &mut Called,
) {
    let results = match asked.results {
        Err(why) => Err(why),
        Ok(receiver) => match tokio::time::timeout_at(until.into(), receiver).await {
            Ok(Ok(results)) => results,
            Ok(Err(_)) => Err("the host of Python functions has ended".to_owned()),
            Err(_) => {
                let limit = shared.settings.function_timeout.as_millis();
                Err(format!(
                    "the Python functions of the request took longer than {limit} ms"
                ))
            }
        },
    };
    let outcomes = match results {
        Ok(results) => asked.calls.outcomes(&results),
        Err(why) => asked.calls.not_computed(&why),
    };
    shared.counters.function_settled(&outcomes);
    for (row, outcome) in outcomes.into_iter().enumerate() {
        let Outcome {
            value,
            status,
            failure,
        } = outcome;
        if let Some(failure) = failure {
            called
                .failures
                .entry(slot)
                .or_insert_with(|| format!("row {row}: {failure}"));
        }
        let event_time = None;
        cells[slot * rows + row] = Cell::from(Answer {
            value,
            status,
            event_time,
        });
    }
}

fn arguments(
    step: &Step,
    view: &OnDemandView,
    rows: &Rows,
    cells: &[Cell<'_>],
) -> Result<Arguments, Refusal> {
    let width = step.arguments.len();
    let mut arguments = Arguments {
        fields: view.request.len(),
        width,
        rows: rows.count,
        cells: Vec::with_capacity(width * rows.count),
    };
    for row in 0..rows.count {
        for (argument, column) in step.arguments.iter().zip(view.row.columns()) {
            arguments.cells.push(match *argument {
                Argument::Unused => (Value::Null, Status::Null),
                Argument::Field(field) => (rows.fields[field][row].clone(), Status::Present),
                Argument::Slot(slot) => value_of(&cells[slot * rows.count + row], column.kind)?,
            });
        }
    }
    Ok(arguments)
}

fn value_of(cell: &Cell<'_>, kind: Type) -> Result<(Value, Status), Refusal> {
    let value = match &cell.content {
        Content::Value(value) => value.clone(),
        Content::Wire(wire) => latest::wire::read(wire, kind).map_err(|error| {
            let text = format!("a stored value is no {kind} ({error:?}); rebuild the view's states");
            Refusal::new(Code::Internal, Reason::Internal, text)
        })?,
    };
    Ok((value, cell.status))
}

/// A step's arguments, row by row.
struct Arguments {
    /// How many of a row are request fields.
    fields: usize,
    /// Cells of a row.
    width: usize,
    rows: usize,
    cells: Vec<(Value, Status)>,
}

impl Arguments {
    fn at(&self, row: usize, place: usize) -> Option<&(Value, Status)> {
        self.cells.get(row * self.width + place)
    }
}

impl expr::Columns for Arguments {
    fn cell(&self, row: usize, place: usize) -> expr::Cell<'_> {
        self.at(row, place)
            .map_or(expr::Cell::Null, |(value, _)| expr::Cell::from(value))
    }
}

impl Inputs for Arguments {
    fn status(&self, row: usize, input: usize) -> Status {
        self.at(row, self.fields + input)
            .map_or(Status::Unavailable, |(_, status)| *status)
    }
}
