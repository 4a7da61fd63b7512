//! Cells as accumulators take them: checked once, in one form per value.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::bytes::{BytesError, Reader, Writer};
use crate::numbers::{fits_fixed, to_fixed};
use crate::value::{Type, Value};

/// The longest text, in bytes, that `min`, `max`, `first` and `last` can keep; a longer one is invalid to them.
pub const LONGEST_TEXT: usize = 128;
/// The longest text that a distinct count keeps as it is; of a longer one it keeps a 128-bit BLAKE3 hash.
const LONGEST_INLINE: usize = 15;

/// A cell of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// Not finite or out of range: no aggregate takes it.
    Invalid,
    /// Of an int64 column, or the units of a decimal one.
    Int(i64),
    /// Of a float64 column; finite, in range, never -0.0.
    Float(f64),
    /// Of a bool column.
    Bool(bool),
    /// Of a timestamp column.
    Time(i64),
    /// Of a string column, as far as it is kept.
    Text(Arc<str>),
    /// A text that is not kept: counted and told from others, but too long (or not needed) as itself.
    Hash([u8; 16]),
}

/// What tells one value of a column from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    length: u8,
    bytes: [u8; 16],
}

impl Identity {
    /// The longest form in bytes.
    pub const LONGEST: usize = 17;

    fn of(bytes: &[u8]) -> Self {
        let mut identity = Self {
            length: 16,
            bytes: [0; 16],
        };
        let kept = &mut identity.bytes[..bytes.len().min(16)];
        kept.copy_from_slice(&bytes[..kept.len()]);
        #[allow(clippy::cast_possible_truncation)] // at most 16
        {
            identity.length = kept.len() as u8;
        }
        identity
    }

    fn of_text(text: &str) -> Self {
        if text.len() <= LONGEST_INLINE {
            Self::of(text.as_bytes())
        } else {
            Self::of(&hash(text))
        }
    }

    /// A number that tells it from others as far as 64 bits can.
    pub(super) fn hash(&self) -> u64 {
        let hash = blake3::hash(&self.bytes[..usize::from(self.length)]);
        let first = hash.as_bytes().first_chunk().copied();
        u64::from_be_bytes(first.unwrap_or_default())
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.text(&self.bytes[..usize::from(self.length)]);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, BytesError> {
        reader.text(16).map(Self::of)
    }
}

fn hash(text: &str) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    half
}

