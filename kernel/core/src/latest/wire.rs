//! Cells in the form that answers carry them in: the bytes of the message `skewless.api.types.v1.Value`.
//!
//! Null is the empty message; any other value is exactly one field. Reading refuses every form but the one that
//! writing gives, so equal cells have equal bytes.

use crate::bytes::{BytesError, Reader, Writer};
use crate::expr::Cell;
use crate::value::{Type, Value};

const INT64: u8 = 1 << 3;
const FLOAT64: u8 = 2 << 3 | 1;
const BOOL: u8 = 3 << 3;
const STRING: u8 = 4 << 3 | 2;
const TIMESTAMP: u8 = 5 << 3;
/// The lists: a message each, whose field 1 has the items; packed, if they are no texts.
const LISTS: [u8; 5] = [6 << 3 | 2, 7 << 3 | 2, 8 << 3 | 2, 9 << 3 | 2, 10 << 3 | 2];
/// A decimal is a text, its one spelling; a list of them is a message of texts.
const DECIMAL: u8 = 11 << 3 | 2;
const DECIMALS: u8 = 12 << 3 | 2;
const ITEMS: u8 = 1 << 3 | 2;

/// The cell as features know it: NaN and the infinities are null, −0.0 is 0.0.
pub fn normalized(cell: Cell<'_>) -> Cell<'_> {
    match cell {
        Cell::Float(x) => Cell::from_float(x),
        other => other,
    }
}

/// The message of a cell.
pub fn to_bytes(cell: Cell<'_>) -> Vec<u8> {
    let mut writer = Writer::default();
    write(cell, &mut writer);
    writer.bytes
}

/// Appends the message of a cell.
pub(crate) fn write(cell: Cell<'_>, out: &mut Writer) {
    match normalized(cell) {
        Cell::Null => {}
        Cell::Int(x) => integer(INT64, x, out),
        Cell::Float(x) => {
            out.byte(FLOAT64);
            out.raw(&x.to_le_bytes());
        }
        Cell::Bool(x) => {
            out.byte(BOOL);
            out.byte(u8::from(x));
        }
        Cell::Text(text) => {
            out.byte(STRING);
            out.text(text.as_bytes());
        }
        Cell::Timestamp(x) => integer(TIMESTAMP, x, out),
        Cell::List(of, items) => {
            let Some(tag) = tag_of_list(*of) else {
                return;
            };
            out.byte(tag);
            out.text(&list(*of, items));
        }
        Cell::Decimal(units, kind) => {
            out.byte(DECIMAL);
            out.text(kind.text(units).as_bytes());
        }
    }
}

fn tag_of_list(of: Type) -> Option<u8> {
    if matches!(of, Type::Decimal(_)) {
        return Some(DECIMALS);
    }
    let place = Type::SCALARS.iter().position(|kind| *kind == of)?;
    Some(LISTS[place])
}

/// Whether the items of a list are texts on the wire, a field each.
const fn is_of_texts(of: Type) -> bool {
    matches!(of, Type::String | Type::Decimal(_))
}

/// The message of a list.
fn list(of: Type, items: &[Value]) -> Vec<u8> {
    let mut packed = Writer::default();
    for item in items {
        match item {
            #[allow(clippy::cast_sign_loss)] // as in `integer`
            Value::Int(x) | Value::Timestamp(x) => packed.varint(*x as u64),
            Value::Float(x) => packed.raw(&x.to_le_bytes()),
            Value::Bool(x) => packed.byte(u8::from(*x)),
            Value::String(text) => {
                packed.byte(ITEMS);
                packed.text(text.as_bytes());
            }
            Value::Decimal(units, kind) => {
                packed.byte(ITEMS);
                packed.text(kind.text(*units).as_bytes());
            }
            Value::Null | Value::List(..) => {}
        }
    }
    if is_of_texts(of) || items.is_empty() {
        return packed.bytes;
    }
    let mut message = Writer::default();
    message.byte(ITEMS);
    message.text(&packed.bytes);
    message.bytes
}

/// Reads the message of a list.
fn read_list(bytes: &[u8], of: &'static Type) -> Result<Value, BytesError> {
    let mut reader = Reader::new(bytes);
    let mut items = Vec::new();
    if is_of_texts(*of) {
        while reader.left() > 0 {
            if reader.byte()? != ITEMS {
                return Err(BytesError::NotCanonical);
            }
            items.push(text(&mut reader, bytes.len(), *of)?);
        }
    } else if !bytes.is_empty() {
        if reader.byte()? != ITEMS {
            return Err(BytesError::NotCanonical);
        }
        let mut packed = Reader::new(reader.text(bytes.len())?);
        reader.end()?;
        if packed.left() == 0 {
            return Err(BytesError::NotCanonical);
        }
        while packed.left() > 0 {
            items.push(match of {
                Type::Int64 => Value::Int(signed(packed.varint()?)),
                Type::Timestamp => Value::Timestamp(signed(packed.varint()?)),
                Type::Bool => Value::Bool(packed.flag()?),
                Type::Float64 => float(&mut packed)?,
                Type::String | Type::List(_) | Type::Decimal(_) => return Err(BytesError::NotCanonical),
            });
        }
    }
    Ok(Value::List(of, items.into()))
}

/// A text, or a decimal in the one spelling that it has.
fn text(reader: &mut Reader<'_>, longest: usize, kind: Type) -> Result<Value, BytesError> {
    let text = std::str::from_utf8(reader.text(longest)?).map_err(|_| BytesError::NotCanonical)?;
    let Type::Decimal(kind) = kind else {
        return Ok(Value::from(text));
    };
    let units = kind.read_canonical(text).ok_or(BytesError::NotCanonical)?;
    Ok(Value::Decimal(units, kind))
}

/// A double in the one form that it has.
fn float(reader: &mut Reader<'_>) -> Result<Value, BytesError> {
    let x = f64::from_le_bytes(reader.array()?);
    let value = Value::Float(x);
    if !Cell::from_float(x).to_value().same(&value) {
        return Err(BytesError::NotCanonical);
    }
    Ok(value)
}

fn integer(tag: u8, x: i64, out: &mut Writer) {
    out.byte(tag);
    // Protobuf writes a negative int64 as its two's complement.
    #[allow(clippy::cast_sign_loss)]
    out.varint(x as u64);
}

/// Reads the message of a cell of this type.
pub fn read(bytes: &[u8], kind: Type) -> Result<Value, BytesError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let mut reader = Reader::new(bytes);
    let value = match (reader.byte()?, kind) {
        (INT64, Type::Int64) => Value::Int(signed(reader.varint()?)),
        (TIMESTAMP, Type::Timestamp) => Value::Timestamp(signed(reader.varint()?)),
        (BOOL, Type::Bool) => Value::Bool(reader.flag()?),
        (FLOAT64, Type::Float64) => float(&mut reader)?,
        (tag, Type::List(of)) if tag_of_list(*of) == Some(tag) => read_list(reader.text(bytes.len())?, of)?,
        (STRING, Type::String) | (DECIMAL, Type::Decimal(_)) => text(&mut reader, bytes.len(), kind)?,
        _ => return Err(BytesError::NotCanonical),
    };
    reader.end()?;
    Ok(value)
}

