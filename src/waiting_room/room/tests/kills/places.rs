//! What was acknowledged is there after `kill -9` at random instants: places, their order, who was in, who was done, what an operator said.

use std::collections::{HashMap, HashSet};

use super::super::super::super::order::State;
use super::person::Person;
use super::process::{BOUND, Process};
use super::service::Service;
use super::wire::{Ask, Say, Scenario, Visit, Wants, Whole, Word};
use super::*;

/// Rooms, and kills of each.
const ROOMS: u32 = 3;
const KILLS: u32 = 12;
const ROOMS_LONG: u32 = 10;
const KILLS_LONG: u32 = 100;

/// People of a room.
const PEOPLE: usize = 250;

/// On their way at once.
const WINDOW: usize = 24;

/// A room works so long between two kills, at most.
const LIFE: Duration = Duration::from_millis(60);

/// The lobby opens then: milliseconds after the beginning.
const OPENS: u64 = 3_600_000;

const STEP: u64 = 100;

/// Milliseconds between two ticks: mostly as they are, now and then so long that numbers settle, or passages end.
const SPANS: [u64; 12] = [660_000, 61_000, 5_000, 5_000, STEP, STEP, STEP, STEP, STEP, STEP, STEP, STEP];

/// A request at the service.
struct Request {
    turn: u64,
    who: usize,
    number: u64,
    counts: bool,
}

/// All that live on.
struct World {
    scenario: Scenario,
    people: Vec<Person>,
    /// Whose each number is.
    owners: HashMap<u64, usize>,
    service: Service,
    at_the_service: Vec<Request>,
    /// Visits and words on their way.
    out: usize,
    ticking: bool,
    /// What an operator may find.
    paused: Vec<bool>,
    pausing: bool,
    serving: u64,
    /// Whose leaving, or entering without having been called, the journal may not know.
    slack: u64,
    kills: u32,
    rng: fastrand::Rng,
}

impl World {
    fn new(directory: &TempDir, room: u32) -> Self {
        let scenario = Scenario {
            state: directory.path().join(room.to_string()),
            new: true,
            capacity: 1 << 20,
            opens: (room % 3 == 2).then_some(OPENS),
            quota: (!room.is_multiple_of(3)).then_some(60),
            rate: 40.0,
            at: 0,
        };
        Self {
            service: Service::new(scenario.quota),
            scenario,
            people: Vec::new(),
            owners: HashMap::new(),
            at_the_service: Vec::new(),
            out: 0,
            ticking: false,
            paused: vec![false],
            pausing: false,
            serving: 0,
            slack: 0,
            kills: 0,
            rng: fastrand::Rng::with_seed(u64::from(room)),
        }
    }

    /// Starts the room, and looks for all that was promised.
    fn start(&mut self) -> Process {
        let mut process = Process::start(&self.scenario);
        let Say::Ready(whole) = process.heard() else { panic!("not ready") };
        self.audit(&mut process, &whole);
        process
    }

    fn audit(&mut self, process: &mut Process, whole: &Whole) {
        let named = |(who, person): (usize, &Person)| {
            let (ticket, identity) = (person.ticket.clone(), person.identity.clone());
            let known = ticket.is_some() || identity.is_some();
            known.then_some(Ask::Find(Visit { who, ticket, identity, key: None, wants: Wants::Look }))
        };
        let asks: Vec<Ask> = self.people.iter().enumerate().filter_map(named).collect();
        for ask in &asks {
            process.ask(ask);
        }
        let (mut positions, mut held, mut done) = (HashSet::new(), 0, 0);
        for _ in &asks {
            let Say::Found(found) = process.heard() else { panic!("something else than was asked") };
            self.people[found.who].audit(&found, whole, self.scenario.quota.is_some());
            let Some(number) = found.number else { continue };
            self.owns(number, found.who);
            assert!(positions.insert(found.position), "two at one position: {found:?}");
            let state = State::ALL[usize::from(found.state)];
            held += u64::from(matches!(state, State::Admitted | State::Ambiguous));
            done += u32::from(state == State::Done);
        }
        assert!(whole.serving >= self.serving, "called no more: {} {whole:?}", self.serving);
        assert!(self.paused.contains(&whole.paused), "{:?} {whole:?}", self.paused);
        self.paused = vec![whole.paused];
        assert!(whole.inside >= held, "{held} are known to be inside: {whole:?}");
        if let Some(quota) = self.scenario.quota {
            assert!(u64::from(whole.count.0) <= quota && whole.count.1 >= done, "{done} are done: {whole:?}");
            assert_eq!(u64::from(whole.count.0 - whole.count.1), whole.inside, "what is reserved is held: {whole:?}");
            assert!(self.service.len() <= whole.count.0.into(), "{} are registered: {whole:?}", self.service.len());
        }
    }

