//! Worker threads: each a runtime, its own listening sockets, its own upstream connections.
//!
//! **Why a runtime each**: a request is read, admitted, forwarded and answered by one thread, so nothing of it crosses cores
//! but the gate's word and, where it had to wait, one wake-up.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};

use super::RunError;
use crate::admission::gate::Gate;
use crate::listener::{self, Attend, Bound, Connections, DrainSignal, Limits};
use crate::proxy::Worker;
use crate::proxy::body::Body;
use crate::proxy::gateway::Gateway;
use crate::proxy::peer::Peer;

/// How often a draining worker looks whether upstreams are done with what clients no longer wait for.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// A running worker thread.
pub(super) type Thread = JoinHandle<io::Result<()>>;

impl Attend for Worker {
    type Body = Body;

    fn attend(&self, peer: &Arc<Peer>, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send {
        self.serve(peer, request)
    }
}

/// Starts a worker for each set of sockets.
pub(super) fn start(
    sockets: Vec<Vec<Bound>>,
    gateway: &Arc<Gateway>,
    connections: &Arc<Connections>,
    draining: &DrainSignal,
) -> Result<Vec<Thread>, RunError> {
    sockets
        .into_iter()
        .enumerate()
        .map(|(number, sockets)| {
            let runtime = Builder::new_current_thread().enable_all().build().map_err(RunError::Thread)?;
            let (gateway, connections, draining) = (Arc::clone(gateway), Arc::clone(connections), draining.clone());
            std::thread::Builder::new()
                .name(format!("weir-worker-{number}"))
                .spawn(move || work(runtime, sockets, &gateway, connections, draining))
                .map_err(RunError::Thread)
        })
        .collect()
}

fn work(
    runtime: Runtime,
    sockets: Vec<Bound>,
    gateway: &Arc<Gateway>,
    connections: Arc<Connections>,
    draining: DrainSignal,
) -> io::Result<()> {
    let limits = Arc::new(Limits::of(&gateway.plan().clients, &gateway.plan().runtime));
    let worker = Arc::new(Worker::new(gateway));
    let begun = draining.clone();
    let served = runtime.block_on(async {
        let done = async {
            begun.begun().await;
            upstreams_done(gateway).await;
            Ok(())
        };
        tokio::try_join!(listener::serve(sockets, worker, limits, connections, draining), done)
    });
    // A name that is still being resolved must not hold up the end.
    runtime.shutdown_background();
    served.map(|_| ())
}

/// Resolves when no permit is in use or awaited any more, or the drain has lasted long enough: an upstream that still works on
/// what its client gave up must be let finish, and a line of another worker may need this one's pacing.
async fn upstreams_done(gateway: &Gateway) {
    let deadline = Instant::now() + gateway.plan().runtime.drain_timeout;
    let busy = |gate: &Arc<Gate>| gate.occupancy().in_flight > 0 || gate.waiting() > 0;
    while Instant::now() < deadline && gateway.gates().upstreams.iter().any(busy) {
        sleep(DRAIN_LOOK).await;
    }
}
