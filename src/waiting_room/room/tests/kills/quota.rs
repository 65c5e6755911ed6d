//! Exactly the quota is registered, of a crowd nine times as large, over kills at random instants, with a service that fails before its effect,
//! after it and in its answer. Whoever is not, is told that the quota is spent.
//!
//! Of three in ten the service would not recognise a repetition; what became of a request of theirs that failed or was lost nobody knows but the service.
//! Those are held and listed, and a call centre settles them by the service's own list: how many is printed.

use std::collections::{HashMap, VecDeque};

use super::client::{Client, Stage, is_keyed, shows_up};
use super::process::Process;
use super::service::Service;
use super::wire::{Ask, Say, Scenario, Visit, Wants, Where, Whole, Word};
use super::*;
use crate::clock::Tick;

/// Applicants, places, and kills; those of the day as it was, and a hundredth.
const SHORT: (usize, u64, u32) = (14_321, 1_640, 20);
const LONG: (usize, u64, u32) = (1_432_133, 164_000, 60);

/// Ticks in which everybody joins; the service takes the quota in the same time, and some more.
const TICKS: usize = 3_580;
const SPEED: f64 = 11.5;

/// Milliseconds between two ticks.
const STEP: u64 = 100;

/// On their way at once.
const WINDOW: usize = 512;

/// Requests that are at the service when the process is killed.
const HELD: usize = 64;

/// Ticks without anything new after which the call centre settles what is unclear, and passages that nobody uses have ended.
const STALLED: u32 = 400;
const PASSAGES_END: u64 = 11 * 60 * 1_000;

/// People looked for after each start.
const SAMPLE: usize = 300;

/// Ticks until somebody comes again: 0.1 s to 6 s.
const LATER: usize = 64;

struct Crowd {
    scenario: Scenario,
    quota: u64,
    service: Service,
    people: Vec<Client>,
    /// Whose each number is.
    holders: HashMap<u64, usize>,
    /// Those who have not come yet, and all others who come soon.
    joins: std::ops::Range<usize>,
    due: VecDeque<usize>,
    later: Vec<Vec<usize>>,
    ticks: usize,
    out: usize,
    /// Of these, requests that the service does not answer before the kill; [`None`] when there is none to come.
    held: Option<usize>,
    ticking: bool,
    joined: usize,
    serving: u64,
    whole: Option<Whole>,
    /// Told that they are done, and that nothing is left.
    done: u64,
    spent: u64,
    /// Ticks since anything changed.
    still: u32,
    /// What the call centre found, registered and not.
    settled: (u64, u64),
    rng: fastrand::Rng,
}

impl Crowd {
    fn new(directory: &TempDir, people: usize, quota: u64) -> Self {
        let scenario = Scenario {
            state: directory.path().join("0"),
            new: true,
            capacity: (2 * people).max(1 << 20),
            opens: None,
            quota: Some(quota),
            rate: SPEED * quota as f64 / TICKS as f64,
            at: 0,
        };
        let client = || Client { ticket: None, number: None, stage: Stage::Due(Wants::Page) };
        Self {
            scenario,
            quota,
            service: Service::new(Some(quota)),
            people: std::iter::repeat_with(client).take(people).collect(),
            holders: HashMap::new(),
            joins: 0..people,
            due: VecDeque::new(),
            later: vec![Vec::new(); LATER],
            ticks: 0,
            out: 0,
            held: None,
            ticking: false,
            joined: 0,
            serving: 0,
            whole: None,
            done: 0,
            spent: 0,
            still: 0,
            settled: (0, 0),
            rng: fastrand::Rng::with_seed(4),
        }
    }

    fn is_over(&self) -> bool {
        self.done + self.spent == self.people.len() as u64
    }

    fn visit(&self, who: usize, wants: Wants) -> Visit {
        let identity = is_keyed(who).then(|| format!("person {who}"));
        let ticket = self.people[who].ticket.as_deref().map(str::to_owned);
        Visit { who, ticket, key: identity.clone(), identity, wants }
    }

    fn comes(&mut self, who: usize, wants: Wants) {
        if !matches!(self.people[who].stage, Stage::Done | Stage::Spent) {
            self.people[who].stage = Stage::Due(wants);
            self.due.push_back(who);
        }
    }

    fn comes_later(&mut self, who: usize, ticks: usize) {
        self.people[who].stage = Stage::Due(Wants::Send);
        self.later[(self.ticks + ticks) % LATER].push(who);
    }

