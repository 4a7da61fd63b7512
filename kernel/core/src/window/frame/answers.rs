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
            FrameValues::Ints(values) => match view.features[feature].kind {
                Type::Decimal(kind) => Value::Decimal(values[row], kind),
                _ => Value::Int(values[row]),
            },
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

/// A frame that is being filled. Rows are answered by entity, which is no order of theirs: answers are kept as they
/// come, and each column is put in order by itself at the end, when it is small enough to be near.
pub(super) struct Answers {
    frame: Frame,
    /// The row of each answer.
    rows: Vec<u32>,
}

impl Answers {
    pub(super) fn new(view: &WindowView, rows: usize) -> Self {
        let column = |place: usize| FrameColumn {
            values: match view.features[place].kind {
                Type::Int64 | Type::Timestamp | Type::Decimal(_) => FrameValues::Ints(vec![0; rows]),
                Type::Float64 => FrameValues::Floats(vec![0.0; rows]),
                _ => FrameValues::Others(vec![Value::Null; rows]),
            },
            statuses: vec![0; rows],
            times: view.layout.features[place].window,
        };
        let frame = Frame {
            columns: (0..view.features.len()).map(column).collect(),
            times: view
                .layout
                .windows
                .iter()
                .map(|_| FrameTimes {
                    times: vec![NO_TIME; rows],
                })
                .collect(),
        };
        Self {
            frame,
            rows: Vec::with_capacity(rows),
        }
    }

    /// Goes on to the answers of a row.
    pub(super) fn begin(&mut self, row: u32) {
        self.rows.push(row);
    }

    /// Puts an answer of the row that was begun last.
    pub(super) fn put(&mut self, feature: usize, answer: Answer) {
        let place = self.rows.len() - 1;
        let column = &mut self.frame.columns[feature];
        column.statuses[place] = answer.status.code();
        // All features of a window rest on the same newest event.
        if let Some(t) = answer.event_time {
            self.frame.times[column.times].times[place] = t;
        }
        match (&mut column.values, answer.value) {
            (
                FrameValues::Ints(values),
                Value::Int(value) | Value::Timestamp(value) | Value::Decimal(value, _),
            ) => values[place] = value,
            (FrameValues::Floats(values), Value::Float(value)) => values[place] = value,
            (FrameValues::Others(values), value) => values[place] = value,
            (FrameValues::Ints(_) | FrameValues::Floats(_), _) => {}
        }
    }

    pub(super) fn finish(mut self) -> Frame {
        let rows = &self.rows;
        let (mut codes, mut ints, mut floats, mut others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for column in &mut self.frame.columns {
            in_order(rows, &mut column.statuses, &mut codes);
            match &mut column.values {
                FrameValues::Ints(values) => in_order(rows, values, &mut ints),
                FrameValues::Floats(values) => in_order(rows, values, &mut floats),
                FrameValues::Others(values) => in_order(rows, values, &mut others),
            }
        }
        for times in &mut self.frame.times {
            in_order(rows, &mut times.times, &mut ints);
        }
        self.frame
    }
}

/// Puts what came in the order of `rows` where it belongs. `room` is memory for one column after another: new memory
/// costs more than what is done with it.
fn in_order<T: Clone>(rows: &[u32], values: &mut Vec<T>, room: &mut Vec<T>) {
    room.clone_from(values);
    for (row, value) in rows.iter().zip(values.drain(..)) {
        room[*row as usize] = value;
    }
    std::mem::swap(values, room);
}
