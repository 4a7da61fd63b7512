use std::sync::OnceLock;

use serde_json::{Value as Json, json};
use skewless_core::definition::{EntityKey, Source, canonical, compile_source, limits};
use skewless_core::keys::{self, KeyPart, LONGEST_PLAIN};
use skewless_core::payload::{Decoder, Verdict};
use skewless_core::value::{Type, Value};

const COLUMNS: [(&str, &str); 7] = [
    ("k", "string"),
    ("n", "int64"),
    ("x", "float64"),
    ("b", "bool"),
    ("s", "string"),
    ("t", "timestamp"),
    ("at", "timestamp"),
];

pub(crate) fn json_payload(data: &[u8]) {
    static DECODER: OnceLock<Decoder> = OnceLock::new();
    record(DECODER.get_or_init(|| decoder(&json!("json"))), data);
}

pub(crate) fn protobuf_payload(data: &[u8]) {
    static DECODER: OnceLock<Decoder> = OnceLock::new();
    let names = json!([{"number": -1, "name": "BACK"}, {"number": 0, "name": "NONE"}]);
    let field = |column: &str, path: Json, kind: &str, presence: bool, names: Json| json!({"column": column, "path": path, "type": kind, "presence": presence, "names": names});
    let fields = || {
        json!([
            field("k", json!([1]), "string", false, Json::Null),
            field("n", json!([2]), "sint64", true, Json::Null),
            field("x", json!([3, 1]), "double", true, Json::Null),
            field("b", json!([3, 2]), "bool", false, Json::Null),
            field("s", json!([4]), "enum", false, names.clone()),
            field("t", json!([300]), "int64", true, Json::Null),
            field("at", json!([5]), "timestamp", true, Json::Null),
        ])
    };
    let decoder = DECODER
        .get_or_init(|| decoder(&json!({"kind": "protobuf", "message": "a.v1.B", "fields": fields()})));
    record(decoder, data);
}

fn decoder(payload: &Json) -> Decoder {
    let columns = COLUMNS.map(|(name, kind)| json!({"name": name, "type": kind, "nullable": name != "at"}));
    let source = json!({
        "kind": "stream", "name": "s", "topic": "t", "record_key": [], "columns": columns,
        "event_time": "at", "future_tolerance_us": 0, "payload": payload,
    });
    let bytes = canonical::write(&source).unwrap();
    let Ok(Source::Stream(source)) = compile_source(bytes.as_bytes()) else {
        panic!("the judge's own source compiles");
    };
    let key = |name: &str, kind| EntityKey {
        name: name.into(),
        kind,
    };
    Decoder::new(source, &[key("k", Type::String), key("n", Type::Int64)], false).unwrap()
}

fn record(reader: &Decoder, data: &[u8]) {
    let now = 1_400_000_000_000_000;
    let decoded = reader.decode(None, Some(data), now);
    assert_eq!(decoded, reader.decode(None, Some(data), now), "decided once");
    let Some(refusal) = decoded.refusal else {
        assert_eq!(decoded.verdict, Verdict::Accepted);
        let t = decoded.event_time.expect("an accepted record has a time");
        assert!((limits::INSTANTS.0..=now).contains(&t));
        assert_eq!(decoded.row.len(), COLUMNS.len());
        for (cell, (name, kind)) in decoded.row.iter().zip(COLUMNS) {
            assert!(
                cell.is_null() || Type::from_name(kind).is_some_and(|kind| cell.fits(kind)),
                "{name}: {cell:?}"
            );
            assert!(!matches!(cell, Value::Float(x) if !x.is_finite()), "{name}");
        }
        return;
    };
    assert!(decoded.verdict != Verdict::Accepted && decoded.row.is_empty());
    assert!(!refusal.reason.is_empty() && !refusal.detail.is_empty());
}

/// Parts, each a byte that says its kind, the length of a text, and the bytes: the id tells them again.
pub(crate) fn entity_id(data: &[u8]) {
    let mut rest = data;
    let mut parts = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        if kind % 2 == 0 {
            let Some((bytes, after)) = after.split_first_chunk() else {
                break;
            };
            parts.push(KeyPart::Int(i64::from_be_bytes(*bytes)));
            rest = after;
        } else {
            let length = usize::from(kind / 2).min(after.len());
            let Ok(text) = std::str::from_utf8(&after[..length]) else {
                break;
            };
            parts.push(KeyPart::Text(text));
            rest = &after[length..];
        }
    }
    let Ok(id) = keys::entity_id(&parts) else {
        assert!(parts.is_empty());
        return;
    };
    assert!(keys::partition_of(&id, 7).is_ok_and(|partition| partition < 7));
    let written: Vec<&str> = id.split(',').collect();
    assert_eq!(written.len(), parts.len(), "{id}");
    for (own, part) in written.into_iter().zip(&parts) {
        match part {
            KeyPart::Int(integer) => assert_eq!(own, format!("i.{integer}")),
            KeyPart::Text(text) if text.len() > LONGEST_PLAIN => assert!(own.starts_with("h.")),
            KeyPart::Text(text) => assert_eq!(unescaped(own.strip_prefix("s.").unwrap()), text.as_bytes()),
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        if let Some(version) = keys::storage_version(text) {
            assert!(text.starts_with(version) && keys::state_key("p", "e", &id, "v", text).is_ok());
        }
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            out.push(byte);
        }
    }
    out
}