impl Cell {
    /// The cell of a value; `keep_text` if an aggregate gives the text back.
    pub fn of(value: &Value, keep_text: bool) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Int(integer) | Value::Decimal(integer, _) => Self::Int(*integer),
            // Adding zero turns -0.0 into +0.0 and changes nothing else.
            Value::Float(double) if to_fixed(*double).is_some() => Self::Float(*double + 0.0),
            // Columns of streams hold single values.
            Value::Float(_) | Value::List(..) => Self::Invalid,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Timestamp(time) => Self::Time(*time),
            Value::String(text) if text.len() > LONGEST_TEXT => Self::Hash(hash(text)),
            Value::String(text) if keep_text || text.len() <= LONGEST_INLINE => Self::Text(Arc::clone(text)),
            Value::String(text) => Self::Hash(hash(text)),
        }
    }

    /// The cell of a condition: counted where it holds.
    pub fn of_condition(holds: bool) -> Self {
        if holds { Self::Bool(true) } else { Self::Null }
    }

    /// The value; null for what is not kept.
    pub fn value(&self) -> Value {
        match self {
            Self::Null | Self::Invalid | Self::Hash(_) => Value::Null,
            Self::Int(integer) => Value::Int(*integer),
            Self::Float(double) => Value::Float(*double),
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Time(time) => Value::Timestamp(*time),
            Self::Text(text) => Value::String(Arc::clone(text)),
        }
    }

    /// Whether a count of the column counts it.
    pub fn is_counted(&self) -> bool {
        !matches!(self, Self::Null | Self::Invalid)
    }

    /// Whether the aggregates of the column skip it: any does (`kept` false), or one that must give it back does.
    pub fn is_invalid(&self, kept: bool) -> bool {
        matches!(self, Self::Invalid) || kept && matches!(self, Self::Hash(_))
    }

    /// Whether it may stand in an extreme: not null, and kept.
    pub fn is_ordered(&self) -> bool {
        !matches!(self, Self::Null | Self::Invalid | Self::Hash(_))
    }

    /// What tells it from other cells; absent if it is not counted.
    pub fn identity(&self) -> Option<Identity> {
        Some(match self {
            Self::Null | Self::Invalid => return None,
            Self::Int(integer) | Self::Time(integer) => Identity::of(&integer.to_be_bytes()),
            Self::Float(double) => Identity::of(&double.to_bits().to_be_bytes()),
            Self::Bool(flag) => Identity::of(&[u8::from(*flag)]),
            Self::Text(text) => Identity::of_text(text),
            Self::Hash(hash) => Identity::of(hash),
        })
    }

    /// The order of `min` and `max`; cells of one column.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) | (Self::Time(a), Self::Time(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            _ => Ordering::Equal,
        }
    }

    /// Units of the exact sum; absent if it is not a valid number.
    pub fn units(&self) -> Option<i128> {
        match self {
            Self::Int(integer) => Some(i128::from(*integer)),
            Self::Float(double) => to_fixed(*double),
            _ => None,
        }
    }

    /// The most bytes that writing a cell of a column takes.
    pub(super) const fn longest(kind: Type, keep_text: bool) -> usize {
        match kind {
            Type::Bool => 2,
            Type::Int64 | Type::Timestamp | Type::Decimal(_) => 11,
            Type::Float64 => 9,
            Type::String if keep_text => 3 + LONGEST_TEXT,
            Type::String | Type::List(_) => 18,
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Null => writer.byte(0),
            Self::Invalid => writer.byte(2),
            Self::Hash(hash) => {
                writer.byte(3);
                writer.raw(hash);
            }
            Self::Int(integer) | Self::Time(integer) => {
                writer.byte(1);
                writer.zigzag(*integer);
            }
            Self::Float(double) => {
                writer.byte(1);
                writer.raw(&double.to_bits().to_be_bytes());
            }
            Self::Bool(flag) => {
                writer.byte(1);
                writer.byte(u8::from(*flag));
            }
            Self::Text(text) => {
                writer.byte(1);
                writer.text(text.as_bytes());
            }
        }
    }

    /// Reads a cell that is null or valid, without making one of it.
    #[inline]
    pub(super) fn read_ordered<'a, N>(
        reader: &mut Reader<'a>,
        read: impl FnOnce(&mut Reader<'a>) -> Result<N, BytesError>,
    ) -> Result<Option<N>, BytesError> {
        match reader.byte()? {
            0 => Ok(None),
            1 => read(reader).map(Some),
            _ => Err(BytesError::NotCanonical),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>, kind: Type) -> Result<Self, BytesError> {
        match (reader.byte()?, kind) {
            (0, _) => Ok(Self::Null),
            (2, Type::Float64) => Ok(Self::Invalid),
            (3, Type::String) => reader.array().map(Self::Hash),
            (1, Type::Int64) => reader.zigzag().map(Self::Int),
            (1, Type::Timestamp) => reader.zigzag().map(Self::Time),
            (1, Type::Bool) => reader.flag().map(Self::Bool),
            (1, Type::Float64) => read_double(reader).map(Self::Float),
            (1, Type::String) => {
                let text = std::str::from_utf8(reader.text(LONGEST_TEXT)?);
                text.map(|text| Self::Text(Arc::from(text)))
                    .map_err(|_| BytesError::NotCanonical)
            }
            _ => Err(BytesError::NotCanonical),
        }
    }
}

/// A double that is finite, in range and not -0.0.
#[inline]
pub(super) fn read_double(reader: &mut Reader<'_>) -> Result<f64, BytesError> {
    let double = f64::from_bits(u64::from_be_bytes(reader.array()?));
    let is_negative_zero = double == 0.0 && double.is_sign_negative();
    if !fits_fixed(double) || is_negative_zero {
        return Err(BytesError::NotCanonical);
    }
    Ok(double)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_back() {
        let long = "x".repeat(200);
        let values = [
            (Value::Null, Type::Bool),
            (Value::Int(-5), Type::Int64),
            (Value::Float(-0.0), Type::Float64),
            (Value::Float(f64::NAN), Type::Float64),
            (Value::Float(1e300), Type::Float64),
            (Value::Bool(true), Type::Bool),
            (Value::Timestamp(7), Type::Timestamp),
            (Value::from("sixteen bytes or more"), Type::String),
            (Value::from(long.as_str()), Type::String),
        ];
        for (value, kind) in values {
            for keep in [true, false] {
                let cell = Cell::of(&value, keep);
                let mut writer = Writer::default();
                cell.write(&mut writer);
                assert!(writer.bytes.len() <= Cell::longest(kind, keep), "{value:?}");
                let mut reader = Reader::new(&writer.bytes);
                assert_eq!(Cell::read(&mut reader, kind), Ok(cell));
                assert_eq!(reader.end(), Ok(()));
            }
        }
    }

    #[test]
    fn zeros_are_one_value_and_texts_are_told_apart_kept_or_not() {
        let zero = |x: f64| Cell::of(&Value::Float(x), false).identity();
        assert_eq!(zero(0.0), zero(-0.0));
        let text = Value::from("a text of more than fifteen bytes");
        assert_eq!(
            Cell::of(&text, true).identity(),
            Cell::of(&text, false).identity()
        );
        assert!(Cell::of(&text, true).is_ordered() && !Cell::of(&text, false).is_ordered());
    }

    #[test]
    fn a_text_too_long_to_keep_is_invalid_only_where_it_must_be_kept() {
        let cell = Cell::of(&Value::from("x".repeat(129).as_str()), true);
        assert!(cell.is_counted() && cell.is_invalid(true) && !cell.is_invalid(false));
    }
}
