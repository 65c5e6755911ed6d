//! One upstream as all workers see it: its servers, which may change while it runs, and its settings.
//!
//! **Invariants**: there is always at least one server; a server that stays keeps its state and counters, whatever changes around
//! it; one that goes gets no new request, finishes what it has, and its idle connections are closed within the pools' next sweep.
//! **Cost**: a change of the list is a short exclusive lock; workers keep a copy and look only whether it is the last (`pool`).
//! **Not here**: when names are resolved (`resolve`) and servers checked (`check`).

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::uri::Authority;
use rustls::pki_types::ServerName;
use tokio::sync::watch;

use super::ahead::ReadAhead;
use super::balance::Choice;
use super::budget::RetryBudget;
use super::count::Event;
use super::health::{Fleet, Health};
use super::repeat::KeepBudget;
use super::server::{Origin, ServerState};
use super::tls::Connector;
use crate::clock::Tick;
use crate::config::descriptors::IDLE_MAX;
use crate::config::plan::{self, Concurrency, Protocol};

/// An upstream that cannot be built from its plan.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The provider lacks what TLS needs.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The host of an https server is neither a DNS name nor an address.
    #[error("`{0}` cannot be the name of a TLS server")]
    ServerName(Authority),
    /// The name that https servers must prove is neither a DNS name nor an address.
    #[error("`{0}` cannot be the name of a TLS server")]
    TlsName(String),
    /// There is an https server but no trust anchor to verify it by.
    #[error("`{0}` is https but the upstream has no trust anchors")]
    NoRoots(Authority),
    /// Somebody has to do the work.
    #[error("an upstream needs a server")]
    NoServers,
}

/// One upstream, shared by all workers.
#[derive(Debug)]
pub struct Upstream {
    pub(super) name: Arc<str>,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) abandon_timeout: Duration,
    pub(super) idle_timeout: Duration,
    concurrency: Concurrency,
    pub(super) idempotent: bool,
    pub(super) resolve: Duration,
    pub(super) health: Option<plan::HealthCheck>,
    pub(super) keep_budget: KeepBudget,
    pub(super) ahead: Arc<ReadAhead>,
    slow_start: Duration,
    kinds: usize,
    /// What a server takes before anybody has told its limit.
    initial: u32,
    protocol: Protocol,
    tls: Option<Connector>,
    retries: Mutex<RetryBudget>,
    fleet: Arc<Fleet>,
    servers: watch::Sender<Servers>,
}

/// What connects to https servers, if there are trust anchors for them.
fn connector(plan: &plan::Upstream) -> Result<Option<Connector>, UpstreamError> {
    let Some(roots) = &plan.roots else { return Ok(None) };
    let name = |name: &String| ServerName::try_from(name.clone()).map_err(|_| UpstreamError::TlsName(name.clone()));
    let name = plan.tls_name.as_ref().map(name).transpose()?;
    Ok(Some(Connector::new(roots, plan.protocol, name)?))
}

/// The servers of an upstream at one time.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// As configured, in the order of the configuration.
    pub(super) origins: Vec<Arc<Origin>>,
    /// The addresses of the origins, in the same order.
    pub(super) states: Vec<Arc<ServerState>>,
}

impl Upstream {
    /// Builds the shared half of an upstream, which tells `kinds` of requests apart ([`Guard::kind`]) and whose responses are
    /// read ahead within the bounds of `ahead`.
    ///
    /// [`Guard::kind`]: super::Guard::kind
    pub fn new(plan: &plan::Upstream, kinds: usize, ahead: &Arc<ReadAhead>) -> Result<Arc<Self>, UpstreamError> {
        let upstream = Self {
            name: plan.name.as_str().into(),
            connect_timeout: plan.connect_timeout,
            response_timeout: plan.response_timeout,
            abandon_timeout: plan.abandon_timeout,
            idle_timeout: plan.idle_timeout,
            concurrency: plan.concurrency,
            idempotent: plan.idempotent,
            resolve: plan.resolve,
            health: plan.health.clone(),
            keep_budget: KeepBudget::default(),
            ahead: Arc::clone(ahead),
            slow_start: plan.slow_start,
            kinds,
            initial: match plan.concurrency {
                Concurrency::Fixed(_) => u32::MAX,
                Concurrency::Adaptive(bounds) => bounds.initial.get(),
            },
            protocol: plan.protocol,
            tls: connector(plan)?,
            retries: Mutex::default(),
            fleet: Arc::default(),
            servers: watch::Sender::default(),
        };
        upstream.set_servers(&plan.servers, None)?;
        Ok(Arc::new(upstream))
    }

