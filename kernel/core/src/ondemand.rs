//! On-demand features: expressions over request fields, the request time and stored features.
//!
//! Each feature is an expression and the inputs it refers to. The statuses of these inputs decide first: one that
//! could not be read gives the feature its own status; one without a value for another reason is null to the
//! expression; a partial one makes the value partial. One row and many go through the same walk.
//!
//! A feature that is a Python function is run by the host: [`crate::functions`] says with what.

use crate::answer::Answer;
use crate::definition::{Compute, OnDemandFeature, OnDemandView};
use crate::expr::{Cell, Columns, Row};
use crate::status::Status;

/// Rows of inputs, by place in [`OnDemandView::row`]: the request fields, then the stored features.
pub trait Inputs: Columns {
    /// The status of a stored feature (its place in [`OnDemandView::inputs`]) in a row. Its cell is looked at only
    /// if the status has a value.
    fn status(&self, row: usize, input: usize) -> Status;
}

/// One row of inputs.
#[derive(Debug, Clone, Copy)]
pub struct OneRow<'a> {
    /// The request fields, in declared order.
    pub request: &'a [Cell<'a>],
    /// The stored features with their statuses, in declared order.
    pub inputs: &'a [(Cell<'a>, Status)],
}

impl Columns for OneRow<'_> {
    fn cell(&self, _row: usize, place: usize) -> Cell<'_> {
        match place.checked_sub(self.request.len()) {
            None => self.request[place],
            Some(input) => self.inputs.get(input).map_or(Cell::Null, |(cell, _)| *cell),
        }
    }
}

impl Inputs for OneRow<'_> {
    fn status(&self, _row: usize, input: usize) -> Status {
        self.inputs
            .get(input)
            .map_or(Status::Unavailable, |(_, status)| *status)
    }
}

/// A feature (its place in the view) of one row, at a request time in microseconds. Event times are absent: a
/// computed value has none of its own. A Python function is not computed.
pub fn eval<I: Inputs + ?Sized>(
    view: &OnDemandView,
    feature: usize,
    inputs: &I,
    row: usize,
    request_time: i64,
) -> Option<Answer> {
    let feature = view.features.get(feature)?;
    let (value, status) = eval_cell(view, feature, inputs, row, request_time);
    Some(Answer {
        value: value.to_value(),
        status,
        event_time: None,
    })
}

/// A feature (its place in the view) of as many rows as there are request times, each row at its own. Absent if
/// the view has no such feature.
pub fn eval_batch<'a, I: Inputs + ?Sized>(
    view: &'a OnDemandView,
    feature: usize,
    inputs: &'a I,
    request_times: &[i64],
) -> Option<Vec<(Cell<'a>, Status)>> {
    let feature = view.features.get(feature)?;
    let one = |(row, time): (usize, &i64)| eval_cell(view, feature, inputs, row, *time);
    Some(request_times.iter().enumerate().map(one).collect())
}

fn eval_cell<'a, I: Inputs + ?Sized>(
    view: &'a OnDemandView,
    feature: &'a OnDemandFeature,
    inputs: &'a I,
    row: usize,
    request_time: i64,
) -> (Cell<'a>, Status) {
    let partial = match known(view, feature, inputs, row) {
        Ok(partial) => partial,
        Err(status) => return (Cell::Null, status),
    };
    let Compute::Expr(expr) = &feature.compute else {
        return (Cell::Null, Status::NotComputed);
    };
    match expr.eval_cell(known_row(view, inputs, row), request_time) {
        Err(_) => (Cell::Null, Status::Overflow),
        Ok(Cell::Null) => (Cell::Null, Status::Null),
        Ok(cell) if partial => (cell, Status::Partial),
        Ok(cell) => (cell, Status::Present),
    }
}

/// Whether a value made from this row would be partial, or the status of a row that nothing can be made from.
pub(crate) fn known<I: Inputs + ?Sized>(
    view: &OnDemandView,
    feature: &OnDemandFeature,
    inputs: &I,
    row: usize,
) -> Result<bool, Status> {
    let fields = view.request.len();
    let stored = feature
        .columns()
        .iter()
        .filter_map(|place| place.checked_sub(fields));
    let (mut partial, mut unknown) = (false, None);
    for status in stored.map(|input| inputs.status(row, input)) {
        partial |= status == Status::Partial;
        if status.is_unknown() {
            // Of several the greatest: the order of inputs must not matter.
            unknown = unknown.max(Some(status));
        }
    }
    unknown.map_or(Ok(partial), Err)
}

/// A row as features read it: stored features without a value are null.
pub(crate) fn known_row<'a, I: Inputs + ?Sized>(
    view: &OnDemandView,
    inputs: &'a I,
    row: usize,
) -> impl Row<'a> + use<'a, I> {
    let fields = view.request.len();
    KnownRow { inputs, row, fields }
}

/// A row in which stored features without a value are null.
struct KnownRow<'a, I: Inputs + ?Sized> {
    inputs: &'a I,
    row: usize,
    fields: usize,
}

impl<I: Inputs + ?Sized> Clone for KnownRow<'_, I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: Inputs + ?Sized> Copy for KnownRow<'_, I> {}

