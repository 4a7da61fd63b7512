//! The rows of a request: entity ids and typed request fields, checked against what the features need.

use std::borrow::Cow;
use std::collections::BTreeMap;

use skewless_core::decimal::{Decimal, DecimalFault};
use skewless_core::definition::limits::LIST_GIVEN;
use skewless_core::keys::{self, KeyError, KeyPart};
use skewless_core::value::{Type, Value};
use tonic::Code;

use crate::refusal::{Refusal, quoted};
use crate::vector::{Column, Vector};
use crate::wire::Reason;
use crate::wire::online::GetOnlineFeaturesRequest;
use crate::wire::types::value::Kind;
use crate::wire::types::{Value as Sent, ValueColumn};

/// The longest text of a request field, in bytes.
const LONGEST_TEXT: usize = 64 << 10;
/// Faults are gathered up to so many; a request of a thousand wrong rows needs no thousand lines.
const MOST_FAULTS: usize = 20;

/// The rows of a request.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) count: usize,
    /// Entity by entity, an id per row.
    ids: Vec<String>,
    /// In the order of the vector's fields, a cell per row.
    pub(crate) fields: Vec<Vec<Value>>,
}

impl Rows {
    /// The ids of an entity of the vector, a row each.
    pub(crate) fn ids(&self, entity: usize) -> &[String] {
        &self.ids[entity * self.count..(entity + 1) * self.count]
    }

    /// Reads the rows that a vector needs out of a request of `count` rows.
    pub(crate) fn read(
        vector: &Vector,
        request: &GetOnlineFeaturesRequest,
        count: usize,
    ) -> Result<Self, Refusal> {
        check_names(vector, request)?;
        let mut faults = Faults {
            reason: Reason::WrongType,
            wrong: Vec::new(),
        };
        let keys: Vec<&[Sent]> = vector
            .keys
            .iter()
            .map(|key| {
                let cells = cells(&request.entities, &key.name);
                for (row, cell) in cells.iter().enumerate() {
                    check_key(key, row, cell, &mut faults);
                }
                cells
            })
            .collect();
        let mut fields = Vec::with_capacity(vector.fields.len());
        for field in &vector.fields {
            let sent = cells(&request.request_fields, &field.name).iter().enumerate();
            let values: Vec<Value> = sent
                .map(|(row, cell)| read_field(field, row, cell, &mut faults))
                .collect();
            fields.push(values);
        }
        faults.end()?;
        let mut ids = Vec::with_capacity(vector.entities.len() * count);
        for columns in &vector.entities {
            for row in 0..count {
                ids.push(id(&vector.keys, columns, &keys, row)?);
            }
        }
        Ok(Self { count, ids, fields })
    }
}

fn cells<'a>(columns: &'a BTreeMap<String, ValueColumn>, name: &str) -> &'a [Sent] {
    columns.get(name).map_or(&[], |column| &column.values)
}

/// Exactly the keys; at least the fields that are computed with, at most those that the views declare.
fn check_names(vector: &Vector, request: &GetOnlineFeaturesRequest) -> Result<(), Refusal> {
    let place = |name: &str| format!("entities[\"{}\"]", name.escape_debug());
    let needed = || {
        let names: Vec<&str> = vector.keys.iter().map(|key| key.name.as_str()).collect();
        if names.is_empty() {
            "the features need no entity".to_owned()
        } else {
            format!("the features need exactly {}", names.join(", "))
        }
    };
    let missing = vector
        .keys
        .iter()
        .filter(|key| !request.entities.contains_key(&key.name))
        .map(|key| (place(&key.name), format!("is missing; {}", needed())));
    let stray = request
        .entities
        .keys()
        .filter(|name| !vector.keys.iter().any(|key| key.name == **name))
        .map(|name| (place(name), format!("is not needed; {}", needed())));
    let mismatches: Vec<_> = missing.chain(stray).collect();
    if !mismatches.is_empty() {
        return Err(Refusal::fields(Reason::EntityMismatch, mismatches));
    }
    let missing = vector
        .fields
        .iter()
        .filter(|field| !request.request_fields.contains_key(&field.name))
        .map(|field| {
            (
                format!("request_fields[\"{}\"]", field.name),
                format!(
                    "is missing; an on-demand feature computes with it, give a column of {}",
                    field.kind
                ),
            )
        });
    let mut wrong: Vec<_> = missing.collect();
    let reason = if wrong.is_empty() {
        Reason::InvalidArgument
    } else {
        Reason::MissingRequestField
    };
    let takes = || match vector.known_fields.as_slice() {
        [] => "the features take no request field".to_owned(),
        names => format!("the features take {}", names.join(", ")),
    };
    wrong.extend(
        request
            .request_fields
            .keys()
            .filter(|name| vector.known_fields.binary_search(name).is_err())
            .map(|name| {
                (
                    format!("request_fields[\"{}\"]", name.escape_debug()),
                    format!("is not known; {}, leave it out", takes()),
                )
            }),
    );
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Refusal::fields(reason, wrong))
    }
}

