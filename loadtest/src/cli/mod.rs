//! The command line.
//!
//! **Invariants**: the exit status says what happened: 0 passed, 1 a threshold was missed, 2 an invariant is broken, 3 the run is invalid
//! or could not be made, 4 the command line or the scenario is wrong.

mod calibrate;
mod compare;
mod demo;
mod guard;
mod judge;
mod origin;
mod overload;
mod peers;
mod people;
mod plan;
mod run;
mod services;
mod sim;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::coordinator::gateway::Died;
use crate::coordinator::parts::Wrong;
use crate::crowd::plan::{Arrivals, Behaviour, Plan};
use crate::origin::curve::Curve;
use crate::peers::Unfit;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Missed,
    Broken,
    Invalid,
}

const USAGE: u8 = 4;

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(match verdict {
            Verdict::Passed => 0,
            Verdict::Missed => 1,
            Verdict::Broken => 2,
            Verdict::Invalid => 3,
        })
    }
}

/// Proves the day before the day: a registration service that can be overrun, and the crowd that does it.
#[derive(Debug, Parser)]
#[command(
    name = "loadtest",
    after_help = "Exit status: 0 passed, 1 threshold missed, 2 invariant broken, 3 run invalid, 4 wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be a registration service with a known capacity, a collapse beyond it and a ledger
    Origin(origin::Options),
    /// Make a run of a scenario: services, gateway and people, and everything they did
    Run(run::Options),
    /// Show the same crowd at the same service, without a gateway and through weir
    Demo(demo::Options),
    /// Make the same run with each gateway there is, and show them side by side
    Peers(peers::Options),
    /// Measure whether the services of a scenario do what it says of them
    Calibrate(calibrate::Options),
    /// Be the services of a run
    #[command(hide = true)]
    Services(services::Options),
    /// Be the network of a run, and break it
    #[command(hide = true)]
    Faults(services::Options),
    /// Prove what weir does for a service that is overrun, slows down, stalls or fails, without being told its capacity
    Overload(overload::Options),
    /// Run a scenario against weir's own decisions in virtual time, as fast as it goes, and judge it
    Sim(sim::Options),
    /// Say before the day how it will go: how long the line gets, when the last is served, what is asked of the gateway
    Plan(plan::Options),
    /// Judge a run again by what is in its folder
    Check(judge::Check),
    /// Write the reports of a run again: report.html, report.json, report.csv, seconds.csv, junit.xml
    Report(judge::Written),
    /// Compare two runs, or two sets of runs: a regression is what is worse beyond the noise
    Compare(compare::Options),
    /// Tell one person's story of a run, from everything that was written about it
    Trace(judge::Trace),
    /// Play a share of the people of a run
    #[command(hide = true)]
    People(people::Options),
    /// Become another program, which dies with the one that started it
    #[command(hide = true)]
    Guard(guard::Options),
    /// End what the processes of a child leave behind
    #[command(hide = true)]
    Watch(guard::Watch),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shape {
    Kink,
    Usl,
}

/// The service's capacity.
#[derive(Clone, Debug, Args)]
struct Service {
    /// Requests per second at the knee, the most it can do
    #[arg(long, value_name = "RATE", default_value = "400", value_parser = positive)]
    capacity: f64,
    /// Requests in flight at which it does most
    #[arg(long, value_name = "N", default_value = "40", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    knee: u32,
    /// How it falls beyond the knee: by SLOPE, or by the Universal Scalability Law
    #[arg(long, value_enum, default_value_t = Shape::Kink)]
    shape: Shape,
    /// Kink: beyond the knee it does CAPACITY / (1 + SLOPE·(n − knee)/knee)
    #[arg(long, default_value = "0.05", value_parser = not_negative)]
    slope: f64,
    /// Usl: contention, from 0 to below 1
    #[arg(long, default_value = "0.02", value_parser = share)]
    sigma: f64,
}

impl Service {
    fn curve(&self) -> Curve {
        match self.shape {
            Shape::Kink => Curve::kink(self.capacity, self.knee, self.slope),
            Shape::Usl => Curve::usl(self.capacity, self.knee, self.sigma),
        }
    }
}

