//! From a plan to a running process, and its end.
//!
//! ```text
//! main thread     signals → reload; drain → wait → exit
//! worker threads  one current-thread runtime each: its own listening sockets, its own upstream connections
//! admin thread    /metrics, /livez, /readyz, /v1/capacity, and chores that may block for milliseconds
//! ```
//!
//! **Invariants**: every socket is bound before any request is served, and before that nothing of the outside has changed but
//! the access log and, at the first start, the key of passes; the
//! first SIGTERM or SIGINT drains, the second exits at once; a permit's exchange that outlives its client is waited for as
//! long as the drain lasts.
//! **Not here**: what a request goes through (`listener`, `proxy`).

mod chores;
mod descriptors;
mod memory;
mod observe;
mod presented;
mod reload;
mod signals;
mod workers;

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use descriptors::Descriptors;
use presented::Presented;
use reload::Reload;
use signals::Signals;

use crate::admin::{self, Admin, Readiness};
use crate::clock::Clock;
use crate::config::plan::{Key, Plan};
use crate::listener::{self, Addresses, BindError, Connections, DrainSignal};
use crate::proxy::gateway::{Gateway, GatewayError};
use crate::telemetry::{AccessLog, Registry, process};

/// How long the last lines of the access log may take.
const LOG_CLOSE: Duration = Duration::from_secs(2);

/// How long the last records of a waiting room may take.
const JOURNAL_CLOSE: Duration = Duration::from_secs(5);

/// Why the process cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The access log cannot be opened.
    #[error("cannot open the access log: {0}")]
    AccessLog(#[source] io::Error),
    /// The operators' socket cannot be bound.
    #[error("cannot listen on {address} for operators: {cause}")]
    Admin {
        /// As configured.
        address: std::net::SocketAddr,
        /// What the kernel says.
        cause: io::Error,
    },
    /// A public socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The key of passes cannot be created.
    #[error("cannot create the key of [pass]: {0}")]
    PassKey(#[source] io::Error),
    /// The key of tickets cannot be created.
    #[error("cannot create the key of a [[waiting_room]]: {0}")]
    RoomKey(#[source] io::Error),
    /// An upstream or a waiting room cannot be set up.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// A thread or its runtime cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The admin thread ended though nobody asked it to: nothing finds limits or checks servers any more.
    #[error("the admin thread failed: nobody finds limits or checks servers")]
    Chores,
    /// A worker ended though nobody asked it to.
    #[error("worker {0} failed")]
    Worker(usize),
}

/// Runs `plan` until a signal ends it. SIGHUP reads it again from the file at `path`.
pub fn run(mut plan: Plan, path: PathBuf) -> Result<(), RunError> {
    let signals = Signals::watch()?;
    let clock = Clock::machine();
    let registry = Registry::new();
    process::register(&registry);
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let workers = plan.runtime.workers.unwrap_or(cores);
    let descriptors = Descriptors::raise(cores);
    let connections = Connections::new(descriptors.clients(&plan), Addresses::of(&plan.clients), cores);
    let memory = memory::watch(plan.clients.max_memory, &registry, &connections);
    let access_log = AccessLog::open(&plan.log.access).map_err(RunError::AccessLog)?;
    obtain_keys(&mut plan)?;
    let gateway = Gateway::new(plan, clock, access_log.clone(), &registry)?;
    observe::connections(&registry, &connections);
    observe::access_log(&registry, &access_log);
    observe::read_ahead(&registry, &gateway);

    let plan = gateway.plan();
    let admin_socket =
        admin::bind(plan.admin.address).map_err(|cause| RunError::Admin { address: plan.admin.address, cause })?;
    let sockets = listener::bind(&plan.listeners, &plan.clients, workers)?;
    let presented = Presented::by(&plan.listeners, &sockets);
    observe::certificates(&registry, &presented);
    let reload = Reload::new(path, &gateway, &presented, descriptors, &registry);
    let (drain, draining) = listener::drain();
    let (stop_admin, admin_stopped) = watch::channel(false);
    let operators = Admin { registry, ready: ready(draining.clone()), gateway: Some(Arc::clone(&gateway)) };
    let upkeep = chores::run(Arc::clone(&gateway), Arc::clone(&connections), descriptors, memory, drain.nudge());
    let upkeep = async move {
        tokio::join!(upkeep, presented.watch());
    };
    let admin = start_admin(admin_socket, operators, admin_stopped, upkeep)?;
    let threads = workers::start(sockets, &gateway, &connections, &draining)?;
    for listener in &plan.listeners {
        tracing::info!(address = %listener.address, tls = listener.tls.is_some(), %workers, "listening");
    }
    tracing::info!(address = %plan.admin.address, connections_max = connections.limit(), "admin listening");

    let ended = signals.supervise(&drain, threads, &admin, &reload);
    stop_admin.send_replace(true);
    if admin.join().is_err() {
        tracing::error!("the admin thread panicked");
    }
    // Nobody is given a number any more.
    for doorway in gateway.doorways() {
        if !doorway.room().close(JOURNAL_CLOSE) {
            tracing::warn!(room = %doorway.room().name(), "the end of the journal was not written");
        }
    }
    if !access_log.close(LOG_CLOSE) {
        tracing::warn!("the last lines of the access log were not written");
    }
    ended
}

/// Creates the keys of passes and waiting rooms that are missing: without them nobody who was let in, or waits, could be told from others.
fn obtain_keys(plan: &mut Plan) -> Result<(), RunError> {
    let random = |bytes: &mut [u8; 32]| aws_lc_rs::rand::fill(bytes).map_err(|_| io::Error::other("no randomness"));
    let obtain = |key: &mut Key| {
        let obtained = key.obtain(random)?;
        *key = if matches!(key, Key::Missing(_)) { Key::New(obtained) } else { Key::Known(obtained) };
        Ok(())
    };
    for room in &mut plan.waiting_rooms {
        obtain(&mut room.key).map_err(RunError::RoomKey)?;
    }
    let pass = plan.pass.as_mut().map_or(Ok(()), |pass| obtain(&mut pass.key));
    pass.map_err(RunError::PassKey)
}

fn ready(draining: DrainSignal) -> Box<dyn Fn() -> Readiness + Send + Sync> {
    Box::new(move || draining.has_begun().then_some("draining").into_iter().collect())
}

type Operators = Admin<Box<dyn Fn() -> Readiness + Send + Sync>>;

fn start_admin(
    socket: std::net::TcpListener,
    operators: Operators,
    mut stopped: watch::Receiver<bool>,
    upkeep: impl Future<Output = ()> + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Thread)?;
    let serve = async move {
        // A sender that is gone says stop, too.
        let stopped = async move { stopped.wait_for(|stop| *stop).await.map_or((), drop) };
        tokio::select! {
            served = admin::serve(socket, operators, stopped) => {
                if let Err(error) = served {
                    tracing::error!(%error, "the admin socket failed");
                }
            }
            () = upkeep => {}
        }
    };
    std::thread::Builder::new()
        .name("weir-admin".to_owned())
        .spawn(move || runtime.block_on(serve))
        .map_err(RunError::Thread)
}
