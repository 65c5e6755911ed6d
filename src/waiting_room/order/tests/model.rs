//! Random schedules against the plain list.

use proptest::prelude::*;

use super::plain::{Heard, Plain};
use super::*;

/// Room for so many: schedules reach it.
const CAPACITY: usize = 4 * CHUNK;
const PASS: u64 = 200;
const LIFE: u64 = 600;

#[derive(Clone, Debug)]
enum Step {
    Issue(u16),
    /// So many people, from the seed's choice on.
    Return(u64, u16),
    Come(u64, u16),
    Redeem(u64, u16),
    Change(u64, u16),
    Advance(u16),
    Pass(u16),
    Draw(u64),
    Sweep,
    Retire,
}

fn step() -> impl Strategy<Value = Step> {
    let some = || (any::<u64>(), 1_u16..600);
    prop_oneof![
        4 => (1_u16..3_000).prop_map(Step::Issue),
        4 => some().prop_map(|(seed, count)| Step::Return(seed, count)),
        2 => some().prop_map(|(seed, count)| Step::Come(seed, count)),
        4 => some().prop_map(|(seed, count)| Step::Redeem(seed, count)),
        4 => some().prop_map(|(seed, count)| Step::Change(seed, count)),
        4 => (0_u16..1_500).prop_map(Step::Advance),
        5 => (0_u16..40).prop_map(Step::Pass),
        1 => (200_u16..400).prop_map(Step::Pass),
        1 => any::<u64>().prop_map(Step::Draw),
        1 => Just(Step::Sweep),
        1 => Just(Step::Retire),
    ]
}

struct Run {
    order: Order,
    plain: Plain,
    forgotten: u64,
    /// People who look at how many are ahead of them, and what they saw last.
    watched: Vec<(usize, u64)>,
    swept: Vec<Swept>,
}

impl Run {
    fn take(&mut self, step: &Step) {
        let (now, at) = (tick(self.plain.now), unix(self.plain.now));
        match *step {
            Step::Issue(count) => (0..count).for_each(|_| self.issue()),
            Step::Return(seed, count) => self.some(seed, count, Self::come_back),
            Step::Come(seed, count) => self.some(seed, count, |run, number| {
                let awaited = run.plain.people[number].position < run.plain.serving
                    && run.plain.is_live(run.plain.people[number].position);
                let on_time = run.plain.people[number].position >= run.plain.overdue;
                assert_eq!(run.order.came(number as u64, now).is_some(), awaited && on_time);
                run.plain.people[number].came |= awaited;
            }),
            Step::Redeem(seed, count) => self.some(seed, count, |run, number| {
                assert_eq!(run.order.redeem(number as u64, 1, now, at), run.plain.redeem(number), "{number}");
            }),
            Step::Change(seed, count) => self.some(seed, count, |run, number| {
                let [from, to] = [State::ALL[(seed % 6) as usize], State::ALL[(seed / 6 % 6) as usize]];
                let person = &mut run.plain.people[number];
                let may = person.state == from && from.leads_to(to);
                assert_eq!(run.order.set(number as u64, from, to, at), may);
                if may {
                    (person.state, person.seen, person.came) = (to, run.plain.now, true);
                    person.heard = if person.heard == Heard::Never { Heard::TooLate } else { person.heard };
                }
            }),
            Step::Advance(people) => {
                self.plain.advance(people.into());
                assert_eq!(self.order.advance(now, people.into()), self.plain.serving, "serving");
            }
            Step::Pass(secs) => {
                self.plain.now += u64::from(secs);
                self.order.settle(tick(self.plain.now), unix(self.plain.now));
                self.plain.settle();
                self.compare();
            }
            Step::Draw(seed) => {
                let (first, forward) = self.plain.draw(&mut fastrand::Rng::with_seed(seed));
                assert_eq!(self.order.drawn(first, forward), Ok(()));
                self.watched.clear();
                self.compare();
            }
            Step::Sweep => {
                self.swept.extend(self.order.sweep(at, Duration::from_secs(PASS)));
                self.sweep();
            }
            Step::Retire => self.retire(at),
        }
        self.watch();
    }

