use serde_json::{Value as Json, json};

use super::*;
use crate::definition::{ProtobufType, Source, canonical, compile_source};
use crate::value::Type;
use crate::window::properties::Dice;

/// Column, its type, the path, the type of the field, presence.
type Row<'a> = (&'a str, &'a str, &'a [u32], &'a str, bool);

/// With one more column, the entity's key, which records here never have.
fn document(rows: &[Row<'_>]) -> Json {
    let rows = [rows, &[("k", "string", &[1000][..], "string", true)]].concat();
    let columns: Vec<Json> = rows
        .iter()
        .map(|(name, kind, ..)| json!({"name": name, "type": kind, "nullable": *name != "at"}))
        .collect();
    let fields: Vec<Json> = rows
        .iter()
        .map(|(name, column, path, kind, presence)| {
            let spelt = *kind == "enum" && *column == "string";
            let names = spelt.then(|| json!([{"number": -1, "name": "BACK"}, {"number": 0, "name": "NONE"}]));
            json!({"column": name, "path": path, "type": kind, "presence": presence, "names": names})
        })
        .collect();
    json!({
        "kind": "stream", "name": "s", "topic": "t", "record_key": [], "columns": columns,
        "event_time": rows[0].0, "future_tolerance_us": 0,
        "payload": {"kind": "protobuf", "message": "a.v1.B", "fields": fields},
    })
}

fn source(document: &Json) -> Result<StreamSource, Vec<(String, &'static str)>> {
    match compile_source(canonical::write(document).unwrap().as_bytes()) {
        Ok(Source::Stream(source)) => Ok(source),
        Ok(Source::Batch(_)) => panic!("it is a stream"),
        Err(faults) => Err(faults
            .into_iter()
            .map(|fault| (fault.path, fault.reason))
            .collect()),
    }
}

fn key() -> EntityKey {
    EntityKey {
        name: "k".into(),
        kind: Type::String,
    }
}

fn decode(rows: &[Row<'_>], bytes: &[u8]) -> Decoded {
    let decoder = Decoder::new(source(&document(rows)).unwrap(), &[key()], false).unwrap();
    decoder.decode(None, Some(bytes), i64::MAX / 2)
}

/// The cell of one field, number 2, beside an event time.
fn cell(column: &str, kind: &str, presence: bool, bytes: &[u8]) -> Result<Value, &'static str> {
    let rows = [
        ("at", "timestamp", &[1][..], "timestamp", true),
        ("x", column, &[2], kind, presence),
    ];
    let mut decoded = decode(&rows, &[&[0x0a, 0][..], bytes].concat());
    match decoded.refusal {
        None => Ok(decoded.row.remove(1)),
        Some(refusal) => Err(refusal.reason),
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

#[test]
fn numbers_are_read_as_their_types_say() {
    let all = [&[0x10][..], &varint(u64::MAX)].concat();
    let cases = [
        ("int32", &all[..], -1),
        ("int64", &all, -1),
        ("uint32", &all, i64::from(u32::MAX)),
        ("sint32", &all, i64::from(i32::MIN)),
        ("sint64", &all, i64::MIN),
        ("enum", &all, -1),
        ("sint64", &[0x10, 3], -2),
        ("int64", &[0x10, 0x81, 0x80, 0], 1),
        ("uint64", &[0x10, 5], 5),
        ("fixed32", &[0x15, 0xff, 0xff, 0xff, 0xff], i64::from(u32::MAX)),
        ("sfixed32", &[0x15, 0xfe, 0xff, 0xff, 0xff], -2),
        ("fixed64", &[0x11, 1, 2, 0, 0, 0, 0, 0, 0], 513),
        ("sfixed64", &[0x11, 255, 255, 255, 255, 255, 255, 255, 255], -1),
    ];
    for (kind, bytes, expected) in cases {
        assert_eq!(
            cell("int64", kind, false, bytes),
            Ok(Value::Int(expected)),
            "{kind}"
        );
    }
    assert_eq!(cell("int64", "uint64", false, &all), Err("TYPE_MISMATCH"));
    assert_eq!(
        cell("int64", "fixed64", false, &[0x11, 0, 0, 0, 0, 0, 0, 0, 0x80]),
        Err("TYPE_MISMATCH")
    );
    assert_eq!(cell("bool", "bool", false, &[0x10, 2]), Ok(Value::Bool(true)));
}

#[test]
fn doubles_are_finite() {
    let float = |value: f32| [&[0x15][..], &value.to_le_bytes()].concat();
    let double = |value: f64| [&[0x11][..], &value.to_le_bytes()].concat();
    assert_eq!(
        cell("float64", "float", false, &float(0.1)),
        Ok(Value::Float(f64::from(0.1f32)))
    );
    let zero = cell("float64", "double", false, &double(-0.0)).unwrap();
    assert!(zero.same(&Value::Float(-0.0)));
    assert_eq!(
        cell("float64", "float", false, &float(f32::NAN)),
        Err("NOT_FINITE")
    );
    assert_eq!(
        cell("float64", "double", false, &double(f64::NEG_INFINITY)),
        Err("NOT_FINITE")
    );
}

#[test]
fn absent_fields_are_null_or_the_default_of_their_type() {
    let cases = [
        ("int64", "sint32", Value::Int(0)),
        ("float64", "float", Value::Float(0.0)),
        ("bool", "bool", Value::Bool(false)),
        ("string", "string", Value::from("")),
        ("string", "enum", Value::from("NONE")),
        ("timestamp", "timestamp", Value::Timestamp(0)),
        ("timestamp", "int64", Value::Timestamp(0)),
    ];
    for (column, kind, value) in cases {
        assert_eq!(cell(column, kind, false, &[]), Ok(value), "{kind}");
        assert_eq!(cell(column, kind, true, &[]), Ok(Value::Null), "{kind}");
    }
    assert_eq!(
        decode(&[("at", "timestamp", &[1], "timestamp", true)], &[])
            .refusal
            .unwrap()
            .reason,
        "MISSING_COLUMN"
    );
}

#[test]
fn the_last_occurrence_counts_and_messages_are_merged() {
    assert_eq!(
        cell("int64", "int64", false, &[0x10, 1, 0x10, 2]),
        Ok(Value::Int(2))
    );
    // Not judged where a later one takes its place.
    assert_eq!(
        cell("string", "string", false, &[0x12, 1, 0xff, 0x12, 1, b'a']),
        Ok(Value::from("a"))
    );
    let rows = [
        ("at", "timestamp", &[1][..], "timestamp", true),
        ("lat", "int64", &[4, 1], "int64", false),
        ("lon", "int64", &[4, 300], "int64", true),
        ("deep", "bool", &[4, 2, 1], "bool", false),
    ];
    let [lat, lon] = [&[0x22, 2, 0x08, 7][..], &[0x22, 3, 0xe0, 0x12, 8]];
    let whole = [&[0x0a, 2, 0x08, 1, 0x0a, 3, 0x10, 0xe8, 0x07][..], lat, lon].concat();
    let decoded = decode(&rows, &whole);
    assert_eq!(
        decoded.row[..4],
        [
            Value::Timestamp(1_000_001),
            Value::Int(7),
            Value::Int(8),
            Value::Null
        ]
    );
    // A message that is there has the defaults of its fields; one that is not has none.
    assert_eq!(
        decode(&rows, &[0x0a, 0, 0x22, 0]).row[1..3],
        [Value::Int(0), Value::Null]
    );
    assert_eq!(decode(&rows, &[0x0a, 0]).row[1..3], [Value::Null, Value::Null]);
    assert_eq!(
        decode(&rows, &[0x0a, 0, 0x20, 1]).refusal.unwrap().reason,
        "TYPE_MISMATCH"
    );
}

#[test]
fn timestamps_are_cut_to_microseconds_and_lie_in_range() {
    let moment = |seconds: i64, nanos: i32| {
        let seconds = varint(u64::from_le_bytes(seconds.to_le_bytes()));
        let nanos = varint(u64::from_le_bytes(i64::from(nanos).to_le_bytes()));
        let inner = [&[0x08][..], &seconds, &[0x10], &nanos].concat();
        [&[0x12, u8::try_from(inner.len()).unwrap()][..], &inner].concat()
    };
    let read = |seconds, nanos| cell("timestamp", "timestamp", true, &moment(seconds, nanos));
    assert_eq!(read(-1, 999_999_999), Ok(Value::Timestamp(-1)));
    assert_eq!(read(1, 1_999), Ok(Value::Timestamp(1_000_001)));
    let (first, last) = limits::INSTANTS;
    assert_eq!(read(first / 1_000_000, 0), Ok(Value::Timestamp(first)));
    assert_eq!(
        read(last.div_euclid(1_000_000), 999_999_999),
        Ok(Value::Timestamp(last))
    );
    assert_eq!(
        read(last.div_euclid(1_000_000) + 1, 0),
        Err("TIMESTAMP_OUT_OF_RANGE")
    );
    assert_eq!(read(i64::MIN, 0), Err("TIMESTAMP_OUT_OF_RANGE"));
    for nanos in [-1, 1_000_000_000] {
        assert_eq!(read(0, nanos), Err("BAD_TIMESTAMP"));
    }
    let text = b"\x12\x141970-01-01T00:00:01Z";
    assert_eq!(
        cell("timestamp", "string", false, text),
        Ok(Value::Timestamp(1_000_000))
    );
    assert_eq!(
        cell("timestamp", "string", false, b"\x12\x0a1970-01-01"),
        Err("NAIVE_TIMESTAMP")
    );
    assert_eq!(cell("timestamp", "string", false, &[]), Err("BAD_TIMESTAMP"));
    assert_eq!(
        cell("timestamp", "int64", false, &[0x10, 9]),
        Ok(Value::Timestamp(9))
    );
}

#[test]
fn enums_are_numbers_or_names() {
    let back = [&[0x10][..], &varint(u64::MAX)].concat();
    assert_eq!(cell("string", "enum", false, &back), Ok(Value::from("BACK")));
    assert_eq!(
        cell("string", "enum", false, &[0x10, 7]),
        Err("UNKNOWN_ENUM_NUMBER")
    );
    assert_eq!(cell("int64", "enum", false, &[0x10, 7]), Ok(Value::Int(7)));
}

#[test]
fn fields_that_nobody_reads_are_passed_over() {
    let unknown: &[&[u8]] = &[
        &[0x38, 0x96, 1],
        &[0x39, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x3a, 3, 1, 2, 3],
        &[0x3d, 1, 2, 3, 4],
        &[0x3b, 0x08, 1, 0x43, 0x44, 0x0a, 1, 9, 0x3c],
        &[0xf8, 0xff, 0xff, 0xff, 0x0f, 1],
    ];
    for field in unknown {
        assert_eq!(
            cell("int64", "int64", false, &[&[0x10, 4][..], field].concat()),
            Ok(Value::Int(4)),
            "{field:?}"
        );
    }
}

#[test]
fn malformed_messages_say_why() {
    let groups = [0x3b; 1000];
    let cases: &[(&[u8], &str)] = &[
        (&[0x38], "MALFORMED_PROTOBUF"),
        (&[0x38, 0x80], "MALFORMED_PROTOBUF"),
        (&[0x80], "MALFORMED_PROTOBUF"),
        (
            &[0x38, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
            "MALFORMED_PROTOBUF",
        ),
        (&[0x12, 5, 1], "MALFORMED_PROTOBUF"),
        (
            &[0x3a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
            "MALFORMED_PROTOBUF",
        ),
        (&[0x39, 1], "MALFORMED_PROTOBUF"),
        (&[0x3d, 1], "MALFORMED_PROTOBUF"),
        (&[0x0a, 1, 0x08], "MALFORMED_PROTOBUF"),
        (&[0, 1], "MALFORMED_PROTOBUF"),
        (&[0x0e], "MALFORMED_PROTOBUF"),
        (&[0xf8, 0xff, 0xff, 0xff, 0x1f, 1], "MALFORMED_PROTOBUF"),
        (&[0x3c], "MALFORMED_PROTOBUF"),
        (&[0x3b], "MALFORMED_PROTOBUF"),
        (&[0x3b, 0x44], "MALFORMED_PROTOBUF"),
        (&groups, "MALFORMED_PROTOBUF"),
        (&[0x11, 0, 0, 0, 0, 0, 0, 0, 0], "TYPE_MISMATCH"),
        (&[0x0a, 2, 0x0a, 0], "TYPE_MISMATCH"),
        (&[0x08, 1], "TYPE_MISMATCH"),
        (&[0x12, 1, 0xff], "INVALID_UTF8"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            &cell("string", "string", false, bytes).unwrap_err(),
            expected,
            "{bytes:?}"
        );
    }
    let long = [&[0x12][..], &varint(4097), &[b'x'; 4097]].concat();
    assert_eq!(cell("string", "string", false, &long), Err("STRING_TOO_LONG"));
    let rows = [("at", "timestamp", &[1][..], "timestamp", true)];
    let detail = decode(&rows, &[0x0a, 5]).refusal.unwrap().detail;
    assert_eq!(detail, "the message ends within a field at byte 2");
}

#[test]
fn any_bytes_have_a_verdict() {
    let kinds = ProtobufType::ALL;
    let names: Vec<String> = (0..kinds.len()).map(|place| format!("c{place}")).collect();
    let paths: Vec<Vec<u32>> = (2..).take(kinds.len()).map(|number| vec![number]).collect();
    let mut rows: Vec<Row<'_>> = vec![
        ("at", "timestamp", &[1], "timestamp", false),
        ("inner", "string", &[20, 1], "string", false),
        ("deep", "timestamp", &[20, 2, 3], "timestamp", true),
    ];
    rows.extend(kinds.iter().enumerate().map(|(n, kind)| {
        (
            &names[n][..],
            kind.columns()[0].name(),
            &paths[n][..],
            kind.name(),
            n % 2 == 0,
        )
    }));
    let reader = Decoder::new(source(&document(&rows)).unwrap(), &[key()], false).unwrap();
    let mut dice = Dice(7);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..dice.below(12) {
            // Tags that mean something, and anything.
            let number = u64::try_from(dice.below(24)).unwrap();
            bytes.extend(varint((number << 3) | (dice.next() % 6)));
            let next = dice.next();
            match dice.below(4) {
                0 => bytes.extend(varint(next)),
                1 => bytes.extend(&next.to_le_bytes()[..4]),
                2 => bytes.extend(next.to_le_bytes()),
                _ => bytes.extend([2, 0x08, next.to_le_bytes()[0]]),
            }
        }
        let decoded = reader.decode(None, Some(&bytes), i64::MAX / 2);
        match decoded.verdict {
            Verdict::Accepted => {
                accepted += 1;
                let columns = reader.source().columns.columns();
                assert!(
                    decoded
                        .row
                        .iter()
                        .zip(columns)
                        .all(|(cell, column)| cell.fits(column.kind))
                );
            }
            _ => refused += 1,
        }
        assert_eq!(decoded.refusal.is_none(), decoded.verdict == Verdict::Accepted);
    }
    assert!(
        accepted > 500 && refused > 500,
        "{accepted} accepted, {refused} refused"
    );
}

#[test]
fn a_source_that_cannot_be_read_so_is_refused() {
    let good = document(&[
        ("at", "timestamp", &[1], "timestamp", true),
        ("x", "string", &[2, 1], "enum", true),
        ("y", "int64", &[2, 2], "int32", true),
    ]);
    assert!(source(&good).is_ok());
    let cases = [
        ("/kind", json!("avro"), ".kind", "UNKNOWN_PAYLOAD"),
        ("", json!("protobuf"), "", "UNKNOWN_PAYLOAD"),
        ("/message", json!("a..B"), ".message", "BAD_NAME"),
        ("/fields", json!([]), ".fields", "WRONG_COUNT"),
        (
            "/fields/1/column",
            json!("y"),
            ".fields[1].column",
            "UNKNOWN_COLUMN",
        ),
        ("/fields/1/path", json!([2]), ".fields[2].path", "DUPLICATE_FIELD"),
        (
            "/fields/1/path",
            json!([2, 2]),
            ".fields[2].path",
            "DUPLICATE_FIELD",
        ),
        ("/fields/1/path", json!([]), ".fields[1].path", "WRONG_COUNT"),
        (
            "/fields/1/path",
            json!(vec![1; 17]),
            ".fields[1].path",
            "WRONG_COUNT",
        ),
        ("/fields/1/path/0", json!(0), ".fields[1].path[0]", "OUT_OF_RANGE"),
        (
            "/fields/1/path/0",
            json!(1 << 29),
            ".fields[1].path[0]",
            "OUT_OF_RANGE",
        ),
        (
            "/fields/2/type",
            json!("bytes"),
            ".fields[2].type",
            "UNKNOWN_TYPE",
        ),
        (
            "/fields/2/type",
            json!("double"),
            ".fields[2].type",
            "TYPE_MISMATCH",
        ),
        (
            "/fields/2/presence",
            json!(1),
            ".fields[2].presence",
            "WRONG_TYPE",
        ),
        ("/fields/2/names", json!([]), ".fields[2].names", "WRONG_TYPE"),
        ("/fields/1/names", json!([]), ".fields[1].names", "WRONG_COUNT"),
        (
            "/fields/1/names/0/number",
            json!(0),
            ".fields[1].names[1].number",
            "OUT_OF_ORDER",
        ),
        (
            "/fields/1/names/0/name",
            json!(""),
            ".fields[1].names[0].name",
            "BAD_NAME",
        ),
    ];
    for (pointer, value, path, reason) in cases {
        let mut bad = good.clone();
        *bad.pointer_mut(&format!("/payload{pointer}")).unwrap() = value;
        assert_eq!(
            source(&bad).unwrap_err(),
            vec![(format!("$.payload{path}"), reason)],
            "{pointer}"
        );
    }
}
