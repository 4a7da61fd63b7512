//! The aggregations and the types they take and give.

use crate::value::Type;

/// How the events of a window become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// Without a column the events, with one its valid cells that are not null.
    Count,
    /// The exact sum.
    Sum,
    /// The exact mean, rounded once.
    Avg,
    /// The least cell.
    Min,
    /// The greatest cell.
    Max,
    /// The sample variance (n - 1).
    Variance,
    /// The correctly rounded root of the rounded sample variance.
    Stddev,
    /// How many different cells; exact up to a bound.
    CountDistinct,
    /// The cell of the newest event by (time, position).
    Last,
    /// Microseconds between the newest event and the request time.
    TimeSinceLast,
}

impl Aggregation {
    /// Every aggregation.
    pub const ALL: [Self; 10] = [
        Self::Count,
        Self::Sum,
        Self::Avg,
        Self::Min,
        Self::Max,
        Self::Variance,
        Self::Stddev,
        Self::CountDistinct,
        Self::Last,
        Self::TimeSinceLast,
    ];

    /// The name in definitions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Variance => "variance",
            Self::Stddev => "stddev",
            Self::CountDistinct => "count_distinct",
            Self::Last => "last",
            Self::TimeSinceLast => "time_since_last",
        }
    }

    /// The aggregation of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|aggregation| aggregation.name() == name)
    }

    /// The type of the result over a column of this type (absent: over events); `None` if it takes no such column.
    pub const fn result(self, column: Option<Type>) -> Option<Type> {
        match (self, column) {
            (Self::Count, _) | (Self::CountDistinct, Some(_)) | (Self::TimeSinceLast, None) => {
                Some(Type::Int64)
            }
            (Self::Sum, Some(Type::Int64)) => Some(Type::Int64),
            (Self::Sum, Some(Type::Float64))
            | (Self::Avg | Self::Variance | Self::Stddev, Some(Type::Int64 | Type::Float64)) => {
                Some(Type::Float64)
            }
            (
                Self::Min | Self::Max,
                Some(kind @ (Type::Int64 | Type::Float64 | Type::String | Type::Timestamp)),
            )
            | (Self::Last, Some(kind)) => Some(kind),
            _ => None,
        }
    }

    /// What columns the aggregation takes, for people.
    pub const fn takes(self) -> &'static str {
        match self {
            Self::Count => "any column, or none",
            Self::Sum | Self::Avg | Self::Variance | Self::Stddev => "an int64 or float64 column",
            Self::Min | Self::Max => "an int64, float64, string or timestamp column",
            Self::CountDistinct | Self::Last => "a column",
            Self::TimeSinceLast => "no column (null)",
        }
    }
}
