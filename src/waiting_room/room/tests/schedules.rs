//! Random schedules of many people and restarts, against a plain model.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const QUOTA: u32 = 4;

#[derive(Clone, Debug)]
enum Step {
    Join,
    Look(Index),
    Tick,
    Enter { who: Index, counting: bool, keyed: bool },
    Answer { which: Index, status: u16 },
    Unsent(Index),
    Drop(Index),
    Leave(Index),
    Expire,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let status = prop::sample::select(vec![200, 201, 302, 409, 422, 429, 500, 503, 504]);
    prop_oneof![
        3 => Just(Step::Join),
        3 => index().prop_map(Step::Look),
        4 => Just(Step::Tick),
        8 => (index(), any::<bool>(), any::<bool>())
            .prop_map(|(who, counting, keyed)| Step::Enter { who, counting, keyed }),
        6 => (index(), status).prop_map(|(which, status)| Step::Answer { which, status }),
        1 => index().prop_map(Step::Unsent),
        1 => index().prop_map(Step::Drop),
        1 => index().prop_map(Step::Leave),
        1 => Just(Step::Expire),
        2 => Just(Step::Restart),
    ]
}

/// A request in hand, and of whose.
struct Held {
    turn: Turn,
    who: usize,
    /// It counts, and is at the service.
    sent: bool,
}

/// What is told to all.
struct World {
    bench: Bench,
    people: Vec<Place>,
    held: Vec<Held>,
    /// Requests of processes that are gone: their words reach nobody.
    lost: Vec<Turn>,
    /// Times that each succeeded, as the service knows.
    succeeded: Vec<u32>,
    /// He was seen to be so, and stays so.
    last: Vec<State>,
}

impl World {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Join => {
                self.people.push(self.bench.join());
                self.succeeded.push(0);
                self.last.push(State::Waiting);
            }
            Step::Tick => self.bench.pass(Duration::from_secs(1)),
            Step::Expire => self.bench.pass(PASSAGE + Duration::from_secs(8)),
            Step::Restart => {
                self.bench.restart();
                self.lost.extend(self.held.drain(..).map(|held| held.turn));
            }
            _ if self.people.is_empty() => {}
            Step::Look(who) => drop(self.bench.look(who.get(&self.people))),
            Step::Leave(who) => drop(self.bench.room.leave(who.get(&self.people), self.bench.unix())),
            Step::Enter { who, counting, keyed } => {
                let who = who.index(self.people.len());
                let own = format!("request of {who}");
                let before = self.bench.state(&self.people[who]);
                let entered = self.bench.enter(&self.people[who], *counting, keyed.then_some(own.as_bytes()));
                let Ok(turn) = entered else { return };
                // What is done already the service knows by its key, and answers again.
                let sent = *counting && before != State::Done;
                assert!(!self.held.iter().any(|held| held.who == who && held.sent && sent), "two at once");
                self.held.push(Held { turn, who, sent });
            }
            Step::Answer { .. } | Step::Unsent(_) | Step::Drop(_) if self.held.is_empty() => {}
            Step::Answer { which, status } => {
                let mut held = self.held.swap_remove(which.index(self.held.len()));
                if held.sent && matches!(status, 200..=299) {
                    self.succeeded[held.who] = 1;
                }
                held.turn.answered(*status);
            }
            Step::Unsent(which) => self.held.swap_remove(which.index(self.held.len())).turn.unsent(),
            Step::Drop(which) => drop(self.held.swap_remove(which.index(self.held.len()))),
        }
    }

    fn check(&mut self) {
        let states: Vec<State> = self.people.iter().map(|place| self.bench.state(place)).collect();
        let taken = states.iter().filter(|state| !matches!(state, State::Waiting | State::Gone)).count();
        let done = states.iter().filter(|state| **state == State::Done).count();
        let count = self.bench.count();
        assert_eq!((count.taken as usize, count.done as usize), (taken, done), "{states:?}");
        assert!(count.taken <= QUOTA);
        for (who, state) in states.iter().enumerate() {
            let sending = self.held.iter().filter(|held| held.who == who && held.sent).count();
            assert_eq!(sending > 0, *state == State::Sending, "{who}");
            if self.succeeded[who] > 0 {
                assert_eq!(*state, State::Done, "who has succeeded stays so");
            }
            let final_before = matches!(self.last[who], State::Done | State::Gone);
            assert!(!final_before || *state == self.last[who]);
            // His ticket is as good as ever.
            let found = self.bench.find(&self.people[who]).map(|place| place.number());
            assert_eq!(found, Some(self.people[who].number()), "nobody is lost");
        }
        let mut numbers: Vec<u64> = self.people.iter().map(Place::number).collect();
        numbers.dedup();
        assert!(numbers.is_sorted() && numbers.len() == self.people.len(), "each number once, in order");
        self.last = states;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_is_what_people_hold(steps in prop::collection::vec(step(), 1..80)) {
        let bench = Bench::new(vec![wave(QUOTA.into())]);
        let mut world =
            World { bench, people: vec![], held: vec![], lost: vec![], succeeded: vec![], last: vec![] };
        for step in &steps {
            world.step(step);
            world.check();
        }
    }
}