impl<'a, I: Inputs + ?Sized> Row<'a> for KnownRow<'a, I> {
    fn cell(self, place: usize) -> Cell<'a> {
        let has_value = match place.checked_sub(self.fields) {
            None => true,
            Some(input) => self.inputs.status(self.row, input).has_value(),
        };
        if has_value {
            self.inputs.cell(self.row, place)
        } else {
            Cell::Null
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Definition, canonical, compile};
    use crate::value::Value;

    fn call(name: &str, args: &[&str]) -> String {
        format!(r#"{{"op":"call","fn":"{name}","args":[{}]}}"#, args.join(","))
    }

    fn view() -> OnDemandView {
        let column = |name: &str| format!(r#"{{"op":"col","name":"{name}"}}"#);
        let (amount, avg, count) = (column("amount"), column("avg"), column("count"));
        let zero = r#"{"op":"lit","type":"float64","value":0}"#;
        let maximum = r#"{"op":"lit","type":"int64","value":"9223372036854775807"}"#;
        let features = [
            ("deviation", "float64", call("sub", &[&amount, &avg])),
            ("known", "float64", call("coalesce", &[&avg, zero])),
            ("more", "int64", call("add", &[&count, maximum])),
            ("both", "float64", call("add", &[&avg, &count])),
            ("own", "float64", amount),
        ];
        let features: Vec<String> = features
            .iter()
            .map(|(name, kind, expr)| format!(r#"{{"name":"{name}","type":"{kind}","expr":{expr}}}"#))
            .collect();
        let input = |name: &str, kind: &str| {
            let meaning = "0".repeat(64);
            format!(
                r#"{{"name":"{name}","view":"v","version":"1.0.0","feature":"f","meaning":"{meaning}","type":"{kind}"}}"#
            )
        };
        let text = format!(
            r#"{{"format":1,"semantics":1,"kind":"on_demand_view","project":"p","name":"odv",
                "request":[{{"name":"amount","type":"float64"}}],
                "inputs":[{},{}],"features":[{}]}}"#,
            input("avg", "float64"),
            input("count", "int64"),
            features.join(",")
        );
        let json = serde_json::from_str(&text).unwrap();
        match compile(canonical::write(&json).unwrap().as_bytes()).unwrap() {
            Definition::OnDemand(view) => view,
            other => panic!("{other:?}"),
        }
    }

    fn answer(feature: &str, avg: (Cell<'_>, Status), count: (Cell<'_>, Status)) -> (Value, Status) {
        let view = view();
        let place = view.feature(feature).unwrap();
        let row = OneRow {
            request: &[Cell::Float(10.0)],
            inputs: &[avg, count],
        };
        let answer = eval(&view, place, &row, 0, 5).unwrap();
        let batch = eval_batch(&view, place, &row, &[5, 5]).unwrap();
        for (cell, status) in batch {
            assert_eq!((cell.to_value(), status), (answer.value.clone(), answer.status));
        }
        (answer.value, answer.status)
    }

    const AVG: (Cell<'_>, Status) = (Cell::Float(4.0), Status::Present);
    const COUNT: (Cell<'_>, Status) = (Cell::Int(1), Status::Present);

    #[test]
    fn a_value_is_computed() {
        assert_eq!(
            answer("deviation", AVG, COUNT),
            (Value::Float(6.0), Status::Present)
        );
        assert_eq!(answer("both", AVG, COUNT), (Value::Float(5.0), Status::Present));
    }

    #[test]
    fn an_input_that_could_not_be_read_gives_its_status() {
        for status in [Status::NotAnswerable, Status::Rebuilding, Status::Unavailable] {
            assert_eq!(
                answer("known", (Cell::Null, status), COUNT),
                (Value::Null, status)
            );
            assert_eq!(answer("own", (Cell::Null, status), COUNT).1, Status::Present);
        }
        let rebuilding = (Cell::Null, Status::Rebuilding);
        let unavailable = (Cell::Null, Status::Unavailable);
        assert_eq!(answer("both", rebuilding, unavailable).1, Status::Unavailable);
        assert_eq!(answer("both", unavailable, rebuilding).1, Status::Unavailable);
    }

    #[test]
    fn an_input_without_a_value_is_null_whatever_its_cell_holds() {
        for status in [
            Status::Null,
            Status::NotFound,
            Status::OutsideTtl,
            Status::Overflow,
            Status::OverBound,
        ] {
            let avg = (Cell::Float(4.0), status);
            assert_eq!(answer("deviation", avg, COUNT), (Value::Null, Status::Null));
            assert_eq!(answer("known", avg, COUNT), (Value::Float(0.0), Status::Present));
        }
    }

    #[test]
    fn a_partial_input_makes_the_value_partial_and_leaves_null_alone() {
        let partial = (Cell::Float(4.0), Status::Partial);
        assert_eq!(
            answer("deviation", partial, COUNT),
            (Value::Float(6.0), Status::Partial)
        );
        assert_eq!(answer("own", partial, COUNT).1, Status::Present);
        let null = (Cell::Null, Status::Null);
        assert_eq!(answer("both", partial, null), (Value::Null, Status::Null));
    }

    #[test]
    fn an_overflow_is_told() {
        assert_eq!(answer("more", AVG, COUNT), (Value::Null, Status::Overflow));
    }

    #[test]
    fn there_is_no_answer_for_a_feature_that_is_not_there() {
        let view = view();
        let row = OneRow {
            request: &[],
            inputs: &[],
        };
        assert_eq!(eval(&view, 99, &row, 0, 5), None);
        assert_eq!(eval_batch(&view, 99, &row, &[5]), None);
    }
}
