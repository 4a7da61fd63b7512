//! Generates the messages of the contracts that the server speaks, and the descriptors for reflection.
#![allow(clippy::expect_used)] // A build script that cannot read its contracts must stop the build.

use std::fs;
use std::path::PathBuf;

/// What the server speaks; everything they import comes along.
const CONTRACTS: [&str; 5] = [
    "skewless/api/errors/v1/reason.proto",
    "skewless/api/events/v1/served.proto",
    "skewless/api/online/v1/online_service.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
];

fn main() {
    let crate_dir =
        PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let root = crate_dir
        .ancestors()
        .nth(2)
        .expect("kernel/serve lies in the repository");
    let folders = [root.join("protos"), root.join("third_party/protos")];
    for folder in &folders {
        println!("cargo::rerun-if-changed={}", folder.display());
    }

    let mut compiler = protox::Compiler::new(&folders).expect("the folders of contracts can be read");
    compiler.include_imports(true);
    compiler
        .open_files(CONTRACTS)
        .expect("the contracts compile; `make check` says where they do not");

    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("contracts.binpb"), compiler.encode_file_descriptor_set())
        .expect("the descriptors can be written");

    let mut files = compiler.file_descriptor_set();
    // Rules on fields are kept by hand in `check`; their own messages are not spoken.
    files.file.retain(|file| !file.name().starts_with("buf/"));
    prost_build::Config::new()
        .bytes(["."])
        .disable_comments(["."])
        .btree_map(["."])
        .enable_type_names()
        .include_file("contracts.rs")
        .compile_fds(files)
        .expect("messages are generated from compiled contracts");
}
