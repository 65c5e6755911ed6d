//! One server as all workers see it: where it is, how busy, how well, what went wrong.
//!
//! An [`Origin`] is a server as configured, by name or address; a [`ServerState`] is one address of it. Counters belong to the origin:
//! they outlive addresses that come and go, and metrics have as many series as the configuration has servers.
//!
//! **Invariants**: `in_flight` counts exactly the living [`super::InFlight`]s that name the server; counters only grow; `excess` grows only
//! by a limit that is lowered, and falls by one for each that comes home or moves on; `lent` grows only by [`ServerState::lend`], and falls
//! by one for each quiet exchange that ends.
//! **Cost**: two atomic additions a request for `in_flight`, a load each for `excess` and `lent`, some dozen relaxed operations at the end of an exchange for
//! what is measured, one relaxed addition for each event counted.
//! **Not here**: connections (`pool`), what may be in flight at all servers together (the guard of the caller).

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::uri::Authority;

use super::UpstreamError;
use super::balance::{Candidacy, Candidate};
use super::count::{Counters, Event};
use super::ejection::{Change, Observation, Report};
use super::health::{Fleet, Health, Standing};
use super::outcome::{Guard, Outcome};
use super::tls::{Connector, Tls};
use crate::clock::Tick;
use crate::config::plan::{self, Protocol};
use crate::telemetry::costs::Costs;
use crate::telemetry::meter::{Meter, Outcome as Ended};

/// Where a server is.
#[derive(Debug)]
pub(super) enum Host {
    /// Needs no resolution.
    Address(IpAddr),
    /// Resolved in the background; at each dial until that has succeeded for the first time.
    Name(Box<str>),
}

/// A server as configured.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) plan: plan::Server,
    pub(super) label: Arc<str>,
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) tls: Option<Tls>,
    pub(super) protocol: Protocol,
    counters: Counters,
}

impl Origin {
    pub(super) fn new(
        server: &plan::Server,
        protocol: Protocol,
        tls: Option<&Connector>,
    ) -> Result<Self, UpstreamError> {
        let host = server.authority.host().trim_start_matches('[').trim_end_matches(']');
        let tls = if server.tls {
            let connector = tls.ok_or_else(|| UpstreamError::NoRoots(server.authority.clone()))?;
            Some(Tls::new(connector, host).ok_or_else(|| UpstreamError::ServerName(server.authority.clone()))?)
        } else {
            None
        };
        Ok(Self {
            plan: server.clone(),
            label: server.authority.as_str().into(),
            host: IpAddr::from_str(host).map_or_else(|_| Host::Name(host.into()), Host::Address),
            port: server.authority.port_u16().unwrap_or(if server.tls { 443 } else { 80 }),
            tls,
            protocol,
            counters: Counters::default(),
        })
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.plan.authority
    }

    pub(super) fn record(&self, event: Event) {
        self.counters.of(event).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, event: Event) -> u64 {
        self.counters.of(event).load(Ordering::Relaxed)
    }
}

/// Places at a server before and after a change of its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// The old limit, and what was in flight beyond it.
    pub before: u64,
    /// The new limit, and what is in flight beyond it.
    pub now: u64,
}

impl Places {
    /// How many more there are; fewer, if it is negative.
    #[must_use]
    pub fn change(self) -> i64 {
        self.now.cast_signed().saturating_sub(self.before.cast_signed())
    }
}

/// One server: where it is, what is in flight there, what happened there.
#[derive(Debug)]
pub struct ServerState {
    in_flight: AtomicU32,
    /// How many may be in flight here, as far as the choice among servers goes.
    limit: AtomicU32,
    /// How many more than that were in flight when it was set, and have not come home yet.
    excess: AtomicU32,
    /// Tunnels among what is in flight.
    quiet: AtomicU32,
    /// Places beside the limit that tunnels have been given.
    lent: AtomicU32,
    idle: AtomicU32,
    meter: Meter,
    costs: Costs,
    fleet: Arc<Fleet>,
    pub(super) health: Health,
    pub(super) origin: Arc<Origin>,
    /// What the origin's name was resolved to, if it has one and that has succeeded.
    pub(super) address: Option<IpAddr>,
    label: Arc<str>,
}

impl ServerState {
    /// The server of `origin` in this `health`, at `address` if that was resolved; it tells so many `kinds` of requests apart, and
    /// takes `limit` of them at first ([`ServerState::set_limit`]).
    pub(super) fn new(
        origin: &Arc<Origin>,
        address: Option<IpAddr>,
        fleet: &Arc<Fleet>,
        health: Health,
        kinds: usize,
        limit: u32,
    ) -> Arc<Self> {
        Arc::new(Self {
            in_flight: AtomicU32::new(0),
            limit: AtomicU32::new(limit),
            excess: AtomicU32::new(0),
            quiet: AtomicU32::new(0),
            lent: AtomicU32::new(0),
            idle: AtomicU32::new(0),
            meter: Meter::default(),
            costs: Costs::new(kinds),
            fleet: Arc::clone(fleet),
            health,
            label: match address {
                Some(address) => SocketAddr::new(address, origin.port).to_string().into(),
                None => Arc::clone(&origin.label),
            },
            origin: Arc::clone(origin),
            address,
        })
    }

    /// `host:port`: as configured, or the address that a configured name was resolved to.
    #[must_use]
    pub fn authority(&self) -> &Arc<str> {
        &self.label
    }

    /// `host:port` as configured.
    #[must_use]
    pub fn configured(&self) -> &Arc<str> {
        &self.origin.label
    }

