//! Looks at the same evidence that have nothing to do with each other, by as many threads as the machine has processors.
//!
//! **Invariants**: what is found does not depend on how many threads there are, nor on which is done first.
//! **Cost**: a thread each time; worth it for passes over a day, and nothing beside a judgement of one.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, available_parallelism};

/// What `look` finds of each of `items`, in their order.
pub(super) fn each<T: Sync, R: Send>(items: &[T], look: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return found };
            found.push((at, look(item)));
        }
    };
    let mut found = thread::scope(|scope| {
        let others: Vec<_> = (1..threads().min(items.len())).map(|_| scope.spawn(work)).collect();
        let mut found = work();
        for other in others {
            found.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        found
    });
    found.sort_unstable_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, found)| found).collect()
}

/// What both find.
pub(super) fn both<A, B: Send>(one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    thread::scope(|scope| {
        let other = scope.spawn(other);
        let found = one();
        (found, other.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// How many look at once.
pub(super) fn threads() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_stands_in_the_order_of_what_was_looked_at() {
        let items: Vec<u64> = (0..1_000).collect();
        // The first take longest.
        let found = each(&items, |item| (0..(1_000 - item) * 100).fold(*item, u64::wrapping_add) & 1 | item << 1);
        assert!(found.iter().zip(&items).all(|(found, item)| found >> 1 == *item), "{found:?}");
        assert_eq!(each(&[0_u8; 0], |_| 1), [0; 0]);
        assert_eq!(both(|| 1, || 2), (1, 2));
    }
}
