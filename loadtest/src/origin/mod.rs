//! A simulated registration service with a known capacity, which collapses beyond its knee, goes on working when callers
//! have gone, and keeps a ledger of everything it did.
//!
//! **Not here**: dependencies behind it, faults, restarts, calibration.

pub mod curve;
pub mod ledger;
pub mod model;
pub mod server;
pub mod service;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};

use self::curve::Curve;
use self::ledger::Ledger;
use self::server::{Account, Door};
use self::service::{Bounds, Service};

/// A service to run.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What it can do.
    pub curve: Curve,
    /// What it holds.
    pub bounds: Bounds,
    /// Connections at once.
    pub max_connections: usize,
    /// Seed of the draws of work.
    pub seed: u64,
    /// Whether a known key changes nothing.
    pub idempotent: bool,
    /// File of the ledger.
    pub ledger: Option<PathBuf>,
}

/// Runs `origin` until `stop` is ready and answers its account. `ready` hears the address it listens on.
pub async fn run(
    origin: Origin,
    ready: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Account> {
    let listener = server::listen(origin.listen).with_context(|| format!("cannot listen on {}", origin.listen))?;
    ready(listener.local_addr()?);
    let (file, writer) = match &origin.ledger {
        Some(path) => {
            let (sender, thread) =
                ledger::writer(path).with_context(|| format!("cannot write the ledger {}", path.display()))?;
            (Some(sender), Some(thread))
        }
        None => (None, None),
    };
    let ledger = Ledger::new(origin.idempotent, file);
    let service = Arc::new(Service::new(origin.curve, origin.bounds, origin.seed, ledger));
    let model = Arc::clone(&service);
    let driver = std::thread::Builder::new().name("driver".into()).spawn(move || model.drive())?;
    let door = Arc::new(Door::default());
    server::serve(listener, Arc::clone(&service), Arc::clone(&door), origin.max_connections, stop).await;
    let account = door.account(&service);
    service.stop();
    driver.join().map_err(|_| anyhow!("the service's driver panicked"))?;
    if let Some(writer) = writer {
        writer.join().map_err(|_| anyhow!("the ledger's writer panicked"))?.context("the ledger is incomplete")?;
    }
    Ok(account)
}
