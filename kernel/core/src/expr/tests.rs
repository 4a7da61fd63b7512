//! The compiler's verdicts. What values come out is in `tests/spec/expressions`, for every implementation.

use serde_json::{Value as Json, json};

use super::*;
use crate::schema::Column;

fn schema() -> Schema {
    let column = |(name, kind): (&str, Type)| Column {
        name: name.into(),
        kind,
        nullable: true,
    };
    Schema::new(
        [
            ("i", Type::Int64),
            ("x", Type::Float64),
            ("b", Type::Bool),
            ("s", Type::String),
            ("t", Type::Timestamp),
        ]
        .map(column)
        .to_vec(),
    )
}

fn col(name: &str) -> Json {
    json!({"op": "col", "name": name})
}

fn int(value: i64) -> Json {
    json!({"op": "lit", "type": "int64", "value": value.to_string()})
}

fn text(value: &str) -> Json {
    json!({"op": "lit", "type": "string", "value": value})
}

// By value, so that cases read as the calls they are.
#[allow(clippy::needless_pass_by_value)]
fn call(name: &str, args: impl IntoIterator<Item = Json>) -> Json {
    json!({"op": "call", "fn": name, "args": args.into_iter().collect::<Vec<_>>()})
}

fn faults(document: &Json) -> Vec<(String, &'static str)> {
    Expr::compile(document, &schema())
        .unwrap_err()
        .into_iter()
        .map(|fault| (fault.path, fault.reason))
        .collect()
}

fn fault(document: &Json) -> (String, &'static str) {
    let all = faults(document);
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}

fn at(path: &str, reason: &'static str) -> (String, &'static str) {
    (path.into(), reason)
}

fn result_type(document: &Json) -> Type {
    Expr::compile(document, &schema()).unwrap().result_type()
}

#[test]
fn numbers_widen_to_doubles_and_nothing_else_does() {
    assert_eq!(result_type(&call("add", [col("i"), int(1)])), Type::Int64);
    assert_eq!(result_type(&call("add", [col("i"), col("x")])), Type::Float64);
    assert_eq!(result_type(&call("div", [col("i"), col("i")])), Type::Float64);
    assert_eq!(result_type(&call("sub", [col("t"), col("t")])), Type::Int64);
    assert_eq!(
        result_type(&call("coalesce", [col("i"), col("x")])),
        Type::Float64
    );
    for (a, b) in [("t", "x"), ("s", "s"), ("b", "i"), ("t", "t")] {
        assert_eq!(
            fault(&call("add", [col(a), col(b)])),
            at("$", "WRONG_TYPE"),
            "{a} {b}"
        );
    }
    assert_eq!(fault(&call("eq", [col("t"), col("i")])), at("$", "WRONG_TYPE"));
    assert_eq!(result_type(&call("lt", [col("b"), col("b")])), Type::Bool);
    assert_eq!(fault(&call("mod", [col("x"), int(2)])), at("$", "WRONG_TYPE"));
    assert_eq!(fault(&call("and", [col("b"), col("i")])), at("$", "WRONG_TYPE"));
}

#[test]
fn every_fault_is_told_at_once_with_its_path() {
    let document = call(
        "and",
        [
            call("gt", [col("nope"), call("frobnicate", [col("gone")])]),
            call("eq", [call("hour", [col("x"), text("Mars/Olympus")]), text("9")]),
        ],
    );
    assert_eq!(
        faults(&document),
        [
            at("$.args[0].args[1].fn", "UNKNOWN_FUNCTION"),
            at("$.args[0].args[0].name", "UNKNOWN_COLUMN"),
            at("$.args[1].args[0].args[1]", "UNKNOWN_ZONE"),
            at("$.args[1].args[0].args[0]", "WRONG_TYPE"),
        ]
    );
}

