//! From the read form to the compiled tree: every column, type and argument is decided here, once.
//!
//! All faults are told at once; a node below which something is wrong is not judged a second time.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::eval::Op;
use super::functions::{Function, NullRule, Overload, Rule};
use super::ir::{Form, Node};
use super::kernels::{Kernel, Part};
use super::zone::{Zone, tzdata_version};
use crate::fault::Fault;
use crate::schema::Schema;
use crate::value::{Type, Value};

/// A compiled node and its type; the type is absent for a null that has none.
pub(super) struct Typed {
    pub(super) op: Op,
    pub(super) kind: Option<Type>,
}

impl Typed {
    #[allow(clippy::unnecessary_wraps)] // the shape of every rule's answer
    fn new(op: Op, kind: Type) -> Option<Self> {
        Some(Self { op, kind: Some(kind) })
    }

    fn is_list(&self) -> bool {
        self.kind.is_some_and(|kind| !kind.is_scalar())
    }

    fn type_name(&self) -> &'static str {
        self.kind.map_or("null", Type::name)
    }
}

/// Compiles nodes against a schema and gathers what is wrong.
pub(super) struct Checker<'s> {
    pub(super) schema: &'s Schema,
    pub(super) faults: Vec<Fault>,
    /// Places of the columns that are read.
    pub(super) columns: BTreeSet<usize>,
    pub(super) uses_request_time: bool,
}

