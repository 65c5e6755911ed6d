//! The demonstration: the same crowd to the same service, once directly and once through the gateway.
//!
//! **Invariants**: each half has a fresh service with the same seed and the same plan of people; the children are stopped
//! whatever happens. Nothing is compared that was not measured in this run.
//! **Cost**: two processes beside this one, about 80 seconds.

pub mod child;
pub mod verdict;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use http::uri::Authority;
use serde::Serialize;

use self::child::Program;
use self::verdict::{Check, Half};
use crate::crowd::attempt::Target;
use crate::crowd::plan::Plan;
use crate::crowd::{Crowd, progress};
use crate::ideal::{self, Ideal};
use crate::origin::server::Account as OriginAccount;
use crate::{fetch, table};

/// What to demonstrate with.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The gateway's program.
    pub gateway: PathBuf,
    /// Its configuration, whose upstream is `origin`.
    pub config: PathBuf,
    /// Where the gateway listens for people.
    pub entrance: SocketAddr,
    /// Where it says that it is ready: its admin address.
    pub admin: SocketAddr,
    /// Where the service listens.
    pub origin: SocketAddr,
    /// Options of `loadtest origin` beside `--listen` and `--ledger`.
    pub origin_options: Vec<String>,
    /// The service's capacity per second.
    pub capacity: f64,
    /// The most that may be in flight at it; [`None`] for whatever the gateway says that it allowed.
    pub limit: Option<usize>,
    /// The crowd.
    pub plan: Arc<Plan>,
    /// Sockets the crowd may open.
    pub sockets: usize,
    /// Where logs and ledgers go.
    pub folder: PathBuf,
}

/// Everything the demonstration measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The service's capacity per second.
    pub capacity: f64,
    /// What the capacity allows, in people.
    pub allowed: u64,
    /// Fingerprint of the plan.
    pub plan: String,
    /// Without a gateway.
    pub direct: Half,
    /// Through it.
    pub gateway: Half,
    /// The statements and whether they are true.
    pub checks: Vec<Check>,
}

impl Demo {
    /// Runs both halves.
    pub async fn run(self) -> anyhow::Result<Report> {
        for (address, whose) in [(self.origin, "service"), (self.entrance, "gateway"), (self.admin, "gateway's admin")]
        {
            free(address, whose)?;
        }
        if !self.gateway.is_file() {
            bail!("there is no gateway at {}: build it, or name it with --weir", self.gateway.display());
        }
        let allowed = self.ideal().registered;
        let capacity = self.capacity;
        let direct = self.direct().await.context("without a gateway")?;
        let (gateway, permitted) = self.through().await.context("through the gateway")?;
        let checks = verdict::judge(&direct, &gateway, allowed, self.limit.unwrap_or(permitted));
        Ok(Report { capacity, allowed, plan: format!("{:016x}", self.plan.fingerprint()), direct, gateway, checks })
    }

    /// What the capacity allows.
    #[must_use]
    pub fn ideal(&self) -> Ideal {
        ideal::serve(self.plan.stays(), self.capacity)
    }

    async fn direct(&self) -> anyhow::Result<Half> {
        let mut origin = self.start_origin("direct").await?;
        let crowd = self.crowd(self.origin, "1/2 no gateway  ");
        let crowd = tokio::select! {
            crowd = crowd => crowd?,
            error = origin.ended() => return Err(error),
        };
        let service = self.account().await?;
        origin.stop().await?;
        Ok(Half { crowd, service })
    }

    /// And the most that the gateway ever allowed in flight.
    async fn through(&self) -> anyhow::Result<(Half, usize)> {
        let mut origin = self.start_origin("gateway").await?;
        let arguments = ["--config".to_owned(), self.config.display().to_string()];
        let mut gateway = Program::start(&self.gateway, &arguments, "weir", &self.folder)?;
        gateway.ready(&format!("http://{}/readyz", self.admin)).await?;
        let crowd = self.crowd(self.entrance, "2/2 through weir");
        let crowd = tokio::select! {
            crowd = crowd => crowd?,
            error = origin.ended() => return Err(error),
            error = gateway.ended() => return Err(error),
        };
        let permitted = self.permitted().await?;
        // The gateway finishes what it has in flight; then the account is complete.
        gateway.stop().await?;
        let service = self.account().await?;
        origin.stop().await?;
        Ok((Half { crowd, service }, permitted))
    }

