//! Cells from a protobuf message. First the bytes are walked and the last occurrence of each field that is read is
//! kept; then each cell is judged. Messages that occur again are merged, as everywhere in protobuf.

use super::wire::{Wire, Written};
use super::{Refusal, decimal, instant, mismatch, present, string, timestamp};
use crate::definition::{Protobuf, ProtobufField, ProtobufType};
use crate::schema::{Column, Schema};
use crate::value::{Type, Value};

/// Field numbers below this are found by their place in a table.
const DENSE: u32 = 256;

/// What is read of a message, ready for use.
#[derive(Debug)]
pub(super) struct Message {
    fields: Vec<ProtobufField>,
    /// The message itself is the first, the messages in it follow.
    nodes: Vec<Node>,
}

/// A message in which fields are read.
#[derive(Debug, Default)]
struct Node {
    /// By field number.
    dense: Vec<Target>,
    /// The other numbers, ascending.
    sparse: Vec<(u32, Target)>,
    /// The columns of fields directly in it that are their default where they are absent.
    defaults: Vec<usize>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Target {
    /// Nobody reads it.
    #[default]
    Nothing,
    /// A cell of this column.
    Cell(usize),
    /// A message: the place of its node.
    Message(usize),
}

/// What the walk found of a field.
#[derive(Debug, Clone, Copy)]
enum Found<'b> {
    Nothing,
    /// Of numbers, as they are written.
    Bits(u64),
    Bytes(&'b [u8]),
    /// `google.protobuf.Timestamp`, its numbers as they are written.
    Moment {
        seconds: u64,
        nanos: u64,
    },
}

impl Node {
    fn find(&self, number: u32) -> Target {
        if number < DENSE {
            return self.dense.get(number as usize).copied().unwrap_or_default();
        }
        let place = self.sparse.binary_search_by_key(&number, |(own, _)| *own);
        place.map_or(Target::Nothing, |place| self.sparse[place].1)
    }

    fn put(&mut self, number: u32, target: Target) {
        if number < DENSE {
            let place = number as usize;
            if self.dense.len() <= place {
                self.dense.resize(place + 1, Target::Nothing);
            }
            self.dense[place] = target;
        } else {
            let place = self.sparse.partition_point(|(own, _)| *own < number);
            self.sparse.insert(place, (number, target));
        }
    }
}

impl Message {
    pub(super) fn new(definition: &Protobuf) -> Self {
        let mut nodes = vec![Node::default()];
        for (column, field) in definition.fields.iter().enumerate() {
            let Some((last, way)) = field.path.split_last() else {
                continue;
            };
            let mut node = 0;
            for number in way {
                node = if let Target::Message(inner) = nodes[node].find(*number) {
                    inner
                } else {
                    let inner = nodes.len();
                    nodes.push(Node::default());
                    nodes[node].put(*number, Target::Message(inner));
                    inner
                };
            }
            nodes[node].put(*last, Target::Cell(column));
            if !field.presence {
                nodes[node].defaults.push(column);
            }
        }
        Self {
            fields: definition.fields.clone(),
            nodes,
        }
    }

    /// One cell per column of the schema.
    pub(super) fn row(&self, bytes: &[u8], columns: &Schema) -> Result<Vec<Value>, Refusal> {
        let mut found = vec![Found::Nothing; self.fields.len()];
        self.walk(0, &mut Wire::new(bytes), &mut found, columns)?;
        let cells = found.into_iter().zip(&self.fields).zip(columns.columns());
        cells
            .map(|((found, field), column)| present(cell(found, field, column)?, column))
            .collect()
    }

    /// As deep as the longest path, whatever the record says.
    fn walk<'b>(
        &self,
        node: usize,
        wire: &mut Wire<'b>,
        found: &mut [Found<'b>],
        columns: &Schema,
    ) -> Result<(), Refusal> {
        let node = &self.nodes[node];
        // All of them are set when the message is met first.
        if let Some(Found::Nothing) = node.defaults.first().map(|column| found[*column]) {
            for column in &node.defaults {
                found[*column] = default(self.fields[*column].kind);
            }
        }
        while let Some((number, written)) = wire.field()? {
            match node.find(number) {
                Target::Nothing => wire.skip(number, written)?,
                Target::Cell(column) => {
                    let kind = self.fields[column].kind;
                    if written != written_as(kind) {
                        return Err(wrong(&columns.columns()[column], number, kind, written));
                    }
                    found[column] = match written {
                        Written::Varint => Found::Bits(wire.varint()?),
                        Written::Fixed32 => Found::Bits(wire.fixed32()?),
                        Written::Fixed64 => Found::Bits(wire.fixed64()?),
                        _ if kind == ProtobufType::Timestamp => {
                            moment(wire.message()?, found[column], &columns.columns()[column])?
                        }
                        _ => Found::Bytes(wire.bytes()?),
                    };
                }
                Target::Message(inner) if written == Written::Bytes => {
                    self.walk(inner, &mut wire.message()?, found, columns)?;
                }
                Target::Message(_) => {
                    let detail = format!("field {number} must be a message, is {}", written.words());
                    return Err(Refusal::new("TYPE_MISMATCH", detail));
                }
            }
        }
        Ok(())
    }
}

fn moment<'b>(mut wire: Wire<'b>, before: Found<'b>, column: &Column) -> Result<Found<'b>, Refusal> {
    let (mut seconds, mut nanos) = match before {
        Found::Moment { seconds, nanos } => (seconds, nanos),
        _ => (0, 0),
    };
    while let Some((number, written)) = wire.field()? {
        match (number, written) {
            (1, Written::Varint) => seconds = wire.varint()?,
            (2, Written::Varint) => nanos = wire.varint()?,
            (1 | 2, _) => return Err(wrong(column, number, ProtobufType::Int64, written)),
            _ => wire.skip(number, written)?,
        }
    }
    Ok(Found::Moment { seconds, nanos })
}

const fn default(kind: ProtobufType) -> Found<'static> {
    match kind {
        ProtobufType::String => Found::Bytes(&[]),
        ProtobufType::Timestamp => Found::Moment { seconds: 0, nanos: 0 },
        _ => Found::Bits(0),
    }
}

