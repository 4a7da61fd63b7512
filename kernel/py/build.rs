//! Stamps the extension with a hash of the sources it was built from (`skewless_kernel.__build__`).
//!
//! The hash covers, relative to the repository root and sorted by path: every `*.rs`, `Cargo.toml` and
//! `Cargo.lock` under `kernel/`, and every `*.proto` under `protos/`. For each file SHA-256 is fed the path
//! in UTF-8, a zero byte, the length as eight little-endian bytes, and the bytes. `tests/kernel/test_build.py`
//! computes the same, so a stale build is a failed test.
#![allow(clippy::expect_used)] // A build script that cannot read its sources must stop the build.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let crate_dir =
        PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let kernel = crate_dir.parent().expect("the crate lies in kernel/");
    let root = kernel.parent().expect("kernel/ lies in the repository");

    let mut files = Vec::new();
    collect(kernel, &mut files);
    collect(&root.join("protos"), &mut files);
    let mut named: Vec<(String, PathBuf)> = files
        .into_iter()
        .map(|file| {
            let name = file.strip_prefix(root).expect("collected below the root");
            (
                name.to_str().expect("source paths are UTF-8").replace('\\', "/"),
                file,
            )
        })
        .collect();
    named.sort();

    let mut hash = Sha256::new();
    for (name, file) in &named {
        let bytes = fs::read(file).expect("a collected file can be read");
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let mut hex = String::new();
    for byte in hash.finalize() {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
    }
    println!("cargo::rustc-env=SKEWLESS_KERNEL_BUILD={hex}");
}

/// Adds the source files under `dir`; asks cargo to look again when a folder of sources gains or loses one.
fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() {
            // `python` receives the built extension: watching it would make every build stale.
            if name.starts_with('.') || name == "target" || name == "python" {
                continue;
            }
            if name == "src" || name == "protos" || dir.ends_with("kernel") && name != "py" {
                println!("cargo::rerun-if-changed={}", path.display());
            }
            collect(&path, files);
        } else if is_source(&name) {
            files.push(path);
        }
    }
}

fn is_source(name: &str) -> bool {
    let extension = Path::new(name).extension().unwrap_or_default();
    extension == "rs" || extension == "proto" || name == "Cargo.toml" || name == "Cargo.lock"
}
