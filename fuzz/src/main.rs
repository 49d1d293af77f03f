//! Searches for inputs that break a target: libFuzzer on the target that `SEALIFT_FUZZ` names.
#![no_main]

use std::sync::OnceLock;

use sealift_fuzz::{TARGETS, Target};

fn target() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("SEALIFT_FUZZ").expect("SEALIFT_FUZZ names a target");
        let found = TARGETS.iter().find(|(known, _)| *known == name);
        found.expect("SEALIFT_FUZZ names a target").1
    })
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| target()(input));
