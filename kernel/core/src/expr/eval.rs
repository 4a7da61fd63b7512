//! The evaluator: one walk over a compiled tree, for one row and for a batch alike.
//!
//! Null and overflow are the two ways not to have a value. Null travels by each function's rule; an overflow in
//! anything that is evaluated ends the whole evaluation. What is evaluated does not depend on the host:
//! `and`, `or`, `case` and `coalesce` go from left to right and stop when they are decided, every other
//! function evaluates all its arguments.

use std::cmp::Ordering;

use super::cell::Cell;
use super::kernels::{Kernel, Overflow, Part};
use super::zone::Zone;
use crate::value::{Type, Value};

/// A row of cells, by place in the schema that the expression was compiled against.
pub trait Row<'a>: Copy {
    /// The cell at `place`; of the column's type, or null.
    fn cell(self, place: usize) -> Cell<'a>;
}

impl<'a> Row<'a> for &'a [Value] {
    fn cell(self, place: usize) -> Cell<'a> {
        self.get(place).map_or(Cell::Null, Cell::from)
    }
}

/// Columns of one length, by place in the schema that the expression was compiled against.
pub trait Columns {
    /// The cell of `row` at `place`; of the column's type, or null.
    fn cell(&self, row: usize, place: usize) -> Cell<'_>;

    /// All cells at `place` by row, if they lie together and none is null.
    fn numbers(&self, _place: usize) -> Option<Numbers<'_>> {
        None
    }
}

/// A column of numbers without nulls.
#[derive(Debug, Clone, Copy)]
pub enum Numbers<'a> {
    /// Of type int64.
    Ints(&'a [i64]),
    /// Of type float64.
    Floats(&'a [f64]),
}

/// One row of columns.
pub(crate) struct RowOf<'a, C: Columns + ?Sized> {
    pub(crate) columns: &'a C,
    pub(crate) row: usize,
}

impl<C: Columns + ?Sized> Clone for RowOf<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Columns + ?Sized> Copy for RowOf<'_, C> {}

impl<'a, C: Columns + ?Sized> Row<'a> for RowOf<'a, C> {
    fn cell(self, place: usize) -> Cell<'a> {
        self.columns.cell(self.row, place)
    }
}

/// One node of a compiled expression.
pub(super) enum Op {
    Column(usize),
    RequestTime,
    Constant(Value),
    Strict {
        kernel: Kernel,
        gives: Type,
        args: Box<[Op]>,
    },
    Local {
        part: Part,
        zone: Zone,
        instant: Box<Op>,
    },
    Extreme {
        wins: Ordering,
        args: Box<[Op]>,
    },
    Logic {
        decides: bool,
        args: Box<[Op]>,
    },
    IsNull(Box<Op>),
    Case {
        branches: Box<[(Op, Op)]>,
        otherwise: Box<Op>,
    },
    Coalesce(Box<[Op]>),
    NullIf(Box<(Op, Op)>),
}

impl Op {
    pub(super) fn eval<'a>(&'a self, row: impl Row<'a>, time: i64) -> Result<Cell<'a>, Overflow> {
        match self {
            Self::Column(place) => Ok(row.cell(*place).normalized()),
            Self::RequestTime => Ok(Cell::Timestamp(time)),
            Self::Constant(value) => Ok(Cell::from(value)),
            Self::Strict { kernel, gives, args } => {
                let mut cells = [Cell::Null; 4];
                let mut complete = true;
                for (cell, arg) in cells.iter_mut().zip(args) {
                    *cell = arg.eval(row, time)?;
                    complete &= !cell.is_null();
                }
                if complete {
                    kernel.run(&cells, *gives)
                } else {
                    Ok(Cell::Null)
                }
            }
            Self::Local { part, zone, instant } => part.run(instant.eval(row, time)?, zone),
            Self::Extreme { wins, args } => extreme(*wins, args, row, time),
            Self::Logic { decides, args } => {
                let mut unknown = false;
                for arg in args {
                    match arg.eval(row, time)? {
                        Cell::Bool(x) if x == *decides => return Ok(Cell::Bool(x)),
                        Cell::Bool(_) => {}
                        _ => unknown = true,
                    }
                }
                Ok(if unknown { Cell::Null } else { Cell::Bool(!decides) })
            }
            Self::IsNull(arg) => Ok(Cell::Bool(arg.eval(row, time)?.is_null())),
            Self::Case { branches, otherwise } => {
                for (condition, value) in branches {
                    if condition.eval(row, time)? == Cell::Bool(true) {
                        return value.eval(row, time);
                    }
                }
                otherwise.eval(row, time)
            }
            Self::Coalesce(args) => {
                for arg in args {
                    let cell = arg.eval(row, time)?;
                    if !cell.is_null() {
                        return Ok(cell);
                    }
                }
                Ok(Cell::Null)
            }
            Self::NullIf(pair) => {
                let first = pair.0.eval(row, time)?;
                let second = pair.1.eval(row, time)?;
                Ok(if first.order(second) == Some(Ordering::Equal) {
                    Cell::Null
                } else {
                    first
                })
            }
        }
    }
}

fn extreme<'a>(wins: Ordering, args: &'a [Op], row: impl Row<'a>, time: i64) -> Result<Cell<'a>, Overflow> {
    let mut best: Option<Cell<'a>> = None;
    let mut complete = true;
    for arg in args {
        let challenger = arg.eval(row, time)?;
        complete &= !challenger.is_null();
        if best.is_none_or(|best| challenger.order(best) == Some(wins)) {
            best = Some(challenger);
        }
    }
    Ok(if complete {
        best.unwrap_or(Cell::Null)
    } else {
        Cell::Null
    })
}