    /// Starts the room, and sees that nothing of the quota was lost.
    fn start(&mut self) -> Process {
        let mut process = Process::start(&self.scenario);
        let Say::Ready(whole) = process.heard() else { panic!("not ready") };
        let (taken, done) = (u64::from(whole.count.0), u64::from(whole.count.1));
        assert!(taken <= self.quota && self.service.len() <= taken, "{} are registered: {whole:?}", self.service.len());
        assert!((self.done..=self.service.len()).contains(&done), "{} are done: {whole:?}", self.done);
        let sample: Vec<usize> = (0..SAMPLE).map(|_| self.rng.usize(..self.people.len())).collect();
        for who in &sample {
            process.ask(&Ask::Find(self.visit(*who, Wants::Look)));
        }
        for _ in sample {
            let Say::Found(found) = process.heard() else { panic!("something else than was asked") };
            let client = &self.people[found.who];
            let held = matches!(State::ALL[usize::from(found.state)], State::Ambiguous | State::Done);
            assert!(held || !self.service.is_registered(found.who), "{found:?} is registered");
            assert!(client.stage != Stage::Done || found.stand == Where::Done, "{found:?} was told that he is done");
            assert!(client.number.is_none() || found.number == client.number, "{found:?} had {:?}", client.number);
        }
        process
    }

    /// The process is gone, and has said `last`. Whoever had something on its way comes again.
    fn gone(&mut self, process: Process) {
        process.kill().into_iter().for_each(|say| drop(self.hear(say)));
        (self.out, self.held, self.ticking) = (0, None, false);
        for who in 0..self.people.len() {
            if let Stage::Out(wants) = self.people[who].stage {
                self.comes(who, wants);
            }
        }
    }

    /// Sends those who are due, and time passes when they have come.
    fn send(&mut self, process: &mut Process) {
        while self.out < WINDOW {
            let may_join = self.joined < self.people.len() / TICKS + 1;
            let who = match self.due.pop_front() {
                Some(who) => who,
                None if may_join && let Some(who) = self.joins.next() => {
                    self.joined += 1;
                    who
                }
                None => break,
            };
            let Stage::Due(wants) = self.people[who].stage else { continue };
            process.ask(&Ask::Visit(self.visit(who, wants)));
            self.people[who].stage = Stage::Out(wants);
            self.out += 1;
        }
        if !self.ticking && self.due.is_empty() && self.out < WINDOW / 2 {
            self.scenario.at += STEP;
            (self.ticking, self.joined) = (true, 0);
            process.ask(&Ask::Tick(self.scenario.at));
        }
    }

    /// What is to be said in answer.
    fn hear(&mut self, say: Say) -> Option<Ask> {
        match say {
            Say::Told { who, number, ticket, stand, .. } => {
                self.out -= 1;
                self.holds(who, number, ticket);
                self.told(who, stand);
            }
            Say::Forward { turn, who, number, ticket, counts, .. } => {
                self.holds(who, Some(number), Some(ticket));
                let word = if counts {
                    self.service.registers(who, number, is_keyed(who), &mut self.rng)
                } else {
                    Word::Status(if self.rng.u8(..20) == 0 { 500 } else { 200 })
                };
                if let Some(held) = self.held.as_mut().filter(|held| counts && **held < HELD)
                    && self.rng.u8(..8) == 0
                {
                    *held += 1;
                    return None;
                }
                return Some(Ask::Answer { turn, word });
            }
            Say::Ended { who, counts, word, stand } => {
                self.out -= 1;
                let success = counts && matches!(word, Word::Status(200..=299));
                assert!(!success || stand == Where::Done, "{who} is {stand:?} after {word:?}");
                self.told(who, stand);
            }
            Say::Ticked(whole) => self.ticked(whole),
            say => panic!("nobody asked: {say:?}"),
        }
        None
    }

    fn holds(&mut self, who: usize, number: Option<u64>, ticket: Option<String>) {
        let client = &mut self.people[who];
        if let Some(number) = number {
            client.number = Some(number);
            client.ticket = ticket.map(String::into_boxed_str);
            let holder = *self.holders.entry(number).or_insert(who);
            assert_eq!(holder, who, "{number} is the place of both");
        }
    }

    fn told(&mut self, who: usize, stand: Where) {
        let first = self.people[who].stage == Stage::Out(Wants::Page);
        match stand {
            Where::Waiting { .. } if first && !who.is_multiple_of(8) => self.comes(who, Wants::Look),
            Where::Waiting { .. } if self.people[who].number.is_some_and(|number| number >= self.serving) => {
                self.people[who].stage = Stage::Waits;
            }
            Where::Waiting { .. } | Where::Sending => self.comes_later(who, 1),
            Where::Called | Where::Taken => {
                let ticks = self.rng.usize(25..LATER);
                self.comes_later(who, ticks);
            }
            Where::Unclear if is_keyed(who) => self.comes_later(who, 20),
            Where::Unclear => self.people[who].stage = Stage::Unclear,
            Where::Inside => self.comes_later(who, 2),
            Where::Done => {
                assert!(self.service.is_registered(who), "{who} is told that he is done");
                self.people[who].stage = Stage::Done;
                (self.done, self.still) = (self.done + 1, 0);
            }
            Where::Over { spent } => {
                assert!(spent && !self.service.is_registered(who), "{who} is told that it is over");
                assert_eq!(self.service.len(), self.quota, "{who} is told that the quota is spent");
                self.people[who].stage = Stage::Spent;
                (self.spent, self.still) = (self.spent + 1, 0);
            }
            Where::Unknown | Where::Nowhere => self.comes(who, Wants::Page),
            Where::Lobby => panic!("there is none"),
        }
    }

