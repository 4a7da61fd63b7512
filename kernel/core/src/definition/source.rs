//! Sources: where events and rows come from.

use super::entity::Entity;
use super::limits;
use super::operation::Operation;
use super::payload::Payload;
use super::read::{Reader, refuse_duplicates};
use crate::schema::{Column, Schema};
use crate::value::Type;

/// A topic of events.
#[derive(Debug, Clone)]
pub struct StreamSource {
    /// Unique within the project.
    pub name: String,
    /// The Kafka topic.
    pub topic: String,
    /// The columns whose text is the record key; empty if records have no key worth reading.
    pub record_key: Vec<String>,
    /// The form of the payloads.
    pub payload: Payload,
    /// The columns of an event.
    pub columns: Schema,
    /// The place of the event time in a row.
    pub event_time: usize,
    /// How far ahead of its append time an event may be dated, microseconds.
    pub future_tolerance: i64,
    /// How records that take others back are told, if there can be any.
    pub operation: Option<Operation>,
}

/// A table of rows.
#[derive(Debug, Clone)]
pub struct BatchSource {
    /// Unique within the project.
    pub name: String,
    /// The columns of a row.
    pub columns: Schema,
    /// The place of the event time; absent for a table that always holds (timeless).
    pub event_time: Option<usize>,
    /// The place of the time a row was written, which decides between rows of one event time.
    pub created_time: Option<usize>,
}

/// Either kind of source.
#[derive(Debug, Clone)]
pub enum Source {
    /// A topic of events.
    Stream(StreamSource),
    /// A table of rows.
    Batch(BatchSource),
}

const STREAM_KEYS: [&str; 8] = [
    "kind",
    "name",
    "topic",
    "payload",
    "record_key",
    "columns",
    "event_time",
    "future_tolerance_us",
];
const BATCH_KEYS: [&str; 6] = ["kind", "name", "columns", "event_time", "created_time", "table"];

impl Source {
    pub(crate) fn read(at: &Reader<'_>) -> Option<Self> {
        match at.key("kind").text()? {
            "stream" => {
                let mut members = STREAM_KEYS.to_vec();
                if at.json.get("operation").is_some() {
                    members.push("operation");
                }
                at.keys(&members)?;
                StreamSource::read_fields(at).map(Self::Stream)
            }
            "batch" => {
                at.keys(&BATCH_KEYS)?;
                BatchSource::read_fields(at).map(Self::Batch)
            }
            other => at.key("kind").fault(
                "UNKNOWN_KIND",
                format!("{other:?} is no kind of source; there are stream and batch"),
            ),
        }
    }

    /// The columns of an event or a row.
    pub fn columns(&self) -> &Schema {
        match self {
            Self::Stream(source) => &source.columns,
            Self::Batch(source) => &source.columns,
        }
    }

    /// The name, unique within the project.
    pub fn name(&self) -> &str {
        match self {
            Self::Stream(source) => &source.name,
            Self::Batch(source) => &source.name,
        }
    }
}

impl StreamSource {
    fn read_fields(at: &Reader<'_>) -> Option<Self> {
        let name = at.key("name").name();
        let topic = read_topic(&at.key("topic"));
        let tolerance = at.key("future_tolerance_us").int(0, limits::FUTURE_TOLERANCE);
        let columns = read_columns(&at.key("columns"));
        let payload = Payload::read(&at.key("payload"), columns.as_ref());
        let columns = columns?;
        let event_time = read_time_column(&at.key("event_time"), &columns);
        let record_key = read_record_key(&at.key("record_key"), &columns);
        let operation = at
            .json
            .get("operation")
            .map(|_| Operation::read(&at.key("operation"), &columns));
        Some(Self {
            name: name?,
            topic: topic?,
            record_key: record_key?,
            payload: payload?,
            columns,
            event_time: event_time?,
            future_tolerance: tolerance?,
            operation: operation.map_or(Some(None), |operation| operation.map(Some))?,
        })
    }
}

