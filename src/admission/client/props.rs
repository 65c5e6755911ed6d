//! The accounts of clients against plain lists, and under a storm of threads.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;

use super::ClientHash;
use super::concurrency::{Claim, Concurrency, Parked, Slot};
use crate::config::plan::ClientConcurrency;

fn accounts(requests: u32, waiting: usize) -> Arc<Concurrency> {
    Concurrency::new(ClientConcurrency { requests: NonZeroU32::MIN.saturating_add(requests - 1), waiting })
}

#[derive(Clone, Debug)]
enum Step {
    /// A request of a client comes.
    Come(u64),
    /// The n-th of those with a slot has left the system.
    Finish(usize),
    /// The n-th of those parked leaves, whether or not a slot is on its way.
    Leave(usize),
    /// The n-th of those parked looks whether a slot has come.
    Look(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..4).prop_map(Step::Come),
        3 => any::<usize>().prop_map(Step::Finish),
        2 => any::<usize>().prop_map(Step::Leave),
        2 => any::<usize>().prop_map(Step::Look),
    ]
}

/// What must happen: for each client, who has a slot and who waits, in order of arrival.
#[derive(Debug, Default)]
struct Plain {
    inside: Vec<(u64, usize)>,
    line: Vec<(u64, usize)>,
}

impl Plain {
    fn of(list: &[(u64, usize)], client: u64) -> usize {
        list.iter().filter(|(other, _)| *other == client).count()
    }

    /// A slot of `client` is free: the first of its line has it.
    fn hand_over(&mut self, client: u64) {
        if let Some(first) = self.line.iter().position(|(other, _)| *other == client) {
            self.inside.push(self.line.remove(first));
        }
    }

    fn forget(&mut self, id: usize) {
        if let Some(place) = self.inside.iter().position(|(_, other)| *other == id) {
            let (client, _) = self.inside.remove(place);
            self.hand_over(client);
        }
        self.line.retain(|(_, other)| *other != id);
    }
}

fn run(requests: u32, waiting: usize, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let real = accounts(requests, waiting);
    let mut plain = Plain::default();
    let mut slots: Vec<(usize, Slot)> = Vec::new();
    let mut parked: Vec<(usize, Parked)> = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    for (id, step) in steps.into_iter().enumerate() {
        match step {
            Step::Come(client) => {
                let (inside, line) = (Plain::of(&plain.inside, client), Plain::of(&plain.line, client));
                match real.claim(ClientHash(client)) {
                    Claim::Slot(slot) => {
                        prop_assert!(inside < requests as usize);
                        plain.inside.push((client, id));
                        slots.push((id, slot));
                    }
                    Claim::Parked(place) => {
                        prop_assert!(inside == requests as usize && line < waiting);
                        plain.line.push((client, id));
                        parked.push((id, place));
                    }
                    Claim::Full => prop_assert!(inside == requests as usize && line == waiting),
                }
            }
            Step::Finish(which) if !slots.is_empty() => {
                let (id, slot) = slots.remove(which % slots.len());
                drop(slot);
                plain.forget(id);
            }
            Step::Leave(which) if !parked.is_empty() => {
                let (id, place) = parked.remove(which % parked.len());
                drop(place);
                plain.forget(id);
            }
            Step::Look(which) if !parked.is_empty() => {
                let which = which % parked.len();
                let (id, place) = &mut parked[which];
                let granted = plain.inside.iter().any(|(_, inside)| inside == id);
                match Pin::new(place).poll(&mut context) {
                    Poll::Ready(slot) => {
                        prop_assert!(granted, "{} overtook", id);
                        slots.push((*id, slot));
                        drop(parked.remove(which));
                    }
                    Poll::Pending => prop_assert!(!granted, "{} was forgotten", id),
                }
            }
            Step::Finish(_) | Step::Leave(_) | Step::Look(_) => {}
        }
        let mut clients: Vec<u64> = plain.inside.iter().map(|(client, _)| *client).collect();
        clients.sort_unstable();
        clients.dedup();
        prop_assert_eq!((real.clients(), real.parked()), (clients.len(), plain.line.len()));
    }
    drop(parked);
    drop(slots);
    prop_assert_eq!((real.clients(), real.parked()), (0, 0), "something was left behind");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn accounts_do_what_plain_lists_would(
        requests in 1_u32..4,
        waiting in 0_usize..4,
        steps in prop::collection::vec(step(), 1..150),
    ) {
        run(requests, waiting, steps)?;
    }
}

/// Threads instead of steps: never more than allowed inside, everybody parked is woken or leaves, nothing is left behind.
#[test]
fn a_storm_of_threads_leaves_nothing_behind() {
    const CLIENTS: usize = 3;
    const REQUESTS: u32 = 2;
    /// A slot comes in microseconds; nobody who waits for so long will ever get one.
    const LOST: Duration = Duration::from_secs(20);
    let real = accounts(REQUESTS, 3);
    let inside: [AtomicU32; CLIENTS] = std::array::from_fn(|_| AtomicU32::new(0));
    let waited = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (real, inside, waited) = (&real, &inside, &waited);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                for _ in 0..5_000 {
                    let client = random.usize(..CLIENTS);
                    let slot = match real.claim(ClientHash(client as u64)) {
                        Claim::Full => None,
                        Claim::Slot(slot) => Some(slot),
                        // Leaves, perhaps just as a slot comes.
                        Claim::Parked(parked) if random.bool() => {
                            std::thread::yield_now();
                            drop(parked);
                            None
                        }
                        Claim::Parked(parked) => {
                            waited.fetch_add(1, Ordering::Relaxed);
                            let slot = runtime.block_on(async { tokio::time::timeout(LOST, parked).await });
                            Some(slot.expect("a slot was lost on its way"))
                        }
                    };
                    if let Some(slot) = slot {
                        assert!(inside[client].fetch_add(1, Ordering::AcqRel) < REQUESTS, "client {client}");
                        std::thread::yield_now();
                        inside[client].fetch_sub(1, Ordering::AcqRel);
                        drop(slot);
                    }
                }
            });
        }
    });
    assert!(waited.load(Ordering::Relaxed) > 0, "nobody ever waited: the test shows nothing");
    assert_eq!((real.clients(), real.parked()), (0, 0));
}
