//! The `pelago` binary: everything is in [`pelago::cli`].

fn main() -> ! {
    pelago::cli::main()
}