impl BatchSource {
    fn read_fields(at: &Reader<'_>) -> Option<Self> {
        let name = at.key("name").name();
        let table = read_table(&at.key("table"));
        let columns = read_columns(&at.key("columns"))?;
        let time_column = |key: &str| match at.key(key).present() {
            None => Some(None),
            Some(place) => read_time_column(&place, &columns).map(Some),
        };
        let (event_time, created_time) = (time_column("event_time"), time_column("created_time"));
        table?;
        Some(Self {
            name: name?,
            event_time: event_time?,
            created_time: created_time?,
            columns,
        })
    }
}

fn read_topic(at: &Reader<'_>) -> Option<String> {
    let text = at.text()?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=249).contains(&text.len()) && text.chars().all(legal) && text != "." && text != ".." {
        return Some(text.to_owned());
    }
    at.fault(
        "BAD_NAME",
        "a topic has 1 to 249 letters, digits, dots, underscores and dashes",
    )
}

fn read_columns(at: &Reader<'_>) -> Option<Schema> {
    let list = at.list(1, limits::COLUMNS)?;
    let read: Vec<Option<Column>> = list
        .iter()
        .map(|column| {
            column.keys(&["name", "type", "nullable"])?;
            let name = column.key("name").column_name();
            let kind = column.key("type").kind();
            let nullable = column.key("nullable").boolean();
            Some(Column {
                name: name?,
                kind: kind?,
                nullable: nullable?,
            })
        })
        .collect();
    let columns: Vec<Column> = read.into_iter().collect::<Option<_>>()?;
    refuse_duplicates(
        at,
        "name",
        columns.iter().map(|column| column.name.as_str()).enumerate(),
    );
    Some(Schema::new(columns))
}

/// The place of the column that is named here, which must be a timestamp.
fn read_time_column(at: &Reader<'_>, columns: &Schema) -> Option<usize> {
    let place = read_column(at, columns)?;
    let kind = columns.columns()[place].kind;
    if kind == Type::Timestamp {
        return Some(place);
    }
    at.fault(
        "TYPE_MISMATCH",
        format!("the column has type {kind}, a time must have type timestamp"),
    )
}

/// The place of the column that is named here.
pub(crate) fn read_column(at: &Reader<'_>, columns: &Schema) -> Option<usize> {
    let name = at.text()?;
    let place = columns.place(name);
    if place.is_none() {
        let known: Vec<&str> = columns
            .columns()
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        at.fault::<()>(
            "UNKNOWN_COLUMN",
            format!("the source has no column {name:?}; it has {}", known.join(", ")),
        );
    }
    place
}

fn read_record_key(at: &Reader<'_>, columns: &Schema) -> Option<Vec<String>> {
    let list = at.list(0, limits::ENTITY_KEYS)?;
    list.iter()
        .map(|name| {
            let place = read_column(name, columns)?;
            let column = &columns.columns()[place];
            match column.kind {
                Type::String | Type::Int64 => Some(column.name.clone()),
                other => name.fault(
                    "KEY_TYPE",
                    format!("a record key of type {other} has no text; use string or int64"),
                ),
            }
        })
        .collect()
}

fn read_table(at: &Reader<'_>) -> Option<()> {
    if at.json.get("path").is_some() {
        at.keys(&["path"])?;
        return at.key("path").text().map(|_| ());
    }
    at.keys(&["query", "inputs"])?;
    let query = at.key("query").text();
    let inputs = at.key("inputs").list(0, limits::COLUMNS)?;
    let named: Vec<Option<String>> = inputs.iter().map(Reader::name).collect();
    query?;
    named.into_iter().collect::<Option<Vec<_>>>().map(|_| ())
}

/// Checks that the entity's key columns are columns of the source, with the same types.
pub(crate) fn check_keys(at: &Reader<'_>, entity: &Entity, columns: &Schema) {
    for (place, key) in entity.keys.iter().enumerate() {
        let path = format!("{}.keys[{place}]", at.path);
        match columns.get(&key.name) {
            None => at.add(crate::fault::Fault::new(
                format!("{path}.name"),
                "UNKNOWN_COLUMN",
                format!("the source has no column {:?} that names the entity", key.name),
            )),
            Some(column) if column.kind != key.kind => at.add(crate::fault::Fault::new(
                format!("{path}.type"),
                "TYPE_MISMATCH",
                format!(
                    "the source's column has type {}, the key {}",
                    column.kind, key.kind
                ),
            )),
            Some(_) => {}
        }
    }
}
