//! The quota against plain counting, and under a storm of threads.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use super::{Count, Quota};

/// Plain counting: one list entry a person inside.
#[derive(Default)]
struct Plain {
    limit: usize,
    reserved: usize,
    done: usize,
}

impl Plain {
    fn reserve(&mut self) -> bool {
        let free = self.reserved + self.done < self.limit;
        self.reserved += usize::from(free);
        free
    }

    fn end(&mut self, success: bool) -> bool {
        let held = self.reserved > 0;
        self.reserved -= usize::from(held);
        self.done += usize::from(held && success);
        held
    }
}

/// One schedule of random steps; says what differs.
fn follow(seed: u64) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let limit = chance.u32(0..6);
    let (quota, mut plain) = (Quota::new(limit, Count::default()), Plain { limit: limit as usize, ..Plain::default() });
    for step in 0..chance.u32(1..24) {
        let same = match chance.u32(0..16) {
            0..7 => quota.reserve() == plain.reserve(),
            7..10 => quota.release() == plain.end(false),
            10..14 => quota.finish() == plain.end(true),
            _ => {
                let limit = chance.u32(0..8);
                quota.resize(limit);
                plain.limit = limit as usize;
                true
            }
        };
        let count = quota.count();
        let at = format!("seed {seed}, step {step}: {quota:?}");
        assert!(same, "{at}");
        assert_eq!((count.reserved() as usize, count.done as usize), (plain.reserved, plain.done), "{at}");
        let left = plain.limit.saturating_sub(plain.reserved + plain.done);
        assert_eq!(quota.left() as usize, left, "{at}");
        assert_eq!(quota.is_spent(), plain.done >= plain.limit, "{at}");
        assert!(quota.is_beyond(left as u64) && (left == 0 || !quota.is_beyond(left as u64 - 1)), "{at}");
    }
}

#[test]
fn counts_as_plain_counting_does() {
    (0..100_000).for_each(follow);
}

/// What a restart finds is where it goes on.
#[test]
fn goes_on_after_a_restart() {
    let quota = Quota::new(5, Count { taken: 4, done: 2 });
    assert!(quota.reserve() && !quota.reserve(), "one was left");
    assert!(!quota.is_spent() && (0..3).all(|_| quota.finish()));
    assert!(quota.is_spent() && !quota.finish() && !quota.release(), "{quota:?}");
    assert_eq!(Quota::new(5, Count { taken: 1, done: 3 }).left(), 2, "what succeeded was taken");
}

/// Eight threads; a third of those who reserve fail. Never one more than the quota at any instant, and exactly the quota at the end.
#[test]
fn is_exact_in_a_storm() {
    const LIMIT: u32 = 20_000;
    const THREADS: u64 = 8;
    let quota = Quota::new(LIMIT, Count::default());
    let (done, over) = (AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (quota, done, over) = (&quota, &done, &over);
            scope.spawn(move || {
                let mut chance = fastrand::Rng::with_seed(seed);
                while !quota.is_spent() {
                    if !quota.reserve() {
                        thread::yield_now();
                        continue;
                    }
                    let success = chance.u32(0..3) > 0;
                    done.fetch_add(u32::from(success), Ordering::SeqCst);
                    let held = if success { quota.finish() } else { quota.release() };
                    let count = quota.count();
                    if !held || count.taken > LIMIT || count.done > count.taken {
                        over.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert!(!over.load(Ordering::SeqCst), "more than the quota at some instant");
    assert_eq!(quota.count(), Count { taken: LIMIT, done: LIMIT });
    assert_eq!(done.load(Ordering::SeqCst), LIMIT, "successes");
}
