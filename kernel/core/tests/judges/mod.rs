//! What must hold for any bytes that reach the kernel from outside: nothing panics, and whatever is read is
//! written with the same bytes. Each judge takes one input; `make fuzz` makes inputs up, `fuzzed.rs` goes over
//! those that are kept.
//!
//! An input for a state is the name of a golden file (whose meaning is taken), a line feed, and the bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // That is how a judge speaks.

mod definitions;
mod records;
mod states;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value as Json;
use skewless_core::definition::{Definition, canonical, compile};

pub(crate) use definitions::{expression, meaning};
pub(crate) use records::{entity_id, json_payload, protobuf_payload};
pub(crate) use states::{latest_row, latest_stream, token, window};

/// What an input is judged by.
pub(crate) type Judge = fn(&[u8]);

/// Every judge by its name.
pub(crate) const JUDGES: [(&str, Judge); 9] = [
    ("window", window),
    ("latest_stream", latest_stream),
    ("latest_row", latest_row),
    ("token", token),
    ("meaning", meaning),
    ("expression", expression),
    ("json_payload", json_payload),
    ("protobuf_payload", protobuf_payload),
    ("entity_id", entity_id),
];

/// The folder of tests of the repository; a copy of the kernel alone is told where it is (`SKEWLESS_TESTS`).
pub(crate) fn tests() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests");
    std::env::var_os("SKEWLESS_TESTS").map_or_else(|| beside.into(), PathBuf::from)
}

/// The definitions of the golden files, by the files' names.
fn golden() -> &'static HashMap<String, Definition> {
    static GOLDEN: OnceLock<HashMap<String, Definition>> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let files = std::fs::read_dir(tests().join("golden/states")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let paths = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        paths
            .map(|path| {
                let json: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                let meaning = canonical::write(&json["meaning"]).unwrap();
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                (name, compile(meaning.as_bytes()).unwrap())
            })
            .collect()
    })
}

/// The definition that an input names, and the rest of it.
fn named(data: &[u8]) -> Option<(&'static Definition, &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let name = std::str::from_utf8(&data[..end]).ok()?;
    Some((golden().get(name)?, &data[end + 1..]))
}
