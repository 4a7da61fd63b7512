//! Canonical JSON (RFC 8785): the exact bytes that are hashed are the bytes that are compiled.

use std::fmt::Write as _;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::limits;
use crate::fault::Fault;

/// Integers beyond this are not the same in every JSON reader; the format writes them as decimal strings.
const SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Reads a meaning document and refuses any bytes but the canonical ones.
pub fn parse(bytes: &[u8]) -> Result<Json, Fault> {
    if bytes.len() > limits::MEANING_BYTES {
        return Err(Fault::new(
            "$",
            "MEANING_TOO_LARGE",
            format!(
                "the document has {} bytes, at most {} are allowed; split the view",
                bytes.len(),
                limits::MEANING_BYTES
            ),
        ));
    }
    let json: Json = serde_json::from_slice(bytes).map_err(|error| {
        Fault::new(
            "$",
            "MALFORMED_JSON",
            format!("the document is not JSON: {error}"),
        )
    })?;
    let canonical = write(&json)?;
    if canonical.as_bytes() == bytes {
        return Ok(json);
    }
    let at = canonical.bytes().zip(bytes).take_while(|(a, b)| a == *b).count();
    Err(Fault::new(
        "$",
        "NOT_CANONICAL",
        format!(
            "the bytes are not canonical JSON (RFC 8785) from byte {at} on: sort the keys, write no spaces, \
             no duplicate keys and the shortest form of numbers"
        ),
    ))
}

/// SHA-256 of a meaning document: the identity of what a view means.
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The canonical text of a document.
pub fn write(json: &Json) -> Result<String, Fault> {
    let mut out = String::new();
    value(json, &mut out)?;
    Ok(out)
}

fn value(json: &Json, out: &mut String) -> Result<(), Fault> {
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(number) => self::number(number, out)?,
        Json::String(text) => string(text, out),
        Json::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                value(item, out)?;
            }
            out.push(']');
        }
        Json::Object(entries) => {
            let mut sorted: Vec<(&String, &Json)> = entries.iter().collect();
            // RFC 8785 orders by UTF-16 code units, not by code points.
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (place, (key, item)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                string(key, out);
                out.push(':');
                value(item, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn number(number: &serde_json::Number, out: &mut String) -> Result<(), Fault> {
    if let Some(integer) = number.as_i64() {
        if integer.unsigned_abs() > SAFE_INTEGER {
            return Err(unsafe_integer(&integer.to_string()));
        }
        out.push_str(&integer.to_string());
        return Ok(());
    }
    match number.as_f64() {
        Some(double) if !number.is_u64() => {
            out.push_str(ryu_js::Buffer::new().format_finite(double));
            Ok(())
        }
        _ => Err(unsafe_integer(&number.to_string())),
    }
}

fn unsafe_integer(text: &str) -> Fault {
    Fault::new(
        "$",
        "NOT_CANONICAL",
        format!("the integer {text} lies beyond 2^53 and changes between JSON readers; write it as a string"),
    )
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> &'static str {
        parse(text.as_bytes()).unwrap_err().reason
    }

    #[test]
    fn canonical_bytes_are_read() {
        let text = r#"{"a":[1,2.5,-0.001,1e+21,"é\n\u001f"],"b":null,"c":true}"#;
        assert!(parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn any_other_bytes_of_the_same_document_are_refused() {
        for text in [
            r#"{"b":1,"a":2}"#,
            r#"{"a": 1}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":"\u00e9"}"#,
            "{\"a\":1}\n",
            r#"{"a":-0.0}"#,
            r#"{"a":9007199254740993}"#,
            r#"{"a":18446744073709551615}"#,
        ] {
            assert_eq!(reason(text), "NOT_CANONICAL", "{text}");
        }
        assert_eq!(reason("{"), "MALFORMED_JSON");
    }

    #[test]
    fn keys_are_ordered_by_utf16() {
        // U+1F600 is written with surrogates (D83D...), which sort before U+FB33.
        let text = "{\"\u{1F600}\":1,\"\u{FB33}\":2}";
        assert!(parse(text.as_bytes()).is_ok());
    }
}
