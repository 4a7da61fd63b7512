//! On-demand features: each step of the vector, for all rows of the request.

use skewless_core::answer::Answer;
use skewless_core::expr;
use skewless_core::latest;
use skewless_core::ondemand::{self, Inputs};
use skewless_core::status::Status;
use skewless_core::value::{Type, Value};
use tonic::Code;

use crate::answer::{Cell, Content};
use crate::refusal::Refusal;
use crate::rows::Rows;
use crate::vector::{Argument, Vector, View};
use crate::wire::Reason;

/// Fills the slots of the on-demand features, in an order in which each finds its inputs filled.
pub(crate) fn on_demand(
    vector: &Vector,
    rows: &Rows,
    request_time: i64,
    cells: &mut [Cell<'_>],
) -> Result<(), Refusal> {
    for step in &vector.steps {
        let View::OnDemand(view) = &*step.view else {
            continue;
        };
        for row in 0..rows.count {
            let mut arguments = Arguments {
                fields: view.request.len(),
                cells: Vec::with_capacity(step.arguments.len()),
            };
            for (argument, column) in step.arguments.iter().zip(view.row.columns()) {
                arguments.cells.push(match *argument {
                    Argument::Unused => (Value::Null, Status::Null),
                    Argument::Field(field) => (rows.fields[field][row].clone(), Status::Present),
                    Argument::Slot(slot) => value_of(&cells[slot * rows.count + row], column.kind)?,
                });
            }
            let answer = ondemand::eval(view, step.feature, &arguments, 0, request_time)
                .unwrap_or_else(|| Answer::without(Status::Unavailable));
            cells[step.slot * rows.count + row] = Cell::from(answer);
        }
    }
    Ok(())
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

/// One row of a step's arguments.
struct Arguments {
    /// How many of them are request fields.
    fields: usize,
    cells: Vec<(Value, Status)>,
}

impl expr::Columns for Arguments {
    fn cell(&self, _row: usize, place: usize) -> expr::Cell<'_> {
        self.cells
            .get(place)
            .map_or(expr::Cell::Null, |(value, _)| expr::Cell::from(value))
    }
}

impl Inputs for Arguments {
    fn status(&self, _row: usize, input: usize) -> Status {
        self.cells
            .get(self.fields + input)
            .map_or(Status::Unavailable, |(_, status)| *status)
    }
}