impl Checker<'_> {
    /// Compiles a node; absent if it or anything below it is at fault.
    pub(super) fn node(&mut self, node: &Node) -> Option<Typed> {
        match &node.form {
            Form::Faulty => None,
            Form::Column(name) => self.column(&node.path, name),
            Form::RequestTime => {
                self.uses_request_time = true;
                Typed::new(Op::RequestTime, Type::Timestamp)
            }
            Form::Literal(kind, value) => Some(Typed {
                op: Op::Constant(value.clone()),
                kind: *kind,
            }),
            Form::Call(function, args) => self.call(&node.path, function, args),
        }
    }

    fn column(&mut self, path: &str, name: &str) -> Option<Typed> {
        let Some((place, column)) = self.schema.place(name).zip(self.schema.get(name)) else {
            let known: Vec<&str> = self
                .schema
                .columns()
                .iter()
                .map(|column| column.name.as_str())
                .collect();
            return self.fault(
                &format!("{path}.name"),
                "UNKNOWN_COLUMN",
                format!("no column {name:?}; there are {}", known.join(", ")),
            );
        };
        self.columns.insert(place);
        if let Type::Decimal(_) | Type::List(Type::Decimal(_)) = column.kind {
            let message = format!(
                "{name:?} is {}; expressions do not read decimals yet",
                column.kind
            );
            return self.fault(&format!("{path}.name"), "UNSUPPORTED_TYPE", message);
        }
        Typed::new(Op::Column(place), column.kind)
    }

    fn call(&mut self, path: &str, function: &Function, args: &[Node]) -> Option<Typed> {
        if let Rule::Local(part) = &function.rule {
            return self.local(path, function, *part, args);
        }
        // Every argument is compiled before any verdict, so that all faults are found.
        let typed: Vec<Option<Typed>> = args.iter().map(|arg| self.node(arg)).collect();
        let typed: Vec<Typed> = typed.into_iter().collect::<Option<_>>()?;
        match &function.rule {
            Rule::Overloads(overloads) => self.overloaded(path, function, overloads, typed),
            Rule::Compare(holds) => {
                // What tells less from greater asks for an order, which lists do not have.
                let orders = holds(Ordering::Less) != holds(Ordering::Greater);
                if !comparable(&typed) || orders && typed.iter().any(Typed::is_list) {
                    return self.wrong_types(path, function, &typed);
                }
                strict(Kernel::Compare(*holds), Type::Bool, typed)
            }
            Rule::Logic(decides) => {
                if typed.iter().any(|arg| arg.kind != Some(Type::Bool)) {
                    return self.wrong_types(path, function, &typed);
                }
                let args = ops(typed);
                Typed::new(
                    Op::Logic {
                        decides: *decides,
                        args,
                    },
                    Type::Bool,
                )
            }
            Rule::IsNull => {
                let arg = typed.into_iter().next()?;
                Typed::new(Op::IsNull(Box::new(arg.op)), Type::Bool)
            }
            Rule::Case => self.case(path, function, typed),
            Rule::Coalesce => {
                let Some(kind) = common_type(typed.iter()) else {
                    return self.wrong_types(path, function, &typed);
                };
                let args = typed.into_iter().map(|arg| widened(arg, kind)).collect();
                typed_as(Op::Coalesce(args), kind)
            }
            Rule::NullIf => {
                if !comparable(&typed) {
                    return self.wrong_types(path, function, &typed);
                }
                let mut pair = typed.into_iter();
                let (first, second) = pair.next().zip(pair.next())?;
                typed_as(Op::NullIf(Box::new((first.op, second.op))), first.kind)
            }
            Rule::Extreme(wins) => match common_type(typed.iter()) {
                Some(Some(kind)) if kind.is_scalar() && typed.iter().all(|arg| arg.kind.is_some()) => {
                    let args = typed.into_iter().map(|arg| widened(arg, Some(kind))).collect();
                    Typed::new(Op::Extreme { wins: *wins, args }, kind)
                }
                _ => self.wrong_types(path, function, &typed),
            },
            Rule::Length | Rule::Contains | Rule::Element => self.of_list(path, function, typed),
            Rule::Local(_) => None,
        }
    }

    /// A function of a list.
    fn of_list(&mut self, path: &str, function: &Function, typed: Vec<Typed>) -> Option<Typed> {
        let element = typed[0].kind.and_then(Type::element).copied();
        let second = typed.get(1).and_then(|arg| arg.kind);
        let found = match (&function.rule, element) {
            (Rule::Length, Some(_)) => Some((Kernel::Length, Type::Int64)),
            (Rule::Contains, Some(element)) if second.is_some_and(|own| agree(element, own)) => {
                Some((Kernel::Contains, Type::Bool))
            }
            (Rule::Element, Some(element)) if second == Some(Type::Int64) => Some((Kernel::Element, element)),
            _ => None,
        };
        match found {
            Some((kernel, gives)) => strict(kernel, gives, typed),
            None => self.wrong_types(path, function, &typed),
        }
    }

    fn overloaded(
        &mut self,
        path: &str,
        function: &Function,
        overloads: &[Overload],
        typed: Vec<Typed>,
    ) -> Option<Typed> {
        let exact = |overload: &&Overload| {
            overload
                .takes
                .iter()
                .zip(&typed)
                .all(|(wanted, arg)| arg.kind == Some(*wanted))
        };
        let wider = |overload: &&Overload| {
            overload
                .takes
                .iter()
                .zip(&typed)
                .all(|(wanted, arg)| arg.kind.is_some_and(|own| accepts(*wanted, own)))
        };
        let found = overloads
            .iter()
            .find(exact)
            .or_else(|| overloads.iter().find(wider));
        match found {
            Some(overload) => strict(overload.kernel, overload.gives, typed),
            None => self.wrong_types(path, function, &typed),
        }
    }

    fn case(&mut self, path: &str, function: &Function, typed: Vec<Typed>) -> Option<Typed> {
        if typed.len() % 2 == 0 {
            return self.fault(
                &format!("{path}.args"),
                "WRONG_ARGUMENT_COUNT",
                "case takes pairs of a condition and a value, and a last value for \"else\": an odd number"
                    .into(),
            );
        }
        let conditions_hold = typed[..typed.len() - 1]
            .iter()
            .step_by(2)
            .all(|condition| condition.kind == Some(Type::Bool));
        let values = typed.iter().skip(1).step_by(2).chain(typed.last());
        let (true, Some(kind)) = (conditions_hold, common_type(values)) else {
            return self.wrong_types(path, function, &typed);
        };
        let mut args = typed.into_iter();
        let mut branches = Vec::new();
        let otherwise = loop {
            let head = args.next()?;
            match args.next() {
                Some(value) => branches.push((head.op, widened(value, kind))),
                None => break widened(head, kind),
            }
        };
        let op = Op::Case {
            branches: branches.into(),
            otherwise: Box::new(otherwise),
        };
        typed_as(op, kind)
    }

    fn local(&mut self, path: &str, function: &Function, part: Part, args: &[Node]) -> Option<Typed> {
        let [instant, zone] = args else { return None };
        let zone_name = match &zone.form {
            Form::Literal(_, Value::String(name)) => Some(name),
            Form::Faulty => None,
            _ => {
                let message = format!(
                    "the zone of {} must be a string literal such as 'America/New_York'",
                    function.name
                );
                self.fault::<()>(&zone.path, "WRONG_TYPE", message);
                None
            }
        };
        let zone = zone_name.and_then(|name| {
            let found = Zone::named(name);
            if found.is_none() {
                let message = format!(
                    "no time zone {name:?} in the bundled data ({}); write an IANA name in its own spelling, such \
                     as America/New_York or UTC",
                    tzdata_version()
                );
                self.fault::<()>(&zone.path, "UNKNOWN_ZONE", message);
            }
            found
        });
        let instant = self.node(instant)?;
        if instant.kind != Some(Type::Timestamp) {
            let message = format!(
                "{} takes {}, not a {} first",
                function.name,
                function.types(),
                instant.type_name()
            );
            return self.fault(&format!("{path}.args[0]"), "WRONG_TYPE", message);
        }
        let op = Op::Local {
            part,
            zone: zone?,
            instant: Box::new(instant.op),
        };
        Typed::new(op, part.gives())
    }

    fn wrong_types(&mut self, path: &str, function: &Function, typed: &[Typed]) -> Option<Typed> {
        let given: Vec<&str> = typed.iter().map(Typed::type_name).collect();
        let mut message = format!(
            "{} takes {}, not ({})",
            function.name,
            function.types(),
            given.join(", ")
        );
        if typed.iter().any(|arg| arg.kind.is_none()) {
            message.push_str(match function.nulls {
                NullRule::AnyNull => "; test for null with is_null, or give the null a type",
                _ => "; give the null a type",
            });
        }
        self.fault(path, "WRONG_TYPE", message)
    }

    /// Adds a fault. Answers "absent", of whatever type the caller gives up.
    pub(super) fn fault<T>(&mut self, path: &str, reason: &'static str, message: String) -> Option<T> {
        self.faults.push(Fault::new(path, reason, message));
        None
    }
}

