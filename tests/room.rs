//! A whole registration day waits at once, with what is remembered of each person: within 64 MiB.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use allocation_counter::measure;
use weir::config::plan::Secret;
use weir::waiting_room::identity::{Claimed, Identities, IdentityHash};
use weir::waiting_room::order::Order;

/// Who registered for Kartu Prakerja in the first 21 hours.
const PEOPLE: u64 = 1_432_133;

/// Bytes they may cost.
const BUDGET: u64 = 64 << 20;

const BEGAN: u32 = 1_586_600_000;

/// Everybody joined, came back, and is known by an identity.
fn crowd() -> (Order, Identities) {
    let capacity = usize::try_from(PEOPLE).unwrap();
    let order = Order::new(capacity, BEGAN);
    let identities = Identities::new(&Secret([1; 32]), capacity);
    let mut hashes = fastrand::Rng::with_seed(1);
    let now = Duration::from_secs(u64::from(BEGAN) + 10);
    for _ in 0..PEOPLE {
        // A million HMACs are another test's matter.
        let claimed = identities.claim(IdentityHash::from_u64(hashes.u64(..)), || order.issue());
        let Claimed::New(number) = claimed else { panic!("{claimed:?}") };
        assert!(order.returned(number, now, now).unwrap().first);
    }
    assert_eq!((order.waiting(), identities.len() as u64), (PEOPLE, PEOPLE));
    (order, identities)
}

#[test]
fn a_registration_day_waits_in_64_mebibytes() {
    let mut kept = None;
    let info = measure(|| kept = Some(crowd()));
    let held = info.bytes_current.unsigned_abs();
    println!("{held} bytes, {:.1} a person; at most {}", held as f64 / PEOPLE as f64, info.bytes_max);
    assert!(info.bytes_max <= BUDGET, "{} bytes at once", info.bytes_max);
    // And all of them are drawn by lot.
    let (order, identities) = kept.unwrap();
    let mut forward: Vec<u32> = (0..u32::try_from(PEOPLE).unwrap()).collect();
    fastrand::Rng::with_seed(2).shuffle(&mut forward);
    let ranks = forward.len() as u64 * 4;
    let forward = forward.into_boxed_slice();
    let info = measure(|| order.drawn(0, forward).unwrap());
    println!("{} bytes more when drawn; at most {}", info.bytes_current, info.bytes_max);
    assert!(held + ranks + info.bytes_max <= BUDGET, "{} bytes at once", held + ranks + info.bytes_max);
    assert_eq!((order.waiting(), identities.len() as u64), (PEOPLE, PEOPLE));
}

#[test]
fn a_join_and_a_poll_allocate_nothing() {
    let order = Order::new(4_096, BEGAN);
    let now = Duration::from_secs(u64::from(BEGAN) + 10);
    let first = order.issue().unwrap();
    assert!(order.returned(first, now, now).is_some());
    let info = measure(|| {
        for _ in 0..1_000 {
            let number = order.issue().unwrap();
            assert!(order.returned(number, now, now).unwrap().first);
            assert_eq!(order.ahead(order.position(number).unwrap()), number);
            assert!(!order.is_called(number) && !order.is_late(number));
        }
    });
    assert_eq!(info.count_total, 0);
}
