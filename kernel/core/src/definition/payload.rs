//! How the records of a stream are read: what a source says of the form of its payloads.

use super::limits;
use super::read::Reader;
use crate::schema::{Column, Schema};
use crate::value::Type;

/// The form of the payloads of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// One JSON object, a member per column.
    Json,
    /// One protobuf message, a field per column.
    Protobuf(Protobuf),
}

/// What of a protobuf message is read. Names of fields are not needed: numbers and types are the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protobuf {
    /// The full name of the message, for people.
    pub message: String,
    /// One field per column of the source, in their order.
    pub fields: Vec<ProtobufField>,
}

/// Where the cells of a column stand in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtobufField {
    /// Field numbers: those of the messages on the way, then the field's own. At least one.
    pub path: Vec<u32>,
    /// The type of the field.
    pub kind: ProtobufType,
    /// Whether an absent field is null. If not, it is the default of its type where its message is there.
    pub presence: bool,
    /// The names of an enum's numbers, by number; only of an enum in a string column.
    pub names: Vec<(i32, String)>,
}

/// The type of a field that a column can be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtobufType {
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `uint32`
    Uint32,
    /// `uint64`
    Uint64,
    /// `sint32`
    Sint32,
    /// `sint64`
    Sint64,
    /// `fixed32`
    Fixed32,
    /// `fixed64`
    Fixed64,
    /// `sfixed32`
    Sfixed32,
    /// `sfixed64`
    Sfixed64,
    /// `bool`
    Bool,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `string`
    String,
    /// Any enum.
    Enum,
    /// The message `google.protobuf.Timestamp`.
    Timestamp,
}

impl ProtobufType {
    /// Every type, in a fixed order.
    pub const ALL: [Self; 16] = [
        Self::Int32,
        Self::Int64,
        Self::Uint32,
        Self::Uint64,
        Self::Sint32,
        Self::Sint64,
        Self::Fixed32,
        Self::Fixed64,
        Self::Sfixed32,
        Self::Sfixed64,
        Self::Bool,
        Self::Float,
        Self::Double,
        Self::String,
        Self::Enum,
        Self::Timestamp,
    ];

    /// The name in definitions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Sint32 => "sint32",
            Self::Sint64 => "sint64",
            Self::Fixed32 => "fixed32",
            Self::Fixed64 => "fixed64",
            Self::Sfixed32 => "sfixed32",
            Self::Sfixed64 => "sfixed64",
            Self::Bool => "bool",
            Self::Float => "float",
            Self::Double => "double",
            Self::String => "string",
            Self::Enum => "enum",
            Self::Timestamp => "timestamp",
        }
    }

    /// The types of columns that may be read from such a field; of a string decimals besides.
    pub const fn columns(self) -> &'static [Type] {
        match self {
            Self::Int32 | Self::Uint32 | Self::Sint32 | Self::Fixed32 | Self::Sfixed32 => &[Type::Int64],
            // As a timestamp: microseconds.
            Self::Int64 | Self::Uint64 | Self::Sint64 | Self::Fixed64 | Self::Sfixed64 => {
                &[Type::Int64, Type::Timestamp]
            }
            Self::Bool => &[Type::Bool],
            Self::Float | Self::Double => &[Type::Float64],
            // As a timestamp: RFC 3339.
            Self::String => &[Type::String, Type::Timestamp],
            // As a string: the name of the number.
            Self::Enum => &[Type::Int64, Type::String],
            Self::Timestamp => &[Type::Timestamp],
        }
    }
}

impl Payload {
    /// Reads the form of payloads that have a cell for each of these columns; `None` for columns that are faulty
    /// themselves.
    pub(crate) fn read(at: &Reader<'_>, columns: Option<&Schema>) -> Option<Self> {
        if at.json.is_object() {
            let kind = at.key("kind");
            return match kind.text()? {
                "protobuf" => read_protobuf(at, columns).map(Self::Protobuf),
                other => unknown(&kind, other),
            };
        }
        match at.text()? {
            "json" => Some(Self::Json),
            other => unknown(at, other),
        }
    }
}

fn unknown(at: &Reader<'_>, form: &str) -> Option<Payload> {
    at.fault(
        "UNKNOWN_PAYLOAD",
        format!(
            "payloads of form {form:?} cannot be read; there is json, and protobuf with the fields that are read"
        ),
    )
}

fn read_protobuf(at: &Reader<'_>, columns: Option<&Schema>) -> Option<Protobuf> {
    at.keys(&["kind", "message", "fields"])?;
    let message = read_message_name(&at.key("message"));
    let columns = columns?;
    let place = at.key("fields");
    let list = place.list(columns.len(), columns.len())?;
    let read: Vec<Option<ProtobufField>> = list
        .iter()
        .zip(columns.columns())
        .map(|(field, column)| read_field(field, column))
        .collect();
    let fields: Vec<ProtobufField> = read.into_iter().collect::<Option<_>>()?;
    refuse_overlaps(&list, &fields)?;
    Some(Protobuf {
        message: message?,
        fields,
    })
}

