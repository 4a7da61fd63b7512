//! The table of the aggregations: what each takes and gives, what it keeps, and what its algebra allows.
//!
//! Everything that asks about an aggregation asks this table: reading a definition, laying out a state, the
//! definitions in Python, and the page `docs/aggregations.md`.

use super::limits;
use crate::decimal::Decimal;
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
    /// The cell of the oldest event by (time, position).
    First,
    /// Events, or the sum of a column, per hour of the declared width.
    Rate,
    /// The variance of the cells as the whole population (n).
    VariancePop,
    /// The correctly rounded root of the rounded variance of the population.
    StddevPop,
    /// The events for which a condition of the feature's own is true.
    CountWhere,
    /// The cell at a share of their order, as the middle of its bin.
    Quantile,
    /// The cells of the oldest events, oldest first, up to a number.
    FirstN,
    /// The cells of the newest events, newest first, up to a number.
    LastN,
    /// The different cells, that of the newest event first, up to a number.
    LastDistinctN,
    /// How many cells lie between declared edges.
    Histogram,
    /// The most frequent cells, most frequent first, up to a number; exact up to a bound of different ones.
    TopN,
}

/// What is true of an aggregation.
#[derive(Debug, Clone, Copy)]
pub struct Law {
    /// Which.
    pub aggregation: Aggregation,
    /// The name in definitions.
    pub name: &'static str,
    /// The clause of `docs/semantics.md` that defines it.
    pub clause: &'static str,
    /// Inputs with the type of the result: the type of the column, or none where it takes no column.
    pub results: &'static [(Option<Type>, Type)],
    /// What columns it takes, for people.
    pub takes: &'static str,
    /// What is kept of the events.
    pub keeps: Keeps,
    /// What it is over nothing.
    pub empty: Empty,
    /// When it has no value although there are events.
    pub limit: Limit,
}

/// What is kept of the events: from it follows which accumulator a state has, and what can be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// How many.
    Count,
    /// How many, and their exact sum.
    Sum,
    /// How many, their exact sum, and that of their squares.
    Squares,
    /// How many cells lie in each bin of their magnitudes.
    Bins,
    /// The least cell.
    Least,
    /// The greatest cell.
    Greatest,
    /// Each different cell with the newest time of it, up to a bound.
    Distinct,
    /// The oldest cell with its time and position.
    OldestCell,
    /// The newest cell with its time and position.
    NewestCell,
    /// The newest time.
    NewestTime,
    /// The oldest cells with their times and positions, up to a number.
    OldestCells,
    /// The newest cells with their times and positions, up to a number.
    NewestCells,
    /// The newest different cells with their times and positions, up to a number.
    NewestDifferent,
    /// How many cells lie between each two edges.
    Buckets,
    /// Each different cell and how often it came, up to a bound.
    Frequencies,
}

/// What can be done with what is kept. All of them merge in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algebra {
    /// A commutative group: an event can be taken out again.
    Subtractable,
    /// A commutative monoid: what a lesser event left no trace of cannot come back.
    Mergeable,
}

/// The value over nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// Zero.
    Zero,
    /// Null.
    Null,
    /// A list without items.
    NoItems,
    /// A list of zeros, one between each two edges.
    Zeros,
}

/// When there is no value although there are events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Never.
    None,
    /// An int64 result outside its range: `OVERFLOW`.
    Int64,
    /// More different cells than declared: `OVER_BOUND`.
    Bound {
        /// What the definitions in Python declare when the user does not.
        default: i64,
        /// The most that may be declared.
        greatest: i64,
    },
}

use Type::{Bool, Float64, Int64, String, Timestamp};

