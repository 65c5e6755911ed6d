//! Several threads at once.

use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;

const THREADS: u64 = 4;
/// Joins of each thread.
const JOINS: u64 = 40_000;

/// Joins, returns, and tries to be let in with his own numbers and with what others were just given; what he was given, and whom he let in.
fn visit(order: &Order, seed: u64, over: &AtomicBool) -> (Vec<u64>, Vec<u64>) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let (mut given, mut let_in) = (Vec::new(), Vec::new());
    let mut last = vec![(0, u64::MAX); 64];
    loop {
        if (given.len() as u64) < JOINS {
            let number = order.issue().unwrap();
            given.push(number);
            if !number.is_multiple_of(4) {
                assert!(order.returned(number, unix(1), unix(1)).is_some());
            }
        } else if over.load(Ordering::Acquire) {
            break;
        }
        let number = chance.u64(..order.issued());
        let position = order.position(number).unwrap();
        let ahead = order.ahead(position);
        let watched = &mut last[chance.usize(..64)];
        if watched.0 == number {
            assert!(ahead <= watched.1, "{number} had {} ahead of him and now {ahead}", watched.1);
        }
        *watched = (number, ahead);
        let watched = watched.0;
        assert!(order.ahead(watched) <= ahead || watched != number);
        let serving = order.serving();
        if serving > 0 {
            let number = chance.u64(serving.saturating_sub(500)..serving);
            match order.redeem(number, 0, tick(1), unix(1)) {
                Ok(()) => let_in.push(number),
                Err(why) => assert_eq!(why, NotRedeemed::Already(State::Admitted)),
            }
        }
    }
    (given, let_in)
}

#[test]
fn in_a_storm_numbers_are_given_once_and_redeemed_once() {
    let people = THREADS * JOINS;
    let order = Order::new(index(people), BEGAN);
    let over = AtomicBool::new(false);
    let visits: Vec<_> = thread::scope(|scope| {
        let visitors: Vec<_> = (0..THREADS)
            .map(|seed| {
                let (order, over) = (&order, &over);
                scope.spawn(move || visit(order, seed, over))
            })
            .collect();
        // The chore, as fast as it can, and at some seconds a tick.
        let mut secs = 0;
        let mut before = 0;
        while order.serving() < people {
            secs += 1;
            order.settle(tick(secs), unix(secs));
            let serving = order.advance(tick(secs), 200);
            assert!(serving >= before && order.outstanding() <= people);
            before = serving;
            thread::yield_now();
        }
        over.store(true, Ordering::Release);
        visitors.into_iter().map(|visitor| visitor.join().unwrap()).collect()
    });
    let mut given: Vec<u64> = visits.iter().flat_map(|(given, _)| given).copied().collect();
    given.sort_unstable();
    assert_eq!(given, (0..people).collect::<Vec<_>>(), "each number once");
    let mut let_in: Vec<u64> = visits.iter().flat_map(|(_, let_in)| let_in).copied().collect();
    let count = let_in.len();
    let_in.sort_unstable();
    let_in.dedup();
    assert_eq!(let_in.len(), count, "somebody was let in twice");
    let admitted = (0..people).filter(|number| order.state(*number) == Some(State::Admitted));
    assert_eq!(admitted.collect::<Vec<_>>(), let_in);
    assert!(count > 1_000);
}

/// While numbers settle and serving moves over them: the sum kept for a chunk is what its bits say in the end.
#[test]
fn counts_are_exact_when_the_storm_is_over() {
    let people = 8 * CHUNK as u64;
    let order = order(8 * CHUNK, people);
    order.settle(tick(0), unix(0));
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let order = &order;
            scope.spawn(move || {
                let mut chance = fastrand::Rng::with_seed(seed);
                for _ in 0..50_000 {
                    let number = chance.u64(..people);
                    match chance.u8(..4) {
                        0 => drop(order.set(number, State::Waiting, State::Gone, unix(1))),
                        1 => drop(order.came(number, tick(1))),
                        _ => drop(order.returned(number, unix(1), unix(1))),
                    }
                }
            });
        }
        for secs in 1..=200 {
            order.settle(tick(secs / 3), unix(secs / 3));
            order.advance(tick(secs / 3), 60);
        }
    });
    let forward: Box<[u32]> = (0..u32::try_from(people - order.serving()).unwrap()).rev().collect();
    let first = order.serving();
    assert_eq!(order.drawn(first, forward), Ok(()));
    order.settle(tick(1_000), unix(1_000));
    order.settle(tick(1_100), unix(1_100));
    let counted = |number: &u64| {
        let standing = order.standing(*number).unwrap();
        standing.state == State::Waiting && standing.counted
    };
    assert_eq!(order.waiting(), (first..people).filter(counted).count() as u64);
    for number in (first..people).step_by(97) {
        let position = order.position(number).unwrap();
        let before = (first..people).filter(|other| order.position(*other).unwrap() < position);
        assert_eq!(order.ahead(position), before.filter(counted).count() as u64, "{number}");
    }
}

/// A draw while everybody asks: nobody is lost, and nobody has two places.
#[test]
fn a_draw_in_a_storm_loses_nobody() {
    let people = 4 * CHUNK as u64;
    let order = order(4 * CHUNK, people);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (order, over) = (&order, &over);
            scope.spawn(move || {
                let mut chance = fastrand::Rng::with_seed(seed);
                while !over.load(Ordering::Acquire) {
                    let number = chance.u64(..people);
                    assert_eq!(order.returned(number, unix(1), unix(1)).unwrap().state, State::Waiting);
                    assert!(order.standing(number).unwrap().counted, "what was written is there");
                }
            });
        }
        for first in (0..people).step_by(1_000) {
            let count = 1_000.min(people - first);
            let mut forward: Vec<u32> = (0..u32::try_from(count).unwrap()).collect();
            fastrand::Rng::with_seed(first).shuffle(&mut forward);
            assert_eq!(order.drawn(first, forward.into()), Ok(()));
        }
        over.store(true, Ordering::Release);
    });
    let mut positions: Vec<u64> = (0..people).map(|number| order.position(number).unwrap()).collect();
    assert!(positions.iter().zip(0..).any(|(position, number)| *position != number));
    positions.sort_unstable();
    assert_eq!(positions, (0..people).collect::<Vec<_>>());
    order.settle(tick(1), unix(1));
    assert_eq!(order.waiting(), people);
}
