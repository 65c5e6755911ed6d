//! Who is inside, and of whose request nobody knows what became: counted and listed for operators.
//!
//! **Cost**: a look at each number that was called and is remembered: about a millisecond a million. Not for every tick.

use std::time::Duration;

use super::Order;
use super::entry::State;
use super::ring::parts;

/// How many of those called are in each state that they can be in while something of them is awaited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// Let in.
    pub admitted: u64,
    /// A request that counts is at the service.
    pub sending: u64,
    /// It was, and nobody knows what became of it.
    pub ambiguous: u64,
}

impl Order {
    /// Who is inside.
    #[must_use]
    pub fn inside(&self) -> Inside {
        let mut inside = Inside::default();
        // Whoever has not been called waits or has left.
        for (start, range) in parts(self.remembered().start..self.serving()) {
            let Some(page) = self.ring.page(start) else { continue };
            let Some(chunk) = page.chunk.get() else { continue };
            for at in range {
                match chunk.entry(at).state() {
                    State::Admitted => inside.admitted += 1,
                    State::Sending => inside.sending += 1,
                    State::Ambiguous => inside.ambiguous += 1,
                    State::Waiting | State::Done | State::Gone => {}
                }
            }
        }
        inside
    }

    /// At most `most` numbers from `position` on of whose request nobody knows what became, and since when (since 1970), in the order of
    /// their positions; and the position at which to go on, if there may be more.
    #[must_use]
    pub fn ambiguous(&self, position: u64, most: usize) -> (Vec<(u64, Duration)>, Option<u64>) {
        let mut found = Vec::new();
        for (start, range) in parts(position.max(self.remembered().start)..self.serving()) {
            let Some(page) = self.ring.page(start) else { continue };
            let Some(chunk) = page.chunk.get() else { continue };
            for at in range {
                let entry = chunk.entry(at);
                if entry.state() != State::Ambiguous {
                    continue;
                }
                let here = start + at as u64;
                if found.len() == most {
                    return (found, Some(here));
                }
                let number = page.draws.iter().find_map(|draw| draw.number(here)).unwrap_or(here);
                found.push((number, entry.time().unix(self.generation)));
            }
        }
        (found, None)
    }
}

#[cfg(all(test, not(feature = "loom")))]
#[expect(clippy::unwrap_used, reason = "the lint's own exception covers test functions, not what they share")]
mod tests {
    use super::super::chunk::CHUNK;
    use super::*;
    use crate::clock::Tick;

    const GENERATION: u32 = 1_700_000_000;

    fn unix(seconds: u64) -> Duration {
        Duration::from_secs(u64::from(GENERATION) + seconds)
    }

    /// Ten thousand people who were called, and every `n`-th of the first numbers with what became of him.
    fn order() -> Order {
        let order = Order::new(4 * CHUNK, GENERATION);
        for _ in 0..10_000 {
            let number = order.issue().unwrap();
            order.returned(number, unix(1), unix(1)).unwrap();
        }
        order.advance(Tick::ZERO, 9_000);
        order
    }

    fn enter(order: &Order, number: u64, states: &[State]) {
        order.redeem(number, 0, Tick::ZERO, unix(8)).unwrap();
        let mut from = State::Admitted;
        for to in states {
            assert!(order.set(number, from, *to, unix(12)));
            from = *to;
        }
    }

    #[test]
    fn those_inside_are_counted_wherever_they_stand() {
        let order = order();
        for number in [0, 4_095, 8_999] {
            enter(&order, number, &[]);
        }
        for number in [1, 4_096] {
            enter(&order, number, &[State::Sending]);
        }
        enter(&order, 5, &[State::Sending, State::Ambiguous]);
        enter(&order, 6, &[State::Sending, State::Done]);
        enter(&order, 7, &[State::Gone]);
        assert_eq!(order.inside(), Inside { admitted: 3, sending: 2, ambiguous: 1 });
    }

    #[test]
    fn a_page_at_a_time_lists_each_unclear_one_once() {
        let order = order();
        let wanted: Vec<u64> = (0..9_000).step_by(700).collect();
        for number in &wanted {
            enter(&order, *number, &[State::Sending, State::Ambiguous]);
        }
        let (mut found, mut next) = (Vec::new(), Some(0));
        while let Some(from) = next {
            let (page, more) = order.ambiguous(from, 3);
            assert!(page.len() == 3 || more.is_none());
            assert!(page.iter().all(|(_, since)| *since == unix(12)), "{page:?}");
            found.extend(page.iter().map(|(number, _)| *number));
            next = more;
        }
        assert_eq!(found, wanted);
    }

    #[test]
    fn whoever_was_drawn_is_listed_by_his_number() {
        let order = Order::new(2 * CHUNK, GENERATION);
        for _ in 0..4 {
            let number = order.issue().unwrap();
            order.returned(number, unix(1), unix(1)).unwrap();
        }
        order.drawn(0, Box::new([3, 2, 1, 0])).unwrap();
        order.advance(Tick::ZERO, 1);
        enter(&order, 3, &[State::Sending, State::Ambiguous]);
        assert_eq!(order.ambiguous(0, 9).0, [(3, unix(12))]);
    }
}
