//! Values and their types: the shared vocabulary of every module.

use std::fmt;
use std::sync::Arc;

use crate::decimal::Decimal;

/// The type of a column, a feature or an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// A signed 64-bit integer.
    Int64,
    /// An IEEE 754 double.
    Float64,
    /// True or false.
    Bool,
    /// UTF-8 text.
    String,
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
    /// A list of values of one scalar type, none of them null.
    List(&'static Self),
    /// An exact number of so many digits.
    Decimal(Decimal),
}

impl Type {
    /// The types of single values, in a fixed order; decimals, of which there are many, aside.
    pub const SCALARS: [Self; 5] = [
        Self::Int64,
        Self::Float64,
        Self::Bool,
        Self::String,
        Self::Timestamp,
    ];

    /// The types of lists, in the order of [`Self::SCALARS`].
    pub const LISTS: [Self; 5] = [
        Self::List(&Self::Int64),
        Self::List(&Self::Float64),
        Self::List(&Self::Bool),
        Self::List(&Self::String),
        Self::List(&Self::Timestamp),
    ];

    /// The name of the type in definitions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Timestamp => "timestamp",
            Self::List(Self::Int64) => "list<int64>",
            Self::List(Self::Float64) => "list<float64>",
            Self::List(Self::Bool) => "list<bool>",
            Self::List(Self::String) => "list<string>",
            Self::List(Self::Timestamp) => "list<timestamp>",
            Self::Decimal(own) => own.name(),
            Self::List(Self::Decimal(own)) => own.list_name(),
            Self::List(Self::List(_)) => "list of lists",
        }
    }

    /// The type of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::SCALARS.into_iter().chain(Self::LISTS);
        all.find(|kind| kind.name() == name).or_else(|| {
            let inner = name.strip_prefix("list<").and_then(|rest| rest.strip_suffix('>'));
            let decimal = Decimal::from_name(inner.unwrap_or(name))?.ok()?;
            Some(match inner {
                Some(_) => Self::List(decimal.kind()),
                None => Self::Decimal(decimal),
            })
        })
    }

    /// The type of the items of a list; absent for a single value.
    pub const fn element(self) -> Option<&'static Self> {
        match self {
            Self::List(of) => Some(of),
            _ => None,
        }
    }

    /// Whether a value is a single one, and no list.
    pub const fn is_scalar(self) -> bool {
        !matches!(self, Self::List(_))
    }

    /// The type of the cells that states keep: decimals are kept as their units.
    #[must_use]
    pub const fn kept(self) -> Self {
        match self {
            Self::Decimal(_) => Self::Int64,
            other => other,
        }
    }

    /// Whether arithmetic takes the type (timestamps are not numbers).
    pub const fn is_numeric(self) -> bool {
        matches!(self, Self::Int64 | Self::Float64)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One cell: of an event, a stored row, a request or a feature vector.
///
/// Equality is that of IEEE 754 for doubles (`NaN != NaN`); [`Value::same`] compares bits.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// Of type [`Type::Int64`].
    Int(i64),
    /// Of type [`Type::Float64`].
    Float(f64),
    /// Of type [`Type::Bool`].
    Bool(bool),
    /// Of type [`Type::String`].
    String(Arc<str>),
    /// Of type [`Type::Timestamp`]: microseconds since the Unix epoch, UTC.
    Timestamp(i64),
    /// Of type [`Type::List`] of the first: its items in order, of that type and never null.
    List(&'static Type, Arc<[Self]>),
    /// Of type [`Type::Decimal`] of the second: how many units.
    Decimal(i64, Decimal),
}

impl Value {
    /// Whether there is no value.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The type, absent for null.
    pub fn kind(&self) -> Option<Type> {
        match self {
            Self::Null => None,
            Self::Int(_) => Some(Type::Int64),
            Self::Float(_) => Some(Type::Float64),
            Self::Bool(_) => Some(Type::Bool),
            Self::String(_) => Some(Type::String),
            Self::Timestamp(_) => Some(Type::Timestamp),
            Self::List(of, _) => Some(Type::List(of)),
            Self::Decimal(_, kind) => Some(Type::Decimal(*kind)),
        }
    }

    /// Whether the value may stand in a cell of this type; null may stand anywhere.
    pub fn fits(&self, kind: Type) -> bool {
        self.kind().is_none_or(|own| own == kind)
    }

    /// Bit-for-bit equality: the one that training and serving are held to.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::List(of, a), Self::List(other, b)) => {
                of == other && a.len() == b.len() && a.iter().zip(&**b).all(|(a, b)| a.same(b))
            }
            (a, b) => a == b,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(Arc::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_are_read_back() {
        for kind in Type::SCALARS.into_iter().chain(Type::LISTS) {
            assert_eq!(Type::from_name(kind.name()), Some(kind));
        }
        for name in ["decimal(12,2)", "list<decimal(18,0)>"] {
            assert_eq!(Type::from_name(name).map(Type::name), Some(name));
        }
        for name in ["decimal", "decimal(19,2)", "list<list<int64>>", "list<decimal>"] {
            assert_eq!(Type::from_name(name), None);
        }
    }

    #[test]
    fn null_fits_every_type_and_others_only_their_own() {
        assert!(Type::SCALARS.into_iter().all(|kind| Value::Null.fits(kind)));
        assert!(Value::Int(1).fits(Type::Int64));
        assert!(!Value::Int(1).fits(Type::Timestamp));
    }

    #[test]
    fn sameness_sees_the_sign_of_zero() {
        assert!(!Value::Float(0.0).same(&Value::Float(-0.0)));
        assert!(Value::Float(f64::NAN).same(&Value::Float(f64::NAN)));
        let list = |x: f64| Value::List(&Type::Float64, [Value::Float(x)].into());
        assert!(list(0.0).same(&list(0.0)) && !list(0.0).same(&list(-0.0)));
    }

    #[test]
    fn an_empty_list_has_the_type_of_its_items() {
        let empty = |of| Value::List(of, [].into());
        assert!(!empty(&Type::Int64).same(&empty(&Type::String)));
        assert!(empty(&Type::Int64).fits(Type::List(&Type::Int64)));
    }
}