/// Whether an argument of type `own` may stand where `wanted` is named.
fn accepts(wanted: Type, own: Type) -> bool {
    wanted == own || (wanted == Type::Float64 && own == Type::Int64)
}

/// Whether cells of the two types can be equal: they are one type, or numbers.
fn agree(a: Type, b: Type) -> bool {
    a == b || a.is_numeric() && b.is_numeric()
}

/// Whether all arguments are of one type, or numbers.
fn comparable(typed: &[Typed]) -> bool {
    typed.iter().all(|arg| arg.kind.is_some()) && common_type(typed.iter()).is_some()
}

/// The type in which all values fit: absent if there is none, `Some(None)` if every value is an untyped null.
// Two questions, two options: "do they agree" and "on which type, if any has one".
#[allow(clippy::option_option)]
fn common_type<'t>(mut typed: impl Iterator<Item = &'t Typed>) -> Option<Option<Type>> {
    typed.try_fold(None, |common, arg| match (common, arg.kind) {
        (None, kind) | (kind, None) => Some(kind),
        (Some(a), Some(b)) if a == b => Some(Some(a)),
        (Some(a), Some(b)) if a.is_numeric() && b.is_numeric() => Some(Some(Type::Float64)),
        _ => None,
    })
}

/// The value in its neighbours' type: an integer among doubles becomes a double.
fn widened(typed: Typed, kind: Option<Type>) -> Op {
    if kind == Some(Type::Float64) && typed.kind == Some(Type::Int64) {
        Op::Strict {
            kernel: Kernel::ToFloat,
            gives: Type::Float64,
            args: Box::new([typed.op]),
        }
    } else {
        typed.op
    }
}

// The shape of every rule's answer.
#[allow(clippy::unnecessary_wraps)]
fn typed_as(op: Op, kind: Option<Type>) -> Option<Typed> {
    Some(Typed { op, kind })
}

fn strict(kernel: Kernel, gives: Type, typed: Vec<Typed>) -> Option<Typed> {
    let args = ops(typed);
    Typed::new(Op::Strict { kernel, gives, args }, gives)
}

fn ops(typed: Vec<Typed>) -> Box<[Op]> {
    typed.into_iter().map(|arg| arg.op).collect()
}
