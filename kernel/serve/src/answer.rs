//! Answers, written straight to their wire form: names are written once per plan, columns from cells.
//!
//! Field numbers are those of `online_service.proto` and `served.proto`; a test reads what is written here
//! with the generated messages.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};
use skewless_core::answer::Answer;
use skewless_core::expr;
use skewless_core::latest::wire;
use skewless_core::status::Status;
use skewless_core::value::Value;

/// The largest token that travels with an answer; a larger one is in the served log only.
pub(crate) const LARGEST_TOKEN: usize = 4 << 10;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;

/// A value, in the form in which it was come by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content<'a> {
    /// The bytes of a message `Value`, as they are stored.
    Wire(&'a [u8]),
    /// A value that was computed.
    Value(Value),
}

/// One value of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Cell<'a> {
    pub(crate) content: Content<'a>,
    pub(crate) status: Status,
    pub(crate) event_time: Option<i64>,
}

impl Cell<'_> {
    /// No value, for this reason.
    pub(crate) const fn without(status: Status) -> Self {
        Self {
            content: Content::Wire(&[]),
            status,
            event_time: None,
        }
    }
}

impl From<Answer> for Cell<'_> {
    fn from(answer: Answer) -> Self {
        Self {
            content: Content::Value(answer.value),
            status: answer.status,
            event_time: answer.event_time,
        }
    }
}

/// What an answer says besides its columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) request_id: &'a [u8],
    pub(crate) request_time: i64,
    /// `feature_names`, written by [`names`].
    pub(crate) names: &'a [u8],
    /// Set when a value was not answerable.
    pub(crate) earliest_answerable: Option<i64>,
}

/// What a served record says besides request and answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    pub(crate) served_at: i64,
    pub(crate) revision: i64,
    /// Empty for a list of features.
    pub(crate) service_meaning: &'a [u8],
    /// Where Python functions ran and what they were called with: these fields of a `ServedVector`, encoded.
    pub(crate) functions: &'a [u8],
}

/// The names of a vector as they stand in every answer.
pub(crate) fn names<'a>(names: impl Iterator<Item = &'a str>) -> Bytes {
    let mut out = BytesMut::new();
    for name in names {
        bytes(&mut out, 3, name.as_bytes());
    }
    out.freeze()
}

/// Writes an answer without its token. Columns come in the order of the names, each with why it lacks a value, if a
/// Python function is the reason.
pub(crate) fn body<'a>(
    head: &Head<'_>,
    columns: impl Iterator<Item = (&'a [Cell<'a>], &'a str)>,
) -> BytesMut {
    let mut out = BytesMut::with_capacity(1 << 10);
    bytes(&mut out, 1, head.request_id);
    integer(&mut out, 2, head.request_time);
    out.put_slice(head.names);
    let mut scratch = Vec::with_capacity(256);
    for (cells, failure) in columns {
        scratch.clear();
        column(&mut scratch, cells);
        bytes(&mut scratch, 4, failure.as_bytes());
        bytes(&mut out, 4, &scratch);
    }
    if let Some(earliest) = head.earliest_answerable {
        integer(&mut out, 6, earliest);
    }
    out
}

/// The answer that the caller gets.
pub(crate) fn finish(body: &BytesMut, token: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + LARGEST_TOKEN.min(token.len()) + 8);
    out.put_slice(body);
    if token.len() <= LARGEST_TOKEN {
        bytes(&mut out, 5, token);
    }
    out.freeze()
}

/// The served record of a vector: the request as it came, the answer with its whole token.
pub(crate) fn served(
    request: &[u8],
    body: &BytesMut,
    token: &[u8],
    circumstances: &Circumstances<'_>,
) -> Bytes {
    let answer_length = body.len() + bytes_length(5, token.len());
    let length = bytes_length(1, request.len())
        + bytes_length(2, answer_length)
        + integer_length(3, circumstances.served_at)
        + integer_length(4, circumstances.revision)
        + bytes_length(5, circumstances.service_meaning.len())
        + circumstances.functions.len();
    let mut out = BytesMut::with_capacity(bytes_length(1, length));
    key(&mut out, 1, BYTES);
    encode_varint(length as u64, &mut out);
    bytes(&mut out, 1, request);
    key(&mut out, 2, BYTES);
    encode_varint(answer_length as u64, &mut out);
    out.put_slice(body);
    bytes(&mut out, 5, token);
    integer(&mut out, 3, circumstances.served_at);
    integer(&mut out, 4, circumstances.revision);
    bytes(&mut out, 5, circumstances.service_meaning);
    out.put_slice(circumstances.functions);
    out.freeze()
}

