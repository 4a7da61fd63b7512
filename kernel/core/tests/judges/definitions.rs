use serde_json::Value as Json;
use skewless_core::definition::{canonical, compile, compile_source, limits, meaning_hash};
use skewless_core::expr::{Cell, Expr};
use skewless_core::fault::Fault;
use skewless_core::schema::{Column, Schema};
use skewless_core::value::{Type, Value};

/// A document as it is, and in the canonical form of what it says.
pub(crate) fn meaning(data: &[u8]) {
    read_meaning(data);
    let Ok(json) = serde_json::from_slice::<Json>(data) else {
        return;
    };
    if let Ok(text) = canonical::write(&json) {
        assert_eq!(
            canonical::parse(text.as_bytes()).is_ok(),
            text.len() <= limits::MEANING_BYTES
        );
        read_meaning(text.as_bytes());
    }
}

fn read_meaning(bytes: &[u8]) {
    let hashed = meaning_hash(bytes);
    match compile(bytes) {
        Ok(_) => assert!(hashed.is_ok()),
        Err(faults) => told(&faults),
    }
    if let Err(faults) = compile_source(bytes) {
        told(&faults);
    }
}

fn told(faults: &[Fault]) {
    assert!(!faults.is_empty());
    for fault in faults {
        assert!(fault.path.starts_with('$'), "{fault}");
        assert!(!fault.reason.is_empty() && !fault.message.is_empty(), "{fault}");
    }
}

/// The JSON form of an expression, and what it gives for rows of edges.
pub(crate) fn expression(data: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Json>(data) else {
        return;
    };
    let expr = match Expr::compile(&json, &schema()) {
        Ok(expr) => expr,
        Err(faults) => return told(&faults),
    };
    let rows = rows();
    let times: Vec<i64> = rows.iter().enumerate().map(|(at, _)| instant(at)).collect();
    for (row, time) in rows.iter().zip(&times) {
        let (value, status) = expr.eval_row(row, *time);
        assert!(value.is_null() || status.is_none());
        assert!(value.is_null() || value.fits(expr.result_type()), "{value:?}");
        if let Value::Float(x) = value {
            assert!(x.is_finite() && (x != 0.0 || x.is_sign_positive()), "{x}");
        }
        let cell = expr.eval_cell(row.as_slice(), *time);
        assert!(cell.map_or(Value::Null, Cell::to_value).same(&value));
    }
}

const TYPES: [(&str, Type); 10] = [
    ("i", Type::Int64),
    ("j", Type::Int64),
    ("x", Type::Float64),
    ("y", Type::Float64),
    ("b", Type::Bool),
    ("c", Type::Bool),
    ("s", Type::String),
    ("u", Type::String),
    ("t", Type::Timestamp),
    ("v", Type::Timestamp),
];

fn schema() -> Schema {
    let column = |(name, kind): (&str, Type)| Column {
        name: name.into(),
        kind,
        nullable: true,
    };
    Schema::new(TYPES.map(column).into())
}

fn instant(row: usize) -> i64 {
    [0, -1, i64::MIN, i64::MAX, 1_357_034_400_000_000][row % 5]
}

/// Each column at its edges, in steps that do not go together.
fn rows() -> Vec<Vec<Value>> {
    let cell = |row: usize, place: usize| {
        let turn = row + place;
        match TYPES[place].1 {
            _ if turn % 7 == 6 => Value::Null,
            Type::Int64 => Value::Int([0, 1, -1, i64::MIN, i64::MAX][turn % 5]),
            Type::Float64 => Value::Float(
                [
                    0.0,
                    -0.0,
                    0.5,
                    f64::MAX,
                    5e-324,
                    f64::NAN,
                    f64::NEG_INFINITY,
                    1e18,
                ][turn % 8],
            ),
            Type::Bool => Value::Bool(turn % 2 == 0),
            Type::String => Value::from(["", "a", "é", "\u{1f600}"][turn % 4]),
            Type::Timestamp => Value::Timestamp(instant(turn)),
            Type::List(_) | Type::Decimal(_) => Value::Null,
        }
    };
    (0..8)
        .map(|row| (0..TYPES.len()).map(|place| cell(row, place)).collect())
        .collect()
}
