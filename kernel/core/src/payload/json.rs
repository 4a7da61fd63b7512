//! Cells from a JSON object. Types are strict: an integer is written without fraction or exponent, a double is any
//! number, a timestamp an integer of microseconds or RFC 3339 text, a decimal a number or a text of one. Fields that are no columns are passed over.

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use serde_json::value::RawValue;

use super::{Refusal, decimal, instant, mismatch, present, string, timestamp};
use crate::schema::{Column, Schema};
use crate::value::{Type, Value};

/// One cell per column of the schema.
pub(super) fn row(bytes: &[u8], columns: &Schema) -> Result<Vec<Value>, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = RowSeed { columns }.deserialize(&mut deserializer);
    let read = read.and_then(|row| deserializer.end().map(|()| row));
    let cells = read.map_err(|error| Refusal::new("MALFORMED_JSON", error.to_string()))??;
    let cells = cells.into_iter().zip(columns.columns());
    cells
        .map(|(cell, column)| present(cell.unwrap_or_default(), column))
        .collect()
}

/// What an object gives: a cell where a column was found, or the first thing that is wrong.
type Row = Result<Vec<Option<Value>>, Refusal>;

struct RowSeed<'s> {
    columns: &'s Schema,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = Row;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Row, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a field per column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
        let mut row = Ok(vec![None; self.columns.len()]);
        while let Some(place) = map.next_key_seed(KeySeed {
            columns: self.columns,
        })? {
            // After a fault the rest is read only to see whether it is JSON.
            let (Some(place), Ok(cells)) = (place, &mut row) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let column = &self.columns.columns()[place];
            let cell = map.next_value_seed(CellSeed { column })?;
            match cell {
                Ok(_) if cells[place].is_some() => {
                    let detail = format!("{:?} stands there twice", column.name);
                    row = Err(Refusal::new("DUPLICATE_FIELD", detail));
                }
                Ok(cell) => cells[place] = Some(cell),
                Err(refusal) => row = Err(refusal),
            }
        }
        Ok(row)
    }
}

/// The place of the column that a key names.
struct KeySeed<'s> {
    columns: &'s Schema,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.columns.place(name))
    }
}

struct CellSeed<'s> {
    column: &'s Column,
}

impl CellSeed<'_> {
    fn mismatch(&self, found: &str) -> Result<Value, Refusal> {
        Err(mismatch(self.column, found))
    }
}

impl<'de> DeserializeSeed<'de> for CellSeed<'_> {
    type Value = Result<Value, Refusal>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let Type::Decimal(kind) = self.column.kind else {
            return deserializer.deserialize_any(self);
        };
        // The text as it stands: a number that became a double would be another one.
        let text = <&RawValue>::deserialize(deserializer)?.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') => Ok(Value::Null),
            Some(b'"') => match serde_json::from_str::<String>(text) {
                Ok(text) => decimal(&text, kind, self.column),
                Err(error) => return Err(de::Error::custom(error)),
            },
            Some(b't' | b'f') => self.mismatch("a bool"),
            Some(b'[') => self.mismatch("a list"),
            Some(b'{') => self.mismatch("an object"),
            _ => decimal(text, kind, self.column),
        })
    }
}

impl<'de> Visitor<'de> for CellSeed<'_> {
    type Value = Result<Value, Refusal>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cell")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Ok(Value::Null))
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(if self.column.kind == Type::Bool {
            Ok(Value::Bool(flag))
        } else {
            self.mismatch("a bool")
        })
    }

    // A double column takes integers; beyond 2^53 they become the nearest double, as their text would.
    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E: de::Error>(self, integer: i64) -> Result<Self::Value, E> {
        Ok(match self.column.kind {
            Type::Int64 => Ok(Value::Int(integer)),
            Type::Float64 => Ok(Value::Float(integer as f64)),
            Type::Timestamp => timestamp(instant::in_range(integer), self.column),
            Type::Bool | Type::String | Type::List(_) | Type::Decimal(_) => self.mismatch("a number"),
        })
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E: de::Error>(self, integer: u64) -> Result<Self::Value, E> {
        match i64::try_from(integer) {
            Ok(integer) => self.visit_i64(integer),
            Err(_) if self.column.kind == Type::Float64 => Ok(Ok(Value::Float(integer as f64))),
            Err(_) => Ok(self.mismatch("a number beyond 64 bits")),
        }
    }

    fn visit_f64<E: de::Error>(self, double: f64) -> Result<Self::Value, E> {
        Ok(match self.column.kind {
            Type::Float64 => Ok(Value::Float(double)),
            _ => self.mismatch("a number with a fraction or exponent, or beyond 64 bits"),
        })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(match self.column.kind {
            Type::String => string(text, self.column),
            Type::Timestamp => timestamp(instant::parse(text), self.column),
            _ => self.mismatch("a string"),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.mismatch("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.mismatch("an object"))
    }
}