#[test]
fn malformed_nodes_are_refused() {
    let cases = [
        (json!(1), "$", "MALFORMED_EXPRESSION"),
        (json!({"op": "row"}), "$", "MALFORMED_EXPRESSION"),
        (
            json!({"op": "col", "name": "i", "extra": 1}),
            "$",
            "MALFORMED_EXPRESSION",
        ),
        (json!({"op": "col", "name": 3}), "$.name", "MALFORMED_EXPRESSION"),
        (json!({"op": "request_time", "x": 1}), "$", "MALFORMED_EXPRESSION"),
        (
            json!({"op": "call", "fn": "neg", "args": {}}),
            "$.args",
            "MALFORMED_EXPRESSION",
        ),
        (
            json!({"op": "lit", "type": "decimal", "value": "1"}),
            "$.type",
            "INVALID_LITERAL",
        ),
        (
            json!({"op": "lit", "type": "int64", "value": 1}),
            "$.value",
            "INVALID_LITERAL",
        ),
        (
            json!({"op": "lit", "type": "int64", "value": "01"}),
            "$.value",
            "INVALID_LITERAL",
        ),
        (
            json!({"op": "lit", "type": "int64", "value": "9223372036854775808"}),
            "$.value",
            "INVALID_LITERAL",
        ),
        (
            json!({"op": "lit", "type": "float64", "value": "1"}),
            "$.value",
            "INVALID_LITERAL",
        ),
        (
            json!({"op": "lit", "type": "null", "value": 1}),
            "$.type",
            "INVALID_LITERAL",
        ),
        (call("neg", []), "$.args", "WRONG_ARGUMENT_COUNT"),
        (call("neg", [int(1), int(2)]), "$.args", "WRONG_ARGUMENT_COUNT"),
        (call("and", [col("b")]), "$.args", "WRONG_ARGUMENT_COUNT"),
        (
            call("case", [col("b"), int(1), col("b"), int(2)]),
            "$.args",
            "WRONG_ARGUMENT_COUNT",
        ),
        (call("hour", [col("t"), col("s")]), "$.args[1]", "WRONG_TYPE"),
        (
            call("hour", [col("t"), text("america/new_york")]),
            "$.args[1]",
            "UNKNOWN_ZONE",
        ),
    ];
    for (document, path, reason) in cases {
        assert_eq!(fault(&document), at(path, reason), "{document}");
    }
}

#[test]
fn a_null_needs_a_type_from_somewhere() {
    let null = json!({"op": "lit", "type": "null", "value": null});
    assert_eq!(
        result_type(&call("case", [col("b"), int(1), null.clone()])),
        Type::Int64
    );
    assert_eq!(
        result_type(&call("coalesce", [null.clone(), col("s")])),
        Type::String
    );
    assert_eq!(result_type(&call("is_null", [null.clone()])), Type::Bool);
    assert_eq!(fault(&null), at("$", "UNTYPED_NULL"));
    assert_eq!(
        fault(&call("coalesce", [null.clone(), null.clone()])),
        at("$", "UNTYPED_NULL")
    );
    assert_eq!(
        fault(&call("eq", [col("i"), null.clone()])),
        at("$", "WRONG_TYPE")
    );
    assert_eq!(fault(&call("greatest", [col("i"), null])), at("$", "WRONG_TYPE"));
}

#[test]
fn limits_are_told_once() {
    let deep = |calls: usize| (0..calls).fold(col("i"), |inner, _| call("neg", [inner]));
    assert!(Expr::compile(&deep(MAX_DEPTH - 1), &schema()).is_ok());
    assert_eq!(fault(&deep(MAX_DEPTH)).1, "EXPRESSION_TOO_DEEP");
    let wide = |columns: usize| call("greatest", (0..columns).map(|_| col("i")));
    assert!(Expr::compile(&wide(MAX_NODES - 1), &schema()).is_ok());
    assert_eq!(fault(&wide(MAX_NODES)).1, "EXPRESSION_TOO_LARGE");
}

#[test]
fn the_deepest_expression_survives_its_text_inside_a_definition() {
    let deepest = (1..MAX_DEPTH).fold(col("i"), |inner, _| call("neg", [inner]));
    let text = json!({"features": [{"expr": deepest}]}).to_string();
    let read: Json = serde_json::from_str(&text).unwrap();
    assert!(Expr::compile(&read["features"][0]["expr"], &schema()).is_ok());
}

