use super::*;
use crate::definition::{Source, compile_source};
use crate::value::Type;

const SOURCE: &str = concat!(
    r#"{"columns":[{"name":"at","nullable":false,"type":"timestamp"},{"name":"big","nullable":true,"type":"int64"},"#,
    r#"{"name":"ok","nullable":true,"type":"bool"},{"name":"origin","nullable":true,"type":"string"},"#,
    r#"{"name":"x","nullable":true,"type":"float64"}],"event_time":"at","future_tolerance_us":5000000,"#,
    r#""kind":"stream","name":"departures","payload":"json","record_key":["origin"],"topic":"flights.departures"}"#
);

fn decoder(direct: bool) -> Decoder {
    let Ok(Source::Stream(source)) = compile_source(SOURCE.as_bytes()) else {
        panic!("the source compiles")
    };
    Decoder::new(
        source,
        &[EntityKey {
            name: "origin".into(),
            kind: Type::String,
        }],
        direct,
    )
    .unwrap()
}

fn reason(payload: &str) -> &'static str {
    let decoded = decoder(false).decode(None, Some(payload.as_bytes()), 0);
    assert!(decoded.row.is_empty() && decoded.entity_id.is_none());
    assert_ne!(decoded.verdict, Verdict::Accepted);
    decoded.refusal.unwrap().reason
}

#[test]
fn a_full_record_is_accepted() {
    let payload = r#"{"at":"1970-01-01T00:00:01Z","big":-9223372036854775808,"ok":true,"origin":"JFK","x":0.1,"more":[{}]}"#;
    let decoded = decoder(true).decode(Some(b"JFK"), Some(payload.as_bytes()), 0);
    assert_eq!(decoded.verdict, Verdict::Accepted);
    assert_eq!(decoded.event_time, Some(1_000_000));
    assert_eq!(decoded.entity_id.as_deref(), Some("s.JFK"));
    let expected = vec![
        Value::Timestamp(1_000_000),
        Value::Int(i64::MIN),
        Value::Bool(true),
        Value::from("JFK"),
        Value::Float(0.1),
    ];
    assert_eq!(decoded.row, expected);
}

#[test]
fn missing_nullable_cells_are_null_and_a_null_key_is_no_entity() {
    let decoded = decoder(true).decode(None, Some(br#"{"at":5,"x":3}"#), 0);
    assert_eq!(decoded.verdict, Verdict::Accepted);
    assert_eq!(decoded.entity_id, None);
    assert_eq!(decoded.row[4], Value::Float(3.0));
    assert!(decoded.row[1].is_null());
}

#[test]
fn malformed_records_say_why() {
    let cases = [
        ("", "MALFORMED_JSON"),
        ("[]", "MALFORMED_JSON"),
        (r#"{"at":1} x"#, "MALFORMED_JSON"),
        (r#"{"at":1,"x":NaN}"#, "MALFORMED_JSON"),
        (r#"{"at":1,"x":1e999}"#, "MALFORMED_JSON"),
        (r#"{"x":1}"#, "MISSING_COLUMN"),
        (r#"{"at":null}"#, "MISSING_COLUMN"),
        (r#"{"at":1,"at":1}"#, "DUPLICATE_FIELD"),
        (r#"{"at":1.5}"#, "TYPE_MISMATCH"),
        (r#"{"at":1,"big":1.0}"#, "TYPE_MISMATCH"),
        (r#"{"at":1,"big":1e3}"#, "TYPE_MISMATCH"),
        (r#"{"at":1,"big":9223372036854775808}"#, "TYPE_MISMATCH"),
        (r#"{"at":1,"big":"1"}"#, "TYPE_MISMATCH"),
        (r#"{"at":1,"x":"NaN"}"#, "TYPE_MISMATCH"),
        (r#"{"at":1,"x":{"y":[1]}}"#, "TYPE_MISMATCH"),
        (r#"{"at":1,"ok":0}"#, "TYPE_MISMATCH"),
        (r#"{"at":"2013-01-01T00:00:00"}"#, "NAIVE_TIMESTAMP"),
        (r#"{"at":"soon"}"#, "BAD_TIMESTAMP"),
        (r#"{"at":9223372036854775807}"#, "TIMESTAMP_OUT_OF_RANGE"),
    ];
    for (payload, expected) in cases {
        assert_eq!(reason(payload), expected, "{payload}");
    }
    assert_eq!(
        decoder(false).decode(None, None, 0).refusal.unwrap().reason,
        "NO_PAYLOAD"
    );
    let long = format!(r#"{{"at":1,"origin":"{}"}}"#, "x".repeat(4097));
    assert_eq!(reason(&long), "STRING_TOO_LONG");
    let long = format!(r#"{{"at":1,"origin":"{}"}}"#, "x".repeat(97));
    let hashed = decoder(false).decode(None, Some(long.as_bytes()), 0);
    assert!(hashed.entity_id.is_some_and(|id| id.starts_with("h.")));
    let huge = format!(r#"{{"at":1,"more":"{}"}}"#, "x".repeat(limits::PAYLOAD_BYTES));
    assert_eq!(reason(&huge), "PAYLOAD_TOO_LARGE");
    let deep = format!(r#"{{"at":1,"x":{}}}"#, "[".repeat(100_000));
    assert_eq!(reason(&deep), "MALFORMED_JSON");
}

#[test]
fn the_future_is_judged_by_the_append_time() {
    let payload = br#"{"at":5000001}"#;
    let decoded = decoder(false).decode(None, Some(payload), 0);
    assert_eq!(
        (decoded.verdict, decoded.event_time),
        (Verdict::TooFarFuture, Some(5_000_001))
    );
    assert_eq!(
        decoder(false).decode(None, Some(payload), 1).verdict,
        Verdict::Accepted
    );
}

#[test]
fn the_record_key_of_a_direct_log_is_the_entity() {
    let payload = br#"{"at":1,"origin":"a b"}"#;
    let verdict = |key: Option<&[u8]>| decoder(true).decode(key, Some(payload), 0);
    assert_eq!(verdict(Some(b"a b")).entity_id.as_deref(), Some("s.a%20b"));
    for key in [Some(&b"JFK"[..]), None] {
        assert_eq!(verdict(key).refusal.unwrap().reason, "KEY_MISMATCH");
    }
    assert_eq!(
        decoder(false).decode(Some(b"JFK"), Some(payload), 0).verdict,
        Verdict::Accepted
    );
}