struct Faults {
    /// That of the first fault.
    reason: Reason,
    wrong: Vec<(String, String)>,
}

impl Faults {
    fn add(&mut self, reason: Reason, columns: &str, column: &Column, row: usize, text: String) {
        if self.wrong.is_empty() {
            self.reason = reason;
        }
        if self.wrong.len() < MOST_FAULTS {
            self.wrong
                .push((format!("{columns}[\"{}\"].values[{row}]", column.name), text));
        }
    }

    fn end(self) -> Result<(), Refusal> {
        if self.wrong.is_empty() {
            Ok(())
        } else {
            Err(Refusal::fields(self.reason, self.wrong))
        }
    }
}

fn check_key(key: &Column, row: usize, cell: &Sent, faults: &mut Faults) {
    let (reason, text) = match (&cell.kind, key.kind) {
        (Some(Kind::Int64Value(_)), Type::Int64) => return,
        (Some(Kind::StringValue(text)), Type::String) if text.len() <= keys::LONGEST_PART => return,
        (Some(Kind::StringValue(text)), Type::String) => (
            Reason::InvalidArgument,
            format!(
                "has {} bytes; a key has at most {}, use a shorter one",
                text.len(),
                keys::LONGEST_PART
            ),
        ),
        (None, _) => (
            Reason::WrongType,
            format!("is null; a key is never null, give a {}", key.kind),
        ),
        (Some(kind), _) => (Reason::WrongType, is_another(kind, key.kind)),
    };
    faults.add(reason, "entities", key, row, text);
}

fn read_field(field: &Column, row: usize, cell: &Sent, faults: &mut Faults) -> Value {
    let (reason, text) = match (&cell.kind, field.kind) {
        (None, _) => return Value::Null,
        (Some(Kind::Int64Value(number)), Type::Int64) => return Value::Int(*number),
        (Some(Kind::Float64Value(number)), Type::Float64) if number.is_finite() => {
            return Value::Float(*number);
        }
        (Some(Kind::Float64Value(number)), Type::Float64) => (
            Reason::WrongType,
            format!("is {number}; give a finite number, or null where there is none"),
        ),
        (Some(Kind::BoolValue(truth)), Type::Bool) => return Value::Bool(*truth),
        (Some(Kind::StringValue(text)), Type::String) if text.len() <= LONGEST_TEXT => {
            return Value::from(text.as_str());
        }
        (Some(Kind::StringValue(text)), Type::String) => (
            Reason::TooLarge,
            format!("has {} bytes; at most {LONGEST_TEXT} are allowed", text.len()),
        ),
        (Some(Kind::TimestampUsValue(instant)), Type::Timestamp) => return Value::Timestamp(*instant),
        (Some(Kind::DecimalValue(text)), Type::Decimal(own)) => match own.parse(text) {
            Ok(units) => return Value::Decimal(units, own),
            Err(fault) => (Reason::WrongType, not_decimal(text, fault, own)),
        },
        (Some(kind), Type::List(of)) => match list_of(kind, of) {
            Ok(list) => return list,
            Err(Some(fault)) => fault,
            Err(None) => (Reason::WrongType, is_another(kind, field.kind)),
        },
        (Some(kind), _) => (Reason::WrongType, is_another(kind, field.kind)),
    };
    faults.add(reason, "request_fields", field, row, text);
    Value::Null
}