    /// Name in metrics and logs.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its servers now, in the order of the plan; one for each address of a name.
    #[must_use]
    pub fn servers(&self) -> impl ExactSizeIterator<Item = Arc<ServerState>> {
        let servers = self.servers.borrow().states.clone();
        servers.into_iter()
    }

    /// The servers as configured now, `host:port`.
    #[must_use]
    pub fn configured(&self) -> Vec<Arc<str>> {
        self.servers.borrow().origins.iter().map(|origin| Arc::clone(&origin.label)).collect()
    }

    /// Whether `known` are its servers, in this order.
    #[must_use]
    pub fn has_servers<'k>(&self, known: impl Iterator<Item = &'k Arc<ServerState>>) -> bool {
        let servers = self.servers.borrow();
        servers.states.iter().map(Arc::as_ptr).eq(known.map(Arc::as_ptr))
    }

    /// Exchanges under way at servers that get no others, unless that is all of them: what they hold comes back late, and to
    /// nobody. Tunnels are not among them.
    #[must_use]
    pub fn stranded(&self, now: Tick) -> u32 {
        let servers = self.servers.borrow();
        let is_out = |state: &&Arc<ServerState>| !state.standing(now).gets_requests();
        if servers.states.iter().all(|state| is_out(&state)) {
            return 0;
        }
        let held = |state: &Arc<ServerState>| state.in_flight().saturating_sub(state.quiet());
        servers.states.iter().filter(is_out).map(held).fold(0, u32::saturating_add)
    }

    /// The servers at the addresses of the configured server `name`; none once it is no longer configured.
    #[must_use]
    pub fn servers_of(&self, name: &str) -> Vec<Arc<ServerState>> {
        self.servers.borrow().states.iter().filter(|state| &*state.origin.label == name).map(Arc::clone).collect()
    }

    /// The server that a request which comes at `now` tries first, without a connection, and whether it is the one of its probation: for
    /// virtual time. [`None`] if there is none.
    #[must_use]
    pub fn first_choice(&self, now: Tick) -> Option<(Arc<ServerState>, bool)> {
        let servers = self.servers.borrow();
        let chosen = Choice::new(&servers.states).next(|| now)?;
        Some((Arc::clone(servers.states.get(chosen.index)?), chosen.is_trial))
    }

    /// Uses `servers` from now on. Those that were used before keep their state; new ones start slowly; the others get
    /// no new request, and finish those they have.
    pub fn replace_servers(&self, servers: &[plan::Server], now: Tick) -> Result<(), UpstreamError> {
        self.set_servers(servers, Some(now))
    }

    /// Whether another connection may be kept: as many as there are permits, which is what descriptors are set aside for.
    pub(super) fn may_keep(&self) -> bool {
        let most = self.concurrency.most(self.fleet.size()).min(IDLE_MAX);
        self.fleet.idle() < usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// Whether `servers` are the ones used now.
    #[must_use]
    pub fn uses(&self, servers: &[plan::Server]) -> bool {
        self.servers.borrow().origins.iter().map(|origin| &origin.plan).eq(servers)
    }

    /// Whether `servers` could be used; an error is the one that [`Upstream::replace_servers`] would give.
    pub fn check_servers(&self, servers: &[plan::Server]) -> Result<(), UpstreamError> {
        if servers.is_empty() {
            return Err(UpstreamError::NoServers);
        }
        servers.iter().try_for_each(|plan| Origin::new(plan, self.protocol, self.tls.as_ref()).map(drop))
    }

    fn set_servers(&self, plans: &[plan::Server], now: Option<Tick>) -> Result<(), UpstreamError> {
        if plans.is_empty() {
            return Err(UpstreamError::NoServers);
        }
        let fresh = |plan| Origin::new(plan, self.protocol, self.tls.as_ref()).map(Arc::new);
        let mut result = Ok(());
        self.servers.send_if_modified(|servers| {
            let kept = |plan: &plan::Server| servers.origins.iter().find(|origin| origin.plan == *plan).map(Arc::clone);
            let origins = plans.iter().map(|plan| kept(plan).map_or_else(|| fresh(plan), Ok));
            match origins.collect::<Result<Vec<_>, _>>() {
                Err(error) => result = Err(error),
                Ok(origins) => {
                    let states = origins.iter().flat_map(|origin| {
                        let of_this = |state: &&Arc<ServerState>| Arc::ptr_eq(&state.origin, origin);
                        let mut states: Vec<_> = servers.states.iter().filter(of_this).map(Arc::clone).collect();
                        if states.is_empty() {
                            states.push(self.server(origin, None, now));
                        }
                        states
                    });
                    let states = states.collect();
                    self.change(servers, Servers { origins, states });
                }
            }
            result.is_ok()
        });
        result
    }

    /// `origin`'s name stands for `addresses` now, at least one.
    pub(super) fn resolved(&self, origin: &Arc<Origin>, addresses: &[IpAddr], now: Tick) {
        self.servers.send_if_modified(|servers| {
            let is_configured = servers.origins.iter().any(|other| Arc::ptr_eq(other, origin));
            let of_this = |state: &&Arc<ServerState>| Arc::ptr_eq(&state.origin, origin);
            let before: Vec<_> = servers.states.iter().filter(of_this).map(Arc::clone).collect();
            let stays = before.iter().all(|state| state.address.is_some_and(|address| addresses.contains(&address)));
            if !is_configured || addresses.is_empty() || (stays && before.len() == addresses.len()) {
                return false;
            }
            // What was dialled by name until now is at work already, at one of these addresses.
            let joined = before.iter().any(|state| state.address.is_some()).then_some(now);
            let state = |address: &IpAddr| {
                let known = before.iter().find(|state| state.address == Some(*address)).map(Arc::clone);
                known.unwrap_or_else(|| self.server(origin, Some(*address), joined))
            };
            let states = servers.origins.iter().flat_map(|other| {
                if Arc::ptr_eq(other, origin) {
                    return addresses.iter().map(state).collect::<Vec<_>>();
                }
                servers.states.iter().filter(|state| Arc::ptr_eq(&state.origin, other)).map(Arc::clone).collect()
            });
            let (origins, states) = (servers.origins.clone(), states.collect());
            self.change(servers, Servers { origins, states });
            tracing::info!(upstream = %self.name, name = %origin.label, ?addresses, "addresses changed");
            true
        });
    }

    fn server(&self, origin: &Arc<Origin>, address: Option<IpAddr>, joined: Option<Tick>) -> Arc<ServerState> {
        let health = Health::new(&self.fleet, self.slow_start, joined);
        ServerState::new(origin, address, &self.fleet, health, self.kinds, self.initial)
    }

    fn change(&self, servers: &mut Servers, next: Servers) {
        self.fleet.resize(next.states.len());
        let stays = |state: &Arc<ServerState>| next.states.iter().any(|other| Arc::ptr_eq(other, state));
        servers.states.iter().filter(|state| !stays(state)).for_each(|state| state.health.retire());
        *servers = next;
    }

    /// The servers, and news of changes.
    pub(super) fn watch_servers(&self) -> watch::Receiver<Servers> {
        self.servers.subscribe()
    }

    /// Whether a request that was sent to `server` may be sent once more.
    pub fn may_retry(&self, server: &ServerState, now: Tick) -> bool {
        let successes = self.servers.borrow().states.iter().map(|state| state.health.window.sum(now).successes).sum();
        let mut retries = self.retries.lock().unwrap_or_else(PoisonError::into_inner);
        let may = retries.try_spend(now, successes);
        server.record(if may { Event::Retries } else { Event::RetryBudgetExhausted });
        may
    }
}
