use std::thread;

use allocation_counter::measure;
use std::sync::atomic::AtomicU64;

use super::*;

fn identities(capacity: usize) -> Identities {
    Identities::new(&Secret([1; 32]), capacity)
}

/// Hashes as they come: without the cost of computing a million of them in a debug build.
fn hashes() -> impl Iterator<Item = IdentityHash> {
    let mut chance = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(move || IdentityHash(chance.u64(..)))
}

#[test]
fn fifty_claims_of_one_identity_are_one_number() {
    let identities = identities(10);
    let next = AtomicU64::new(7);
    let hash = identities.hash(b"5f0e");
    let claims: Vec<_> =
        (0..50).map(|_| identities.claim(hash, || Some(next.fetch_add(1, Ordering::Relaxed)))).collect();
    assert_eq!(claims[0], Claimed::New(7));
    assert!(claims[1..].iter().all(|claim| *claim == Claimed::Known(7)));
    assert_eq!((next.into_inner(), identities.len(), identities.number(hash)), (8, 1, Some(7)));
}

#[test]
fn in_a_race_of_threads_each_identity_has_one_number() {
    const PEOPLE: u64 = 5_000;
    let identities = identities(5_000);
    let next = AtomicU64::new(0);
    let claimed: Vec<Vec<u64>> = thread::scope(|scope| {
        let claim = |person: u64| {
            let hash = identities.hash(&person.to_be_bytes());
            match identities.claim(hash, || Some(next.fetch_add(1, Ordering::Relaxed))) {
                Claimed::New(number) | Claimed::Known(number) => number,
                Claimed::Full => panic!("there is room for all"),
            }
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(move || (0..PEOPLE).map(claim).collect())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(claimed.windows(2).all(|pair| pair[0] == pair[1]));
    let mut numbers = claimed[0].clone();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..PEOPLE).collect::<Vec<_>>(), "none was lost");
}

#[test]
fn when_it_is_full_no_number_is_lost() {
    let identities = identities(100);
    let next = AtomicU64::new(0);
    let claims: Vec<_> =
        hashes().take(150).map(|hash| identities.claim(hash, || Some(next.fetch_add(1, Ordering::Relaxed)))).collect();
    assert!(claims[..100].iter().zip(0..).all(|(claim, number)| *claim == Claimed::New(number)));
    assert!(claims[100..].iter().all(|claim| *claim == Claimed::Full));
    assert_eq!((next.into_inner(), identities.len()), (100, 100));
    let first = hashes().next().unwrap();
    assert_eq!(identities.claim(first, || panic!("he has one")), Claimed::Known(0), "the others keep theirs");
    assert!(!identities.restore(hashes().nth(120).unwrap(), 5));
    // Somebody leaves: there is room for one.
    assert!(!identities.forget(first, 1) && identities.forget(first, 0) && !identities.forget(first, 0));
    assert_eq!(identities.number(first), None);
    assert_eq!(identities.claim(first, || None), Claimed::Full, "no number to give");
    assert_eq!(identities.claim(first, || Some(100)), Claimed::New(100));
    assert_eq!(identities.len(), 100);
}

#[test]
fn of_whom_the_order_knows_nothing_any_more_nothing_is_known() {
    let identities = identities(1_000);
    for (number, hash) in (0..1_000).zip(hashes()) {
        assert!(identities.restore(hash, number) && identities.restore(hash, number));
    }
    assert_eq!(identities.len(), 1_000);
    (0..SHARDS).for_each(|turn| identities.sweep(400, turn));
    assert_eq!((identities.len(), identities.is_empty()), (600, false));
    for (number, hash) in (0..1_000).zip(hashes()) {
        assert_eq!(identities.number(hash), (number >= 400).then_some(number));
    }
    // A journal, or a ticket, may name such a number later.
    let late = hashes().nth(1_000).unwrap();
    assert!(identities.restore(late, 7));
    (0..SHARDS).for_each(|turn| identities.sweep(400, turn));
    assert_eq!((identities.number(late), identities.len()), (None, 600));
}

/// Computed by Python's hmac: the journal keeps these, so whoever changes them makes a new version.
#[test]
fn a_hash_is_the_same_after_a_restart_and_another_one_elsewhere() {
    let hash = identities(1).hash(b"3175012345670001");
    assert_eq!(hash.to_u64(), ELSEWHERE);
    assert_eq!(IdentityHash::from_u64(ELSEWHERE), hash);
    assert_ne!(Identities::new(&Secret([2; 32]), 1).hash(b"3175012345670001"), hash);
    assert_ne!(identities(1).hash(b"3175012345670002"), hash);
}

const ELSEWHERE: u64 = 0x139d_5f2f_c4cd_e76b;

#[test]
fn a_person_costs_what_the_header_says() {
    for (people, most) in [(1_432_133, 26), (1_900_000, 40), (20_000, 44)] {
        let info = measure(|| {
            let identities = identities(people);
            for (number, hash) in (0..).zip(hashes().take(people)) {
                assert!(identities.restore(hash, number));
            }
            std::mem::forget(identities);
        });
        let bytes = info.bytes_current.unsigned_abs() / people as u64;
        assert!(bytes <= most, "{bytes} bytes of {people}");
    }
}