const INT_OF_EVENTS: &[(Option<Type>, Type)] = &[(None, Int64)];
const INT_OF_ANY: &[(Option<Type>, Type)] = &[
    (Some(Int64), Int64),
    (Some(Float64), Int64),
    (Some(Bool), Int64),
    (Some(String), Int64),
    (Some(Timestamp), Int64),
];
const INT_OF_EVENTS_AND_ANY: &[(Option<Type>, Type)] = &[
    (None, Int64),
    (Some(Int64), Int64),
    (Some(Float64), Int64),
    (Some(Bool), Int64),
    (Some(String), Int64),
    (Some(Timestamp), Int64),
];
const SAME_NUMBER: &[(Option<Type>, Type)] = &[(Some(Int64), Int64), (Some(Float64), Float64)];
const FLOAT_OF_NUMBER: &[(Option<Type>, Type)] = &[(Some(Int64), Float64), (Some(Float64), Float64)];
const SAME_ORDERED: &[(Option<Type>, Type)] = &[
    (Some(Int64), Int64),
    (Some(Float64), Float64),
    (Some(String), String),
    (Some(Timestamp), Timestamp),
];
const SAME: &[(Option<Type>, Type)] = &[
    (Some(Int64), Int64),
    (Some(Float64), Float64),
    (Some(Bool), Bool),
    (Some(String), String),
    (Some(Timestamp), Timestamp),
];

const FLOAT_OF_EVENTS_AND_NUMBER: &[(Option<Type>, Type)] =
    &[(None, Float64), (Some(Int64), Float64), (Some(Float64), Float64)];

const LIST_OF_SAME: &[(Option<Type>, Type)] = &[
    (Some(Int64), Type::List(&Int64)),
    (Some(Float64), Type::List(&Float64)),
    (Some(Bool), Type::List(&Bool)),
    (Some(String), Type::List(&String)),
    (Some(Timestamp), Type::List(&Timestamp)),
];
const INTS_OF_NUMBER: &[(Option<Type>, Type)] = &[
    (Some(Int64), Type::List(&Int64)),
    (Some(Float64), Type::List(&Int64)),
];

const A_NUMBER: &str = "an int64, float64 or decimal column";
const AN_ORDER: &str = "an int64, float64, decimal, string or timestamp column";

