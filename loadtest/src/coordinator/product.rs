//! Which gateway stands in front of the services, and how it is treated: weir, or one of those it is compared with.
//!
//! **Invariants**: weir is asked over its admin API; of every other only its listener, its processes and what people and services saw are known.
//! **Not here**: where a program is and which version it has (`peers`), its configuration ([`super::foreign`], `scenario::template`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

/// A gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    /// This project's.
    #[default]
    Weir,
    /// nginx.
    Nginx,
    /// `HAProxy`.
    Haproxy,
    /// Envoy.
    Envoy,
}

/// A gateway to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// Which.
    pub product: Product,
    /// Its program.
    pub program: PathBuf,
    /// Its configuration with words in braces ([`super::foreign`]); none: the scenario's own, which is weir's.
    pub template: Option<String>,
}

impl Product {
    /// How its program, its log and reports call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// How its configuration is called in the folder of a run.
    #[must_use]
    pub const fn configuration(self) -> &'static str {
        match self {
            Self::Weir => "weir.toml",
            Self::Nginx => "nginx.conf",
            Self::Haproxy => "haproxy.cfg",
            Self::Envoy => "envoy.yaml",
        }
    }

    /// What it is started with, in the foreground: its configuration, and a folder it may write to.
    #[must_use]
    pub fn arguments(self, configuration: &Path, state: &Path) -> Vec<String> {
        let (configuration, state) = (configuration.display().to_string(), state.display().to_string());
        let arguments: &[&str] = match self {
            Self::Weir => &["--config", &configuration],
            Self::Nginx => &["-p", &state, "-e", "stderr", "-c", &configuration],
            Self::Haproxy => &["-W", "-db", "-f", &configuration],
            Self::Envoy => &["--disable-hot-restart", "--log-level", "warning", "-c", &configuration],
        };
        arguments.iter().map(|argument| (*argument).to_owned()).collect()
    }

    /// What `program` says of its version, a line; none: it cannot be run, or says nothing.
    #[must_use]
    pub fn version(self, program: &Path) -> Option<String> {
        let flag = match self {
            Self::Weir | Self::Envoy => "--version",
            Self::Nginx | Self::Haproxy => "-v",
        };
        let said = Command::new(program).arg(flag).stdin(Stdio::null()).output().ok()?;
        // nginx says it on standard error.
        let text = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        line.filter(|_| said.status.success()).map(ToOwned::to_owned)
    }

    /// Whether it says over an admin API when it is ready, and what it does.
    #[must_use]
    pub const fn has_admin(self) -> bool {
        matches!(self, Self::Weir)
    }

    /// Whether it has processes of its own, which do not end with the first of them. `HAProxy`'s workers do; and its master would wait for ever
    /// for the process that watches over nginx's, because it waits for every child it has.
    #[must_use]
    pub const fn forks(self) -> bool {
        matches!(self, Self::Nginx)
    }

    /// Makes it read its configuration again; none: it cannot.
    #[must_use]
    pub const fn reloads(self) -> Option<Signal> {
        match self {
            Self::Weir | Self::Nginx => Some(Signal::HUP),
            // management.txt of HAProxy, "Starting HAProxy in master-worker mode".
            Self::Haproxy => Some(Signal::USR2),
            Self::Envoy => None,
        }
    }

    /// Makes it end when its requests have ended.
    #[must_use]
    pub const fn stops(self) -> Signal {
        match self {
            Self::Weir | Self::Envoy => Signal::TERM,
            Self::Nginx => Signal::QUIT,
            Self::Haproxy => Signal::USR1,
        }
    }
}
