//! Expressions: pure functions of a row and a request time, with the same bits wherever they are evaluated.
//!
//! Steps: JSON (`ir`) → read nodes with their paths → types decided and functions chosen (`check`) → a tree of
//! operations (`eval`) → one cell per row. `functions` is the one table of what the language has, `kernels`
//! what each function does, `math` and `zone` the parts that the platform must not decide.
//! `docs/expressions.md` describes the language; `tests/spec/expressions` holds its cases.

mod cell;
mod check;
mod eval;
mod functions;
mod ir;
mod kernels;
pub mod math;
pub mod zone;

use std::collections::BTreeSet;

use serde_json::Value as Json;

pub use cell::Cell;
pub(crate) use eval::RowOf;
pub use eval::{Columns, Numbers, Row};
pub use functions::{FUNCTIONS, Function, NullRule};
pub use ir::{MAX_DEPTH, MAX_NODES};
pub use kernels::Overflow;

use crate::fault::Fault;
use crate::schema::Schema;
use crate::status::Status;
use crate::value::{Type, Value};

/// A compiled expression.
pub struct Expr {
    root: eval::Op,
    result_type: Type,
    columns: Vec<usize>,
    uses_request_time: bool,
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expr")
            .field("result_type", &self.result_type)
            .field("columns", &self.columns)
            .field("uses_request_time", &self.uses_request_time)
            .finish_non_exhaustive()
    }
}

impl Expr {
    /// Compiles an expression that reads columns of `schema`. All faults at once, each with its JSON path from
    /// the expression's root (`$`).
    pub fn compile(document: &Json, schema: &Schema) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let node = ir::parse(document, &mut faults);
        let mut checker = check::Checker {
            schema,
            faults,
            columns: BTreeSet::new(),
            uses_request_time: false,
        };
        let typed = checker.node(&node);
        if let Some(check::Typed { kind: None, .. }) = typed {
            checker.fault::<()>(
                "$",
                "UNTYPED_NULL",
                "the expression is always null and has no type; give the null one".into(),
            );
        }
        match typed {
            Some(check::Typed { op, kind: Some(kind) }) if checker.faults.is_empty() => Ok(Self {
                root: op,
                result_type: kind,
                columns: checker.columns.into_iter().collect(),
                uses_request_time: checker.uses_request_time,
            }),
            _ => Err(checker.faults),
        }
    }

    /// The type of every result that is not null.
    pub fn result_type(&self) -> Type {
        self.result_type
    }

    /// The places, in the schema, of the columns that are read; ascending.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Whether the result depends on the request time. A filter of events must not.
    pub fn uses_request_time(&self) -> bool {
        self.uses_request_time
    }

    /// The result for one row, borrowed: nothing is allocated.
    pub fn eval_cell<'a>(&'a self, row: impl Row<'a>, request_time: i64) -> Result<Cell<'a>, Overflow> {
        self.root.eval(row, request_time)
    }

    /// The result for one row at a request time (microseconds UTC). The status is given when the value alone
    /// does not tell it: null with [`Status::Overflow`].
    pub fn eval_row(&self, row: &[Value], request_time: i64) -> (Value, Option<Status>) {
        match self.eval_cell(row, request_time) {
            Ok(cell) => (cell.to_value(), None),
            Err(Overflow) => (Value::Null, Some(Status::Overflow)),
        }
    }

    /// Whether the result is true: what a filter asks. Null and overflow are not true.
    pub fn holds(&self, row: &[Value], request_time: i64) -> bool {
        self.eval_cell(row, request_time) == Ok(Cell::Bool(true))
    }

    /// The results for as many rows of `columns` as there are request times, each row at its own; by the same
    /// walk as for one row.
    pub fn eval_batch<'a, C: Columns + ?Sized>(
        &'a self,
        columns: &'a C,
        request_times: &[i64],
    ) -> Vec<Result<Cell<'a>, Overflow>> {
        let one = |(row, time): (usize, &i64)| self.root.eval(RowOf { columns, row }, *time);
        request_times.iter().enumerate().map(one).collect()
    }
}

#[cfg(test)]
mod tests;
