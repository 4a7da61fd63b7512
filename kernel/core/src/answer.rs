//! What a view answers about one feature.

use crate::status::Status;
use crate::value::Value;

/// A feature's value at one request time, with what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The value; null unless the status is present or partial.
    pub value: Value,
    /// How the value came about.
    pub status: Status,
    /// The time of the newest event or row that the answer rests on, microseconds; absent where there is none.
    pub event_time: Option<i64>,
}

impl Answer {
    /// No value, for this reason.
    pub fn without(status: Status) -> Self {
        Self {
            value: Value::Null,
            status,
            event_time: None,
        }
    }

    /// A value, or null with its status.
    pub fn of(value: Value, event_time: Option<i64>) -> Self {
        let status = if value.is_null() {
            Status::Null
        } else {
            Status::Present
        };
        Self {
            value,
            status,
            event_time,
        }
    }

    /// Bit-for-bit equality of values, statuses and event times.
    pub fn same(&self, other: &Self) -> bool {
        self.value.same(&other.value) && self.status == other.status && self.event_time == other.event_time
    }
}
