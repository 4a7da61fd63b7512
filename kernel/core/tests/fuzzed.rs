//! The judges of `make fuzz` over inputs that are kept: what once was found, and golden states with every byte
//! changed in turn.
#![allow(clippy::unwrap_used, clippy::panic)] // The helpers of tests are part of them.

mod judges;

use std::path::{Path, PathBuf};

use judges::{JUDGES, tests};
use serde_json::Value as Json;

fn files(folder: &Path) -> Vec<PathBuf> {
    let found = std::fs::read_dir(folder).map(|files| files.map(|file| file.unwrap().path()));
    let mut found: Vec<PathBuf> = found.into_iter().flatten().collect();
    found.sort();
    found
}

#[test]
fn what_was_found_stays_mended() {
    let folders = files(&tests().join("fuzz/found"));
    for folder in &folders {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let judge = JUDGES.iter().find(|(own, _)| *own == name);
        let (_, judge) = judge.unwrap_or_else(|| panic!("{name} is no judge"));
        for path in files(folder) {
            judge(&std::fs::read(&path).unwrap());
        }
    }
}

fn bytes(hex: &Json) -> Vec<u8> {
    let digits = hex.as_str().unwrap_or_default();
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

/// Inputs for a judge of states: of each golden file its first two states.
fn golden() -> Vec<(&'static str, Vec<u8>)> {
    let mut inputs = Vec::new();
    for path in files(&tests().join("golden/states")) {
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let file: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let judge = match (file["meaning"]["kind"].as_str(), file.get("rows")) {
            (Some("window_view"), _) => "window",
            (_, None) => "latest_stream",
            (_, Some(_)) => "latest_row",
        };
        for state in file["stored"].as_object().unwrap().values().take(2) {
            let (head, body) = (bytes(&state["head"]), bytes(&state["body"]));
            let mut input = format!("{}\n", path.file_stem().unwrap().to_str().unwrap()).into_bytes();
            if judge == "window" {
                input.extend(u16::try_from(head.len()).unwrap().to_be_bytes());
            }
            input.extend(head);
            input.extend(body);
            inputs.push((judge, input));
        }
    }
    inputs
}

#[test]
fn golden_states_with_any_byte_changed_are_refused_or_written_alike() {
    let inputs = golden();
    assert!(
        JUDGES[..3]
            .iter()
            .all(|(name, _)| inputs.iter().any(|(own, _)| own == name))
    );
    for (name, input) in inputs {
        let (_, judge) = JUDGES.iter().find(|(own, _)| *own == name).unwrap();
        judge(&input);
        let start = input.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        // Long states repeat themselves: some 400 places of each will do.
        let step = (input.len() - start).div_ceil(400);
        for place in (start..input.len()).step_by(step) {
            for value in [0, 1, 0x7f, 0x80, 0xff, input[place].wrapping_add(1)] {
                let mut changed = input.clone();
                changed[place] = value;
                judge(&changed);
            }
            judge(&input[..place]);
        }
    }
}
