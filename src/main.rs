//! The `pelago` binary.
fn main() {}