    fn issue(&mut self) {
        let room = self.plain.issued() - self.forgotten < CAPACITY as u64;
        assert_eq!(self.order.issue(), room.then(|| self.plain.issued()), "room for exactly so many");
        if room {
            self.plain.issue();
        }
    }

    /// Chooses among those who are not forgotten.
    fn some(&mut self, seed: u64, count: u16, mut act: impl FnMut(&mut Self, usize)) {
        let mut chance = fastrand::Rng::with_seed(seed);
        let range = index(self.forgotten)..self.plain.people.len();
        if !range.is_empty() {
            (0..count).for_each(|_| act(self, chance.usize(range.clone())));
        }
    }

    fn come_back(&mut self, number: usize) {
        let at = unix(self.plain.now);
        let first = self.plain.returned(number);
        let person = &self.plain.people[number];
        let wanted = Returned { first, counted: person.heard == Heard::InTime, early: false, state: person.state };
        assert_eq!(self.order.returned(number as u64, at, at), Some(wanted), "{number}");
    }

    /// Each person is as the list says: nobody is lost, and nobody is ahead who should not be.
    fn compare(&self) {
        let ahead = self.plain.ahead();
        for (number, person) in self.plain.people.iter().enumerate().skip(index(self.forgotten)) {
            let number = number as u64;
            assert_eq!(self.order.position(number), Some(person.position));
            assert_eq!(self.order.state(number), Some(person.state));
            assert_eq!(self.order.is_called(number), person.position < self.plain.serving);
            assert_eq!(self.order.is_late(number), person.position < self.plain.overdue);
        }
        for (position, wanted) in (self.plain.serving..).zip(&ahead).step_by(53) {
            assert_eq!(self.order.ahead(position), *wanted, "before {position}");
        }
        assert_eq!(self.order.waiting(), *ahead.last().unwrap());
        assert_eq!(self.order.outstanding(), self.plain.outstanding());
    }

    /// At every moment, also between ticks: never fewer than there are, never more than before.
    fn watch(&mut self) {
        let ahead = self.plain.ahead();
        for (number, seen) in &mut self.watched {
            let position = self.plain.people[*number].position;
            let now = self.order.ahead(position);
            assert!(now <= *seen, "{number} had {seen} ahead of him and now {now}");
            let exact = position.checked_sub(self.plain.serving).map_or(0, |at| ahead[index(at)]);
            assert!(now >= exact, "{number} has {exact} ahead of him and is told {now}");
            *seen = now;
        }
        if let Some(number) = self.plain.people.len().checked_sub(1) {
            self.watched.push((number, self.order.ahead(self.plain.people[number].position)));
        }
    }

    fn sweep(&mut self) {
        for swept in self.swept.drain(..) {
            let person = &mut self.plain.people[index(swept.number)];
            assert_eq!((person.state, swept.wave), (State::Admitted, 1));
            assert!(person.seen + PASS <= self.plain.now + 8, "not idle for long enough");
            person.state = State::Gone;
        }
    }

    fn retire(&mut self, at: Duration) {
        let start = self.order.retire(tick(self.plain.now), at, Duration::from_secs(LIFE));
        assert!(start >= self.forgotten && start <= self.plain.overdue);
        for person in &self.plain.people[index(self.forgotten)..index(start)] {
            assert!(person.issued + LIFE <= self.plain.now + 8, "a ticket that is still good");
            assert!(person.position < start, "a part of a draw");
        }
        self.forgotten = start;
        self.watched.retain(|(number, _)| *number as u64 >= start);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_order_is_that_of_a_plain_list(steps in prop::collection::vec(step(), 1..60)) {
        let (order, plain) = (Order::new(CAPACITY, BEGAN), Plain::default());
        let mut run = Run { order, plain, forgotten: 0, watched: Vec::new(), swept: Vec::new() };
        for step in &steps {
            run.take(step);
        }
        // In the end everybody is called.
        for step in [Step::Pass(1), Step::Pass(60), Step::Advance(u16::MAX), Step::Pass(300)] {
            run.take(&step);
        }
        prop_assert_eq!(run.order.serving(), run.plain.issued());
        prop_assert_eq!(run.order.outstanding() + run.order.waiting(), 0);
    }
}
