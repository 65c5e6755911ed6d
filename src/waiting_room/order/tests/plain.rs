//! The order as a plain list of people, counted one by one.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Never,
    InTime,
    TooLate,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) position: u64,
    pub(super) state: State,
    pub(super) heard: Heard,
    pub(super) came: bool,
    pub(super) issued: u64,
    pub(super) seen: u64,
}

#[derive(Debug, Default)]
pub(super) struct Plain {
    pub(super) people: Vec<Person>,
    /// Whose each position is.
    pub(super) line: Vec<usize>,
    pub(super) serving: u64,
    pub(super) overdue: u64,
    pub(super) drawn: u64,
    settled: u64,
    noted: Vec<(u64, u64)>,
    calls: Vec<(u64, u64)>,
    pub(super) now: u64,
}

impl Plain {
    pub(super) fn issued(&self) -> u64 {
        self.people.len() as u64
    }

    pub(super) fn issue(&mut self) {
        let position = self.issued();
        self.line.push(self.people.len());
        let (state, heard) = (State::Waiting, Heard::Never);
        self.people.push(Person { position, state, heard, came: false, issued: self.now, seen: 0 });
    }

    pub(super) fn is_live(&self, position: u64) -> bool {
        let number = self.line[index(position)];
        let person = &self.people[number];
        let awaited = match person.heard {
            Heard::Never => number as u64 >= self.settled,
            Heard::InTime => true,
            Heard::TooLate => false,
        };
        person.state == State::Waiting && !person.came && awaited
    }

    /// Who is awaited before each position from serving on; the last is how many wait.
    pub(super) fn ahead(&self) -> Vec<u64> {
        let mut count = 0;
        let mut ahead = Vec::new();
        for position in self.serving..self.issued() {
            ahead.push(count);
            count += u64::from(self.is_live(position));
        }
        ahead.push(count);
        ahead
    }

    pub(super) fn outstanding(&self) -> u64 {
        (self.overdue..self.serving).filter(|position| self.is_live(*position)).count() as u64
    }

    pub(super) fn settle(&mut self) {
        if self.noted.last().is_none_or(|(at, _)| self.now > *at) {
            self.noted.push((self.now, self.issued()));
        }
        let old = self.noted.iter().filter(|(at, _)| at + GRACE.as_secs() <= self.now);
        self.settled = old.map(|(_, issued)| *issued).max().unwrap_or(0);
        self.expire();
    }

    pub(super) fn advance(&mut self, people: u64) {
        let from = self.serving;
        let mut left = people;
        while self.serving < self.issued() {
            if self.is_live(self.serving) {
                if left == 0 {
                    break;
                }
                left -= 1;
            }
            self.serving += 1;
        }
        if self.serving > from {
            self.calls.push((self.serving, self.now));
            self.expire();
        }
    }

    fn expire(&mut self) {
        let over = self.calls.iter().filter(|(_, at)| at + TURN.as_secs() <= self.now);
        self.overdue = over.map(|(end, _)| *end).max().unwrap_or(0);
    }

    /// Whether `number` came back for the first time.
    pub(super) fn returned(&mut self, number: usize) -> bool {
        let fresh = number as u64 >= self.settled;
        let now = self.now;
        let person = &mut self.people[number];
        if person.state == State::Admitted {
            person.seen = now;
        }
        let first = person.heard == Heard::Never && person.state == State::Waiting;
        if first {
            person.heard = if fresh { Heard::InTime } else { Heard::TooLate };
        }
        first
    }

    pub(super) fn redeem(&mut self, number: usize) -> Result<(), NotRedeemed> {
        let now = self.now;
        let serving = self.serving;
        let person = &mut self.people[number];
        if person.position >= serving {
            return Err(NotRedeemed::NotCalled);
        }
        if person.state != State::Waiting {
            return Err(NotRedeemed::Already(person.state));
        }
        person.state = State::Admitted;
        person.came = true;
        person.seen = now;
        if person.heard == Heard::Never {
            person.heard = Heard::TooLate;
        }
        Ok(())
    }

    pub(super) fn draw(&mut self, chance: &mut fastrand::Rng) -> (u64, Box<[u32]>) {
        let first = self.serving.max(self.drawn);
        let mut forward: Vec<u32> = (0..u32::try_from(self.issued() - first).unwrap()).collect();
        chance.shuffle(&mut forward);
        for (number, rank) in (index(first)..).zip(&forward) {
            self.people[number].position = first + u64::from(*rank);
            self.line[index(first) + *rank as usize] = number;
        }
        self.drawn = self.issued();
        (first, forward.into())
    }
}
