//! Records of a stream become typed rows, or a verdict that says why not.
//!
//! The verdict is a pure function of the record, its append time and the definition; it is written down with the
//! record and never decided a second time. Steps: bytes → cells of JSON (`json`) or of a protobuf message (`protobuf`,
//! its bytes in `wire`), times from text (`instant`) → event time, entity and key checked here.

mod instant;
mod json;
mod protobuf;
mod wire;

use std::fmt;

use crate::decimal::Decimal;
use crate::definition::{EntityKey, Operation, Payload, StreamSource, limits};
use crate::keys::{KeyPart, entity_id};
use crate::schema::{Column, Schema};
use crate::value::Value;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// An event that was there before.
    Duplicate,
    /// It cannot be read as the source declares.
    Malformed,
    /// It is dated further ahead of its append time than the source tolerates.
    TooFarFuture,
}

impl Verdict {
    /// The name in the event log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Malformed => "malformed",
            Self::TooFarFuture => "too_far_future",
        }
    }
}

/// Why a record is refused: a stable reason, and what and where for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A stable upper-snake name.
    pub reason: &'static str,
    /// What is wrong, where, and how to put it right.
    pub detail: String,
}

impl Refusal {
    fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

/// A decoded record.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// What became of it.
    pub verdict: Verdict,
    /// Why it is refused; absent if it is accepted.
    pub refusal: Option<Refusal>,
    /// When it happened, as far as that could be read.
    pub event_time: Option<i64>,
    /// Whom it is about; absent if a key column is null, or if it is not accepted.
    pub entity_id: Option<String>,
    /// One cell per source column; empty if it is not accepted.
    pub row: Vec<Value>,
}

/// How payloads are read, ready for use.
#[derive(Debug)]
enum Form {
    Json,
    Protobuf(protobuf::Message),
}

/// Reads the records of one input log.
#[derive(Debug)]
pub struct Decoder {
    source: StreamSource,
    form: Form,
    /// Places of the entity's key columns.
    keys: Vec<usize>,
    /// The log is the source's own topic: its record key must be the entity.
    direct: bool,
}

impl Decoder {
    /// A decoder for the entity with these keys. `direct` if the log is the source's own topic, whose record keys
    /// are checked. `None` if a key is no column of the source.
    pub fn new(source: StreamSource, keys: &[EntityKey], direct: bool) -> Option<Self> {
        let place = |key: &EntityKey| {
            let column = source.columns.get(&key.name)?;
            (column.kind == key.kind)
                .then(|| source.columns.place(&key.name))
                .flatten()
        };
        let keys = keys.iter().map(place).collect::<Option<Vec<_>>>()?;
        let form = match &source.payload {
            Payload::Json => Form::Json,
            Payload::Protobuf(message) => Form::Protobuf(protobuf::Message::new(message)),
        };
        Some(Self {
            source,
            form,
            keys,
            direct,
        })
    }

    /// The source.
    pub fn source(&self) -> &StreamSource {
        &self.source
    }

    /// Reads a record that was appended at `append_time` (microseconds).
    pub fn decode(&self, key: Option<&[u8]>, value: Option<&[u8]>, append_time: i64) -> Decoded {
        let mut event_time = None;
        match self.accept(key, value, append_time, &mut event_time) {
            Ok((entity_id, row)) => Decoded {
                verdict: Verdict::Accepted,
                refusal: None,
                event_time,
                entity_id,
                row,
            },
            Err((verdict, refusal)) => Decoded {
                verdict,
                refusal: Some(refusal),
                event_time,
                entity_id: None,
                row: Vec::new(),
            },
        }
    }

    fn accept(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        append_time: i64,
        event_time: &mut Option<i64>,
    ) -> Result<(Option<String>, Vec<Value>), (Verdict, Refusal)> {
        let malformed = |refusal| (Verdict::Malformed, refusal);
        let bytes = value.ok_or_else(|| malformed(Refusal::new("NO_PAYLOAD", "the record has no value")))?;
        if bytes.len() > limits::PAYLOAD_BYTES {
            let detail = format!(
                "{} bytes, at most {} are read",
                bytes.len(),
                limits::PAYLOAD_BYTES
            );
            return Err(malformed(Refusal::new("PAYLOAD_TOO_LARGE", detail)));
        }
        let row = match &self.form {
            Form::Json => json::row(bytes, &self.source.columns),
            Form::Protobuf(message) => message.row(bytes, &self.source.columns),
        };
        let row = row.map_err(malformed)?;
        let Value::Timestamp(t) = row[self.source.event_time] else {
            let name = &self.source.columns.columns()[self.source.event_time].name;
            let detail = format!("the event time {name:?} is null");
            return Err(malformed(Refusal::new("MISSING_EVENT_TIME", detail)));
        };
        *event_time = Some(t);
        if let Some(operation) = &self.source.operation {
            check_operation(operation, &row, &self.source.columns).map_err(malformed)?;
        }
        let entity_id = self.entity(key, &row).map_err(malformed)?;
        let ahead = t.saturating_sub(append_time);
        if ahead > self.source.future_tolerance {
            let detail = format!(
                "dated {ahead} us after it was appended, {} us are tolerated; check the producer's clock",
                self.source.future_tolerance
            );
            return Err((Verdict::TooFarFuture, Refusal::new("TOO_FAR_FUTURE", detail)));
        }
        Ok((entity_id, row))
    }