/// The list of this type that was sent; else what is wrong with it, or nothing if it is of another type.
fn list_of(kind: &Kind, of: &'static Type) -> Result<Value, Option<(Reason, String)>> {
    let too_large = |text: String| Err(Some((Reason::TooLarge, text)));
    if is_empty(kind) {
        return Ok(Value::List(of, [].into()));
    }
    let items: Vec<Value> = match (kind, of) {
        (Kind::Int64List(list), Type::Int64) => list.values.iter().copied().map(Value::Int).collect(),
        (Kind::Float64List(list), Type::Float64) => {
            if let Some(number) = list.values.iter().find(|number| !number.is_finite()) {
                let text = format!("has the item {number}; give finite numbers, a list holds no null");
                return Err(Some((Reason::WrongType, text)));
            }
            // Adding zero turns -0.0 into 0.0 and changes nothing else.
            list.values
                .iter()
                .map(|number| Value::Float(number + 0.0))
                .collect()
        }
        (Kind::BoolList(list), Type::Bool) => list.values.iter().copied().map(Value::Bool).collect(),
        (Kind::StringList(list), Type::String) => {
            let bytes: usize = list.values.iter().map(String::len).sum();
            if bytes > LONGEST_TEXT {
                return too_large(format!(
                    "has {bytes} bytes of text; at most {LONGEST_TEXT} are allowed"
                ));
            }
            list.values
                .iter()
                .map(|text| Value::from(text.as_str()))
                .collect()
        }
        (Kind::TimestampUsList(list), Type::Timestamp) => {
            list.values.iter().copied().map(Value::Timestamp).collect()
        }
        (Kind::DecimalList(list), Type::Decimal(own)) => {
            let read = list.values.iter().map(|text| match own.parse(text) {
                Ok(units) => Ok(Value::Decimal(units, *own)),
                Err(fault) => Err(Some((Reason::WrongType, not_decimal(text, fault, *own)))),
            });
            read.take(LIST_GIVEN + 1).collect::<Result<_, _>>()?
        }
        _ => return Err(None),
    };
    if items.len() > LIST_GIVEN {
        return too_large(format!(
            "has {} items; at most {LIST_GIVEN} are allowed",
            items.len()
        ));
    }
    Ok(Value::List(of, items.into()))
}

/// Whether it is a list without items, which fits every type of items.
fn is_empty(kind: &Kind) -> bool {
    match kind {
        Kind::Int64List(list) => list.values.is_empty(),
        Kind::Float64List(list) => list.values.is_empty(),
        Kind::BoolList(list) => list.values.is_empty(),
        Kind::StringList(list) | Kind::DecimalList(list) => list.values.is_empty(),
        Kind::TimestampUsList(list) => list.values.is_empty(),
        _ => false,
    }
}

fn not_decimal(text: &str, fault: DecimalFault, wanted: Decimal) -> String {
    let shown: String = text.chars().take(40).collect();
    format!("{shown:?} is no {}: {}", wanted.name(), fault.words(wanted))
}