fn read_message_name(at: &Reader<'_>) -> Option<String> {
    let text = at.text()?;
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part
                .chars()
                .all(|next| next.is_ascii_alphanumeric() || next == '_')
    };
    if text.len() <= limits::MESSAGE_NAME_LENGTH && text.split('.').all(part) {
        return Some(text.to_owned());
    }
    at.fault(
        "BAD_NAME",
        format!(
            "{text:?} is no full name of a message such as package.v1.Message, of at most {} characters",
            limits::MESSAGE_NAME_LENGTH
        ),
    )
}

fn read_field(at: &Reader<'_>, column: &Column) -> Option<ProtobufField> {
    at.keys(&["column", "path", "type", "presence", "names"])?;
    let owner = at.key("column");
    if owner.text()? != column.name {
        return owner.fault(
            "UNKNOWN_COLUMN",
            format!(
                "the fields stand in the order of the columns; here is that of {:?}",
                column.name
            ),
        );
    }
    let path = read_path(&at.key("path"));
    let kind = read_type(&at.key("type"), column);
    let presence = at.key("presence").boolean();
    let names = read_names(&at.key("names"), kind, column);
    Some(ProtobufField {
        path: path?,
        kind: kind?,
        presence: presence?,
        names: names?,
    })
}

fn read_path(at: &Reader<'_>) -> Option<Vec<u32>> {
    let list = at.list(1, limits::FIELD_DEPTH)?;
    let numbers = list.iter().map(|number| {
        number
            .int(1, i64::from(limits::FIELD_NUMBER))
            .and_then(|n| u32::try_from(n).ok())
    });
    numbers.collect()
}

fn read_type(at: &Reader<'_>, column: &Column) -> Option<ProtobufType> {
    let name = at.text()?;
    let Some(kind) = ProtobufType::ALL.into_iter().find(|kind| kind.name() == name) else {
        let known: Vec<&str> = ProtobufType::ALL.into_iter().map(ProtobufType::name).collect();
        return at.fault(
            "UNKNOWN_TYPE",
            format!(
                "{name:?} is no type of a protobuf field; there are {}",
                known.join(", ")
            ),
        );
    };
    let takes_decimals = kind == ProtobufType::String;
    if kind.columns().contains(&column.kind) || takes_decimals && matches!(column.kind, Type::Decimal(_)) {
        return Some(kind);
    }
    let mut fitting: Vec<&str> = kind.columns().iter().map(|kind| kind.name()).collect();
    fitting.extend(takes_decimals.then_some("decimal"));
    at.fault(
        "TYPE_MISMATCH",
        format!(
            "column {:?} has type {}, a field of type {name} is read as {}",
            column.name,
            column.kind,
            fitting.join(" or ")
        ),
    )
}

fn read_names(at: &Reader<'_>, kind: Option<ProtobufType>, column: &Column) -> Option<Vec<(i32, String)>> {
    if !(kind? == ProtobufType::Enum && column.kind == Type::String) {
        if at.json.is_null() {
            return Some(Vec::new());
        }
        return at.fault(
            "WRONG_TYPE",
            "only an enum in a string column has names; write null",
        );
    }
    let list = at.list(1, limits::ENUM_NAMES)?;
    let mut names: Vec<(i32, String)> = Vec::with_capacity(list.len());
    for item in &list {
        item.keys(&["number", "name"])?;
        let number = item.key("number").int(i64::from(i32::MIN), i64::from(i32::MAX))?;
        let name = item.key("name").text()?;
        if name.is_empty() || name.len() > limits::LONGEST_STRING {
            return item.key("name").fault(
                "BAD_NAME",
                format!("a name has 1 to {} bytes", limits::LONGEST_STRING),
            );
        }
        let number = i32::try_from(number).ok()?;
        if names.last().is_some_and(|(last, _)| *last >= number) {
            return item.key("number").fault(
                "OUT_OF_ORDER",
                "the numbers of an enum stand in ascending order, each once",
            );
        }
        names.push((number, name.to_owned()));
    }
    Some(names)
}

/// A field is read once, and nothing within a field that is read as one cell.
fn refuse_overlaps(list: &[Reader<'_>], fields: &[ProtobufField]) -> Option<()> {
    let mut order: Vec<usize> = (0..fields.len()).collect();
    order.sort_by(|a, b| fields[*a].path.cmp(&fields[*b].path));
    let mut right = Some(());
    for pair in order.windows(2) {
        // In this order a path stands directly before those that it leads.
        if fields[pair[1]].path.starts_with(&fields[pair[0]].path) {
            let later = pair[0].max(pair[1]);
            right = list[later].key("path").fault(
                "DUPLICATE_FIELD",
                "the field, or one that holds it, is read by another column already; read it once",
            );
        }
    }
    right
}
