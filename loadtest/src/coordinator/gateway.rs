//! The gateway's process and what is done to it.
//!
//! **Invariants**: it ends only when it is ended; otherwise the run has found something, and says so ([`Died`]).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use http::StatusCode;
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use super::child::{Child, Output};
use super::deeds::Deed;
use super::plan::Program;
use super::prepare::Configuration;
use super::product::Product;
use crate::clock::Clock;
use crate::fetch;
use crate::ledger::Folder;

/// Time to become ready.
const READY: Duration = Duration::from_secs(30);

/// How it is known to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It says so at this admin address.
    Says(SocketAddr),
    /// It takes connections here.
    Listens(SocketAddr),
}

/// The gateway ended by itself during the run.
#[derive(Debug, thiserror::Error)]
#[error("the gateway ended by itself: {0}")]
pub struct Died(String);

impl Died {
    /// Writes it down, for whoever judges `folder` later.
    pub(super) fn note(&self, folder: &Folder) -> anyhow::Result<()> {
        std::fs::write(folder.died(), &self.0).context("it cannot be written down that the gateway died")
    }

    /// As it was written down of the run in `folder`: nobody can judge its ledgers, which are torn.
    #[must_use]
    pub fn of(folder: &Folder) -> Option<Self> {
        std::fs::read_to_string(folder.died()).ok().map(Self)
    }
}

/// The gateway under test.
#[derive(Debug)]
pub struct Gateway {
    harness: PathBuf,
    product: Product,
    program: Program,
    folder: Folder,
    ready: Ready,
    configuration: Configuration,
    child: Option<Child>,
}

impl Gateway {
    /// Not started yet.
    #[must_use]
    pub fn new(
        harness: PathBuf,
        product: Product,
        program: Program,
        folder: Folder,
        ready: Ready,
        configuration: Configuration,
    ) -> Self {
        Self { harness, product, program, folder, ready, configuration, child: None }
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It cannot be started, or ends, or is not ready in half a minute: with its last words.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        match self.ready {
            Ready::Says(admin) => {
                let ready = format!("http://{admin}/readyz");
                let looked = || async { matches!(fetch::get(&ready).await, Ok((StatusCode::OK, _))) };
                self.spawn()?.ready(READY, looked).await
            }
            Ready::Listens(address) => {
                self.spawn()?.ready(READY, || async { TcpStream::connect(address).await.is_ok() }).await
            }
        }
    }

    /// Its number, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let pid = self.child.as_ref()?.pid()?;
        Some(pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// Does `deeds` when it is time, and tells `running` each time its number changes; for ever.
    ///
    /// # Errors
    /// [`Died`]; or something could not be done.
    pub async fn conduct(
        &mut self,
        deeds: &[(Duration, Deed)],
        clock: Clock,
        running: impl Fn(Option<u32>),
    ) -> anyhow::Result<()> {
        for (at, deed) in deeds {
            tokio::select! {
                () = sleep_until(clock.instant(*at)) => {}
                died = self.dies() => return Err(died),
            }
            self.perform(*deed).await.with_context(|| format!("{deed:?} of the gateway"))?;
            running(self.pid());
        }
        Err(self.dies().await)
    }

    /// Ends it, in its own time.
    ///
    /// # Errors
    /// It cannot be waited for, or said that it failed.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(child) = self.child.take() else { return Ok(()) };
        let status = child.stop_by(self.product.stops()).await?;
        if !status.success() {
            bail!(Died(format!("at its end: {status}")));
        }
        Ok(())
    }

    /// Ends it at once.
    pub async fn kill(&mut self) {
        if let Some(child) = self.child.take() {
            // It may have ended already.
            child.kill().await.ok();
        }
    }

    fn spawn(&mut self) -> anyhow::Result<&mut Child> {
        let access = Output::File(self.folder.access());
        let (name, forks) = (self.product.name(), self.product.forks());
        let child = Child::start_one(&self.harness, &self.program, name, self.folder.path(), &access, forks)?;
        Ok(self.child.insert(child))
    }

    async fn perform(&mut self, deed: Deed) -> anyhow::Result<()> {
        match deed {
            Deed::Kill => self.kill().await,
            Deed::Start => {
                // People meet it as soon as it listens; nobody waits for it here.
                self.spawn()?;
            }
            Deed::Restart => {
                self.stop().await?;
                self.spawn()?;
            }
            Deed::Reload => self.reload()?,
            Deed::Pause => self.signal(Signal::STOP)?,
            Deed::Resume => self.signal(Signal::CONT)?,
            Deed::AddServers(service, servers) => {
                self.configuration.add(service, servers);
                self.configuration.write()?;
                self.reload()?;
            }
        }
        Ok(())
    }

    fn reload(&self) -> anyhow::Result<()> {
        let signal = self.product.reloads();
        self.signal(signal.with_context(|| format!("{} cannot be reloaded", self.product.name()))?)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.child.as_ref().map_or(Ok(()), |child| child.signal(signal)).context("cannot signal")
    }

    /// Ready when it has ended without having been asked to.
    async fn dies(&mut self) -> anyhow::Error {
        match &mut self.child {
            Some(child) => match child.ended().await {
                Ok(status) => Died(child.obituary(status)).into(),
                Err(error) => error.into(),
            },
            None => std::future::pending().await,
        }
    }
}