const fn written_as(kind: ProtobufType) -> Written {
    match kind {
        ProtobufType::Fixed32 | ProtobufType::Sfixed32 | ProtobufType::Float => Written::Fixed32,
        ProtobufType::Fixed64 | ProtobufType::Sfixed64 | ProtobufType::Double => Written::Fixed64,
        ProtobufType::String | ProtobufType::Timestamp => Written::Bytes,
        _ => Written::Varint,
    }
}

fn wrong(column: &Column, number: u32, kind: ProtobufType, written: Written) -> Refusal {
    let detail = format!(
        "{:?} is read of field {number} as {}, which is {}; the record has {}",
        column.name,
        kind.name(),
        written_as(kind).words(),
        written.words()
    );
    Refusal::new("TYPE_MISMATCH", detail)
}

fn cell(found: Found<'_>, field: &ProtobufField, column: &Column) -> Result<Value, Refusal> {
    match found {
        Found::Nothing => Ok(Value::Null),
        Found::Bits(bits) => number(bits, field, column),
        Found::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes)
                .map_err(|error| Refusal::new("INVALID_UTF8", format!("{:?}: {error}", column.name)))?;
            match column.kind {
                Type::Timestamp => timestamp(instant::parse(text), column),
                Type::Decimal(kind) => decimal(text, kind, column),
                _ => string(text, column),
            }
        }
        Found::Moment { seconds, nanos } => {
            let nanos = low_bits(nanos);
            if !(0..1_000_000_000).contains(&nanos) {
                let detail = format!("{:?} has {nanos} nanoseconds in a second", column.name);
                return Err(Refusal::new("BAD_TIMESTAMP", detail));
            }
            let micros = all_bits(seconds).saturating_mul(1_000_000);
            timestamp(
                instant::in_range(micros.saturating_add(i64::from(nanos / 1000))),
                column,
            )
        }
    }
}

fn number(bits: u64, field: &ProtobufField, column: &Column) -> Result<Value, Refusal> {
    let integer = match field.kind {
        ProtobufType::Bool => return Ok(Value::Bool(bits != 0)),
        ProtobufType::Float => {
            let [a, b, c, d, ..] = bits.to_le_bytes();
            return double(f64::from(f32::from_le_bytes([a, b, c, d])), column);
        }
        ProtobufType::Double => return double(f64::from_bits(bits), column),
        ProtobufType::Enum if column.kind == Type::String => return enum_name(low_bits(bits), field, column),
        ProtobufType::Int32 | ProtobufType::Sfixed32 | ProtobufType::Enum => i64::from(low_bits(bits)),
        ProtobufType::Uint32 | ProtobufType::Fixed32 => all_bits(bits & 0xffff_ffff),
        ProtobufType::Sint32 => zigzag(bits & 0xffff_ffff),
        ProtobufType::Sint64 => zigzag(bits),
        ProtobufType::Uint64 | ProtobufType::Fixed64 => {
            i64::try_from(bits).map_err(|_| mismatch(column, "a number beyond 64 bits"))?
        }
        _ => all_bits(bits),
    };
    if column.kind == Type::Timestamp {
        timestamp(instant::in_range(integer), column)
    } else {
        Ok(Value::Int(integer))
    }
}

fn double(double: f64, column: &Column) -> Result<Value, Refusal> {
    if double.is_finite() {
        return Ok(Value::Float(double));
    }
    let detail = format!("{:?} is {double}; leave the field out for null", column.name);
    Err(Refusal::new("NOT_FINITE", detail))
}

fn enum_name(number: i32, field: &ProtobufField, column: &Column) -> Result<Value, Refusal> {
    let place = field.names.binary_search_by_key(&number, |(own, _)| *own);
    place.map(|place| Value::from(field.names[place].1.as_str())).map_err(|_| {
        let detail = format!(
            "{:?} is {number}, which has no name in the definition of the source; read the enum as int64, or define \
             a source that knows the name",
            column.name
        );
        Refusal::new("UNKNOWN_ENUM_NUMBER", detail)
    })
}

/// The low half of what is written, in two's complement; higher bits are dropped as everywhere in protobuf.
fn low_bits(bits: u64) -> i32 {
    let [a, b, c, d, ..] = bits.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

fn all_bits(bits: u64) -> i64 {
    i64::from_le_bytes(bits.to_le_bytes())
}

/// 0, −1, 1, −2, … of 0, 1, 2, 3, …
fn zigzag(bits: u64) -> i64 {
    all_bits(bits >> 1) ^ -all_bits(bits & 1)
}