    /// Exchanges under way at this server, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests go elsewhere while `limit` of them are in flight here and fewer than theirs at another server. What is in
    /// flight at all of them together is the guards' affair, and exact; this one is kept but for the requests that
    /// choose at the same instant.
    ///
    /// What is in flight beyond a lowered limit keeps its place until it comes home; then the place is gone
    /// ([`Guard::withhold`]). One caller.
    pub fn set_limit(&self, limit: u32) -> Places {
        let before = self.limit.swap(limit, Ordering::Relaxed);
        let over = self.busy().saturating_sub(limit);
        // Only a lowered limit makes excess: requests that chose the same server at the same instant, or moved there, do not.
        let owed = self.excess.load(Ordering::Relaxed).saturating_add(before.saturating_sub(limit));
        let excess = over.min(owed);
        let excess_before = self.excess.swap(excess, Ordering::Relaxed);
        Places { before: u64::from(before) + u64::from(excess_before), now: u64::from(limit) + u64::from(excess) }
    }

    /// Exchanges at this server that have become tunnels, of those in flight.
    #[must_use]
    pub fn quiet(&self) -> u32 {
        self.quiet.load(Ordering::Relaxed)
    }

    /// What is in flight here without the tunnels that have places of their own ([`ServerState::lend`]): what the limit
    /// is about.
    #[must_use]
    pub fn busy(&self) -> u32 {
        self.in_flight().saturating_sub(self.lent())
    }

    /// Places beside the limit that tunnels have been given.
    #[must_use]
    pub fn lent(&self) -> u32 {
        self.lent.load(Ordering::Relaxed)
    }

    /// Gives each tunnel a place beside the limit, but at most `most` of them, and tells how many places that adds. With its
    /// tunnel such a place goes, at once ([`Guard::withhold`]). One caller.
    pub fn lend(&self, most: u32) -> i64 {
        let lent = self.quiet().min(most);
        let before = self.lent.swap(lent, Ordering::Relaxed);
        i64::from(lent) - i64::from(before)
    }

    pub(super) fn fell_quiet(&self) {
        self.quiet.fetch_add(1, Ordering::Relaxed);
    }

    /// A tunnel has ended. Whether it had a place beside the limit, which is gone now.
    pub(super) fn quiet_ended(&self) -> bool {
        self.quiet.fetch_sub(1, Ordering::Relaxed);
        self.lent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lent| lent.checked_sub(1)).is_ok()
    }

    /// An exchange of this `kind`, which `began` then, has ended.
    pub(super) fn measure(&self, kind: usize, outcome: Outcome, began: Tick, now: Tick) {
        // Without a limit of its own nobody reads what is measured.
        if self.limit.load(Ordering::Relaxed) == u32::MAX {
            return;
        }
        let ended = outcome.ended();
        if let Outcome::Pushback { retry_after } = outcome {
            self.meter.pushed_back(now, retry_after);
        }
        self.meter.ended(began, now, self.costs.of(kind), ended);
        if ended == Ended::Success {
            self.costs.observe(kind, now.since(began));
        }
    }

    /// An exchange comes home from here; if it was one too many, its guard is told.
    pub(super) fn repay(&self, guard: &mut impl Guard) {
        let one_less = |excess: u32| excess.checked_sub(1);
        // Read first: in the usual case there is nothing to write.
        if self.excess.load(Ordering::Relaxed) > 0
            && self.excess.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
        {
            guard.withhold();
        }
    }

    /// What exchanges that ended here tell.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Connections kept for reuse, over all workers. One that its server has closed counts until it is swept.
    #[must_use]
    pub fn idle(&self) -> u32 {
        self.idle.load(Ordering::Relaxed)
    }

    /// What happened since the start, at all addresses of the name if it was configured by name.
    #[must_use]
    pub fn count(&self, event: Event) -> u64 {
        self.origin.count(event)
    }

    /// Whether it gets requests now, and how many.
    #[must_use]
    pub fn standing(&self, now: Tick) -> Standing {
        self.health.standing(now)
    }

    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn record(&self, event: Event) {
        self.origin.record(event);
    }

    /// Takes note of the end of an exchange; tells operators if that changed something.
    pub(super) fn note(&self, observation: Observation, began: Tick, is_trial: bool, now: Tick) {
        match self.health.note(Report { observation, began, is_trial }, now, fastrand::f64()) {
            Change::None => {}
            Change::Ejected | Change::EjectedAgain => {
                self.record(Event::Ejections);
                tracing::warn!(server = %self.label, name = %self.origin.label, "server ejected");
            }
            Change::Returned => {
                tracing::info!(server = %self.label, name = %self.origin.label, "server returned from ejection");
            }
        }
    }

    pub(super) fn idle_grew(&self) {
        self.idle.fetch_add(1, Ordering::Relaxed);
        self.fleet.idle_grew();
    }

    pub(super) fn idle_shrank(&self, by: usize) {
        self.idle.fetch_sub(u32::try_from(by).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.fleet.idle_shrank(by);
    }
}

impl Candidate for ServerState {
    fn load(&self) -> f64 {
        f64::from(self.busy()) / f64::from(self.limit.load(Ordering::Relaxed).max(1))
    }

    fn has_room(&self) -> bool {
        self.busy() < self.limit.load(Ordering::Relaxed)
    }

    fn is_full(&self) -> bool {
        self.health.is_clear()
    }

    fn candidacy(&self, now: Tick) -> Candidacy {
        self.health.candidacy(now)
    }

    fn try_trial(&self, now: Tick) -> bool {
        let taken = self.health.try_trial(now);
        if taken {
            self.record(Event::Probations);
        }
        taken
    }
}
