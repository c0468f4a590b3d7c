//! The `pelago` binary: everything is in the library.

fn main() -> ! {
    pelago::main()
}
