//! The gateway's process: from the command line to an exit code.

mod cli;

use std::process::ExitCode;

use cli::Command;
use weir::config;

fn main() -> ExitCode {
    match Command::from_arguments() {
        Command::Check { config } => config::check(&config),
        Command::Run { config } => match config::load(&config) {
            Ok(_) => ExitCode::SUCCESS,
            Err(report) => {
                config::print_report(&report);
                ExitCode::from(config::EXIT_CONFIG)
            }
        },
    }
}
