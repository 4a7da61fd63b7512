//! Reading the JSON form of an expression.
//!
//! The form: `{"op":"col","name"}`, `{"op":"request_time"}`, `{"op":"lit","type","value"}` and
//! `{"op":"call","fn","args"}`. Every key must be there and no other. Integers and timestamps are decimal
//! strings (JSON numbers lose digits in other languages), doubles are JSON numbers, a null literal keeps its
//! type; a literal of type `null` takes the type of its neighbours in `case` and `coalesce`.

use serde_json::{Map, Value as Json};

use super::functions::{FUNCTIONS, Function};
use crate::fault::Fault;
use crate::value::{Type, Value};

/// The deepest nesting of calls. JSON nests two levels per call, and parsers of JSON stop at 128 levels: this
/// leaves room for the definition around the expression.
pub const MAX_DEPTH: usize = 60;
/// The most nodes (calls, columns, literals) of one expression.
pub const MAX_NODES: usize = 2000;
/// The most bytes of a string literal or a column's name.
pub(super) const MAX_TEXT: usize = 4096;

/// A node with the place it was read from.
pub(super) struct Node {
    pub(super) path: String,
    pub(super) form: Form,
}

/// What a node says.
pub(super) enum Form {
    Column(String),
    RequestTime,
    /// The type is absent for the null that has none of its own.
    Literal(Option<Type>, Value),
    Call(&'static Function, Vec<Node>),
    /// Could not be read; a fault says why.
    Faulty,
}

/// Reads a document; faults are added, in the order of reading.
pub(super) fn parse(document: &Json, faults: &mut Vec<Fault>) -> Node {
    let mut reader = Reader {
        faults,
        nodes: 0,
        stopped: false,
    };
    reader.node(document, "$".into(), 1)
}

struct Reader<'f> {
    faults: &'f mut Vec<Fault>,
    nodes: usize,
    /// A limit was passed: it is reported once and nothing more is read.
    stopped: bool,
}