fn is_another(kind: &Kind, wanted: Type) -> String {
    let (sent, member) = match kind {
        Kind::Int64Value(_) => (Type::Int64.name(), "int64_value"),
        Kind::Float64Value(_) => (Type::Float64.name(), "float64_value"),
        Kind::BoolValue(_) => (Type::Bool.name(), "bool_value"),
        Kind::StringValue(_) => (Type::String.name(), "string_value"),
        Kind::TimestampUsValue(_) => (Type::Timestamp.name(), "timestamp_us_value"),
        Kind::DecimalValue(_) => ("decimal", "decimal_value"),
        Kind::DecimalList(_) => ("list<decimal>", "decimal_list"),
        Kind::Int64List(_) => (Type::LISTS[0].name(), "int64_list"),
        Kind::Float64List(_) => (Type::LISTS[1].name(), "float64_list"),
        Kind::BoolList(_) => (Type::LISTS[2].name(), "bool_list"),
        Kind::StringList(_) => (Type::LISTS[3].name(), "string_list"),
        Kind::TimestampUsList(_) => (Type::LISTS[4].name(), "timestamp_us_list"),
    };
    let member_to_set = match wanted {
        Type::Int64 => "int64_value",
        Type::Float64 => "float64_value",
        Type::Bool => "bool_value",
        Type::String => "string_value",
        Type::Timestamp => "timestamp_us_value",
        Type::Decimal(_) => "decimal_value",
        Type::List(Type::Decimal(_)) => "decimal_list",
        Type::List(Type::Int64) => "int64_list",
        Type::List(Type::Float64) => "float64_list",
        Type::List(Type::Bool) => "bool_list",
        Type::List(Type::String) => "string_list",
        Type::List(Type::Timestamp) => "timestamp_us_list",
        Type::List(Type::List(_)) => "another",
    };
    format!("is of type {sent} ({member}); the definition says {wanted}, set {member_to_set}")
}

fn id(keys: &[Column], columns: &[usize], sent: &[&[Sent]], row: usize) -> Result<String, Refusal> {
    let mut parts: [KeyPart<'_>; 4] = [const { KeyPart::Int(0) }; 4];
    let mut many = Vec::new();
    let parts = if columns.len() <= parts.len() {
        &mut parts[..columns.len()]
    } else {
        many.resize(columns.len(), KeyPart::Int(0));
        &mut many[..]
    };
    for (part, &column) in parts.iter_mut().zip(columns) {
        *part = match sent
            .get(column)
            .and_then(|cells| cells.get(row))
            .map(|cell| &cell.kind)
        {
            Some(Some(Kind::Int64Value(number))) => KeyPart::Int(*number),
            Some(Some(Kind::StringValue(text))) => KeyPart::Text(text),
            // Every cell was checked before.
            _ => return Err(not_checked(&keys[column].name)),
        };
    }
    keys::entity_id(parts).map_err(|error| {
        let text: Cow<'_, str> = match error {
            KeyError::PartTooLong { .. } => "a key is too long".into(),
            other => other.to_string().into(),
        };
        Refusal::new(Code::InvalidArgument, Reason::InvalidArgument, text)
    })
}

