//! The gateway's process: from the command line to an exit code.

mod cli;

use std::path::PathBuf;
use std::process::ExitCode;

use cli::Command;
use tikv_jemallocator::Jemalloc;
use weir::waiting_room::lottery;
use weir::{config, runtime, sabotage, telemetry};

/// By measurement: cheaper than glibc's, which is slow beyond a kilobyte, and it gives back what a burst has left.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Something failed that the configuration is not to blame for (`EX_SOFTWARE` of sysexits.h).
const EXIT_FAILED: u8 = 70;

fn main() -> ExitCode {
    match Command::from_arguments() {
        Command::Check { config } => config::check(&config),
        Command::VerifyDraw { document, receipt } => lottery::command::verify_files(&document, receipt.as_deref()),
        Command::Run { config } => match config::load(&config) {
            Ok(loaded) => run(loaded, config),
            Err(report) => {
                config::print_report(&report);
                ExitCode::from(config::EXIT_CONFIG)
            }
        },
    }
}

fn run(loaded: config::Loaded, path: PathBuf) -> ExitCode {
    telemetry::log::init();
    if let Err(error) = sabotage::announce() {
        tracing::error!("{error}");
        return ExitCode::from(config::EXIT_CONFIG);
    }
    let machine = config::machine::warnings(&loaded.plan);
    for warning in loaded.warnings.iter().chain(&machine) {
        tracing::warn!("{warning}");
    }
    match runtime::run(loaded.plan, path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}
