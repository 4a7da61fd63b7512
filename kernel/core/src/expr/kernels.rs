//! What each strict function does with arguments that are all there.
//!
//! A kernel is chosen once, when an expression is compiled; a row then runs it without asking for types.

use std::cmp::Ordering;

use super::cell::{Cell, TWO_63};
use super::zone::{LocalTime, Zone};
use crate::value::Type;

/// The exact result does not fit its type. It ends the evaluation of the whole expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

/// What a kernel over integers answers: a number, null, or an overflow.
pub(super) type Exact = Result<Option<i64>, Overflow>;

/// One strict function over arguments of known types.
#[derive(Clone, Copy)]
pub(super) enum Kernel {
    Float1(fn(f64) -> f64),
    Float2(fn(f64, f64) -> f64),
    Float3(fn(f64, f64, f64) -> f64),
    Float4(fn(f64, f64, f64, f64) -> f64),
    Integer1(fn(i64) -> Exact),
    Integer2(fn(i64, i64) -> Exact),
    Integer3(fn(i64, i64, i64) -> Exact),
    Compare(fn(Ordering) -> bool),
    Not,
    ToFloat,
    ToInteger,
    Length,
    Contains,
    Element,
}

impl Kernel {
    /// Runs over cells none of which is null. `gives` is the type of the result.
    #[allow(clippy::many_single_char_names)] // the letters of the formulas
    pub(super) fn run<'a>(self, cells: &[Cell<'a>; 4], gives: Type) -> Result<Cell<'a>, Overflow> {
        let [a, b, c, d] = *cells;
        Ok(match self {
            Self::Float1(f) => a.float().map_or(Cell::Null, |a| Cell::from_float(f(a))),
            Self::Float2(f) => match (a.float(), b.float()) {
                (Some(a), Some(b)) => Cell::from_float(f(a, b)),
                _ => Cell::Null,
            },
            Self::Float3(f) => match (a.float(), b.float(), c.float()) {
                (Some(a), Some(b), Some(c)) => Cell::from_float(f(a, b, c)),
                _ => Cell::Null,
            },
            Self::Float4(f) => match (a.float(), b.float(), c.float(), d.float()) {
                (Some(a), Some(b), Some(c), Some(d)) => Cell::from_float(f(a, b, c, d)),
                _ => Cell::Null,
            },
            Self::Integer1(f) => match a.integer() {
                Some(a) => integer_cell(f(a)?, gives),
                None => Cell::Null,
            },
            Self::Integer2(f) => match (a.integer(), b.integer()) {
                (Some(a), Some(b)) => integer_cell(f(a, b)?, gives),
                _ => Cell::Null,
            },
            Self::Integer3(f) => match (a.integer(), b.integer(), c.integer()) {
                (Some(a), Some(b), Some(c)) => integer_cell(f(a, b, c)?, gives),
                _ => Cell::Null,
            },
            Self::Compare(f) => a.order(b).map_or(Cell::Null, |order| Cell::Bool(f(order))),
            Self::Not => match a {
                Cell::Bool(a) => Cell::Bool(!a),
                _ => Cell::Null,
            },
            Self::ToFloat => match a {
                Cell::Bool(a) => Cell::Float(f64::from(u8::from(a))),
                a => a.float().map_or(Cell::Null, Cell::Float),
            },
            Self::ToInteger => match a {
                Cell::Bool(a) => Cell::Int(i64::from(a)),
                Cell::Float(a) => Cell::Int(truncate(a)?),
                a => a,
            },
            Self::Length => match a {
                Cell::List(_, items) => i64::try_from(items.len()).map_or(Cell::Null, Cell::Int),
                _ => Cell::Null,
            },
            Self::Contains => match a {
                Cell::List(_, items) => {
                    let mut cells = items.iter().map(Cell::from);
                    Cell::Bool(cells.any(|item| item.order(b) == Some(Ordering::Equal)))
                }
                _ => Cell::Null,
            },
            Self::Element => match (a, b) {
                (Cell::List(_, items), Cell::Int(place)) => {
                    let place = place.checked_sub(1).and_then(|place| usize::try_from(place).ok());
                    place
                        .and_then(|place| items.get(place))
                        .map_or(Cell::Null, |item| Cell::from(item).normalized())
                }
                _ => Cell::Null,
            },
        })
    }
}

fn integer_cell<'a>(result: Option<i64>, gives: Type) -> Cell<'a> {
    match (result, gives) {
        (None, _) => Cell::Null,
        (Some(x), Type::Timestamp) => Cell::Timestamp(x),
        (Some(x), _) => Cell::Int(x),
    }
}

fn truncate(x: f64) -> Result<i64, Overflow> {
    let whole = x.trunc();
    if (-TWO_63..TWO_63).contains(&whole) {
        // Exact: an integer in range.
        #[allow(clippy::cast_possible_truncation)]
        Ok(whole as i64)
    } else {
        Err(Overflow)
    }
}

pub(super) fn add(a: i64, b: i64) -> Exact {
    a.checked_add(b).map(Some).ok_or(Overflow)
}

pub(super) fn sub(a: i64, b: i64) -> Exact {
    a.checked_sub(b).map(Some).ok_or(Overflow)
}

pub(super) fn mul(a: i64, b: i64) -> Exact {
    a.checked_mul(b).map(Some).ok_or(Overflow)
}

pub(super) fn neg(a: i64) -> Exact {
    a.checked_neg().map(Some).ok_or(Overflow)
}

pub(super) fn abs(a: i64) -> Exact {
    a.checked_abs().map(Some).ok_or(Overflow)
}

/// The remainder that is never negative; null for a zero divisor.
// A kernel's signature: this one cannot overflow (the least integer modulo −1 is 0).
#[allow(clippy::unnecessary_wraps)]
pub(super) fn modulo(a: i64, b: i64) -> Exact {
    Ok((b != 0).then(|| a.wrapping_rem_euclid(b)))
}

#[allow(clippy::unnecessary_wraps)] // a kernel's signature
pub(super) fn clip(x: i64, low: i64, high: i64) -> Exact {
    Ok(Some(x.max(low).min(high)))
}

pub(super) fn clip_float(x: f64, low: f64, high: f64) -> f64 {
    let raised = if x < low { low } else { x };
    if raised > high { high } else { raised }
}

/// A part of a local time.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Number(fn(LocalTime) -> i64),
    IsWeekend,
}

impl Part {
    pub(super) fn gives(self) -> Type {
        match self {
            Self::Number(_) => Type::Int64,
            Self::IsWeekend => Type::Bool,
        }
    }

    pub(super) fn run<'a>(self, instant: Cell<'a>, zone: &Zone) -> Result<Cell<'a>, Overflow> {
        let Some(instant) = instant.integer() else {
            return Ok(Cell::Null);
        };
        let local = zone.local(instant).ok_or(Overflow)?;
        Ok(match self {
            Self::Number(part) => Cell::Int(part(local)),
            Self::IsWeekend => Cell::Bool(local.weekday() >= 6),
        })
    }
}
