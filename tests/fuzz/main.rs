//! Coverage-guided fuzzing of the parsers that read what others write. One program; `TETHER_FUZZ` names the target.
//!
//! `tests/fuzz/run` builds and runs it, on stable Rust: libFuzzer needs the compiler's coverage marks and no sanitizer.

#![no_main]

mod targets;

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("TETHER_FUZZ").unwrap_or_default();
    let found = targets::TARGETS.iter().find(|(target, _)| *target == name);
    found.unwrap_or_else(|| panic!("TETHER_FUZZ names no target: {name:?}")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
