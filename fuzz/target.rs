//! One target of `pelago::fuzzing`: the one that this binary is named after.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| pelago::fuzzing::run(env!("CARGO_BIN_NAME"), data));
