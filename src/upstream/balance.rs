//! Which server next: the less busy of two drawn by lot, by what is in flight there of what may be.
//!
//! **Invariants**: no server is named again once it is struck out; a lone server costs no randomness. A server that is ejected or unhealthy is named
//! only after all others have failed: when nothing else is left, asking it costs nothing. A server whose probation is due is
//! named first, and only once.
//! **Cost**: a look at each server and two random numbers while all are in full service; otherwise a random number for each.
//! Allocates only after a server has failed.
//! **Not here**: who is in full service (`health`).
//!
//! Power of two choices: Mitzenmacher, *The Power of Two Choices in Randomized Load Balancing* (2001). In slow start a server takes
//! part in a draw by its weight, and its load counts divided by it: comparing alone would leave it idle while nobody is busy.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::Arc;

use crate::clock::Tick;

/// For what a server may be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Candidacy {
    /// Its full share.
    Full,
    /// This part of its share.
    Part(f64),
    /// One request, to see whether it is back.
    Trial,
    /// Nothing, unless there is nobody else.
    LastResort,
}

/// Who can be chosen.
pub(super) trait Candidate {
    /// Exchanges under way there, of as many as its limit allows if it has one of its own.
    fn load(&self) -> f64;
    /// Whether its limit allows one more.
    fn has_room(&self) -> bool;
    /// Whether it may be chosen for its full share, in any case and for all time until something happens.
    fn is_full(&self) -> bool;
    /// For what it may be chosen now.
    fn candidacy(&self, now: Tick) -> Candidacy;
    /// Takes the one place of its probation.
    fn try_trial(&self, now: Tick) -> bool;
}

/// A server to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) index: usize,
    /// It is the one request of a probation.
    pub(super) is_trial: bool,
}

/// The servers of an upstream in the order in which one request tries them.
#[derive(Debug)]
pub(super) struct Choice<'a, C> {
    servers: &'a [Arc<C>],
    tried: Vec<usize>,
}

impl<'a, C: Candidate> Choice<'a, C> {
    pub(super) const fn new(servers: &'a [Arc<C>]) -> Self {
        Self { servers, tried: Vec::new() }
    }

    /// The next server to ask; [`None`] once all were struck out. Asks what time it `is` only if not all are in full service.
    pub(super) fn next(&self, is: impl Fn() -> Tick) -> Option<Chosen> {
        match self.servers {
            _ if !self.tried.is_empty() => self.scan(is()),
            // Nobody to compare with and nobody to leave it out for: whatever its state, it is the one.
            [lone] => Some(Chosen { index: 0, is_trial: !lone.is_full() && takes_trial(&**lone, is()) }),
            servers if servers.iter().all(|server| server.is_full()) => self.draw(),
            _ => self.scan(is()),
        }
    }

    /// `chosen` failed and shall not be named again.
    pub(super) fn strike(&mut self, chosen: Chosen) {
        self.tried.push(chosen.index);
    }

    /// Of two at random the less busy; all are equal.
    fn draw(&self) -> Option<Chosen> {
        let count = self.servers.len();
        let first = fastrand::usize(..count.max(1));
        let second = (first + fastrand::usize(1..count.max(2))) % count.max(1);
        let (one, other) = (self.servers.get(first)?, self.servers.get(second)?);
        let (index, chosen) = if other.load() < one.load() { (second, other) } else { (first, one) };
        let index = if chosen.has_room() { index } else { self.roomiest() };
        Some(Chosen { index, is_trial: false })
    }

    /// The least busy of all: the two drawn are full, and a permit says that somebody is not.
    fn roomiest(&self) -> usize {
        let loads = self.servers.iter().map(|server| server.load()).enumerate();
        loads.min_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(0, |(index, _)| index)
    }

    fn scan(&self, now: Tick) -> Option<Chosen> {
        let (mut drawn, mut starting) = (Pair::default(), Pair::default());
        let (mut full, mut others) = (Pair::default(), Pair::default());
        for (index, server) in self.servers.iter().enumerate().filter(|(index, _)| !self.tried.contains(index)) {
            let load = server.load();
            let has_room = server.has_room();
            match server.candidacy(now) {
                Candidacy::Full if has_room => drawn.offer(index, load),
                Candidacy::Full => full.offer(index, load),
                Candidacy::Part(weight) if has_room && fastrand::f64() < weight => drawn.offer(index, load / weight),
                Candidacy::Part(weight) if has_room => starting.offer(index, load / weight),
                Candidacy::Part(weight) => full.offer(index, load / weight),
                Candidacy::Trial if server.try_trial(now) => return Some(Chosen { index, is_trial: true }),
                Candidacy::Trial | Candidacy::LastResort => others.offer(index, load),
            }
        }
        let index = [drawn, starting, full, others].iter().find_map(Pair::less_busy)?;
        Some(Chosen { index, is_trial: false })
    }
}

fn takes_trial(server: &impl Candidate, now: Tick) -> bool {
    server.candidacy(now) == Candidacy::Trial && server.try_trial(now)
}

/// Two of those offered, each pair as likely as any other (reservoir sampling: Vitter, *Random Sampling with a Reservoir*, 1985).
#[derive(Debug, Default)]
struct Pair {
    offered: usize,
    kept: [Option<(usize, f64)>; 2],
}