/// Writes a `FeatureColumn`.
fn column(out: &mut Vec<u8>, cells: &[Cell<'_>]) {
    for cell in cells {
        key(out, 1, BYTES);
        match &cell.content {
            Content::Wire(wire) => {
                encode_varint(wire.len() as u64, out);
                out.extend_from_slice(wire);
            }
            Content::Value(computed) => value(out, computed),
        }
    }
    // Statuses are below 128: a byte each.
    key(out, 2, BYTES);
    encode_varint(cells.len() as u64, out);
    out.extend(cells.iter().map(|cell| cell.status.code()));
    let time = |cell: &Cell<'_>| bits(cell.event_time.unwrap_or(0));
    key(out, 3, BYTES);
    let length: usize = cells.iter().map(|cell| encoded_len_varint(time(cell))).sum();
    encode_varint(length as u64, out);
    for cell in cells {
        encode_varint(time(cell), out);
    }
}

/// Writes the length of a `Value` and the `Value`.
fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0),
        Value::Int(number) => tagged_varint(out, 1, bits(*number)),
        Value::Float(number) => {
            out.push(9);
            key(out, 2, FIXED64);
            out.put_f64_le(*number);
        }
        Value::Bool(truth) => tagged_varint(out, 3, u64::from(*truth)),
        Value::String(text) => {
            encode_varint(bytes_length_always(4, text.len()) as u64, out);
            key(out, 4, BYTES);
            encode_varint(text.len() as u64, out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Timestamp(instant) => tagged_varint(out, 5, bits(*instant)),
        Value::List(..) | Value::Decimal(..) => {
            let message = wire::to_bytes(expr::Cell::from(value));
            encode_varint(message.len() as u64, out);
            out.extend_from_slice(&message);
        }
    }
}

fn tagged_varint(out: &mut Vec<u8>, field: u32, bits: u64) {
    encode_varint(1 + encoded_len_varint(bits) as u64, out);
    key(out, field, VARINT);
    encode_varint(bits, out);
}

fn key(out: &mut impl BufMut, field: u32, wire: u32) {
    encode_varint(u64::from(field << 3 | wire), out);
}

/// Writes a field of bytes; an empty one is not written.
fn bytes(out: &mut impl BufMut, field: u32, content: &[u8]) {
    // A column is never empty, and an empty name cannot be defined.
    if !content.is_empty() {
        key(out, field, BYTES);
        encode_varint(content.len() as u64, out);
        out.put_slice(content);
    }
}

fn bytes_length(field: u32, length: usize) -> usize {
    if length == 0 {
        0
    } else {
        bytes_length_always(field, length)
    }
}

fn bytes_length_always(field: u32, length: usize) -> usize {
    encoded_len_varint(u64::from(field << 3)) + encoded_len_varint(length as u64) + length
}

/// The two's complement: how the wire carries signed integers.
#[allow(clippy::cast_sign_loss)]
const fn bits(number: i64) -> u64 {
    number as u64
}

/// Writes an integer field; 0 is not written.
fn integer(out: &mut impl BufMut, field: u32, number: i64) {
    if number != 0 {
        key(out, field, VARINT);
        encode_varint(bits(number), out);
    }
}

