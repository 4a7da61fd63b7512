//! Python functions of on-demand views: what they are called with, and what their answers mean.
//!
//! The kernel runs no Python. It writes the arguments of all rows as one JSON text, the host has the function called
//! once per row, and the kernel reads the results. So the bytes that a function sees, the types it may give and the
//! statuses of its values are the same wherever it runs.
//!
//! Arguments: a list with an element per row, a list of cells in the order of the call, or null for a row that is not
//! called. Results: a list with an element per row, `[value]` or `[null, status, text]`, or null.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::definition::{Argument, Function, OnDemandView, limits};
use crate::expr::{Cell, Row};
use crate::ondemand::{Inputs, known, known_row};
use crate::status::Status;
use crate::value::{Type, Value};

/// Bytes of the digest of one row's arguments.
pub const DIGEST: usize = 16;

/// The calls of one function for rows of inputs.
#[derive(Debug)]
pub struct Calls {
    kind: Type,
    /// Per row: whether its value would be partial, or the status of a row that is not called.
    rows: Vec<Result<bool, Status>>,
}

/// The arguments of calls.
#[derive(Debug)]
pub struct Arguments {
    /// The JSON text that the host hands on.
    pub text: String,
    /// Per row, what tells its arguments from others; zeros for a row that is not called.
    pub digests: Vec<[u8; DIGEST]>,
}

/// What came of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The value; null unless the status has one.
    pub value: Value,
    /// How it came about.
    pub status: Status,
    /// Why there is no value, in words, where the function or its host is the reason.
    pub failure: Option<String>,
}

impl Calls {
    /// The calls of a feature (its place in the view); absent if it is no function.
    pub fn of<I: Inputs + ?Sized>(
        view: &OnDemandView,
        feature: usize,
        inputs: &I,
        rows: usize,
    ) -> Option<Self> {
        let feature = view.features.get(feature)?;
        feature.function()?;
        let rows = (0..rows).map(|row| known(view, feature, inputs, row)).collect();
        Some(Self {
            kind: feature.kind,
            rows,
        })
    }

    /// Whether any row is to be called.
    pub fn any(&self) -> bool {
        self.rows.iter().any(Result::is_ok)
    }

    /// The arguments of all rows, each at its request time.
    pub fn arguments<I: Inputs + ?Sized>(
        &self,
        view: &OnDemandView,
        function: &Function,
        inputs: &I,
        request_times: &[i64],
    ) -> Arguments {
        let mut text = String::with_capacity(self.rows.len() * 16 * (1 + function.arguments.len()));
        let mut digests = Vec::with_capacity(self.rows.len());
        text.push('[');
        for (row, (call, time)) in self.rows.iter().zip(request_times).enumerate() {
            if row > 0 {
                text.push(',');
            }
            let start = text.len();
            let mut digest = [0; DIGEST];
            if let Ok(partial) = call {
                write_row(&mut text, function, known_row(view, inputs, row), *time);
                let mut hash = blake3::Hasher::new();
                hash.update(&text.as_bytes()[start..]);
                hash.update(&[u8::from(*partial)]);
                hash.finalize_xof().fill(&mut digest);
            } else {
                text.push_str("null");
            }
            digests.push(digest);
        }
        text.push(']');
        Arguments { text, digests }
    }

    /// What the results mean, row by row. A text that is no list of results computes nothing.
    pub fn outcomes(&self, results: &[u8]) -> Vec<Outcome> {
        let read: Vec<Json> = match serde_json::from_slice(results) {
            Ok(Json::Array(read)) if read.len() == self.rows.len() => read,
            _ => return self.not_computed("the function's host gave no results"),
        };
        let rows = self.rows.iter().zip(read);
        rows.map(|(call, result)| match call {
            Ok(partial) => outcome(&result, self.kind, *partial),
            Err(status) => Outcome::without(*status, None),
        })
        .collect()
    }