/// Every aggregation, in the order of [`Aggregation`].
#[rustfmt::skip]
pub const LAWS: [Law; 21] = {
    use {Aggregation as A, Empty as E, Keeps as K, Limit as L};
    [
        Law { aggregation: A::Count, name: "count", clause: "A1, A2", results: INT_OF_EVENTS_AND_ANY,
              takes: "any column, or none", keeps: K::Count, empty: E::Zero, limit: L::None },
        Law { aggregation: A::Sum, name: "sum", clause: "A3", results: SAME_NUMBER,
              takes: A_NUMBER, keeps: K::Sum, empty: E::Zero, limit: L::Int64 },
        Law { aggregation: A::Avg, name: "avg", clause: "A4", results: FLOAT_OF_NUMBER,
              takes: A_NUMBER, keeps: K::Sum, empty: E::Null, limit: L::None },
        Law { aggregation: A::Min, name: "min", clause: "A5", results: SAME_ORDERED,
              takes: AN_ORDER, keeps: K::Least, empty: E::Null, limit: L::None },
        Law { aggregation: A::Max, name: "max", clause: "A5", results: SAME_ORDERED,
              takes: AN_ORDER, keeps: K::Greatest, empty: E::Null, limit: L::None },
        Law { aggregation: A::Variance, name: "variance", clause: "A6", results: FLOAT_OF_NUMBER,
              takes: A_NUMBER, keeps: K::Squares, empty: E::Null, limit: L::None },
        Law { aggregation: A::Stddev, name: "stddev", clause: "A7", results: FLOAT_OF_NUMBER,
              takes: A_NUMBER, keeps: K::Squares, empty: E::Null, limit: L::None },
        Law { aggregation: A::CountDistinct, name: "count_distinct", clause: "A8", results: INT_OF_ANY,
              takes: "a column", keeps: K::Distinct, empty: E::Zero,
              limit: L::Bound { default: 1_000, greatest: limits::DISTINCT_BOUND } },
        Law { aggregation: A::Last, name: "last", clause: "A9", results: SAME,
              takes: "a column", keeps: K::NewestCell, empty: E::Null, limit: L::None },
        Law { aggregation: A::TimeSinceLast, name: "time_since_last", clause: "A10", results: INT_OF_EVENTS,
              takes: "no column (null)", keeps: K::NewestTime, empty: E::Null, limit: L::None },
        Law { aggregation: A::First, name: "first", clause: "A11", results: SAME,
              takes: "a column", keeps: K::OldestCell, empty: E::Null, limit: L::None },
        Law { aggregation: A::Rate, name: "rate", clause: "A12", results: FLOAT_OF_EVENTS_AND_NUMBER,
              takes: "an int64, float64 or decimal column, or none", keeps: K::Sum, empty: E::Zero, limit: L::None },
        Law { aggregation: A::VariancePop, name: "variance_pop", clause: "A13", results: FLOAT_OF_NUMBER,
              takes: A_NUMBER, keeps: K::Squares, empty: E::Null, limit: L::None },
        Law { aggregation: A::StddevPop, name: "stddev_pop", clause: "A13", results: FLOAT_OF_NUMBER,
              takes: A_NUMBER, keeps: K::Squares, empty: E::Null, limit: L::None },
        Law { aggregation: A::CountWhere, name: "count_where", clause: "A14", results: INT_OF_EVENTS,
              takes: "a condition, and no column (null)", keeps: K::Count, empty: E::Zero, limit: L::None },
        Law { aggregation: A::Quantile, name: "quantile", clause: "A20", results: FLOAT_OF_NUMBER,
              takes: A_NUMBER, keeps: K::Bins, empty: E::Null, limit: L::None },
        Law { aggregation: A::FirstN, name: "first_n", clause: "A15", results: LIST_OF_SAME,
              takes: "a column", keeps: K::OldestCells, empty: E::NoItems, limit: L::None },
        Law { aggregation: A::LastN, name: "last_n", clause: "A15", results: LIST_OF_SAME,
              takes: "a column", keeps: K::NewestCells, empty: E::NoItems, limit: L::None },
        Law { aggregation: A::LastDistinctN, name: "last_distinct_n", clause: "A16", results: LIST_OF_SAME,
              takes: "a column", keeps: K::NewestDifferent, empty: E::NoItems, limit: L::None },
        Law { aggregation: A::Histogram, name: "histogram", clause: "A17", results: INTS_OF_NUMBER,
              takes: A_NUMBER, keeps: K::Buckets, empty: E::Zeros, limit: L::None },
        Law { aggregation: A::TopN, name: "top_n", clause: "A18", results: LIST_OF_SAME,
              takes: "a column", keeps: K::Frequencies, empty: E::NoItems,
              limit: L::Bound { default: 20, greatest: limits::FREQUENCY_BOUND } },
    ]
};

impl Aggregation {
    /// What is true of it.
    pub const fn law(self) -> &'static Law {
        const TABLE: &[Law] = &LAWS;
        &TABLE[self as usize]
    }

    /// The name in definitions.
    pub const fn name(self) -> &'static str {
        self.law().name
    }

    /// The aggregation of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        LAWS.iter()
            .find(|law| law.name == name)
            .map(|law| law.aggregation)
    }

    /// The type of the result over a column of this type (absent: over events); `None` if it takes no such column.
    pub fn result(self, column: Option<Type>) -> Option<Type> {
        if let Some(Type::Decimal(kind)) = column {
            return self.decimal_result(kind);
        }
        let results = self.law().results.iter();
        results
            .filter(|(input, _)| *input == column)
            .map(|(_, result)| *result)
            .next()
    }

    /// Over decimals: cells are given back as they are, sums have as many digits as there can be, and the rest is as
    /// over integers.
    fn decimal_result(self, kind: Decimal) -> Option<Type> {
        let of_integers = self.result(Some(Int64))?;
        Some(match of_integers {
            _ if self == Self::Sum => Type::Decimal(kind.widest()),
            Type::List(_) if self.law().keeps.gives_back() => Type::List(kind.kind()),
            Int64 if self.law().keeps.gives_back() => Type::Decimal(kind),
            other => other,
        })
    }
}