    fn ticked(&mut self, whole: Whole) {
        self.scenario.new = false;
        self.ticking = false;
        self.ticks += 1;
        self.still = if whole.serving > self.serving || !self.joins.is_empty() { 0 } else { self.still + 1 };
        for number in self.serving..whole.serving {
            let Some(who) = self.holders.get(&number).copied().filter(|who| shows_up(*who)) else { continue };
            if self.people[who].stage == Stage::Waits {
                self.comes(who, Wants::Send);
            }
        }
        self.serving = self.serving.max(whole.serving);
        for who in std::mem::take(&mut self.later[self.ticks % LATER]) {
            self.comes(who, Wants::Send);
        }
        if whole.spent && self.whole.is_none_or(|before| !before.spent) {
            // Everybody looks once more.
            for who in 0..self.people.len() {
                if matches!(self.people[who].stage, Stage::Waits | Stage::Unclear) {
                    self.comes(who, Wants::Look);
                }
            }
        }
        self.whole = Some(whole);
    }

    /// The call centre goes through the list of those whose outcome is unclear.
    fn settle(&mut self, process: &mut Process) {
        let registered = self.service.numbers();
        let mut next = Some(0);
        while let Some(from) = next {
            process.ask(&Ask::Unclear(from));
            let Say::Unclear { numbers, next: more } = process.heard() else { panic!("something else than was asked") };
            for number in &numbers {
                process.ask(&Ask::Resolve { number: *number, done: registered.contains(number) });
            }
            for _ in &numbers {
                let Say::Resolved { done, kept, .. } = process.heard() else { panic!("something else than was asked") };
                assert!(kept);
                self.settled.0 += u64::from(done);
                self.settled.1 += u64::from(!done);
            }
            next = more;
        }
        for who in 0..self.people.len() {
            if self.people[who].stage == Stage::Unclear {
                self.comes(who, Wants::Send);
            }
        }
        self.scenario.at += PASSAGES_END;
        self.still = 0;
    }

    /// Lives until the kill, or until everybody has been told.
    fn live(&mut self, process: &mut Process, clock: &Clock, kill: Tick) {
        while clock.now() < kill && !self.is_over() {
            if self.still > STALLED && self.out == self.held.unwrap_or(0) && !self.ticking {
                self.settle(process);
            }
            self.send(process);
            while let Some(say) = process.hear(Duration::from_micros(100)) {
                if let Some(answer) = self.hear(say) {
                    process.ask(&answer);
                }
            }
        }
    }
}

#[test]
fn exactly_the_quota_is_registered_over_kills_and_everybody_else_is_told() {
    let (people, quota, kills) = if is_long() { LONG } else { SHORT };
    let directory = tempfile::tempdir().unwrap();
    let mut crowd = Crowd::new(&directory, people, quota);
    let clock = Clock::machine();
    let began = clock.now();
    let mut process = crowd.start();
    let (mut killed, mut life) = (0, Duration::from_millis(400));
    while !crowd.is_over() {
        let span = if killed < kills { life.mul_f64(2.0 * crowd.rng.f64()) } else { Duration::from_hours(1) };
        crowd.held = (killed < kills).then_some(0);
        crowd.live(&mut process, &clock, clock.now().after(span));
        if !crowd.is_over() {
            crowd.gone(process);
            process = crowd.start();
            killed += 1;
            // So that the rest of the kills are spread over the rest of the work.
            let told = (crowd.done + crowd.joins.start as u64) as f64 / (people as u64 + quota) as f64;
            let spent = clock.now().since(began).as_secs_f64();
            let left = spent / told.max(0.01) - spent;
            life = Duration::from_secs_f64((left / f64::from(kills - killed + 1)).clamp(0.02, 5.0));
        }
    }
    process.ask(&Ask::Survey);
    let whole = loop {
        // A tick may have been under way.
        if let Say::Whole(whole) = process.heard() {
            break whole;
        }
    };
    process.kill();
    let exactly = u32::try_from(quota).unwrap();
    assert_eq!((crowd.service.len(), whole.count), (quota, (exactly, exactly)), "registered, and known to be");
    assert_eq!((crowd.done, crowd.spent), (quota, people as u64 - quota), "told");
    let told = crowd.people.iter().enumerate();
    assert!(told.into_iter().all(|(who, client)| (client.stage == Stage::Done) == crowd.service.is_registered(who)));
    let (found, not) = crowd.settled;
    println!(
        "{quota} of {people} registered over {killed} kills in {:?}, {} ticks; the call centre settled {found} as registered and {not} as not",
        clock.now().since(began),
        crowd.ticks
    );
    assert!(killed >= kills.min(10) && found + not > 0);
}