    fn entity(&self, key: Option<&[u8]>, row: &[Value]) -> Result<Option<String>, Refusal> {
        let part = |place: &usize| match &row[*place] {
            Value::String(text) => Some(KeyPart::Text(text)),
            Value::Int(integer) => Some(KeyPart::Int(*integer)),
            _ => None,
        };
        let Some(parts) = self.keys.iter().map(part).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        if self.direct {
            check_record_key(key, &parts)?;
        }
        let id = entity_id(&parts).map_err(|error| Refusal::new("KEY_TOO_LONG", error.to_string()))?;
        Ok(Some(id))
    }
}

/// The record must say whether it inserts or retracts.
fn check_operation(operation: &Operation, row: &[Value], columns: &Schema) -> Result<(), Refusal> {
    let found = &row[operation.column];
    if operation.knows(found) {
        return Ok(());
    }
    let name = &columns.columns()[operation.column].name;
    let shown = match found {
        Value::String(text) => format!("{:?}", text.chars().take(32).collect::<String>()),
        other => format!("{other:?}"),
    };
    let detail = format!(
        "the operation {name:?} is {shown}, which the source declares neither as insert nor as retraction"
    );
    Err(Refusal::new("UNKNOWN_OPERATION", detail))
}

/// A cell that may stand in its column.
fn present(cell: Value, column: &Column) -> Result<Value, Refusal> {
    if cell.is_null() && !column.nullable {
        return Err(Refusal::new(
            "MISSING_COLUMN",
            format!("{:?} is missing or null and may not be", column.name),
        ));
    }
    Ok(cell)
}

fn mismatch(column: &Column, found: &str) -> Refusal {
    let Column { name, kind, .. } = column;
    Refusal::new("TYPE_MISMATCH", format!("{name:?} must be {kind}, is {found}"))
}

/// A cell of a string column.
fn string(text: &str, column: &Column) -> Result<Value, Refusal> {
    if text.len() <= limits::LONGEST_STRING {
        return Ok(Value::from(text));
    }
    Err(Refusal::new(
        "STRING_TOO_LONG",
        format!(
            "{:?} has {} bytes, at most {} are read",
            column.name,
            text.len(),
            limits::LONGEST_STRING
        ),
    ))
}

/// A cell of a decimal column, from text.
fn decimal(text: &str, kind: Decimal, column: &Column) -> Result<Value, Refusal> {
    kind.parse(text)
        .map(|units| Value::Decimal(units, kind))
        .map_err(|fault| {
            let shown: String = text.chars().take(40).collect();
            let detail = format!(
                "{:?} must be {}, is {shown:?}: {}",
                column.name,
                kind.name(),
                fault.words(kind)
            );
            Refusal::new("BAD_DECIMAL", detail)
        })
}

/// A cell of a timestamp column.
fn timestamp(instant: Result<i64, instant::Fault>, column: &Column) -> Result<Value, Refusal> {
    let name = &column.name;
    match instant {
        Ok(t) => Ok(Value::Timestamp(t)),
        Err(instant::Fault::Naive) => Err(Refusal::new(
            "NAIVE_TIMESTAMP",
            format!("{name:?} has no zone; append Z or an offset such as +01:00, or send microseconds UTC"),
        )),
        Err(instant::Fault::Unreadable) => Err(Refusal::new(
            "BAD_TIMESTAMP",
            format!("{name:?} is neither RFC 3339 nor an integer of microseconds UTC"),
        )),
        Err(instant::Fault::OutOfRange) => Err(Refusal::new(
            "TIMESTAMP_OUT_OF_RANGE",
            format!("{name:?} lies outside the years 1 to 9999"),
        )),
    }
}

/// The record key of a direct log is the text of the entity's key parts, joined by commas.
fn check_record_key(key: Option<&[u8]>, parts: &[KeyPart<'_>]) -> Result<(), Refusal> {
    let text = |part: &KeyPart<'_>| match part {
        KeyPart::Text(text) => (*text).to_owned(),
        KeyPart::Int(integer) => integer.to_string(),
    };
    let wanted = parts.iter().map(text).collect::<Vec<_>>().join(",");
    match key {
        Some(key) if key == wanted.as_bytes() => Ok(()),
        Some(key) => Err(Refusal::new(
            "KEY_MISMATCH",
            format!(
                "the record key is {:?}, the payload says {wanted:?}; produce with the entity's key as record key",
                String::from_utf8_lossy(&key[..key.len().min(96)])
            ),
        )),
        None => Err(Refusal::new(
            "KEY_MISMATCH",
            format!("the record has no key, the payload says {wanted:?}; produce with the entity's key"),
        )),
    }
}

#[cfg(test)]
mod protobuf_tests;
#[cfg(test)]
mod tests;