impl Keeps {
    /// What can be done with it.
    pub const fn algebra(self) -> Algebra {
        match self {
            Self::Count | Self::Sum | Self::Squares | Self::Buckets => Algebra::Subtractable,
            Self::Bins
            | Self::Least
            | Self::Greatest
            | Self::Distinct
            | Self::OldestCell
            | Self::NewestCell
            | Self::NewestTime
            | Self::OldestCells
            | Self::NewestCells
            | Self::NewestDifferent
            | Self::Frequencies => Algebra::Mergeable,
        }
    }

    /// Whether a cell is given back, so that a text must be kept as it is.
    pub const fn gives_back(self) -> bool {
        matches!(
            self,
            Self::Least
                | Self::Greatest
                | Self::OldestCell
                | Self::NewestCell
                | Self::OldestCells
                | Self::NewestCells
                | Self::NewestDifferent
                | Self::Frequencies
        )
    }

    /// What it is, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Count => "how many",
            Self::Sum => "how many, exact sum",
            Self::Squares => "how many, exact sum, exact sum of squares",
            Self::Bins => "how many cells in each bin",
            Self::Least => "least cell",
            Self::Greatest => "greatest cell",
            Self::Distinct => "newest time of each cell, one more than the bound",
            Self::OldestCell => "oldest cell, its time and position",
            Self::NewestCell => "newest cell, its time and position",
            Self::NewestTime => "newest time",
            Self::OldestCells => "oldest cells, their times and positions",
            Self::NewestCells => "newest cells, their times and positions",
            Self::NewestDifferent => "newest different cells, their times and positions",
            Self::Buckets => "how many between each two edges",
            Self::Frequencies => "each different cell and how often, up to the bound",
        }
    }
}

impl Law {
    /// Whether a feature has a condition of its own, its member `where`.
    pub const fn has_condition(&self) -> bool {
        matches!(self.aggregation, Aggregation::CountWhere)
    }

    /// The members that only its features have, besides those that all have.
    pub const fn own_members(&self) -> &'static [&'static str] {
        match self.aggregation {
            Aggregation::CountWhere => &["where"],
            Aggregation::Quantile => &["q_millionths", "accuracy_millionths", "bins"],
            Aggregation::FirstN | Aggregation::LastN | Aggregation::LastDistinctN | Aggregation::TopN => {
                &["n"]
            }
            Aggregation::Histogram => &["edges"],
            _ => &[],
        }
    }

    /// Whether a feature says how many items it has at most, its member `n`.
    pub const fn has_number(&self) -> bool {
        matches!(
            self.aggregation,
            Aggregation::FirstN | Aggregation::LastN | Aggregation::LastDistinctN | Aggregation::TopN
        )
    }

    /// Whether a feature has edges of its own, its member `edges`.
    pub const fn has_edges(&self) -> bool {
        matches!(self.aggregation, Aggregation::Histogram)
    }

    /// Whether a retraction can be folded: the event taken out as if it had never been.
    pub const fn can_retract(&self) -> bool {
        matches!(self.keeps.algebra(), Algebra::Subtractable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_aggregation_stands_at_its_own_place() {
        for (place, law) in LAWS.iter().enumerate() {
            assert_eq!(law.aggregation as usize, place, "{}", law.name);
            assert_eq!(Aggregation::from_name(law.name), Some(law.aggregation));
        }
    }

    #[test]
    fn no_input_stands_twice() {
        for law in &LAWS {
            for (place, (input, result)) in law.results.iter().enumerate() {
                assert!(law.results[..place].iter().all(|(other, _)| other != input));
                assert_eq!(law.aggregation.result(*input), Some(*result));
            }
        }
    }
}
