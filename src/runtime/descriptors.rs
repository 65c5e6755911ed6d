//! Descriptors: the limit of this process, and who gets how many as servers come and go.
//!
//! **Invariants**: at any time at most as many connections of clients are accepted as `config::descriptors` leaves them, by the
//! addresses that upstreams have within the last [`LOOK`]. Who is connected when the limit falls stays; nobody is accepted before
//! as many have left.
//! **Cost**: a short lock an upstream once in [`LOOK`], on the admin thread.
//! **Not here**: the reckoning itself (`config::descriptors`).

use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::time::sleep;

use crate::config::descriptors::{Demand, Reserve};
use crate::config::plan::Plan;
use crate::listener::Connections;
use crate::proxy::gateway::Gateway;

/// How often it is looked whether upstreams have other servers: new ones begin slowly, and take longer to need descriptors.
const LOOK: Duration = Duration::from_secs(1);

/// What the process may open, and on what machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptors {
    limit: Option<u64>,
    cores: NonZeroUsize,
}

impl Descriptors {
    /// Raises the soft limit to the hard one, as every server must.
    pub(super) fn raise(cores: NonZeroUsize) -> Self {
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            let current = limit.current;
            limit.current = limit.maximum;
            if let Err(error) = setrlimit(Resource::Nofile, limit) {
                tracing::warn!(%error, "cannot raise RLIMIT_NOFILE");
                limit.current = current;
            }
        }
        Self { limit: limit.current, cores }
    }

    /// Connections of clients that may be open at once when `plan` starts.
    pub(super) fn clients(self, plan: &Plan) -> NonZeroUsize {
        let reserve = Reserve::planned(plan, self.cores);
        let clients = reserve.clients(self.limit, plan.clients.max_connections);
        if !reserve.fits(self.limit, plan.clients.max_connections) {
            let (limit, reserved) = (self.limit, reserve.total());
            tracing::warn!(limit, reserved, %clients, "RLIMIT_NOFILE is too low for the configuration; raise it");
        }
        clients
    }

    /// Why `next` cannot replace the servers that `gateway` has: it takes more, and leaves not even a few clients.
    pub(super) fn refuse(self, gateway: &Gateway, next: &Plan) -> Option<String> {
        let (now, next) = (self.reserve(gateway), Reserve::planned(next, self.cores));
        let does_fit = next.upstreams <= now.upstreams || next.fits(self.limit, None);
        let limit = self.limit.filter(|_| !does_fit)?;
        Some(format!(
            "its servers need up to {} descriptors and the process {}, of {limit} allowed (RLIMIT_NOFILE)",
            next.upstreams, next.own
        ))
    }

    /// Keeps the limit of `connections` in step with the servers of `gateway`, for ever.
    pub(super) async fn keep(self, gateway: &Arc<Gateway>, connections: &Connections) {
        let configured = gateway.plan().clients.max_connections;
        let limit = || self.reserve(gateway).clients(self.limit, configured);
        let mut last = limit();
        loop {
            let changed = async {
                while limit() == last {
                    sleep(LOOK).await;
                }
            };
            tokio::select! {
                () = changed => {}
                () = async { connections.set_limit(last).await; pending().await } => {}
            }
            let (before, reserved) = (last, self.reserve(gateway).total());
            last = limit();
            tracing::info!(%before, now = %last, reserved, "connections_max follows the servers of upstreams");
        }
    }

    /// What is set aside by the servers that `gateway` has now.
    fn reserve(self, gateway: &Gateway) -> Reserve {
        let plan = gateway.plan();
        let running = plan.upstreams.iter().zip(gateway.upstreams()).zip(&gateway.gates().upstreams);
        let demands = running.map(|((plan, upstream), gate)| {
            let occupancy = gate.occupancy();
            Demand::running(plan, upstream.servers().len(), occupancy.limit.max(occupancy.in_flight))
        });
        Reserve::new(plan, self.cores, demands)
    }
}
