//! Cells in the form that answers carry them in: the bytes of the message `skewless.api.types.v1.Value`.
//!
//! Null is the empty message; any other value is exactly one field. Reading refuses every form but the one that
//! writing gives, so equal cells have equal bytes.

use std::sync::Arc;

use crate::bytes::{BytesError, Reader, Writer};
use crate::expr::Cell;
use crate::value::{Type, Value};

const INT64: u8 = 1 << 3;
const FLOAT64: u8 = 2 << 3 | 1;
const BOOL: u8 = 3 << 3;
const STRING: u8 = 4 << 3 | 2;
const TIMESTAMP: u8 = 5 << 3;

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
    }
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
        (FLOAT64, Type::Float64) => {
            let x = f64::from_le_bytes(reader.array()?);
            let value = Value::Float(x);
            if !Cell::from_float(x).to_value().same(&value) {
                return Err(BytesError::NotCanonical);
            }
            value
        }
        (STRING, Type::String) => {
            let text = std::str::from_utf8(reader.text(bytes.len())?);
            Value::String(Arc::from(text.map_err(|_| BytesError::NotCanonical)?))
        }
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
    }
}

/// How long a text is taken to be when the size of a state is planned, bytes.
pub const TEXT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

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
        ];
        for (value, kind) in cases {
            let bytes = bytes(&value);
            assert_eq!(read(&bytes, kind), Ok(value.clone()));
            for other in Type::ALL.into_iter().filter(|other| *other != kind) {
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
