//! All processes of one run, on stage.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::ChildStdout;
use tokio::time::{interval, sleep_until};

use super::child::{Child, Output};
use super::deeds::deeds;
use super::display::Display;
use super::gateway::{self, Gateway};
use super::prepare::Prepared;
use super::resources::{self, Watch};
use super::{Settings, parts, said};
use crate::clock::{Clock, monotonic};
use crate::ledger::Folder;
use crate::people::progress::Progress;
use crate::scenario::Scenario;

/// Services and proxy listen within this.
const LISTENS: Duration = Duration::from_secs(20);

/// After the end of the run people write their ledgers; whoever takes longer hangs.
const CLOSING: Duration = Duration::from_secs(20);

/// Between two showings.
const SHOW: Duration = Duration::from_millis(200);

/// Everybody who plays.
#[derive(Debug)]
pub(super) struct Cast {
    harness: PathBuf,
    lead: Duration,
    scenario: Scenario,
    plan: super::plan::RunPlan,
    folder: Folder,
    expected: usize,
    gateway: Option<Gateway>,
    services: Option<Child>,
    faults: Option<Child>,
    people: Vec<Child>,
    progress: Vec<Cell<Progress>>,
}

impl Cast {
    /// Nothing is started.
    pub(super) fn new(settings: &Settings, prepared: Prepared) -> Self {
        let Prepared { scenario, plan, folder, configuration, people } = prepared;
        let parts = plan.gateway.clone().zip(plan.admin).zip(configuration);
        let gateway = parts.map(|((program, admin), configuration)| {
            Gateway::new(settings.harness.clone(), program, folder.clone(), admin, configuration)
        });
        Self {
            harness: settings.harness.clone(),
            lead: settings.lead,
            scenario,
            plan,
            folder,
            expected: people,
            gateway,
            services: None,
            faults: None,
            people: Vec::new(),
            progress: Vec::new(),
        }
    }

    /// Starts everybody, waits for the end, and ends everybody in order.
    pub(super) async fn play(&mut self) -> anyhow::Result<Progress> {
        let clock = self.start().await?;
        Box::pin(self.watch(clock)).await?;
        for mut people in std::mem::take(&mut self.people) {
            let status = people.ended().await?;
            if !status.success() {
                bail!(people.obituary(status));
            }
        }
        // What is on its way through the gateway still reaches the services.
        if let Some(gateway) = &mut self.gateway {
            gateway.stop().await?;
        }
        for child in [self.faults.take(), self.services.take()].into_iter().flatten() {
            let name = child.name.clone();
            let status = child.stop().await?;
            if !status.success() {
                bail!("{name} failed at the end: {status}");
            }
        }
        Ok(self.progress())
    }

    /// The sum of the workers' last lines.
    pub(super) fn progress(&self) -> Progress {
        self.progress.iter().map(Cell::get).reduce(Progress::and).unwrap_or_default()
    }

    /// Ends everybody at once.
    pub(super) async fn kill(&mut self) {
        let others = self.people.drain(..).chain(self.services.take()).chain(self.faults.take());
        for child in others {
            // It may have ended already.
            child.kill().await.ok();
        }
        if let Some(gateway) = &mut self.gateway {
            gateway.kill().await;
        }
    }

    async fn start(&mut self) -> anyhow::Result<Clock> {
        let lead = u64::try_from(self.lead.as_nanos()).unwrap_or(u64::MAX);
        self.plan.start_ns = monotonic().saturating_add(lead);
        self.plan.write(&self.folder)?;
        let clock = Clock::since(self.plan.start_ns);
        let program = parts::services(&self.harness, &self.folder);
        let services =
            self.services.insert(Child::start(&self.harness, &program, "services", self.folder.path(), &Output::Log)?);
        let servers = self.scenario.services.iter().zip(&self.plan.services);
        let listening: Vec<_> =
            servers.flat_map(|(service, servers)| servers.iter().take(service.servers.into())).copied().collect();
        services.ready(LISTENS, || listens(&listening)).await?;
        if let Some(proxied) = &self.plan.proxied {
            let program = parts::faults(&self.harness, &self.folder);
            let proxy = Child::start(&self.harness, &program, "faults", self.folder.path(), &Output::Log)?;
            let doors: Vec<_> = proxied.entrance.into_iter().collect();
            self.faults.insert(proxy).ready(LISTENS, || listens(&doors)).await?;
        }
        if let Some(gateway) = &mut self.gateway {
            gateway.start().await?;
        }
        for worker in 0..self.plan.workers {
            let program = parts::people(&self.harness, &self.folder, worker, self.plan.workers);
            let name = format!("people-{worker}");
            self.people.push(Child::start(&self.harness, &program, &name, self.folder.path(), &Output::Pipe)?);
            self.progress.push(Cell::default());
        }
        if !clock.now().is_zero() {
            let lead = self.lead.as_secs_f64();
            bail!("it took longer than {lead} s to start everything: give it more time with --lead");
        }
        Ok(clock)
    }