    /// The outcomes when nothing was called, for this reason.
    pub fn not_computed(&self, why: &str) -> Vec<Outcome> {
        let rows = self.rows.iter();
        rows.map(|call| match call {
            Ok(_) => Outcome::without(Status::NotComputed, Some(why.to_owned())),
            Err(status) => Outcome::without(*status, None),
        })
        .collect()
    }
}

impl Outcome {
    fn without(status: Status, failure: Option<String>) -> Self {
        Self {
            value: Value::Null,
            status,
            failure,
        }
    }
}

fn write_row<'a>(text: &mut String, function: &Function, row: impl Row<'a>, request_time: i64) {
    text.push('[');
    for (place, (_, argument)) in function.arguments.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        match argument {
            Argument::Column(column) => write_cell(text, row.cell(*column)),
            Argument::RequestTime => write_cell(text, Cell::Timestamp(request_time)),
        }
    }
    text.push(']');
}

fn write_cell(text: &mut String, cell: Cell<'_>) {
    let cell = match cell {
        Cell::Float(x) => Cell::from_float(x),
        other => other,
    };
    // Writing to a text cannot fail.
    let _ = match cell {
        Cell::Null => text.write_str("null"),
        Cell::List(_, items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write_cell(text, Cell::from(item));
            }
            text.push(']');
            Ok(())
        }
        Cell::Int(x) | Cell::Timestamp(x) => write!(text, "{x}"),
        // The shortest text that is read back as this double; with a fraction, so that it is read as one.
        Cell::Float(x) => write!(text, "{x:?}"),
        Cell::Bool(x) => write!(text, "{x}"),
        Cell::Text(x) => write!(text, "{}", Json::from(x)),
        Cell::Decimal(units, kind) => write!(text, "\"{}\"", kind.text(units)),
    };
}

fn outcome(result: &Json, kind: Type, partial: bool) -> Outcome {
    let part = |place: usize| result.get(place).unwrap_or(&Json::Null);
    if !part(1).is_null() {
        let code = part(1).as_u64().and_then(|code| u8::try_from(code).ok());
        let status = code
            .and_then(Status::from_code)
            .filter(|status| !status.has_value());
        return Outcome::without(
            status.unwrap_or(Status::NotComputed),
            part(2).as_str().map(str::to_owned),
        );
    }
    match read_cell(part(0), kind) {
        Some(Value::Null) => Outcome::without(Status::Null, None),
        Some(value) => Outcome {
            value,
            status: if partial { Status::Partial } else { Status::Present },
            failure: None,
        },
        None => Outcome::without(Status::FunctionFailed, Some(format!("the result is no {kind}"))),
    }
}

/// The cell as one of `kind`; absent if it is none.
fn read_cell(json: &Json, kind: Type) -> Option<Value> {
    if json.is_null() {
        return Some(Value::Null);
    }
    match kind {
        Type::Int64 => json.as_i64().map(Value::Int),
        Type::Float64 => json.as_f64().map(|x| Cell::from_float(x).to_value()),
        Type::Bool => json.as_bool().map(Value::Bool),
        Type::String => json
            .as_str()
            .filter(|text| text.len() <= limits::LONGEST_RESULT)
            .map(Value::from),
        Type::Timestamp => json
            .as_i64()
            .filter(|time| (limits::INSTANTS.0..=limits::INSTANTS.1).contains(time))
            .map(Value::Timestamp),
        Type::Decimal(kind) => {
            let units = json.as_str().and_then(|text| kind.parse(text).ok());
            units.map(|units| Value::Decimal(units, kind))
        }
        Type::List(of) => {
            let items = json
                .as_array()
                .filter(|items| items.len() <= limits::LIST_GIVEN)?;
            let texts = items.iter().filter_map(Json::as_str).map(str::len);
            if texts.sum::<usize>() > limits::LONGEST_RESULT {
                return None;
            }
            let read = items.iter().map(|item| read_cell(item, *of));
            let cells: Arc<[Value]> = read
                .map(|cell| cell.filter(|cell| !cell.is_null()))
                .collect::<Option<_>>()?;
            Some(Value::List(of, cells))
        }
    }
}
