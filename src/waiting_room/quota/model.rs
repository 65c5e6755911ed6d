//! The quota under the model checker.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::{Count, Quota};

/// Two people and one place: one of them gets it, whoever fails gives it back, and nothing is lost or doubled.
#[test]
fn one_place_and_two_people() {
    loom::model(|| {
        let quota = Arc::new(Quota::new(1, Count::default()));
        let other = {
            let quota = Arc::clone(&quota);
            thread::spawn(move || quota.reserve() && quota.release())
        };
        let mine = quota.reserve() && quota.finish();
        assert!(quota.count().taken <= 1, "{:?}", quota.count());
        let others = other.join().unwrap();
        assert!(mine || others, "the place was free for at least one");
        assert_eq!(quota.count(), Count { taken: u32::from(mine), done: u32::from(mine) });
    });
}

/// Whoever reserves after the quota was seen to be smaller keeps to the smaller one.
#[test]
fn a_smaller_quota_binds_whoever_has_seen_it() {
    loom::model(|| {
        let quota = Arc::new(Quota::new(2, Count { taken: 1, done: 1 }));
        let said = Arc::new(AtomicBool::new(false));
        let operator = {
            let (quota, said) = (Arc::clone(&quota), Arc::clone(&said));
            thread::spawn(move || {
                quota.resize(1);
                said.store(true, Ordering::Release);
            })
        };
        if said.load(Ordering::Acquire) {
            assert!(!quota.reserve(), "beyond the smaller quota");
        } else if quota.reserve() {
            assert_eq!(quota.count().taken, 2);
        }
        operator.join().unwrap();
    });
}
