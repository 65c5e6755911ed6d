//! Reading the configuration again while running: at SIGHUP.
//!
//! **Invariants**: all or nothing. A file that `weir check` would refuse changes nothing, nor does one that changes anything but the
//! `servers` of upstreams and the certificates and other TLS of listeners, which is all that a running process can follow, nor one whose servers need more descriptors than there are;
//! the log says why. A change of servers harms no request: those in flight at a server that is gone are finished; one of certificates
//! harms no handshake: each ends as it began.
//! **Cost**: milliseconds on the main thread, where nobody waits; a lookup of the machine's trust anchors with https servers.
//! **Not here**: what becomes of servers that go (`upstream`).

use std::path::PathBuf;
use std::sync::Arc;

use metrics::{Counter, Gauge};

use super::descriptors::Descriptors;
use super::presented::Presented;
use crate::config::{self, Plan};
use crate::proxy::gateway::Gateway;
use crate::telemetry::Registry;

/// What came of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The servers of an upstream, or the TLS of a listener, are others now.
    Applied,
    /// Nothing differs.
    Unchanged,
    /// The file is wrong.
    Invalid,
    /// More differs than a running process can follow.
    NeedsRestart,
    /// Its servers need more descriptors than there are.
    DoesNotFit,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Applied, Self::Unchanged, Self::Invalid, Self::NeedsRestart, Self::DoesNotFit];

    const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Invalid => "invalid",
            Self::NeedsRestart => "needs_restart",
            Self::DoesNotFit => "does_not_fit",
        }
    }

    /// Whether the process runs by the file as it stands.
    const fn is_success(self) -> bool {
        matches!(self, Self::Applied | Self::Unchanged)
    }
}

/// Reads the configuration again.
#[derive(Debug)]
pub(super) struct Reload {
    path: PathBuf,
    gateway: Arc<Gateway>,
    presented: Presented,
    descriptors: Descriptors,
    reloads: [Counter; Outcome::ALL.len()],
    last_successful: Gauge,
}

impl Reload {
    /// `gateway` was built from the file at `path`, and its servers shall fit `descriptors`.
    pub(super) fn new(
        path: PathBuf,
        gateway: &Arc<Gateway>,
        presented: &Presented,
        descriptors: Descriptors,
        registry: &Registry,
    ) -> Self {
        let help = "Times the configuration was read again, by what came of it.";
        let counter =
            |outcome: Outcome| registry.counter("weir_config_reloads_total", help, &[("result", outcome.name())]);
        let help = "Whether the process runs by the configuration as it was last read.";
        let last_successful = registry.gauge("weir_config_last_reload_successful", help, &[]);
        last_successful.set(1.0);
        let reloads = Outcome::ALL.map(counter);
        Self { path, gateway: Arc::clone(gateway), presented: presented.clone(), descriptors, reloads, last_successful }
    }

    /// Reads the file, and follows it if that is possible.
    pub(super) fn run(&self) {
        let outcome = self.follow();
        if let Some(counter) = self.reloads.get(outcome as usize) {
            counter.increment(1);
        }
        self.last_successful.set(if outcome.is_success() { 1.0 } else { 0.0 });
    }

    fn follow(&self) -> Outcome {
        let path = self.path.display();
        let loaded = match config::load(&self.path) {
            Ok(loaded) => loaded,
            Err(report) => {
                for fault in report.faults() {
                    tracing::error!("{path}:{}:{}: {}", fault.line(), fault.column(), fault.message());
                }
                if report.faults().is_empty() {
                    tracing::error!("{report}");
                }
                tracing::error!("not reloaded: nothing has changed");
                return Outcome::Invalid;
            }
        };
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let fixed = config::fixed_tables(self.gateway.plan(), &loaded.plan);
        if !fixed.is_empty() {
            let tables = fixed.join(", ");
            tracing::error!("not reloaded, nothing has changed: {path} differs in {tables}, which needs a restart");
            return Outcome::NeedsRestart;
        }
        if let Some(why) = self.descriptors.refuse(&self.gateway, &loaded.plan) {
            tracing::error!("not reloaded, nothing has changed: {why}");
            return Outcome::DoesNotFit;
        }
        self.apply(&loaded.plan)
    }

    /// Follows `next`, which differs in nothing that needs a restart.
    fn apply(&self, next: &Plan) -> Outcome {
        let path = self.path.display();
        let offers = match self.presented.prepare(&next.listeners) {
            Ok(offers) => offers,
            Err(error) => {
                tracing::error!("not reloaded, nothing has changed: {error}");
                return Outcome::Invalid;
            }
        };
        let servers = match self.gateway.replace_servers(&next.upstreams) {
            Ok(changed) => changed,
            Err(error) => {
                tracing::error!("not reloaded, nothing has changed: {error}");
                return Outcome::Invalid;
            }
        };
        let is_unchanged = offers.is_empty() && servers.is_empty();
        for (listener, terms, offer) in offers {
            terms.replace(offer);
            tracing::info!(%listener, "reloaded: its certificates, or what it asks of clients, have changed");
        }
        self.presented.warn();
        for name in servers {
            tracing::info!(upstream = %name, "reloaded: its servers have changed");
        }
        if is_unchanged {
            tracing::info!("reloaded: {path} says what it said before");
            return Outcome::Unchanged;
        }
        Outcome::Applied
    }
}