fn not_checked(name: &str) -> Refusal {
    let text = format!("the key {} was read without being checked", quoted(name));
    Refusal::new(Code::Internal, Reason::Internal, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::types::{Float64List, StringList};

    fn vector() -> Vector {
        let column = |name: &str, kind| Column {
            name: name.into(),
            kind,
        };
        Vector {
            keys: vec![column("carrier", Type::String), column("flight", Type::Int64)],
            entities: vec![vec![0], vec![1, 0]],
            fields: vec![column("amount", Type::Float64)],
            known_fields: vec!["amount".into(), "currency".into()],
            ..Vector::default()
        }
    }

    fn text(text: &str) -> Sent {
        Sent {
            kind: Some(Kind::StringValue(text.into())),
        }
    }

    fn request(carriers: Vec<Sent>, flights: Vec<Sent>, amounts: Vec<Sent>) -> GetOnlineFeaturesRequest {
        let column = |values| ValueColumn { values };
        GetOnlineFeaturesRequest {
            entities: [
                ("carrier".into(), column(carriers)),
                ("flight".into(), column(flights)),
            ]
            .into(),
            request_fields: [("amount".into(), column(amounts))].into(),
            ..Default::default()
        }
    }

    fn int(number: i64) -> Sent {
        Sent {
            kind: Some(Kind::Int64Value(number)),
        }
    }

    fn float(number: f64) -> Sent {
        Sent {
            kind: Some(Kind::Float64Value(number)),
        }
    }

    #[test]
    fn ids_are_made_per_entity_and_row() {
        let request = request(
            vec![text("UA"), text("a b")],
            vec![int(7), int(-1)],
            vec![float(0.5), Sent::default()],
        );
        let rows = Rows::read(&vector(), &request, 2).unwrap();
        assert_eq!(rows.ids(0), ["s.UA", "s.a%20b"]);
        assert_eq!(rows.ids(1), ["i.7,s.UA", "i.-1,s.a%20b"]);
        assert_eq!(rows.fields, [[Value::Float(0.5), Value::Null]]);
    }

    #[test]
    fn a_field_may_be_a_list() {
        let mut vector = vector();
        vector.fields[0].kind = Type::List(&Type::Float64);
        let read = |kind: Kind| {
            let amounts = vec![Sent { kind: Some(kind) }];
            Rows::read(&vector, &request(vec![text("UA")], vec![int(7)], amounts), 1)
        };
        let floats = |values: &[f64]| {
            Kind::Float64List(Float64List {
                values: values.to_vec(),
            })
        };
        let list = |values: &[f64]| {
            let items = values.iter().map(|number| Value::Float(*number)).collect();
            Value::List(&Type::Float64, items)
        };
        let given = read(floats(&[0.5, -0.0])).unwrap();
        assert!(given.fields[0][0].same(&list(&[0.5, 0.0])));
        let longest = vec![1.5; LIST_GIVEN];
        assert!(
            read(floats(&longest)).unwrap().fields[0][0].same(&list(&longest)),
            "the longest list"
        );
        let empty = Kind::StringList(StringList::default());
        assert!(read(empty).unwrap().fields[0][0].same(&list(&[])));
        let texts = |bytes: usize| {
            Kind::StringList(StringList {
                values: vec!["x".repeat(bytes)],
            })
        };
        for (kind, expected) in [
            (floats(&vec![1.5; LIST_GIVEN + 1]), Reason::TooLarge),
            (floats(&[0.5, f64::NAN]), Reason::WrongType),
            (texts(1), Reason::WrongType),
            (Kind::Float64Value(0.5), Reason::WrongType),
        ] {
            assert_eq!(read(kind).unwrap_err().reason(), expected);
        }
        vector.fields[0].kind = Type::List(&Type::String);
        let read = |kind: Kind| {
            let amounts = vec![Sent { kind: Some(kind) }];
            Rows::read(&vector, &request(vec![text("UA")], vec![int(7)], amounts), 1)
        };
        assert!(read(texts(LONGEST_TEXT)).is_ok());
        assert_eq!(
            read(texts(LONGEST_TEXT + 1)).unwrap_err().reason(),
            Reason::TooLarge
        );
    }

    #[test]
    fn each_fault_has_its_reason() {
        let good = || request(vec![text("UA")], vec![int(7)], vec![float(1.0)]);
        let reason =
            |request: &GetOnlineFeaturesRequest| Rows::read(&vector(), request, 1).unwrap_err().reason();
        let mut missing = good();
        missing.entities.remove("carrier");
        assert_eq!(reason(&missing), Reason::EntityMismatch);
        let mut stray = good();
        stray.entities.insert("origin".into(), ValueColumn::default());
        assert_eq!(reason(&stray), Reason::EntityMismatch);
        let mut without = good();
        without.request_fields.clear();
        assert_eq!(reason(&without), Reason::MissingRequestField);
        let mut more = good();
        more.request_fields
            .insert("currency".into(), ValueColumn::default());
        assert!(Rows::read(&vector(), &more, 1).is_ok());
        more.request_fields
            .insert("amonut".into(), ValueColumn::default());
        assert_eq!(reason(&more), Reason::InvalidArgument);
        more.request_fields.remove("amount");
        assert_eq!(reason(&more), Reason::MissingRequestField);
        for (carrier, amount, expected) in [
            (int(1), float(1.0), Reason::WrongType),
            (Sent::default(), float(1.0), Reason::WrongType),
            (text(&"x".repeat(4_097)), float(1.0), Reason::InvalidArgument),
            (text("UA"), float(f64::NAN), Reason::WrongType),
            (text("UA"), int(1), Reason::WrongType),
        ] {
            assert_eq!(
                reason(&request(vec![carrier], vec![int(7)], vec![amount])),
                expected
            );
        }
    }
}
