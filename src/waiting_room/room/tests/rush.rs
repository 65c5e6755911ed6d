//! The first seconds of a rush, as the room sees them: newcomers fill the gate's line, and then a crowd waits.

use super::super::Stand;
use super::*;

/// A room that knows nothing of its routes.
fn cold() -> Bench {
    let mut bench = Bench::new(Vec::new());
    bench.flush();
    bench.restart_in("cold");
    bench
}

/// A gate that 50 a second come out of, and the line before it.
struct Gate {
    held: u64,
}

impl Gate {
    /// A tenth of a second.
    fn pass(&mut self, bench: &mut Bench) {
        self.held = self.held.saturating_sub(5);
        let wait = Duration::from_secs_f64(self.held as f64 / 50.0);
        bench.pass_before(Duration::from_millis(100), &Load { rate: 50.0, held: self.held, wait, free: 0 });
    }
}

/// Whoever went straight to the gate leaves it like everybody else: the room does not take the time in which they do for one in which
/// nobody is called.
#[test]
fn newcomers_in_line_are_no_slowness_of_the_service() {
    let mut bench = cold();
    let mut gate = Gate { held: 0 };
    gate.pass(&mut bench);
    for _ in 0..150 {
        bench.welcome(None);
        gate.held += 1;
    }
    let crowd: Vec<Place> = (0..1_000).map(|_| bench.join()).collect();
    let estimate = |bench: &Bench, who: usize| match bench.room.standing(&crowd[who]) {
        Stand::Waiting { ahead, estimate, .. } => estimate.map(|told| (ahead as f64, told.p50.as_secs_f64())),
        _ => None,
    };
    assert_eq!(estimate(&bench, 999), None, "nobody can know");
    for _ in 0..50 {
        gate.pass(&mut bench);
        if let Some((ahead, half)) = estimate(&bench, 999) {
            let speed = ahead / half;
            assert!((25.0..=75.0).contains(&speed), "{ahead} people in {half} s, {speed} a second");
        }
    }
    assert!(estimate(&bench, 999).is_some());
}

/// Nobody who joined comes back within two seconds: called before that they are not taken for people who stay away.
#[test]
fn whoever_cannot_come_yet_is_no_no_show() {
    let mut bench = cold();
    let mut gate = Gate { held: 1 };
    gate.pass(&mut bench);
    for _ in 0..500 {
        bench.join();
    }
    for _ in 0..17 {
        gate.pass(&mut bench);
        gate.held = 1;
    }
    // What is kept in line, and what the gate takes until they are here.
    let called = bench.room.order().serving();
    assert!((50..=300).contains(&called), "called {called}");
}

/// Between the number of a newcomer who is let in and his call another worker must not take him for somebody who waits.
#[test]
fn newcomers_who_come_at_one_instant_are_all_let_in() {
    let bench = Bench::new(vec![Wave::default()]);
    let now = bench.now();
    let sent_away: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let one = |_: &u32| {
                        let straight = bench.room.lets_straight_in();
                        assert!(bench.room.welcome(None, Class::New, now).is_some());
                        !straight
                    };
                    (0..1_500).filter(one).count()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(sent_away, 0);
}

/// Ten places, and fifteen people: when ten have been called, whoever comes behind them cannot be told when.
#[test]
fn who_can_only_get_what_the_called_give_up_is_told_so_and_no_time() {
    let mut bench = Bench::new(vec![wave(10)]);
    wait(bench.room.pause(true));
    let places: Vec<Place> = (0..15).map(|_| bench.join()).collect();
    for place in &places {
        drop(bench.room.look(place, bench.unix(), 0.5));
    }
    wait(bench.room.pause(false));
    for _ in 0..100 {
        bench.pass(Duration::from_millis(100));
    }
    assert_eq!(bench.room.order.serving(), 10, "nobody is called for whom there is nothing");
    let stand = bench.room.standing(&places[10]);
    let Stand::Waiting { ahead, estimate, beyond, .. } = stand else { panic!("{stand:?}") };
    assert_eq!((ahead, estimate, beyond), (0, None, true));
}
