//! `loadtest`: see [`loadtest::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    loadtest::cli::run(std::env::args_os())
}