    /// The highest limit the gateway had since it started, over all its upstreams.
    async fn permitted(&self) -> anyhow::Result<usize> {
        let (_, metrics) = fetch::get(&format!("http://{}/metrics", self.admin)).await?;
        let metrics = String::from_utf8(metrics)?;
        let highest = metrics.lines().filter_map(|line| line.strip_prefix("weir_limit_highest{"));
        let highest = highest.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        highest.reduce(usize::saturating_add).context("the gateway does not say what it allowed")
    }

    async fn start_origin(&self, half: &str) -> anyhow::Result<Program> {
        let ledger = self.folder.join(format!("ledger-{half}.jsonl"));
        // The service appends; an earlier demonstration's records in the same folder are not this one's.
        std::fs::write(&ledger, "").with_context(|| format!("cannot write {}", ledger.display()))?;
        let mut arguments = ["origin", "--listen", &self.origin.to_string(), "--ledger", &ledger.display().to_string()]
            .map(String::from)
            .to_vec();
        arguments.extend_from_slice(&self.origin_options);
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut origin = Program::start(&program, &arguments, &format!("origin-{half}"), &self.folder)?;
        origin.ready(&format!("http://{}/", self.origin)).await?;
        Ok(origin)
    }

    async fn crowd(&self, to: SocketAddr, title: &'static str) -> anyhow::Result<crate::crowd::tally::Account> {
        let target = Target::resolve(&Authority::try_from(to.to_string())?).await?;
        let crowd = Crowd { plan: Arc::clone(&self.plan), target, sockets: self.sockets };
        tokio::task::spawn_blocking(move || progress::watch(crowd, title)).await?
    }

    async fn account(&self) -> anyhow::Result<OriginAccount> {
        let (_, account) = fetch::get(&format!("http://{}/ledger/summary", self.origin)).await?;
        serde_json::from_slice(&account).context("the service's account does not parse")
    }
}

impl Report {
    /// The two halves side by side.
    #[must_use]
    pub fn table(&self) -> String {
        let halves = [&self.direct, &self.gateway];
        let mut rows = table::crowd(&halves.map(|half| &half.crowd), Some(self.allowed));
        let mut row = |label: &str, cell: &dyn Fn(&Half) -> String| {
            rows.push((label.to_owned(), halves.iter().map(|half| cell(half)).collect()));
        };
        row("last person left after (s)", &|half| format!("{:.1}", half.crowd.elapsed));
        row("service: capacity used for people who heard", &|half| {
            table::percent(half.crowd.registered as f64, self.capacity * half.crowd.elapsed)
        });
        row("service: most in flight", &|half| table::count(half.service.service.max_in_flight as u64));
        row("service: sign-ups made", &|half| table::count(half.service.service.counts.effects));
        row("service: sign-ups beyond a person's first", &|half| table::count(half.service.service.counts.duplicates));
        row("service: work that reached nobody", &|half| format!("{:.2} %", half.waste() * 100.0));
        row("service: work left unfinished", &|half| table::count(half.service.service.in_flight as u64));
        table::render(&["no gateway", "through weir"], &rows)
    }

    /// The checks, one a line.
    #[must_use]
    pub fn verdicts(&self) -> String {
        self.checks.iter().fold(String::new(), |text, check| {
            let verdict = if check.pass { "PASS" } else { "FAIL" };
            format!("{text}  {verdict}  {} — {}\n", check.claim, check.measured)
        })
    }

    /// Whether every check passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.pass)
    }
}

/// Says clearly that a port is taken, before anything is started.
fn free(address: SocketAddr, whose: &str) -> anyhow::Result<()> {
    TcpListener::bind(address)
        .map(drop)
        .with_context(|| format!("the {whose} address {address} cannot be used: stop what listens there"))
}

/// A folder for logs and ledgers under the system's temporary one.
pub fn temporary_folder() -> anyhow::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("loadtest-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// The gateway as built beside this program.
pub fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("cannot find this program")?;
    Ok(here.parent().unwrap_or_else(|| Path::new(".")).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("bound");
        let error = free(address, "service").expect_err("taken").to_string();
        assert!(error.contains(&address.to_string()) && error.contains("service"), "{error}");
        drop(taken);
        assert!(free(address, "service").is_ok());
    }
}