    fn owns(&mut self, number: u64, who: usize) {
        let owner = *self.owners.entry(number).or_insert(who);
        assert_eq!(owner, who, "{number} is the place of both");
    }

    /// Something happens.
    fn act(&mut self, process: &mut Process) {
        match self.rng.u32(..1_000) {
            0..120 if self.people.len() < PEOPLE => self.arrives(process),
            0..720 => self.comes(process),
            720..880 => self.answers(process),
            880..950 if !self.ticking => self.passes(process),
            950..965 if !self.pausing => {
                self.pausing = true;
                let paused = self.rng.u8(..4) == 0;
                self.paused.push(paused);
                self.out += 1;
                process.ask(&Ask::Pause(paused));
            }
            965..998 => self.resolves(process),
            998..1_000 => {
                self.out += 1;
                process.ask(&Ask::Ballast(30_000));
            }
            _ => {}
        }
    }

    fn arrives(&mut self, process: &mut Process) {
        let who = self.people.len();
        let identity = self.rng.bool().then(|| format!("identity of {who}"));
        let key = self.rng.bool().then(|| format!("request of {who}"));
        self.people.push(Person::new(identity, key));
        let wants = if self.rng.bool() { Wants::Page } else { Wants::Send };
        self.sends(process, who, wants);
    }

    fn comes(&mut self, process: &mut Process) {
        let idle = |who: &usize| !self.people[*who].busy;
        let Some(who) = self.rng.choice((0..self.people.len()).filter(idle).collect::<Vec<_>>()) else { return };
        let wants = match self.rng.u8(..40) {
            0 => Wants::Leave,
            1..12 => Wants::Look,
            12..20 => Wants::Page,
            _ => Wants::Send,
        };
        self.sends(process, who, wants);
    }

    fn sends(&mut self, process: &mut Process, who: usize, wants: Wants) {
        let visit = self.people[who].visit(who, wants);
        self.may_be_swept(who);
        self.out += 1;
        process.ask(&Ask::Visit(visit));
    }

    /// The service answers somebody, or does not.
    fn answers(&mut self, process: &mut Process) {
        if self.at_the_service.is_empty() {
            return;
        }
        let Request { turn, who, number, counts } =
            self.at_the_service.swap_remove(self.rng.usize(..self.at_the_service.len()));
        let counted = self.scenario.quota.is_some();
        let person = &mut self.people[who];
        let word = if counts {
            self.service.registers(who, number, person.key.is_some(), &mut self.rng)
        } else {
            *self.rng.choice(&[Word::Status(200), Word::Status(200), Word::Status(500), Word::Nothing]).unwrap()
        };
        person.registered = self.service.is_registered(who);
        person.answered(word, counts, counted);
        self.may_be_swept(who);
        self.out += 1;
        process.ask(&Ask::Answer { turn, word });
    }

    fn passes(&mut self, process: &mut Process) {
        let span = *self.rng.choice(&SPANS).unwrap();
        let alone = u128::from(span) > PASSAGE.as_millis();
        if alone {
            // No request takes as long as a passage lives.
            self.settle(process);
        }
        self.scenario.at += span;
        self.ticking = true;
        (0..self.people.len()).for_each(|who| self.may_be_swept(who));
        process.ask(&Ask::Tick(self.scenario.at));
        if alone {
            self.settle(process);
        }
    }

    /// A passage may end while a tick is under way.
    fn may_be_swept(&mut self, who: usize) {
        let person = &mut self.people[who];
        if self.ticking && person.may(State::Admitted) {
            person.may_be(State::Gone);
        }
    }

    /// An operator looks up what became of a request.
    fn resolves(&mut self, process: &mut Process) {
        let unclear = |who: &usize| {
            let person = &self.people[*who];
            !person.busy && person.is_only(State::Ambiguous)
        };
        let Some(who) = self.rng.choice((0..self.people.len()).filter(unclear).collect::<Vec<_>>()) else { return };
        let done = self.service.is_registered(who);
        let person = &mut self.people[who];
        person.busy = true;
        person.may_be(if done { State::Done } else { State::Waiting });
        self.out += 1;
        process.ask(&Ask::Resolve { number: person.number.unwrap(), done });
    }