fn integer_length(field: u32, number: i64) -> usize {
    if number == 0 {
        0
    } else {
        encoded_len_varint(u64::from(field << 3)) + encoded_len_varint(bits(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::events::{self, ServedRecord, served_record::Record};
    use crate::wire::online::{FeatureColumn, GetOnlineFeaturesResponse};
    use crate::wire::types;
    use crate::wire::types::value::Kind;
    use prost::Message;
    use skewless_core::value::Type;

    fn cells() -> Vec<Cell<'static>> {
        let text = "é".repeat(100);
        [
            Answer::of(Value::Int(0), None),
            Answer::of(Value::Int(-1), Some(-5)),
            Answer::of(Value::Float(-0.5), Some(1 << 50)),
            Answer::of(Value::Bool(false), Some(127)),
            Answer::of(Value::from(""), Some(128)),
            Answer::of(Value::from(text.as_str()), Some(1)),
            Answer::of(Value::Timestamp(i64::MIN), Some(i64::MAX)),
            Answer::of(
                Value::List(&Type::Int64, [Value::Int(-1), Value::Int(300)].into()),
                None,
            ),
            Answer::of(
                Value::List(&Type::String, [Value::from(""), Value::from("é")].into()),
                None,
            ),
            Answer::of(Value::List(&Type::Float64, [].into()), None),
            Answer::without(Status::Unavailable),
        ]
        .map(Cell::from)
        .into()
    }

    fn kinds() -> Vec<Option<Kind>> {
        vec![
            Some(Kind::Int64Value(0)),
            Some(Kind::Int64Value(-1)),
            Some(Kind::Float64Value(-0.5)),
            Some(Kind::BoolValue(false)),
            Some(Kind::StringValue(String::new())),
            Some(Kind::StringValue("é".repeat(100))),
            Some(Kind::TimestampUsValue(i64::MIN)),
            Some(Kind::Int64List(types::Int64List {
                values: vec![-1, 300],
            })),
            Some(Kind::StringList(types::StringList {
                values: vec![String::new(), "é".into()],
            })),
            Some(Kind::Float64List(types::Float64List { values: vec![] })),
            None,
        ]
    }

    fn written(token: &[u8]) -> (BytesMut, GetOnlineFeaturesResponse) {
        let cells = cells();
        let names = names(["v:a", "v:b"].into_iter());
        let head = Head {
            request_id: b"01ARZ3NDEKTSV4RRFFQ69G5FAV",
            request_time: -3,
            names: &names,
            earliest_answerable: Some(77),
        };
        let body = body(&head, [(&cells[..], ""), (&cells[1..2], "row 0: no")].into_iter());
        let expected = GetOnlineFeaturesResponse {
            request_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            request_time_us: -3,
            feature_names: vec!["v:a".into(), "v:b".into()],
            columns: vec![
                FeatureColumn {
                    values: kinds().into_iter().map(|kind| types::Value { kind }).collect(),
                    statuses: vec![1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 10],
                    event_times_us: vec![0, -5, 1 << 50, 127, 128, 1, i64::MAX, 0, 0, 0, 0],
                    failure: String::new(),
                },
                FeatureColumn {
                    values: vec![types::Value {
                        kind: Some(Kind::Int64Value(-1)),
                    }],
                    statuses: vec![1],
                    event_times_us: vec![-5],
                    failure: "row 0: no".into(),
                },
            ],
            as_of_token: Bytes::copy_from_slice(token),
            earliest_answerable_us: 77,
        };
        (body, expected)
    }

    #[test]
    fn an_answer_is_read_by_the_generated_messages() {
        let (body, expected) = written(b"token");
        assert_eq!(
            GetOnlineFeaturesResponse::decode(finish(&body, b"token")).unwrap(),
            expected
        );
    }

    #[test]
    fn a_value_in_wire_form_is_the_same_value() {
        let wire = [0x11, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        let stored = Cell {
            content: Content::Wire(&wire),
            status: Status::Present,
            event_time: Some(9),
        };
        let computed = Cell::from(Answer::of(Value::Float(1.0), Some(9)));
        let (mut one, mut other) = (Vec::new(), Vec::new());
        column(&mut one, &[stored, Cell::without(Status::NotFound)]);
        column(
            &mut other,
            &[computed, Cell::from(Answer::without(Status::NotFound))],
        );
        assert_eq!(one, other);
    }

    #[test]
    fn a_large_token_is_in_the_served_record_only() {
        let token = vec![7; LARGEST_TOKEN + 1];
        let (body, full) = written(&token);
        let (_, without) = written(b"");
        assert_eq!(
            GetOnlineFeaturesResponse::decode(finish(&body, &token)).unwrap(),
            without
        );
        let environment = events::FunctionEnvironment {
            interpreter: "cpython-3.11".into(),
            ..Default::default()
        };
        let ran = events::ServedVector {
            function_environment: Some(environment.clone()),
            ..Default::default()
        };
        let circumstances = Circumstances {
            served_at: 5,
            revision: 300,
            service_meaning: &[9; 32],
            functions: &ran.encode_to_vec(),
        };
        // A request of nothing but `project = "p"`.
        let record = ServedRecord::decode(served(b"\x0a\x01p", &body, &token, &circumstances)).unwrap();
        let Some(Record::Vector(vector)) = record.record else {
            panic!("a vector")
        };
        assert_eq!(vector.response, Some(full));
        assert_eq!(vector.request.unwrap().project, "p");
        assert_eq!((vector.served_at_us, vector.revision), (5, 300));
        assert_eq!(vector.function_environment, Some(environment));
        assert_eq!(vector.service_meaning_hash, Bytes::from_static(&[9; 32]));
    }
}