impl Reader<'_> {
    fn node(&mut self, json: &Json, path: String, depth: usize) -> Node {
        let form = self.form(json, &path, depth).unwrap_or(Form::Faulty);
        Node { path, form }
    }

    fn form(&mut self, json: &Json, path: &str, depth: usize) -> Option<Form> {
        if self.stopped {
            return None;
        }
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            self.stopped = true;
            let (reason, message) = if depth > MAX_DEPTH {
                (
                    "EXPRESSION_TOO_DEEP",
                    format!("calls nest more than {MAX_DEPTH} deep; split the feature in two"),
                )
            } else {
                (
                    "EXPRESSION_TOO_LARGE",
                    format!("more than {MAX_NODES} nodes; split the feature in two"),
                )
            };
            return self.fault(path, reason, message);
        }
        let Some(object) = json.as_object() else {
            return self.fault(
                path,
                "MALFORMED_EXPRESSION",
                "a node must be an object with a key \"op\"".into(),
            );
        };
        match object.get("op").and_then(Json::as_str) {
            Some("col") => self.column(object, path),
            Some("request_time") => self.keys(object, path, &["op"]).map(|()| Form::RequestTime),
            Some("lit") => self.literal(object, path),
            Some("call") => self.call(object, path, depth),
            _ => self.fault(
                path,
                "MALFORMED_EXPRESSION",
                "\"op\" must be \"col\", \"request_time\", \"lit\" or \"call\"".into(),
            ),
        }
    }

    fn column(&mut self, object: &Map<String, Json>, path: &str) -> Option<Form> {
        self.keys(object, path, &["op", "name"])?;
        match object.get("name").and_then(Json::as_str) {
            Some(name) if name.len() <= MAX_TEXT => Some(Form::Column(name.into())),
            _ => self.fault(
                &format!("{path}.name"),
                "MALFORMED_EXPRESSION",
                "\"name\" must be the name of a column".into(),
            ),
        }
    }

    fn literal(&mut self, object: &Map<String, Json>, path: &str) -> Option<Form> {
        self.keys(object, path, &["op", "type", "value"])?;
        let type_name = object.get("type").and_then(Json::as_str).unwrap_or_default();
        let json = object.get("value").unwrap_or(&Json::Null);
        if type_name == "null" && json.is_null() {
            return Some(Form::Literal(None, Value::Null));
        }
        if matches!(Type::from_name(type_name), Some(Type::Decimal(_))) {
            let message = format!("{type_name}: expressions have no decimals yet");
            return self.fault(&format!("{path}.type"), "UNSUPPORTED_TYPE", message);
        }
        let Some(kind) = Type::from_name(type_name).filter(|kind| kind.is_scalar()) else {
            return self.fault(
                &format!("{path}.type"),
                "INVALID_LITERAL",
                "\"type\" must be int64, float64, bool, string or timestamp (or null, with a null value)"
                    .into(),
            );
        };
        let value = match (kind, json) {
            (_, Json::Null) => Some(Value::Null),
            (Type::Int64, Json::String(text)) => canonical_integer(text).map(Value::Int),
            (Type::Timestamp, Json::String(text)) => canonical_integer(text).map(Value::Timestamp),
            (Type::Float64, Json::Number(x)) => x
                .as_f64()
                .filter(|x| x.is_finite())
                .map(|x| Value::Float(x + 0.0)),
            (Type::Bool, Json::Bool(x)) => Some(Value::Bool(*x)),
            (Type::String, Json::String(text)) if text.len() <= MAX_TEXT => Some(Value::from(text.as_str())),
            _ => None,
        };
        let Some(value) = value else {
            let wanted = match kind {
                Type::Int64 | Type::Timestamp => {
                    "a decimal string within 64 bits, such as \"12\" or \"-3\"".into()
                }
                Type::Float64 => "a finite JSON number".into(),
                Type::Bool => "true or false".into(),
                Type::String | Type::List(_) | Type::Decimal(_) => {
                    format!("a string of at most {MAX_TEXT} bytes")
                }
            };
            return self.fault(
                &format!("{path}.value"),
                "INVALID_LITERAL",
                format!("the value of a {kind} literal must be {wanted}, or null"),
            );
        };
        Some(Form::Literal(Some(kind), value))
    }

    fn call(&mut self, object: &Map<String, Json>, path: &str, depth: usize) -> Option<Form> {
        self.keys(object, path, &["op", "fn", "args"])?;
        let name = object.get("fn").and_then(Json::as_str).unwrap_or_default();
        let Some(args) = object.get("args").and_then(Json::as_array) else {
            return self.fault(
                &format!("{path}.args"),
                "MALFORMED_EXPRESSION",
                "\"args\" must be a list of nodes".into(),
            );
        };
        // Arguments are read even below an unknown function, so that their faults are told at once.
        let args: Vec<Node> = args
            .iter()
            .enumerate()
            .map(|(index, arg)| self.node(arg, format!("{path}.args[{index}]"), depth + 1))
            .collect();
        let Some(function) = Function::named(name) else {
            let all: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
            return self.fault(
                &format!("{path}.fn"),
                "UNKNOWN_FUNCTION",
                format!("no function {name:?}; there are {}", all.join(", ")),
            );
        };
        if args.len() < function.least || function.most.is_some_and(|most| args.len() > most) {
            let wanted = match function.most {
                Some(most) if most == function.least => most.to_string(),
                Some(most) => format!("{} to {most}", function.least),
                None => format!("{} or more", function.least),
            };
            return self.fault(
                &format!("{path}.args"),
                "WRONG_ARGUMENT_COUNT",
                format!("{name} takes {wanted} arguments, not {}", args.len()),
            );
        }
        Some(Form::Call(function, args))
    }

    /// Refuses missing and additional keys: a document says exactly what is hashed.
    fn keys(&mut self, object: &Map<String, Json>, path: &str, wanted: &[&str]) -> Option<()> {
        if object.len() == wanted.len() && wanted.iter().all(|key| object.contains_key(*key)) {
            return Some(());
        }
        self.fault(
            path,
            "MALFORMED_EXPRESSION",
            format!("this node must have exactly the keys {}", wanted.join(", ")),
        )
    }

    fn fault<T>(&mut self, path: &str, reason: &'static str, message: String) -> Option<T> {
        self.faults.push(Fault::new(path, reason, message));
        None
    }
}

/// A 64-bit integer in its one decimal spelling: no plus sign, no leading zeros, no "-0".
fn canonical_integer(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|value| value.to_string() == text)
}