    fn hear(&mut self, say: Say) {
        self.out -= usize::from(!matches!(say, Say::Ticked(_)));
        match say {
            Say::Told { who, number, ticket, stand, counted } => {
                self.people[who].busy = false;
                let Some(number) = number else { return };
                self.owns(number, who);
                self.people[who].holds(number, ticket);
                self.people[who].told(stand, counted, !self.ticking);
            }
            Say::Forward { turn, who, number, ticket, counts, state, written } => {
                self.owns(number, who);
                let person = &mut self.people[who];
                let anew = person.number.is_none();
                person.holds(number, Some(ticket));
                let state = State::ALL[usize::from(state)];
                if written {
                    person.is(state);
                }
                person.may_be(state);
                self.may_be_swept(who);
                self.slack += u64::from(anew);
                self.at_the_service.push(Request { turn, who, number, counts });
            }
            Say::Ended { who, counts, word, stand } => self.people[who].ended(word, stand, counts),
            Say::Left { who } => {
                self.people[who].busy = false;
                self.slack += 1;
            }
            Say::Ticked(whole) => {
                self.ticking = false;
                if self.out == 0 && self.at_the_service.is_empty() {
                    self.serving = whole.serving;
                }
                self.scenario.new = false;
            }
            Say::Paused(paused) => (self.paused, self.pausing) = (vec![paused], false),
            Say::Resolved { number, done, kept } => {
                let person = &mut self.people[self.owners[&number]];
                assert!(kept, "an operator's word about {person:?}");
                person.busy = false;
                person.is(if done { State::Done } else { State::Waiting });
                person.done = done;
            }
            Say::Ballast(_) => {}
            say => panic!("nobody asked: {say:?}"),
        }
    }

    /// The room lives for `span`.
    fn live(&mut self, process: &mut Process, span: Duration) {
        let clock = Clock::machine();
        let until = clock.now().after(span);
        while clock.now() < until {
            while self.out < WINDOW && clock.now() < until {
                self.act(process);
            }
            while let Some(say) = process.hear(Duration::from_micros(200)) {
                self.hear(say);
            }
        }
    }

    /// The process is gone, and has said `last`.
    fn gone(&mut self, last: Vec<Say>) {
        for say in last {
            self.hear(say);
        }
        let (slack, counted) = (self.slack + self.out as u64, self.scenario.quota.is_some());
        self.people.iter_mut().for_each(|person| person.killed(slack, counted));
        self.at_the_service.clear();
        (self.out, self.ticking, self.pausing, self.slack) = (0, false, false, 0);
    }

    /// The process has ended as it should: of what was at the service nobody heard any more.
    fn dropped(&mut self) {
        let counted = self.scenario.quota.is_some();
        for Request { who, counts, .. } in self.at_the_service.drain(..) {
            self.people[who].answered(Word::Nothing, counts, counted);
        }
    }

    /// All that is on its way comes to its end.
    fn settle(&mut self, process: &mut Process) {
        while self.out > 0 || self.ticking {
            let Some(say) = process.hear(BOUND) else {
                let busy: Vec<_> = self.people.iter().enumerate().filter(|(_, person)| person.busy).collect();
                panic!("the room says nothing: {} out, ticking {}, {busy:?}", self.out, self.ticking);
            };
            self.hear(say);
        }
    }
}

/// A room that is killed `kills` times; what was told of it.
fn killed(directory: &TempDir, room: u32, kills: u32) -> World {
    let mut world = World::new(directory, room);
    let clock = Clock::machine();
    let started = clock.now();
    let mut process = world.start();
    let to_ready = clock.now().since(started);
    // The key is there and no record yet: such a start would be taken for a loss.
    for _ in 0..2 {
        world.passes(&mut process);
        world.arrives(&mut process);
        world.settle(&mut process);
    }
    for kill in 0..kills {
        let span = LIFE.mul_f64(world.rng.f64());
        world.live(&mut process, span);
        if kill % 10 == 9 {
            world.settle(&mut process);
            assert!(process.close());
            world.dropped();
            world.gone(Vec::new());
        } else {
            world.gone(process.kill());
            world.kills += 1;
        }
        if kill % 4 == 3 {
            // While it starts.
            let mut process = Process::start(&world.scenario);
            let begun = process.hear(to_ready.mul_f64(1.2 * world.rng.f64()));
            assert!(matches!(begun, None | Some(Say::Ready(_))));
            assert!(process.kill().iter().all(|say| matches!(say, Say::Ready(_))));
            world.kills += 1;
        }
        if world.scenario.opens.is_some() && kill == kills / 3 {
            world.scenario.at = world.scenario.at.max(OPENS - STEP);
        }
        process = world.start();
    }
    world.settle(&mut process);
    process.kill();
    world
}

#[test]
fn what_was_acknowledged_survives_kills_at_random_instants() {
    let (rooms, kills) = if is_long() { (ROOMS_LONG, KILLS_LONG) } else { (ROOMS, KILLS) };
    let directory = tempfile::tempdir().unwrap();
    let (mut killed_in_all, mut places, mut entered, mut done) = (0, 0, 0, 0);
    for room in 0..rooms {
        let world = killed(&directory, room, kills);
        let count = |is: fn(&Person) -> bool| world.people.iter().filter(|person| is(person)).count();
        killed_in_all += world.kills;
        places += world.owners.len();
        entered += count(|person| !person.may(State::Waiting));
        done += count(|person| person.done);
    }
    println!("{killed_in_all} kills of {rooms} rooms: {places} places, {entered} let in or gone, {done} done");
    assert!(places > 100 && entered > 50 && done > 20);
}
