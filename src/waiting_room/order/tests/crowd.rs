//! A large crowd goes through, and everybody's turn is compared with everybody else's.

use super::*;

/// Joins a second.
const RATE: u64 = 10_000;

/// People called a second: fewer than those who join and come back, so that numbers are settled before they are called.
const CALLED: u64 = RATE / 2;

/// The second after which people are called.
const OPENING: u64 = 70;

/// A million tickets; ten in `make long`.
fn people() -> u64 {
    if std::env::var_os("WEIR_LONG").is_some() { 10_000_000 } else { 1_000_000 }
}

/// Three of four come back, and then ask until they are let in.
fn comes_back(number: u64) -> bool {
    number % 4 != 3
}

#[test]
fn a_crowd_is_called_without_one_inversion() {
    let people = people();
    let order = Order::new(index(people), BEGAN);
    // The second at which each was told for the first time that his turn has come.
    let mut called = vec![u32::MAX; index(people)];
    let (mut next, mut let_in, mut secs) = (0, 0, 0);
    let mut watched = Vec::new();
    let mut chance = fastrand::Rng::with_seed(1);
    while order.serving() < people {
        secs += 1;
        let (now, at) = (tick(secs), unix(secs));
        (0..RATE.min(people - order.issued())).for_each(|_| assert!(order.issue().is_some()));
        // Those who joined nine seconds ago.
        let joined = (secs.saturating_sub(10) * RATE).min(people)..(secs.saturating_sub(9) * RATE).min(people);
        for number in joined.filter(|number| comes_back(*number)) {
            assert!(order.returned(number, at, at).unwrap().counted);
        }
        order.settle(now, at);
        if secs > OPENING {
            order.advance(now, CALLED);
        }
        // Those who may be next, and far more, ask in any order.
        for number in (next..people.min(next + 2 * RATE)).rev() {
            let called = &mut called[index(number)];
            if *called == u32::MAX && order.is_called(number) {
                *called = u32::try_from(secs).unwrap();
                if comes_back(number) {
                    assert_eq!(order.redeem(number, 0, now, at), Ok(()));
                    let_in += 1;
                }
            }
        }
        let ahead_of_him = chance.u64(next..people.max(next + 1));
        assert!(order.is_called(ahead_of_him) || order.redeem(ahead_of_him, 0, now, at).is_err());
        next = order.serving();
        watched.push((order.issued() - 1, u64::MAX));
        for (number, seen) in &mut watched {
            let now = order.ahead(*number);
            assert!(now <= *seen, "{number} had {seen} ahead of him and now {now}");
            *seen = now;
        }
    }
    let inversions = called.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert_eq!((inversions, called.last().is_some_and(|last| *last != u32::MAX)), (0, true));
    assert_eq!(let_in, (0..people).filter(|number| comes_back(*number)).count());
    // Nobody's turn was spent on those who never came back.
    let best = OPENING + (let_in as u64).div_ceil(CALLED);
    assert!(secs <= best + 1, "{secs} s, and {best} would do");
    assert!(order.no_show() < 0.001, "{}", order.no_show());
}
