#![no_main]
#[path = "../../../kernel/core/tests/judges/mod.rs"]
#[allow(dead_code, unused_imports)]
mod judges;

libfuzzer_sys::fuzz_target!(|data: &[u8]| judges::latest_stream(data));