#[test]
fn an_expression_tells_what_it_reads() {
    let document = call("sub", [json!({"op": "request_time"}), col("t")]);
    let expr = Expr::compile(&document, &schema()).unwrap();
    assert_eq!(expr.columns(), [4]);
    assert!(expr.uses_request_time());
    let row = [
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Timestamp(3),
    ];
    assert_eq!(expr.eval_row(&row, 10), (Value::Int(7), None));
    assert_eq!(
        expr.eval_row(&row, i64::MIN),
        (Value::Null, Some(Status::Overflow))
    );
}

#[test]
fn a_filter_holds_only_when_it_is_true() {
    let expr = Expr::compile(&call("gt", [call("neg", [col("i")]), int(0)]), &schema()).unwrap();
    assert!(!expr.uses_request_time());
    for (cell, holds) in [
        (Value::Int(-1), true),
        (Value::Int(1), false),
        (Value::Null, false),
        (Value::Int(i64::MIN), false),
    ] {
        assert_eq!(expr.holds(std::slice::from_ref(&cell), 0), holds, "{cell:?}");
    }
}

#[test]
fn an_overflow_ends_what_is_evaluated_and_nothing_else() {
    let overflow = call("neg", [int(i64::MIN)]);
    let falsehood = json!({"op": "lit", "type": "bool", "value": false});
    let large = call("gt", [overflow.clone(), int(0)]);
    let eval = |document: &Json| Expr::compile(document, &schema()).unwrap().eval_row(&[], 0);
    let overflowed = (Value::Null, Some(Status::Overflow));
    assert_eq!(
        eval(&call("and", [falsehood.clone(), large.clone()])),
        (Value::Bool(false), None)
    );
    assert_eq!(eval(&call("and", [large, falsehood])), overflowed);
    assert_eq!(
        eval(&call("coalesce", [int(1), overflow.clone()])),
        (Value::Int(1), None)
    );
    assert_eq!(eval(&call("coalesce", [overflow.clone(), int(1)])), overflowed);
    assert_eq!(
        eval(&call("add", [col("i"), overflow.clone()])),
        overflowed,
        "null is no excuse"
    );
    assert_eq!(eval(&call("greatest", [col("i"), overflow])), overflowed);
}

/// Cells stored by column, as a host holds a batch.
struct ByColumn(Vec<Vec<Value>>);

impl Columns for ByColumn {
    fn cell(&self, row: usize, place: usize) -> Cell<'_> {
        Cell::from(&self.0[place][row])
    }
}

#[test]
fn a_batch_gives_the_bits_of_its_rows() {
    let document = call(
        "case",
        [
            call("gt", [col("x"), int(0)]),
            call("ln", [call("add", [col("x"), col("i")])]),
            call("pow", [col("x"), int(3)]),
        ],
    );
    let expr = Expr::compile(&document, &schema()).unwrap();
    let ints: Vec<Value> = (0..100).map(Value::Int).collect();
    let floats: Vec<Value> = (0..100)
        .map(|k| {
            if k % 7 == 0 {
                Value::Null
            } else {
                Value::Float(f64::from(k) * 0.37 - 11.0)
            }
        })
        .collect();
    let batch = ByColumn(vec![ints.clone(), floats.clone()]);
    let together = expr.eval_batch(&batch, &[0; 100]);
    for (row, cell) in together.into_iter().enumerate() {
        let (alone, status) = expr.eval_row(&[ints[row].clone(), floats[row].clone()], 0);
        assert_eq!(status, None);
        assert!(cell.unwrap().to_value().same(&alone), "row {row}");
    }
}

/// The rows of the table in `docs/expressions.md`.
fn documented() -> String {
    let row = |function: &Function| {
        format!(
            "| `{}` | {} | {} | {} | {} |\n",
            function.name,
            function.types().replace('|', "\\|"),
            function.nulls.sentence(),
            function.errors,
            function.formula.replace('|', "\\|")
        )
    };
    FUNCTIONS.iter().map(row).collect()
}

#[test]
fn the_document_has_the_table_of_functions() {
    let text = include_str!("../../../../docs/expressions.md");
    let table = documented();
    assert!(
        text.contains(&table),
        "the table of docs/expressions.md must have these rows:\n{table}"
    );
}
