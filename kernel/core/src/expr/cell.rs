//! Borrowed cells: what the evaluator passes from node to node without touching the heap.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::decimal::Decimal;
use crate::value::{Type, Value};

/// One cell, with text borrowed from the row or from the expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A signed 64-bit integer.
    Int(i64),
    /// A finite double that is not −0.0, once it has been read by an expression.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// UTF-8 text.
    Text(&'a str),
    /// Microseconds since the Unix epoch, UTC.
    Timestamp(i64),
    /// A list of items of a type.
    List(&'static Type, &'a [Value]),
    /// How many units of a decimal type.
    Decimal(i64, Decimal),
}

impl Cell<'_> {
    /// A double as expressions know it: NaN and the infinities are null, −0.0 is 0.0.
    pub fn from_float(x: f64) -> Self {
        // Adding 0.0 turns −0.0 into 0.0 and leaves every other double as it is.
        if x.is_finite() {
            Self::Float(x + 0.0)
        } else {
            Self::Null
        }
    }

    /// Whether there is no value.
    pub const fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// The cell as an expression reads it from a column.
    #[must_use]
    pub(super) fn normalized(self) -> Self {
        match self {
            Self::Float(x) => Self::from_float(x),
            other => other,
        }
    }

    /// The number as a double (the nearest one, ties to even); absent if the cell is no number.
    pub(super) fn float(self) -> Option<f64> {
        match self {
            // The nearest double is what the language of expressions promises for a mixed operation.
            #[allow(clippy::cast_precision_loss)]
            Self::Int(x) => Some(x as f64),
            Self::Float(x) => Some(x),
            _ => None,
        }
    }

    /// The 64-bit integer of an integer or an instant.
    pub(super) fn integer(self) -> Option<i64> {
        match self {
            Self::Int(x) | Self::Timestamp(x) => Some(x),
            _ => None,
        }
    }

    /// The order of two cells of one type, or of an integer and a double (compared exactly, without rounding);
    /// of two lists that of the first items that differ, then of their lengths. Absent if either is null.
    pub(super) fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) | (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Int(a), Self::Float(b)) => Some(order_mixed(a, b)),
            (Self::Float(a), Self::Int(b)) => Some(order_mixed(b, a).reverse()),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(&b)),
            // By UTF-8 bytes, never by a locale.
            (Self::Text(a), Self::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Self::Decimal(a, kind), Self::Decimal(b, other)) => Some(order_decimals((a, kind), (b, other))),
            (Self::List(_, a), Self::List(_, b)) => {
                let pairs = a.iter().zip(b);
                let differing = pairs
                    .map(|(a, b)| Cell::from(a).order(Cell::from(b)))
                    .find(|order| *order != Some(Ordering::Equal));
                differing.unwrap_or_else(|| Some(a.len().cmp(&b.len())))
            }
            _ => None,
        }
    }

    /// The cell as a value of its own.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Int(x) => Value::Int(x),
            Self::Float(x) => Value::Float(x),
            Self::Bool(x) => Value::Bool(x),
            Self::Text(x) => Value::String(Arc::from(x)),
            Self::Timestamp(x) => Value::Timestamp(x),
            Self::List(of, items) => Value::List(of, items.into()),
            Self::Decimal(units, kind) => Value::Decimal(units, kind),
        }
    }
}

impl<'a> From<&'a Value> for Cell<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Int(x) => Self::Int(*x),
            Value::Float(x) => Self::Float(*x),
            Value::Bool(x) => Self::Bool(*x),
            Value::String(x) => Self::Text(x),
            Value::Timestamp(x) => Self::Timestamp(*x),
            Value::List(of, items) => Self::List(of, items),
            Value::Decimal(units, kind) => Self::Decimal(*units, *kind),
        }
    }
}

/// Two to the power 63, the first double beyond the integers.
pub(super) const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// The order of two decimals as exact numbers: in units of the finer one.
fn order_decimals((a, kind): (i64, Decimal), (b, other): (i64, Decimal)) -> Ordering {
    let finer = |units: i64, than: Decimal| i128::from(units) * i128::from(than.one());
    finer(a, other).cmp(&finer(b, kind))
}

/// The order of an integer and a finite double as exact numbers.
fn order_mixed(a: i64, b: f64) -> Ordering {
    if b >= TWO_63 {
        return Ordering::Less;
    }
    if b < -TWO_63 {
        return Ordering::Greater;
    }
    let whole = b.trunc();
    // Exact: `whole` is an integer in the range just tested.
    #[allow(clippy::cast_possible_truncation)]
    let whole_integer = whole as i64;
    a.cmp(&whole_integer)
        .then_with(|| whole.partial_cmp(&b).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_doubles_are_compared_without_rounding() {
        let cases = [
            (i64::MAX, TWO_63, Ordering::Less),
            (i64::MAX, 9_223_372_036_854_774_784.0, Ordering::Greater),
            (i64::MIN, -TWO_63, Ordering::Equal),
            ((1 << 53) + 1, 9_007_199_254_740_992.0, Ordering::Greater),
            (0, 0.5, Ordering::Less),
            (0, -0.5, Ordering::Greater),
            (-1, -1.5, Ordering::Greater),
            (-2, -1.5, Ordering::Less),
            (7, 7.0, Ordering::Equal),
        ];
        for (a, b, expected) in cases {
            assert_eq!(Cell::Int(a).order(Cell::Float(b)), Some(expected), "{a} {b}");
            assert_eq!(
                Cell::Float(b).order(Cell::Int(a)),
                Some(expected.reverse()),
                "{b} {a}"
            );
        }
    }

    #[test]
    fn a_float_is_finite_and_has_one_zero() {
        assert_eq!(Cell::from_float(f64::NAN), Cell::Null);
        assert_eq!(Cell::from_float(f64::INFINITY), Cell::Null);
        let Cell::Float(zero) = Cell::from_float(-0.0) else {
            panic!("zero is a value")
        };
        assert_eq!(zero.to_bits(), 0.0_f64.to_bits());
    }
}
