//! The one table of functions: checking, evaluation, documentation and tests all read it.

use std::cmp::Ordering;

use super::kernels::{self, Kernel, Part};
use super::math;
use super::zone::LocalTime;
use crate::value::Type;
use crate::value::Type::{Bool, Float64, Int64, Timestamp};

/// What a function makes of nulls among its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullRule {
    /// Any null argument makes the result null.
    AnyNull,
    /// Three-valued logic: null is "unknown".
    Kleene,
    /// The function asks about null itself and its result is never null.
    NeverNull,
    /// A null condition does not hold; the chosen value may be null.
    Condition,
    /// Null only if every argument is null.
    AllNull,
    /// Null if the first argument is null; a null second argument changes nothing.
    FirstNull,
}

impl NullRule {
    /// The rule in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AnyNull => "NULL if any argument is NULL",
            Self::Kleene => {
                "NULL is unknown: it decides nothing, and the result is NULL if nothing else decides"
            }
            Self::NeverNull => "never NULL",
            Self::Condition => "a NULL condition does not hold; the chosen value may be NULL",
            Self::AllNull => "NULL only if every argument is NULL",
            Self::FirstNull => "NULL if the first argument is NULL; a NULL second argument changes nothing",
        }
    }
}

/// One accepted combination of argument types. An integer is accepted where a double is named.
pub(super) struct Overload {
    pub(super) takes: &'static [Type],
    pub(super) gives: Type,
    pub(super) kernel: Kernel,
}

