//! Cells as ranges take them: what `Cell` is to a state, without keeping anything.

use crate::expr::Cell as Borrowed;
use crate::numbers::to_fixed;
use crate::value::Type;
use crate::window::cell::LONGEST_TEXT;

/// A cell of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Taken<'a> {
    Null,
    Invalid,
    Int(i64),
    Float(f64),
    Bool(bool),
    Time(i64),
    Text(&'a str),
}

impl<'a> Taken<'a> {
    /// Whether cells of a type are taken at all.
    pub(super) fn takes(kind: Type) -> bool {
        matches!(
            kind,
            Type::Int64 | Type::Float64 | Type::Bool | Type::Timestamp | Type::String | Type::Decimal(_)
        )
    }

    pub(super) fn of(cell: Borrowed<'a>) -> Self {
        match cell {
            Borrowed::Null => Self::Null,
            Borrowed::Int(integer) | Borrowed::Decimal(integer, _) => Self::Int(integer),
            // Adding zero turns -0.0 into +0.0 and changes nothing else.
            Borrowed::Float(double) if to_fixed(double).is_some() => Self::Float(double + 0.0),
            // Columns of streams hold single values.
            Borrowed::Float(_) | Borrowed::List(..) => Self::Invalid,
            Borrowed::Bool(flag) => Self::Bool(flag),
            Borrowed::Timestamp(time) => Self::Time(time),
            Borrowed::Text(text) => Self::Text(text),
        }
    }

    pub(super) fn of_condition(holds: bool) -> Self {
        if holds { Self::Bool(true) } else { Self::Null }
    }

    /// Whether a count of the column counts it.
    pub(super) fn is_counted(self) -> bool {
        !matches!(self, Self::Null | Self::Invalid)
    }

    /// Whether the aggregates of the column skip it: any does (`kept` false), or one that must give it back does.
    pub(super) fn is_invalid(self, kept: bool) -> bool {
        match self {
            Self::Invalid => true,
            Self::Text(text) => kept && text.len() > LONGEST_TEXT,
            _ => false,
        }
    }

    /// Units of the exact sum; absent if it is not a valid number.
    pub(super) fn units(self) -> Option<i128> {
        match self {
            Self::Int(integer) => Some(i128::from(integer)),
            Self::Float(double) => to_fixed(double),
            _ => None,
        }
    }

    /// A number in the order of `min` and `max`, which tells cells of one column apart; absent for texts and where
    /// there is no value.
    pub(super) fn key(self) -> Option<i64> {
        match self {
            Self::Int(value) | Self::Time(value) => Some(value),
            Self::Float(double) => Some(key_of_float(double)),
            Self::Bool(flag) => Some(i64::from(flag)),
            Self::Null | Self::Invalid | Self::Text(_) => None,
        }
    }
}

/// The total order of doubles as the order of integers.
#[allow(clippy::cast_possible_wrap)] // the bits are what is wanted
pub(super) fn key_of_float(double: f64) -> i64 {
    flip(double.to_bits() as i64)
}

/// The double with this key.
#[allow(clippy::cast_sign_loss)] // the bits are what is wanted
pub(super) fn float_of_key(key: i64) -> f64 {
    f64::from_bits(flip(key) as u64)
}

/// Its own inverse.
fn flip(bits: i64) -> i64 {
    bits ^ (bits >> 63 & i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;
    use crate::window::cell::Cell;

    #[test]
    fn cells_are_taken_as_states_take_them() {
        let long = "x".repeat(129);
        let mut values = vec![Value::Null, Value::Bool(true), Value::Bool(false)];
        values.extend(["", "a", "sixteen bytes or more", &long].map(Value::from));
        for integer in [i64::MIN, -1, 0, 7, i64::MAX] {
            values.extend([Value::Int(integer), Value::Timestamp(integer)]);
        }
        for double in [
            f64::NAN,
            f64::INFINITY,
            1e300,
            -1e18,
            -0.0,
            0.0,
            0.1,
            5e-324,
            9e18,
        ] {
            values.push(Value::Float(double));
        }
        for value in &values {
            let (taken, cell) = (Taken::of(value.into()), Cell::of(value, true));
            assert_eq!(taken.is_counted(), cell.is_counted(), "{value:?}");
            assert_eq!(taken.units(), cell.units(), "{value:?}");
            for kept in [true, false] {
                assert_eq!(taken.is_invalid(kept), cell.is_invalid(kept), "{value:?}");
            }
            for other in &values {
                let (other, own) = (Taken::of(other.into()), Cell::of(other, true));
                if let (Some(a), Some(b)) = (taken.key(), other.key()) {
                    if std::mem::discriminant(&taken) == std::mem::discriminant(&other) {
                        assert_eq!(a.cmp(&b), cell.order(&own), "{value:?}");
                        assert_eq!(a == b, cell.identity() == own.identity());
                    }
                }
            }
        }
        for double in [-1e300, -0.0, 0.0, 2.5, f64::MAX] {
            assert_eq!(float_of_key(key_of_float(double)).to_bits(), double.to_bits());
        }
    }
}
