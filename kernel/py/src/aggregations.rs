//! The table of the aggregations for Python: what definitions, documentation and tests read.

use pyo3::prelude::*;
use skewless_core::definition::{Algebra, Empty, LAWS, Law, Limit};
use skewless_core::status::Status;
use skewless_core::value::Type;

/// What is true of an aggregation.
#[pyclass(frozen, module = "skewless_kernel")]
struct Aggregation(&'static Law);

#[pymethods]
impl Aggregation {
    /// The name in definitions.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name
    }

    /// The clauses that define it.
    #[getter]
    fn clause(&self) -> &'static str {
        self.0.clause
    }

    /// The type of the result by the type of the column, decimals aside; the key None: without a column.
    #[getter]
    fn results(&self) -> Vec<(Option<&'static str>, &'static str)> {
        let results = self.0.results.iter();
        results
            .map(|(input, result)| (input.map(Type::name), result.name()))
            .collect()
    }

    /// The type of the result over a column of this type; absent if it takes no such column.
    fn result(&self, column: &str) -> Option<&'static str> {
        let result = self.0.aggregation.result(Some(Type::from_name(column)?))?;
        Some(result.name())
    }

    /// What columns it takes, for people.
    #[getter]
    fn takes(&self) -> &'static str {
        self.0.takes
    }

    /// What is kept of the events, for people.
    #[getter]
    fn keeps(&self) -> &'static str {
        self.0.keeps.words()
    }

    /// Whether a feature has a condition of its own, its member `where`.
    #[getter]
    fn has_condition(&self) -> bool {
        self.0.has_condition()
    }

    /// Whether an event can be taken out again; every aggregation merges.
    #[getter]
    fn subtractable(&self) -> bool {
        self.0.keeps.algebra() == Algebra::Subtractable
    }

    /// Whether a feature says how many items it has at most, its member `n`.
    #[getter]
    fn has_number(&self) -> bool {
        self.0.has_number()
    }

    /// Whether a feature has edges of its own, its member `edges`.
    #[getter]
    fn has_edges(&self) -> bool {
        self.0.has_edges()
    }

    /// What it is over nothing, for people.
    #[getter]
    fn over_nothing(&self) -> &'static str {
        match self.0.empty {
            Empty::Zero => "0",
            Empty::Null => "null",
            Empty::NoItems => "an empty list",
            Empty::Zeros => "a list of zeros",
        }
    }

    /// The status, if any, that says that there is no value although there are events.
    #[getter]
    fn limit_status(&self) -> Option<u8> {
        match self.0.limit {
            Limit::None => None,
            Limit::Int64 => Some(Status::Overflow.code()),
            Limit::Bound { .. } => Some(Status::OverBound.code()),
        }
    }

    /// The bound that is declared unless the user does, and the greatest one; None without bound.
    #[getter]
    fn bounds(&self) -> Option<(i64, i64)> {
        match self.0.limit {
            Limit::Bound { default, greatest } => Some((default, greatest)),
            Limit::None | Limit::Int64 => None,
        }
    }

    fn __repr__(&self) -> String {
        format!("<Aggregation {}>", self.0.name)
    }
}

/// Every aggregation, in a fixed order.
#[pyfunction]
fn aggregations() -> Vec<Aggregation> {
    LAWS.iter().map(Aggregation).collect()
}

/// Adds the class and the function.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Aggregation>()?;
    module.add_function(wrap_pyfunction!(aggregations, module)?)
}