/// How argument types decide the result type and what is run.
pub(super) enum Rule {
    Overloads(&'static [Overload]),
    /// Two arguments of one type or two numbers.
    Compare(fn(Ordering) -> bool),
    /// The boolean that decides at once: false for `and`, true for `or`.
    Logic(bool),
    IsNull,
    Case,
    Coalesce,
    NullIf,
    /// Which order of a challenger to the best so far makes it the new best.
    Extreme(Ordering),
    Local(Part),
    /// How many items a list has.
    Length,
    /// A list, and what may equal an item of it.
    Contains,
    /// A list and a place in it.
    Element,
}

/// One function of the language.
pub struct Function {
    /// Its name in the IR and in SQL.
    pub name: &'static str,
    /// The fewest arguments.
    pub least: usize,
    /// The most arguments; absent if there is no limit but the size of the expression.
    pub most: Option<usize>,
    /// What it makes of nulls.
    pub nulls: NullRule,
    /// When a result does not exist although no argument is null, or does not fit.
    pub errors: &'static str,
    /// The definition in a line.
    pub formula: &'static str,
    pub(super) rule: Rule,
}

impl Function {
    /// The function of this name, if there is one.
    pub fn named(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// Argument and result types, for people: `(int64, int64) -> int64; …`.
    pub fn types(&self) -> String {
        match &self.rule {
            Rule::Overloads(overloads) => {
                let one = |overload: &Overload| {
                    let takes: Vec<&str> = overload.takes.iter().map(|kind| kind.name()).collect();
                    format!("({}) -> {}", takes.join(", "), overload.gives)
                };
                overloads.iter().map(one).collect::<Vec<_>>().join("; ")
            }
            Rule::Compare(_) => "(V, V) -> bool".into(),
            Rule::Logic(_) => "(bool, bool, ...) -> bool".into(),
            Rule::IsNull => "(any) -> bool".into(),
            Rule::Case => "(bool, V, bool, V, ..., V) -> V".into(),
            Rule::NullIf => "(V, V) -> V of the first".into(),
            Rule::Coalesce | Rule::Extreme(_) => "(V, V, ...) -> V".into(),
            Rule::Local(part) => format!("(timestamp, zone name) -> {}", part.gives()),
            Rule::Length => "(list<V>) -> int64".into(),
            Rule::Contains => "(list<V>, V) -> bool".into(),
            Rule::Element => "(list<V>, int64) -> V".into(),
        }
    }
}

const fn overload(takes: &'static [Type], gives: Type, kernel: Kernel) -> Overload {
    Overload { takes, gives, kernel }
}

/// A row of the table with a fixed number of arguments that is null when one of them is.
const fn strict(
    name: &'static str,
    arity: usize,
    rule: Rule,
    errors: &'static str,
    formula: &'static str,
) -> Function {
    Function {
        name,
        least: arity,
        most: Some(arity),
        nulls: NullRule::AnyNull,
        errors,
        formula,
        rule,
    }
}

/// A row with any number of arguments from two on.
const fn variadic(name: &'static str, rule: Rule, nulls: NullRule, formula: &'static str) -> Function {
    Function {
        name,
        least: 2,
        most: None,
        nulls,
        errors: NONE,
        formula,
        rule,
    }
}

/// A row over doubles of one argument.
macro_rules! of_double {
    ($name:literal, $function:path, $errors:expr, $formula:literal) => {
        strict(
            $name,
            1,
            Rule::Overloads(&[overload(&[Float64], Float64, Kernel::Float1($function))]),
            $errors,
            $formula,
        )
    };
}

/// A row over two arguments compared.
macro_rules! comparison {
    ($name:literal, $function:path, $formula:literal) => {
        strict($name, 2, Rule::Compare($function), NONE, $formula)
    };
}

/// A row of parts of a local time.
macro_rules! local_part {
    ($name:literal, $part:expr, $formula:literal) => {
        strict($name, 2, Rule::Local($part), OUTSIDE_CALENDAR, $formula)
    };
}

const NONE: &str = "none";
const BEYOND: &str = "int64 or timestamp: OVERFLOW beyond 64 bits; float64: NULL if not finite";
const NOT_FINITE: &str = "NULL if not finite";
const DOMAIN: &str = "NULL outside the domain";
const ZERO_DIVISOR: &str = "NULL for a zero divisor";
const OUTSIDE_CALENDAR: &str = "OVERFLOW outside the years 1 to 9998 (UTC)";

/// Every function of the language.
pub static FUNCTIONS: &[Function] = &[
    strict(
        "add",
        2,
        Rule::Overloads(&[
            overload(&[Int64, Int64], Int64, Kernel::Integer2(kernels::add)),
            overload(&[Float64, Float64], Float64, Kernel::Float2(|a, b| a + b)),
            overload(&[Timestamp, Int64], Timestamp, Kernel::Integer2(kernels::add)),
            overload(&[Int64, Timestamp], Timestamp, Kernel::Integer2(kernels::add)),
        ]),
        BEYOND,
        "a + b; a duration is an int64 of microseconds",
    ),
    strict(
        "sub",
        2,
        Rule::Overloads(&[
            overload(&[Int64, Int64], Int64, Kernel::Integer2(kernels::sub)),
            overload(&[Float64, Float64], Float64, Kernel::Float2(|a, b| a - b)),
            overload(&[Timestamp, Timestamp], Int64, Kernel::Integer2(kernels::sub)),
            overload(&[Timestamp, Int64], Timestamp, Kernel::Integer2(kernels::sub)),
        ]),
        BEYOND,
        "a - b; a duration is an int64 of microseconds",
    ),
    strict(
        "mul",
        2,
        Rule::Overloads(&[
            overload(&[Int64, Int64], Int64, Kernel::Integer2(kernels::mul)),
            overload(&[Float64, Float64], Float64, Kernel::Float2(|a, b| a * b)),
        ]),
        BEYOND,
        "a * b",
    ),
    strict(
        "div",
        2,
        Rule::Overloads(&[overload(
            &[Float64, Float64],
            Float64,
            Kernel::Float2(|a, b| a / b),
        )]),
        "NULL for a zero divisor and if not finite",
        "a / b of the arguments as float64",
    ),
    strict(
        "mod",
        2,
        Rule::Overloads(&[overload(
            &[Int64, Int64],
            Int64,
            Kernel::Integer2(kernels::modulo),
        )]),
        ZERO_DIVISOR,
        "the r with a = q*b + r, q an integer, 0 <= r < |b|",
    ),
    strict(
        "neg",
        1,
        Rule::Overloads(&[
            overload(&[Int64], Int64, Kernel::Integer1(kernels::neg)),
            overload(&[Float64], Float64, Kernel::Float1(|a| -a)),
        ]),
        "int64: OVERFLOW for -2^63",
        "-x",
    ),
    strict(
        "abs",
        1,
        Rule::Overloads(&[
            overload(&[Int64], Int64, Kernel::Integer1(kernels::abs)),
            overload(&[Float64], Float64, Kernel::Float1(f64::abs)),
        ]),
        "int64: OVERFLOW for -2^63",
        "x if x >= 0, else -x",
    ),
    comparison!(
        "eq",
        Ordering::is_eq,
        "a = b; an int64 and a float64 by exact value, strings by UTF-8 bytes, lists item by item"
    ),
    comparison!("ne", Ordering::is_ne, "a <> b, compared as by eq"),
    comparison!("lt", Ordering::is_lt, "a < b, compared as by eq; false < true"),
    comparison!("le", Ordering::is_le, "a <= b, compared as by eq; false < true"),
    comparison!("gt", Ordering::is_gt, "a > b, compared as by eq; false < true"),
    comparison!("ge", Ordering::is_ge, "a >= b, compared as by eq; false < true"),
    variadic(
        "and",
        Rule::Logic(false),
        NullRule::Kleene,
        "false if an argument is false; from left to right, stops at the first false",
    ),
    variadic(
        "or",
        Rule::Logic(true),
        NullRule::Kleene,
        "true if an argument is true; from left to right, stops at the first true",
    ),
    strict(
        "not",
        1,
        Rule::Overloads(&[overload(&[Bool], Bool, Kernel::Not)]),
        NONE,
        "true for false, false for true",
    ),
    Function {
        name: "is_null",
        least: 1,
        most: Some(1),
        nulls: NullRule::NeverNull,
        errors: NONE,
        formula: "whether x is NULL",
        rule: Rule::IsNull,
    },
    Function {
        name: "case",
        least: 3,
        most: None,
        nulls: NullRule::Condition,
        errors: NONE,
        formula: "the value after the first condition that is true, else the last argument; no other value is evaluated",
        rule: Rule::Case,
    },
    variadic(
        "coalesce",
        Rule::Coalesce,
        NullRule::AllNull,
        "the first argument that is not NULL; those after it are not evaluated",
    ),
    Function {
        name: "nullif",
        least: 2,
        most: Some(2),
        nulls: NullRule::FirstNull,
        errors: NONE,
        formula: "NULL if a = b, else a",
        rule: Rule::NullIf,
    },
    strict(
        "clip",
        3,
        Rule::Overloads(&[
            overload(&[Int64, Int64, Int64], Int64, Kernel::Integer3(kernels::clip)),
            overload(
                &[Float64, Float64, Float64],
                Float64,
                Kernel::Float3(kernels::clip_float),
            ),
        ]),
        NONE,
        "least(greatest(x, low), high)",
    ),
    variadic(
        "least",
        Rule::Extreme(Ordering::Less),
        NullRule::AnyNull,
        "the smallest argument",
    ),
    variadic(
        "greatest",
        Rule::Extreme(Ordering::Greater),
        NullRule::AnyNull,
        "the largest argument",
    ),
    of_double!("sqrt", math::sqrt, DOMAIN, "IEEE 754 square root"),
    of_double!("ln", math::ln, DOMAIN, "libm log"),
    of_double!("exp", math::exp, NOT_FINITE, "libm exp"),
    of_double!("sin", math::sin, NONE, "libm sin of radians"),
    of_double!("cos", math::cos, NONE, "libm cos of radians"),
    of_double!("tan", math::tan, NONE, "libm tan of radians"),
    of_double!("asin", math::asin, DOMAIN, "libm asin, radians"),
    of_double!("acos", math::acos, DOMAIN, "libm acos, radians"),
    of_double!("atan", math::atan, NONE, "libm atan, radians"),
    strict(
        "atan2",
        2,
        Rule::Overloads(&[overload(
            &[Float64, Float64],
            Float64,
            Kernel::Float2(math::atan2),
        )]),
        NONE,
        "libm atan2(y, x), radians",
    ),
    strict(
        "pow",
        2,
        Rule::Overloads(&[overload(&[Float64, Float64], Float64, Kernel::Float2(math::pow))]),
        NOT_FINITE,
        "libm pow(x, y)",
    ),
    strict(
        "haversine_km",
        4,
        Rule::Overloads(&[overload(
            &[Float64, Float64, Float64, Float64],
            Float64,
            Kernel::Float4(math::haversine_km),
        )]),
        "NULL for a latitude beyond 90 degrees",
        "2 R asin(sqrt(min(1, sin²(Δlat/2) + cos lat1 cos lat2 sin²(Δlon/2)))), R = 6371.0088; (lat1, lon1, lat2, lon2) in degrees",
    ),
    local_part!(
        "hour",
        Part::Number(LocalTime::hour),
        "0 to 23 on the zone's clock"
    ),
    local_part!(
        "minute",
        Part::Number(LocalTime::minute),
        "0 to 59 on the zone's clock"
    ),
    local_part!(
        "weekday",
        Part::Number(LocalTime::weekday),
        "1 (Monday) to 7 (Sunday) in the zone"
    ),
    local_part!(
        "day",
        Part::Number(LocalTime::day),
        "1 to 31, day of the month in the zone"
    ),
    local_part!("month", Part::Number(LocalTime::month), "1 to 12 in the zone"),
    local_part!(
        "year",
        Part::Number(LocalTime::year),
        "proleptic Gregorian year in the zone"
    ),
    local_part!(
        "is_weekend",
        Part::IsWeekend,
        "whether it is Saturday or Sunday in the zone"
    ),
    strict(
        "to_float",
        1,
        Rule::Overloads(&[
            overload(&[Float64], Float64, Kernel::ToFloat),
            overload(&[Bool], Float64, Kernel::ToFloat),
        ]),
        NONE,
        "the nearest float64, ties to even; false 0, true 1",
    ),
    strict(
        "to_int",
        1,
        Rule::Overloads(&[
            overload(&[Int64], Int64, Kernel::ToInteger),
            overload(&[Float64], Int64, Kernel::ToInteger),
            overload(&[Bool], Int64, Kernel::ToInteger),
        ]),
        "OVERFLOW beyond 64 bits",
        "the integer part, towards zero; false 0, true 1",
    ),
    strict("length", 1, Rule::Length, NONE, "how many items the list has"),
    strict(
        "contains",
        2,
        Rule::Contains,
        NONE,
        "whether an item of the list equals x, compared as by eq",
    ),
    strict(
        "element",
        2,
        Rule::Element,
        "NULL for a place where the list has no item",
        "the item at a place, counted from 1",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_overloads_have_the_declared_arity() {
        for (index, function) in FUNCTIONS.iter().enumerate() {
            assert!(
                FUNCTIONS[..index].iter().all(|other| other.name != function.name),
                "{}",
                function.name
            );
            if let Rule::Overloads(overloads) = &function.rule {
                for overload in *overloads {
                    assert_eq!(function.least, overload.takes.len(), "{}", function.name);
                    assert_eq!(function.most, Some(overload.takes.len()), "{}", function.name);
                    assert!(
                        overload.takes.len() <= 4,
                        "{}: kernels take up to four arguments",
                        function.name
                    );
                }
            }
        }
    }
}
