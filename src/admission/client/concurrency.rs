//! How many requests of one client are in the system at once; further ones wait outside the line.
//!
//! A first come, first served line belongs to whoever sends most. Here the next request of a client takes its place in the
//! line only when an earlier one has left the system: answered and done with by the upstream, refused, or gone. So nobody
//! stands in the line more often than `requests` times, whatever he sends (notes on overload control §2.2).
//!
//! ```text
//! claim:   fewer than `requests` slots taken → Slot       fewer than `waiting` parked → Parked       else Full
//! release: somebody of this client parked → the slot is his       nobody → one less; the last one removes the account
//! ```
//!
//! **Invariants**: slots of a client taken ≤ `requests`; somebody is parked only while all of them are taken; among a client's
//! own requests it is first come, first served; a slot is given back exactly once; a [`Parked`] that is dropped leaves its
//! place, and a slot that was on its way to it goes to the next. Clients do not touch each other.
//! **Bound**: an account exists only while a request of its client is in the system, so there are at most as many as
//! connections × streams; parked requests count against the route's `queue.length` as well (`route`).
//! **Cost**: one sharded lookup to claim and one to give back; one small allocation for whoever is parked.
//! **Locks**: every transition is made under its client's shard, by closures and short guards, never across an await; the
//! only thing read without it is the flag that a parked task is woken for.
//! **Not here**: how long anybody waits (`route`).

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use dashmap::DashMap;

use crate::admission::client::ClientHash;
use crate::admission::sync::{Alarm, AtomicU8};
use crate::config::plan::ClientConcurrency;

/// Shards of the map: many more than workers, so that two rarely meet on one.
const SHARDS: usize = 256;

const PARKED: u8 = 0;
const GRANTED: u8 = 1;

/// The accounts of one `[[client_limit]]` with `concurrency`, or of the sessions of `[pass]`.
#[derive(Debug)]
pub struct Concurrency {
    accounts: DashMap<ClientHash, Account>,
    requests: u32,
    waiting: usize,
    clients: AtomicUsize,
    parked: AtomicUsize,
}

/// A client with something in the system.
#[derive(Debug, Default)]
struct Account {
    taken: u32,
    line: VecDeque<Arc<Spot>>,
}

/// Where a parked request learns that a slot is its own. Written under the account's shard only.
#[derive(Debug)]
struct Spot {
    state: AtomicU8,
    alarm: Alarm,
}

/// What a request of a client gets.
#[derive(Debug)]
#[must_use]
pub(in crate::admission) enum Claim {
    /// A slot, at once.
    Slot(Slot),
    /// A place outside the line, behind the client's own earlier requests.
    Parked(Parked),
    /// The client has as many parked as it may.
    Full,
}

/// The right of one request of a client to be in the system; given back on drop.
#[derive(Debug)]
#[must_use = "a slot that is dropped is given back"]
pub(in crate::admission) struct Slot {
    concurrency: Arc<Concurrency>,
    client: ClientHash,
}

/// A request outside the line: resolves with the slot of an earlier one. Dropping it leaves.
#[derive(Debug)]
#[must_use = "whoever drops it leaves"]
pub(in crate::admission) struct Parked {
    concurrency: Arc<Concurrency>,
    client: ClientHash,
    /// [`None`] once the slot has been taken out.
    spot: Option<Arc<Spot>>,
}

/// The slots that one request holds, of each limit that counts it; all are given back together.
///
/// One limit is the usual case and costs no allocation.
#[derive(Debug, Default)]
pub(in crate::admission) struct Slots {
    slot: Option<Slot>,
    more: Option<Box<Self>>,
}

impl Concurrency {
    /// Nobody is in the system.
    #[must_use]
    pub fn new(bound: ClientConcurrency) -> Arc<Self> {
        Arc::new(Self {
            accounts: DashMap::with_shard_amount(SHARDS),
            requests: bound.requests.get(),
            waiting: bound.waiting,
            clients: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
        })
    }

    /// Requests that a client may have open at once without being refused: in the system, and parked.
    #[must_use]
    pub fn quota(&self) -> u64 {
        u64::from(self.requests) + self.waiting as u64
    }

    /// Clients with a request in the system.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Requests parked outside the line.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.parked.load(Ordering::Relaxed)
    }

    /// Asks for a slot of `client`, or else for a place behind those who asked before.
    pub(in crate::admission) fn claim(self: &Arc<Self>, client: ClientHash) -> Claim {
        // A new account always has a slot to give: none is ever left empty here.
        let mut account = self.accounts.entry(client).or_insert_with(|| {
            self.clients.fetch_add(1, Ordering::Relaxed);
            Account::default()
        });
        if account.taken < self.requests {
            account.taken += 1;
            return Claim::Slot(Slot { concurrency: Arc::clone(self), client });
        }
        if account.line.len() >= self.waiting {
            return Claim::Full;
        }
        let spot = Arc::new(Spot { state: AtomicU8::new(PARKED), alarm: Alarm::default() });
        account.line.push_back(Arc::clone(&spot));
        self.parked.fetch_add(1, Ordering::Relaxed);
        Claim::Parked(Parked { concurrency: Arc::clone(self), client, spot: Some(spot) })
    }

    /// A slot of `client` came back: it is the next one's, or nobody's.
    fn release(&self, client: ClientHash) {
        let mut next = None;
        let removed = self.accounts.remove_if_mut(&client, |_, account| {
            next = account.line.pop_front();
            match &next {
                Some(spot) => spot.state.store(GRANTED, Ordering::Release),
                None => account.taken -= 1,
            }
            account.taken == 0
        });
        if removed.is_some() {
            self.clients.fetch_sub(1, Ordering::Relaxed);
        }
        // Outside the shard's lock: a waker is foreign code.
        if let Some(spot) = next {
            self.parked.fetch_sub(1, Ordering::Relaxed);
            spot.alarm.ring();
        }
    }

    /// Takes `spot` out of its client's line; `false` if it has been granted before.
    fn leave(&self, client: ClientHash, spot: &Arc<Spot>) -> bool {
        let left = self.accounts.get_mut(&client).is_some_and(|mut account| {
            let place = account.line.iter().position(|other| Arc::ptr_eq(other, spot));
            place.and_then(|place| account.line.remove(place)).is_some()
        });
        if left {
            self.parked.fetch_sub(1, Ordering::Relaxed);
        }
        left
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.concurrency.release(self.client);
    }
}

impl Future for Parked {
    type Output = Slot;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Slot> {
        let Some(spot) = &self.spot else { return Poll::Pending };
        spot.alarm.set(context.waker());
        if spot.state.load(Ordering::Acquire) == PARKED {
            return Poll::Pending;
        }
        self.spot = None;
        Poll::Ready(Slot { concurrency: Arc::clone(&self.concurrency), client: self.client })
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        if let Some(spot) = &self.spot
            && !self.concurrency.leave(self.client, spot)
        {
            // A slot was on its way; it goes to the next.
            self.concurrency.release(self.client);
        }
    }
}

impl Slots {
    /// Keeps `slot` with the others.
    pub(in crate::admission) fn keep(&mut self, slot: Slot) {
        let earlier = self.slot.replace(slot);
        if earlier.is_some() {
            self.more = Some(Box::new(Self { slot: earlier, more: self.more.take() }));
        }
    }
}
