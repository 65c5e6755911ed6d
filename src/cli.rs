//! The command line: what was asked for, nothing done yet.
//!
//! **Not here**: doing it (`main`), what is in the file (`weir::config`).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The file that is read when none is named.
const DEFAULT_CONFIG: &str = "config.toml";

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run the gateway.
    Run {
        /// The configuration file.
        config: PathBuf,
    },
    /// Check a configuration, bind nothing.
    Check {
        /// The configuration file.
        config: PathBuf,
    },
    /// Recompute a draw that was published.
    VerifyDraw {
        /// The document of the draw.
        document: PathBuf,
        /// A receipt of it.
        receipt: Option<PathBuf>,
    },
}

impl Command {
    /// The command that the process was started with. Ends the process for `--help`, `--version` (exit code 0) and
    /// wrong usage (2).
    pub(crate) fn from_arguments() -> Self {
        let arguments = Arguments::parse();
        match arguments.action {
            None => Self::Run { config: arguments.config },
            Some(Action::Check(check)) => Self::Check { config: check.config },
            Some(Action::Draw(DrawAction::Verify(draw))) => {
                Self::VerifyDraw { document: draw.document, receipt: draw.receipt }
            }
        }
    }
}

/// Admission control gateway: forwards what the services behind can finish, and gives everyone else an honest answer.
///
/// Without a command it runs until SIGTERM or SIGINT: it then takes no more connections, finishes what is in flight and
/// exits. A second signal exits at once. SIGHUP reads the configuration again and follows changes of servers and
/// certificates.
#[derive(Debug, Parser)]
#[command(name = "weir", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The configuration to run by; relative paths in it start at its directory.
    #[arg(long, short, value_name = "PATH", default_value = DEFAULT_CONFIG)]
    config: PathBuf,

    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say everything that is wrong with a configuration, and how well this machine fits it; bind nothing.
    #[command(after_help = "Exit codes: 0 it can go live (there may be warnings), 78 it cannot.")]
    Check(Check),
    /// Concerning the draw of a waiting room's lobby.
    #[command(subcommand)]
    Draw(DrawAction),
}

#[derive(Debug, Subcommand)]
enum DrawAction {
    /// Recompute a draw that was published, and say exactly what does not match; needs nothing but the file.
    #[command(after_help = "Exit codes: 0 everything matches, 1 something does not, 66 a file cannot be read.")]
    Verify(VerifyDraw),
}

#[derive(Args, Debug)]
struct VerifyDraw {
    /// The document of the draw, as it was published.
    #[arg(value_name = "FILE")]
    document: PathBuf,

    /// A person's receipt, from before or after the draw: is he in it, and with what he was told?
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Check {
    /// The configuration to check.
    #[arg(value_name = "PATH", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  weir                              run by ./config.toml
  weir --config /etc/weir.toml      run by another file
  weir check /etc/weir.toml         is this file right, and does this machine fit it?
  weir draw verify draw.jsonl       was the lobby drawn as its commitment says?

Exit codes:
  0   ended as asked
  1   a draw does not match
  2   wrong usage of this command line
  66  a draw cannot be read
  70  failed while running
  78  the configuration is wrong: nothing was bound";
