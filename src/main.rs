//! The `panta` command.

fn main() -> std::process::ExitCode {
    panta::cli::main()
}