impl Pair {
    fn offer(&mut self, index: usize, load: f64) {
        let place = if self.offered < self.kept.len() { self.offered } else { fastrand::usize(..=self.offered) };
        self.offered += 1;
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = Some((index, load));
        }
    }

    fn less_busy(&self) -> Option<usize> {
        match self.kept {
            [Some((first, load)), Some((second, other))] => Some(match other.total_cmp(&load) {
                Equal if fastrand::bool() => second,
                Less => second,
                Equal | Greater => first,
            }),
            [kept, _] => kept.map(|(index, _)| index),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// What a fake has in flight when it is full.
    const FULL: u32 = 10;

    struct Fake(u32, Candidacy, AtomicBool);

    impl Candidate for Fake {
        fn load(&self) -> f64 {
            f64::from(self.0)
        }

        fn has_room(&self) -> bool {
            self.0 < FULL
        }

        fn is_full(&self) -> bool {
            self.1 == Candidacy::Full
        }

        fn candidacy(&self, _: Tick) -> Candidacy {
            self.1
        }

        fn try_trial(&self, _: Tick) -> bool {
            !self.2.swap(true, Ordering::Relaxed)
        }
    }

    fn fleet(states: &[(u32, Candidacy)]) -> Vec<Arc<Fake>> {
        states.iter().map(|(load, candidacy)| Arc::new(Fake(*load, *candidacy, AtomicBool::new(false)))).collect()
    }

    /// How often each of `servers` is the first choice of 20,000.
    fn shares(servers: &[Arc<Fake>]) -> Vec<f64> {
        let mut counts = vec![0_u32; servers.len()];
        for _ in 0..20_000 {
            counts[Choice::new(servers).next(|| Tick::ZERO).unwrap().index] += 1;
        }
        counts.into_iter().map(|count| f64::from(count) / 20_000.0).collect()
    }

    #[test]
    fn everyone_is_named_once_and_the_left_out_last() {
        let servers =
            fleet(&[(0, Candidacy::LastResort), (9, Candidacy::Full), (0, Candidacy::Part(0.1)), (7, Candidacy::Full)]);
        for _ in 0..200 {
            let (mut choice, mut named) = (Choice::new(&servers), Vec::new());
            while let Some(chosen) = choice.next(|| Tick::ZERO) {
                choice.strike(chosen);
                named.push(chosen.index);
            }
            assert_eq!(named.last(), Some(&0));
            named.sort_unstable();
            assert_eq!(named, [0, 1, 2, 3]);
        }
        assert!(Choice::<Fake>::new(&[]).next(|| Tick::ZERO).is_none());
    }

    #[test]
    fn equals_share_evenly_and_the_busy_get_less() {
        for share in shares(&fleet(&[(0, Candidacy::Full); 4])) {
            assert!((0.22..0.28).contains(&share), "{share}");
        }
        let busy = shares(&fleet(&[(5, Candidacy::Full), (0, Candidacy::Full), (0, Candidacy::Full)]));
        assert!(busy[0] < f64::EPSILON, "{busy:?}");
    }

    #[test]
    fn a_full_server_is_left_out_while_another_has_room() {
        for states in [Candidacy::Full, Candidacy::Part(0.9)] {
            let mut fleet_of = vec![(FULL, Candidacy::Full); 9];
            fleet_of.push((FULL - 1, states));
            let servers = fleet(&fleet_of);
            let chosen = |_| Choice::new(&servers).next(|| Tick::ZERO).unwrap().index;
            let right = (0..1_000).map(chosen).filter(|index| *index == 9).count();
            assert_eq!(right, 1_000);
        }
        assert!(Choice::new(&fleet(&[(FULL, Candidacy::Full); 3])).next(|| Tick::ZERO).is_some(), "all full");
    }

    #[test]
    fn slow_start_gives_its_part_of_a_share() {
        for others in [1, 2, 5] {
            let mut states = vec![(0, Candidacy::Full); others];
            for weight in [0.1, 0.5, 0.9, 1.0] {
                states.push((0, Candidacy::Part(weight)));
                let share = shares(&fleet(&states))[others];
                let full = 1.0 / (others as f64 + 1.0);
                assert!((share - weight * full).abs() < 0.03, "{weight} beside {others}: {share}");
                states.pop();
            }
        }
    }

    #[test]
    fn a_probation_is_given_to_one_request() {
        let servers = fleet(&[(0, Candidacy::Trial), (0, Candidacy::Full)]);
        let trials = (0..100).filter(|_| Choice::new(&servers).next(|| Tick::ZERO).unwrap().is_trial).count();
        assert_eq!(trials, 1);
        let lone = fleet(&[(0, Candidacy::Trial)]);
        assert!(Choice::new(&lone).next(|| Tick::ZERO).unwrap().is_trial);
        assert!(!Choice::new(&lone).next(|| Tick::ZERO).unwrap().is_trial, "asked all the same");
    }

    #[test]
    fn with_all_left_out_all_are_tried() {
        let shares = shares(&fleet(&[(0, Candidacy::LastResort); 2]));
        assert!(shares.iter().all(|share| *share > 0.4), "{shares:?}");
    }
}
