//! Values and their types: the shared vocabulary of every module.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The type of a column, a feature or an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
}

impl Type {
    /// Every type, in a fixed order.
    pub const ALL: [Self; 5] = [
        Self::Int64,
        Self::Float64,
        Self::Bool,
        Self::String,
        Self::Timestamp,
    ];

    /// The name of the type in definitions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Timestamp => "timestamp",
        }
    }

    /// The type of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
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
}

impl Value {
    /// Whether there is no value.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The type, absent for null.
    pub const fn kind(&self) -> Option<Type> {
        match self {
            Self::Null => None,
            Self::Int(_) => Some(Type::Int64),
            Self::Float(_) => Some(Type::Float64),
            Self::Bool(_) => Some(Type::Bool),
            Self::String(_) => Some(Type::String),
            Self::Timestamp(_) => Some(Type::Timestamp),
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
        for kind in Type::ALL {
            assert_eq!(Type::from_name(kind.name()), Some(kind));
        }
        assert_eq!(Type::from_name("decimal"), None);
    }

    #[test]
    fn null_fits_every_type_and_others_only_their_own() {
        assert!(Type::ALL.into_iter().all(|kind| Value::Null.fits(kind)));
        assert!(Value::Int(1).fits(Type::Int64));
        assert!(!Value::Int(1).fits(Type::Timestamp));
    }

    #[test]
    fn sameness_sees_the_sign_of_zero() {
        assert!(!Value::Float(0.0).same(&Value::Float(-0.0)));
        assert!(Value::Float(f64::NAN).same(&Value::Float(f64::NAN)));
    }
}
