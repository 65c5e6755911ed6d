//! A telephone that sleeps in a pocket, in virtual time.

use super::super::Stand;
use super::*;

/// It sleeps for so long: its owner has put it away.
const ASLEEP: Duration = Duration::from_mins(30);

/// How often the chore looks, and somebody new comes.
const STEP: Duration = Duration::from_secs(5);

/// Somebody comes in and registers.
fn registers(bench: &Bench, place: &Place) {
    bench.look(place);
    bench.room.approach(place, bench.now().0).unwrap();
    bench.enter(place, true, None).unwrap().answered(200);
    assert_eq!(bench.state(place), State::Done);
}

#[test]
fn a_phone_that_slept_for_half_an_hour_has_lost_nothing() {
    let mut bench = Bench::new(vec![wave(1_000)]);
    let people: Vec<_> = (0..20).map(|_| bench.join()).collect();
    for place in &people {
        bench.look(place);
    }
    let (early, late) = (&people[7], &people[19]);
    let mut done = 0;
    for step in 0..u32::try_from(ASLEEP.as_secs() / STEP.as_secs()).unwrap() {
        bench.pass(STEP);
        let awake = bench.join();
        bench.look(&awake);
        let mut others: Vec<_> =
            people.iter().filter(|place| ![early.number(), late.number()].contains(&place.number())).collect();
        others.truncate(if step == 0 { 18 } else { 0 });
        for place in others.into_iter().chain([&awake]) {
            while bench.room.standing(place) != Stand::Called {
                bench.pass(Duration::from_secs(1));
            }
            registers(&bench, place);
            done += 1;
        }
    }
    assert_eq!(bench.count(), Count { taken: done, done });
    // Both were called when their turn came; whoever came after them has overtaken nobody but those who were not there.
    for asleep in [early, late] {
        let found = bench.find(asleep).unwrap();
        assert_eq!((found.number(), bench.room.standing(&found)), (asleep.number(), Stand::Called));
        // The next one joins a moment before it wakes, and the turn is not his.
        let behind = bench.join();
        assert!(bench.room.order.position(behind.number()) > bench.room.order.position(found.number()));
        registers(&bench, &found);
    }
    assert_eq!(bench.count().done, done + 2);
}