/// How people are, beside what differs from command to command.
#[derive(Clone, Debug, Args)]
struct People {
    /// Wait this long for one answer, then disconnect and try again
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    patience_answer: Duration,
    /// Share of people who come back after 1–3 s whatever Retry-After says
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = share)]
    ignore_retry_after: f64,
    /// Seed of the arrivals and of every person's moods
    #[arg(long, default_value_t = 20_200_411)]
    seed: u64,
}

impl People {
    fn plan(&self, arrivals: Arrivals, give_up: Duration) -> Plan {
        let (patience, ignore_retry_after) = (self.patience_answer, self.ignore_retry_after);
        let behaviour = Behaviour { patience, give_up, ignore_retry_after, ..Behaviour::default() };
        Plan::draw(arrivals, behaviour, self.seed)
    }
}

/// Runs the command line `arguments`, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(answer) => {
            // Nothing is left to be done when standard error is closed.
            drop(answer.print());
            return if answer.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let ended = match cli.command {
        Command::Origin(options) => origin::command(options),
        Command::Run(options) => run::command(&options),
        Command::Demo(options) => demo::command(&options),
        Command::Peers(options) => peers::command(&options),
        Command::Calibrate(options) => calibrate::command(&options),
        Command::Services(options) => services::serve(&options),
        Command::Faults(options) => services::relay(&options),
        Command::Overload(options) => overload::command(&options),
        Command::Sim(options) => sim::command(&options),
        Command::Plan(options) => plan::command(&options),
        Command::Check(options) => judge::check(&options),
        Command::Report(options) => judge::report(&options),
        Command::Compare(options) => compare::command(&options),
        Command::Trace(options) => judge::trace(&options),
        Command::People(options) => people::command(&options),
        Command::Guard(options) => guard::command(options),
        Command::Watch(options) => guard::watch(&options),
    };
    match ended {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            if error.is::<Wrong>() || error.is::<Unfit>() {
                ExitCode::from(USAGE)
            } else if error.is::<Died>() {
                Verdict::Broken.into()
            } else {
                Verdict::Invalid.into()
            }
        }
    }
}

fn write_json(path: &Path, report: &impl Serialize) -> anyhow::Result<()> {
    std::fs::write(path, serde_json::to_vec_pretty(report)?).with_context(|| format!("cannot write {}", path.display()))
}

/// A runtime on this thread.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Ready at SIGINT or SIGTERM.
async fn interrupted() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        received = tokio::signal::ctrl_c() => received,
        _ = terminate.recv() => Ok(()),
    }
}

/// Parses `250ms`, `10s`, `5m`.
fn time(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err("a time is a number with ms, s or m, such as 10s".into()),
    };
    let number: f64 = text.strip_suffix(unit).and_then(|number| number.parse().ok()).ok_or("not a number")?;
    let span = Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())?;
    let day = Duration::from_hours(24);
    if span.is_zero() || span > day { Err("from 1ms to 24 hours".into()) } else { Ok(span) }
}

fn number(text: &str, range: impl Fn(f64) -> bool, hint: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| range(*value)).ok_or_else(|| hint.to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0 && value <= 1e6, "a number above 0, at most 1000000")
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..=1e6).contains(&value), "a number from 0 to 1000000")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..1.0).contains(&value) || text == "1", "a share from 0 to 1")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_every_option_with_a_sentence() {
        for name in [
            "origin",
            "run",
            "peers",
            "demo",
            "calibrate",
            "services",
            "faults",
            "overload",
            "check",
            "report",
            "compare",
            "trace",
        ] {
            let mut command = Cli::command();
            let command = command.find_subcommand_mut(name).expect("a subcommand");
            for option in command.get_arguments() {
                assert!(option.get_help().is_some(), "{name} {}", option.get_id());
            }
            let help = command.render_help().to_string();
            assert!(help.lines().count() > 8 && help.contains("Usage"), "{help}");
        }
    }

    #[test]
    fn times_are_strict() {
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "10", "s", "0s", "-1s", "1h", "25m s", "9999999999999999m", "1..2s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_strict() {
        assert!(positive("0").is_err() && positive("NaN").is_err() && positive("inf").is_err());
        assert!(share("1.1").is_err() && share("0.1").is_ok() && share("1").is_ok() && not_negative("-1").is_err());
    }
}
