//! Answers as columns, in the form that a host takes over without copying.

use crate::answer::Answer;
use crate::definition::WindowView;
use crate::status::Status;
use crate::value::{Type, Value};

/// Stands in a column of times where there is none.
const NO_TIME: i64 = i64::MIN;

/// The answers of a view to the rows of a frame.
#[derive(Debug)]
pub struct Frame {
    /// One per feature of the view, in declared order.
    pub columns: Vec<FrameColumn>,
    /// The times of the newest events, one column per window.
    pub times: Vec<FrameTimes>,
}

/// The answers of one feature, one per asked row.
#[derive(Debug)]
pub struct FrameColumn {
    /// The values.
    pub values: FrameValues,
    /// The integers of the statuses; a row has a value where its status says so.
    pub statuses: Vec<u8>,
    /// The place of its times in the frame.
    pub times: usize,
}

/// Values of one type.
#[derive(Debug)]
pub enum FrameValues {
    /// Of type int64 or timestamp; 0 where there is none.
    Ints(Vec<i64>),
    /// Of type float64; 0 where there is none.
    Floats(Vec<f64>),
    /// Of any type.
    Others(Vec<Value>),
}

/// One time or none per row.
#[derive(Debug)]
pub struct FrameTimes {
    times: Vec<i64>,
}

impl FrameTimes {
    /// The time of a row.
    pub fn get(&self, row: usize) -> Option<i64> {
        self.times.get(row).copied().filter(|t| *t != NO_TIME)
    }

    /// All times, and per row whether there is one.
    pub fn into_parts(self) -> (Vec<i64>, Vec<bool>) {
        let present = self.times.iter().map(|t| *t != NO_TIME).collect();
        (self.times, present)
    }
}

impl Frame {
    /// One answer.
    pub fn answer(&self, view: &WindowView, row: usize, feature: usize) -> Answer {
        let column = &self.columns[feature];
        let status = Status::from_code(column.statuses[row]).unwrap_or(Status::NotAnswerable);
        let value = match &column.values {
            _ if !status.has_value() => Value::Null,
            FrameValues::Ints(values) if view.features[feature].kind == Type::Timestamp => {
                Value::Timestamp(values[row])
            }
            FrameValues::Ints(values) => Value::Int(values[row]),
            FrameValues::Floats(values) => Value::Float(values[row]),
            FrameValues::Others(values) => values[row].clone(),
        };
        Answer {
            value,
            status,
            event_time: self.times[column.times].get(row),
        }
    }
}

/// A frame that is being filled, in any order of rows.
pub(super) struct Answers(Frame);

impl Answers {
    pub(super) fn new(view: &WindowView, rows: usize) -> Self {
        let column = |place: usize| FrameColumn {
            values: match view.features[place].kind {
                Type::Int64 | Type::Timestamp => FrameValues::Ints(vec![0; rows]),
                Type::Float64 => FrameValues::Floats(vec![0.0; rows]),
                _ => FrameValues::Others(vec![Value::Null; rows]),
            },
            statuses: vec![0; rows],
            times: view.layout.features[place].window,
        };
        Self(Frame {
            columns: (0..view.features.len()).map(column).collect(),
            times: view
                .layout
                .windows
                .iter()
                .map(|_| FrameTimes {
                    times: vec![NO_TIME; rows],
                })
                .collect(),
        })
    }

    pub(super) fn put(&mut self, row: usize, feature: usize, answer: Answer) {
        let column = &mut self.0.columns[feature];
        column.statuses[row] = answer.status.code();
        // All features of a window rest on the same newest event.
        if let Some(t) = answer.event_time {
            self.0.times[column.times].times[row] = t;
        }
        match (&mut column.values, answer.value) {
            (FrameValues::Ints(values), Value::Int(value) | Value::Timestamp(value)) => values[row] = value,
            (FrameValues::Floats(values), Value::Float(value)) => values[row] = value,
            (FrameValues::Others(values), value) => values[row] = value,
            (FrameValues::Ints(_) | FrameValues::Floats(_), _) => {}
        }
    }

    pub(super) fn finish(self) -> Frame {
        self.0
    }
}