#[allow(clippy::cast_possible_wrap)]
fn signed(bits: u64) -> i64 {
    bits as i64
}

/// The most bytes that the message of a cell of this type takes. A text has no bound of its own: it is counted
/// with [`TEXT`] bytes.
pub(crate) fn longest(kind: Type) -> usize {
    match kind {
        Type::Int64 | Type::Timestamp => 11,
        Type::Float64 => 9,
        Type::Bool => 2,
        Type::String => 2 + TEXT,
        // A sign, the point and a zero before it.
        Type::Decimal(kind) => 5 + usize::from(kind.precision()),
        Type::List(of) => 4 + ITEMS_PLANNED * longest(*of),
    }
}

/// How many items a list is taken to have when the size of a state is planned.
const ITEMS_PLANNED: usize = 128;

/// How long a text is taken to be when the size of a state is planned, bytes.
pub const TEXT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(of: &'static Type, items: &[Value]) -> Value {
        Value::List(of, items.into())
    }

    fn bytes(value: &Value) -> Vec<u8> {
        to_bytes(Cell::from(value))
    }

    #[test]
    fn cells_are_read_back() {
        let cases = [
            (Value::Int(0), Type::Int64),
            (Value::Int(i64::MIN), Type::Int64),
            (Value::Float(0.0), Type::Float64),
            (Value::Float(-1.5e300), Type::Float64),
            (Value::Bool(false), Type::Bool),
            (Value::from(""), Type::String),
            (Value::from("é".repeat(100).as_str()), Type::String),
            (Value::Timestamp(-1), Type::Timestamp),
            (
                list_of(&Type::Int64, &[Value::Int(-1), Value::Int(300)]),
                Type::LISTS[0],
            ),
            (list_of(&Type::Float64, &[Value::Float(0.5)]), Type::LISTS[1]),
            (
                list_of(&Type::Bool, &[Value::Bool(true), Value::Bool(false)]),
                Type::LISTS[2],
            ),
            (
                list_of(&Type::String, &[Value::from(""), Value::from("é")]),
                Type::LISTS[3],
            ),
            (list_of(&Type::Timestamp, &[Value::Timestamp(-1)]), Type::LISTS[4]),
            (list_of(&Type::Timestamp, &[]), Type::LISTS[4]),
            (list_of(&Type::String, &[]), Type::LISTS[3]),
        ];
        for (value, kind) in cases {
            let bytes = bytes(&value);
            assert_eq!(read(&bytes, kind), Ok(value.clone()));
            let all = Type::SCALARS.into_iter().chain(Type::LISTS);
            for other in all.filter(|other| *other != kind) {
                assert_eq!(read(&bytes, other), Err(BytesError::NotCanonical), "{value:?}");
            }
            for cut in 1..bytes.len() {
                assert!(read(&bytes[..cut], kind).is_err());
            }
        }
    }

    #[test]
    fn the_form_is_that_of_the_contract() {
        assert_eq!(bytes(&Value::Int(150)), [0x08, 0x96, 0x01]);
        assert_eq!(
            bytes(&Value::Int(-1)),
            [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
        );
        assert_eq!(bytes(&Value::Float(1.0)), [0x11, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        assert_eq!(bytes(&Value::Bool(true)), [0x18, 1]);
        assert_eq!(bytes(&Value::from("ab")), [0x22, 2, b'a', b'b']);
        assert_eq!(bytes(&Value::Timestamp(1)), [0x28, 1]);
        assert_eq!(bytes(&Value::Null), [0_u8; 0]);
        let texts = [Value::from("a"), Value::from("")];
        assert_eq!(
            bytes(&list_of(&Type::String, &texts)),
            [0x4a, 5, 0x0a, 1, b'a', 0x0a, 0]
        );
        let numbers = [Value::Int(150), Value::Int(0)];
        assert_eq!(
            bytes(&list_of(&Type::Int64, &numbers)),
            [0x32, 5, 0x0a, 3, 0x96, 0x01, 0]
        );
        assert_eq!(bytes(&list_of(&Type::Bool, &[])), [0x42, 0]);
    }

    #[test]
    fn doubles_have_one_zero_and_no_nan() {
        assert_eq!(bytes(&Value::Float(-0.0)), bytes(&Value::Float(0.0)));
        assert_eq!(bytes(&Value::Float(f64::NAN)), [0_u8; 0]);
        assert_eq!(bytes(&Value::Float(f64::NEG_INFINITY)), [0_u8; 0]);
        let mut negative = vec![FLOAT64];
        negative.extend((-0.0_f64).to_le_bytes());
        assert_eq!(read(&negative, Type::Float64), Err(BytesError::NotCanonical));
    }
}
