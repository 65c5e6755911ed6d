//! The operators' socket: `/metrics`, `/livez`, `/readyz`, `/v1/capacity`, `/v1/rooms` over HTTP/1.1.
//!
//! Meant for a thread and runtime of its own, so that it answers while every worker is busy.
//!
//! **Invariants**: [`serve`] ends only by its shutdown; no failure of accept ends it or makes it spin. At most 64
//! connections are open, none longer than 302 s, none idle longer than 30 s; whoever comes then waits in the kernel's
//! queue. A request must name an IP address or `localhost` as its host: a web page that resolves its own name to this
//! address (DNS rebinding) sends that name and is answered 421. So reach it by address, not by name. What changes anything is a POST
//! that says its body is JSON: that no web page sends to another site without being allowed to (WHATWG Fetch, CORS-safelisted
//! request headers), and here nothing allows it.
//! **Cost**: at most 64 × ~45 KiB of buffers and one rendered text of metrics each; a scrape costs milliseconds at most.
//! **Not here**: authentication and TLS (bind it to an address only operators reach), the metrics themselves.

mod accept;
mod answer;
mod capacity;
mod rooms;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

pub use accept::bind;

use crate::proxy::gateway::Gateway;
use crate::telemetry::Registry;
use accept::Acceptor;

/// Connections at once: a few scrapers, probes and people; a small, fixed part of the process's descriptors.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request head; operators' tools send a few hundred.
const HEAD_SIZE: usize = 16 * 1024;
/// Fields of a request head.
const HEAD_FIELDS: usize = 64;

/// How long a connection may last and stand still.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// From accept, or from the last answer, to the end of the next request head: hyper has one timer for a slow head
    /// and for an idle connection.
    head: Duration,
    /// After this a connection ends with its next answer: bounds whoever does not read what he asked for.
    life: Duration,
    /// For the answer in the making when a connection or the server ends; then the connection is cut.
    grace: Duration,
}

/// A scraper that comes every 15 s, as most do, keeps its connection; nobody keeps one of the few for good.
const PATIENCE: Patience =
    Patience { head: Duration::from_secs(30), life: Duration::from_mins(5), grace: Duration::from_secs(2) };

/// What the operators' socket tells.
#[derive(Debug)]
pub struct Admin<R> {
    /// Served at `/metrics`.
    pub registry: Registry,
    /// Asked at every `/readyz`; must not block.
    pub ready: R,
    /// Served at `/v1/capacity` and `/v1/rooms`; [`None`] where there is no gateway.
    pub gateway: Option<Arc<Gateway>>,
}

/// Whether the gateway should be sent requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness(Vec<&'static str>);

impl Readiness {
    /// Ready.
    pub const READY: Self = Self(Vec::new());

    /// Whether nothing speaks against it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.is_empty()
    }

    /// What speaks against it.
    #[must_use]
    pub fn reasons(&self) -> &[&'static str] {
        &self.0
    }
}

/// Unready for the reasons given; ready if there is none.
impl FromIterator<&'static str> for Readiness {
    fn from_iter<I: IntoIterator<Item = &'static str>>(reasons: I) -> Self {
        Self(reasons.into_iter().collect())
    }
}

/// Serves `admin` on `listener` (from [`bind`]) until `shutdown`, then finishes the answers in the making within 2 s.
///
/// # Errors
///
/// The runtime cannot take the listener; nothing after that.
pub async fn serve<R>(
    listener: std::net::TcpListener,
    admin: Admin<R>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    R: Fn() -> Readiness + Send + Sync + 'static,
{
    serve_within(PATIENCE, listener, admin, shutdown).await
}

async fn serve_within<R>(
    patience: Patience,
    listener: std::net::TcpListener,
    admin: Admin<R>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    R: Fn() -> Readiness + Send + Sync + 'static,
{
    let mut acceptor = Acceptor::new(listener)?;
    let admin = Arc::new(admin);
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => note(ended),
            stream = acceptor.accept(), if connections.len() < CONNECTIONS_MAX => {
                connections.spawn(connection(patience, stream, Arc::clone(&admin), stopped.clone()));
            }
        }
    }
    drop((acceptor, stop));
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
    Ok(())
}

/// One connection, to its end. Ends early when the sender of `stopped` is gone.
async fn connection<R>(patience: Patience, stream: TcpStream, admin: Arc<Admin<R>>, mut stopped: watch::Receiver<()>)
where
    R: Fn() -> Readiness + Send + Sync + 'static,
{
    // The last piece of a long answer must not wait for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(|request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(answer::answer(&admin, request).await) }
    });
    let mut connection = pin!(protocol(patience).serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // A connection that fails is its peer's affair.
        _ = connection.as_mut() => return,
        _ = stopped.changed() => {}
        () = sleep(patience.life) => {}
    }
    connection.as_mut().graceful_shutdown();
    if timeout(patience.grace, connection).await.is_err() {
        tracing::debug!("an admin connection was cut");
    }
}

/// Every limit of hyper's, set on purpose.
fn protocol(patience: Patience) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(HEAD_SIZE)
        .max_header_size(HEAD_SIZE)
        .max_headers(HEAD_FIELDS)
        .keep_alive(true)
        .half_close(false)
        .pipeline_flush(false);
    builder
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an admin connection failed");
    }
}