    /// Until all people have ended.
    async fn watch(&mut self, clock: Clock) -> anyhow::Result<()> {
        let outputs: Vec<_> = self.people.iter_mut().filter_map(Child::output).collect();
        let pids = RefCell::new(self.pids());
        let mut resources = Watch::new(&self.folder.resources(), clock).context("resources.jsonl cannot be written")?;
        let deeds = deeds(&self.scenario);
        let end = clock.instant(self.scenario.end() + CLOSING);
        let (progress, admin, path) = (&self.progress, self.plan.admin, self.folder.said());
        let running = |pid: Option<u32>| {
            let mut pids = pids.borrow_mut();
            pids.retain(|(name, _)| name != gateway::NAME);
            pids.extend(pid.map(|pid| (gateway::NAME.to_owned(), pid)));
        };
        let conduct = async {
            match &mut self.gateway {
                Some(gateway) => gateway.conduct(&deeds, clock, running).await,
                None => std::future::pending().await,
            }
        };
        let latest = RefCell::new(None);
        let said = async {
            match admin {
                Some(admin) => said::watch(admin, clock, &path, &latest).await.context("said.jsonl cannot be written"),
                None => std::future::pending().await,
            }
        };
        let looks = async {
            let mut looks = interval(resources::LOOK);
            loop {
                looks.tick().await;
                resources.look(&pids.borrow()).context("resources.jsonl cannot be written")?;
            }
        };
        let mut display = Display::new(self.expected, self.scenario.end());
        let shows = async {
            let mut shows = interval(SHOW);
            loop {
                shows.tick().await;
                let sum = progress.iter().map(Cell::get).reduce(Progress::and).unwrap_or_default();
                display.show(&sum, latest.borrow().as_ref(), clock.now());
            }
        };
        let ended = tokio::select! {
            () = listen(outputs, progress) => Ok(()),
            ended = conduct => ended,
            ended = said => ended,
            ended = looks => ended,
            error = ends(&mut self.services) => Err(error),
            error = ends(&mut self.faults) => Err(error),
            never = shows => never,
            () = sleep_until(end) => bail!("people did not end with the run"),
        };
        display.clear();
        ended
    }

    fn pids(&self) -> Vec<(String, u32)> {
        let children = self.people.iter().chain(&self.services).chain(&self.faults);
        let number = |child: &Child| Some((child.name.clone(), child.pid()?.as_raw_nonzero().get().unsigned_abs()));
        let gateway = self.gateway.as_ref().and_then(Gateway::pid).map(|pid| (gateway::NAME.to_owned(), pid));
        children.filter_map(number).chain(gateway).collect()
    }
}

/// Whether all of `addresses` take connections.
async fn listens(addresses: &[SocketAddr]) -> bool {
    for address in addresses {
        if TcpStream::connect(address).await.is_err() {
            return false;
        }
    }
    true
}

/// Reads what all workers print, until the last has closed its output.
async fn listen(outputs: Vec<ChildStdout>, progress: &[Cell<Progress>]) {
    let mut lines: Vec<_> = outputs.into_iter().map(|output| BufReader::new(output).lines()).collect();
    let readers = lines.iter_mut().zip(progress).map(|(lines, progress)| async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(said) = serde_json::from_str(&line) {
                progress.set(said);
            }
        }
    });
    let mut readers: Vec<_> = readers.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        readers.retain_mut(|reader| reader.as_mut().poll(cx).is_pending());
        if readers.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Ready when `child` ends, which during a run it must not.
async fn ends(child: &mut Option<Child>) -> anyhow::Error {
    match child {
        Some(child) => match child.ended().await {
            Ok(status) => anyhow::anyhow!(child.obituary(status)),
            Err(error) => error.into(),
        },
        None => std::future::pending().await,
    }
}
