//! A little honest gateway: a waiting room, a line, a service with four places, and a quota.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::figure::{Bound, Figure, Threshold};
use crate::ledger::{Effect, Ending, Kind, Named, RequestId, Resources, Said, Sample, Served, Told, Word, said};
use crate::oracle::{Declared, Judgement, Ledgers, Limit, Person, Run, judge};
use crate::origin::curve::Curve;
use crate::scenario::persona::{Keeps, Protocol, Source, Spread, Tabs, Waits};
use crate::scenario::service::Failures;
use crate::scenario::{Arrivals, Gateway, Persona, Process, Scenario, Service, Stage};

/// One millisecond.
pub(super) const MS: u64 = 1_000;
/// Requests in flight at the entrance.
const LIMIT: usize = 4;
/// How long the entrance works on one: 20 a second.
const WORK: u64 = 200 * MS;
/// People who come, one each 25 ms.
pub(super) const PEOPLE: u32 = 800;
/// Places there are.
pub(super) const QUOTA: u64 = 400;
/// People called and not yet served.
const CALLED: usize = 30;

/// A run.
#[derive(Clone)]
pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) people: Vec<Person>,
    pub(super) declared: Declared,
    /// What people were told; the rest is in the ledgers.
    pub(super) told: Vec<Told>,
    pub(super) ledgers: Ledgers,
}

impl World {
    pub(super) fn judge(&self) -> Judgement {
        let run = Run { scenario: &self.scenario, people: &self.people, declared: &self.declared };
        judge(&run, self.ledgers())
    }

    /// All of them.
    pub(super) fn ledgers(&self) -> Ledgers {
        Ledgers { told: self.told.clone().into(), ..self.ledgers.clone() }
    }

    /// What a correct gateway makes of it.
    pub(super) fn honest() -> Self {
        let person = |number: u32| {
            let arrives = u64::from(number) * 25 * MS;
            Person { persona: 0, arrives, leaves: arrives + 600_000 * MS }
        };
        let people: Vec<Person> = (0..PEOPLE).map(person).collect();
        let mut model = Model::new(&people);
        model.run();
        let limit = Limit { service: 0, concurrency: Some(4), rate: None };
        let declared = Declared { limits: vec![limit], ..Declared::default() };
        let mut ledgers = model.ledgers;
        ledgers.samples = samples(&ledgers.served);
        ledgers.said = (0..400).map(|tick| said(tick * 100 * MS)).collect();
        ledgers.resources = (0..40).flat_map(|second| resources(second * 1_000 * MS)).collect();
        Self { scenario: scenario(), people, declared, told: model.told, ledgers }
    }

    pub(super) fn told(&mut self, person: u32, request: u32) -> &mut Told {
        let id = RequestId { person, request };
        self.told.iter_mut().find(|told| told.id == id).expect("that request was sent")
    }

    pub(super) fn served(&mut self, person: u32, stage: u8) -> &mut Served {
        let of = |served: &&mut Served| served.stage == stage && served.id.is_some_and(|id| id.person == person);
        self.ledgers.served.iter_mut().find(of).expect("that person was served")
    }
}

fn said(at: u64) -> Said {
    let upstream = said::Upstream { limit: 4.0, in_flight: 4, ..said::Upstream::default() };
    Said { at, upstreams: [("join".to_owned(), upstream)].into(), rooms: Named::default() }
}

fn resources(at: u64) -> [Resources; 2] {
    let of = |process: &str, cpu, memory| Resources { at, process: process.into(), cpu, memory, descriptors: 9 };
    [of("weir", at / 10, 50 << 20), of("people-0", at / 2, 20 << 20)]
}

/// What both services did and could have done, each 50 ms.
fn samples(served: &[Served]) -> Vec<Sample> {
    let of = |service: u8, at: u64, capacity: f64| {
        let done = |served: &Served| {
            (at.clamp(served.started, served.done) - served.started) as f64 / (served.done - served.started) as f64
        };
        let work = served.iter().filter(|served| served.service == service).map(done).sum();
        Sample { at, service, work, capacity: capacity * at as f64 / 1e6, ..Sample::default() }
    };
    (0..800).flat_map(|tick| [of(0, tick * 50 * MS, 20.0), of(1, tick * 50 * MS, 400.0)]).collect()
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The service is done with a person's request.
    Free(u32, u32, u8),
    /// A person asks, at a stage.
    Visit(u32, u8),
}

struct Model {
    events: BinaryHeap<Reverse<(u64, Event)>>,
    /// Requests each has sent.
    sent: Vec<u32>,
    joined: Vec<bool>,
    called: Vec<bool>,
    room: VecDeque<u32>,
    coming: usize,
    line: VecDeque<(u32, u32)>,
    in_flight: usize,
    entered: u64,
    told: Vec<Told>,
    ledgers: Ledgers,
}

impl Model {
    fn new(people: &[Person]) -> Self {
        let visit = |(person, at): (u32, &Person)| Reverse((at.arrives, Event::Visit(person, 0)));
        Self {
            events: (0..).zip(people).map(visit).collect(),
            sent: vec![0; people.len()],
            joined: vec![false; people.len()],
            called: vec![false; people.len()],
            room: VecDeque::new(),
            coming: 0,
            line: VecDeque::new(),
            in_flight: 0,
            entered: 0,
            told: Vec::new(),
            ledgers: Ledgers::default(),
        }
    }

    fn run(&mut self) {
        while let Some(Reverse((at, event))) = self.events.pop() {
            match event {
                Event::Visit(person, 0) => self.visit(at, person),
                Event::Visit(person, stage) => {
                    let request = self.ask(at, person, stage, Kind::Submit);
                    self.serve(at + MS, (person, request), stage, 50 * MS);
                }
                Event::Free(person, request, stage) => self.free(at, person, request, stage),
            }
            self.call();
            while self.in_flight < LIMIT && self.entered < QUOTA {
                let Some((person, request)) = self.line.pop_front() else { break };
                self.in_flight += 1;
                self.entered += 1;
                self.serve(at, (person, request), 0, WORK);
            }
        }
    }

    fn ask(&mut self, at: u64, person: u32, stage: u8, kind: Kind) -> u32 {
        let request = self.sent[person as usize];
        self.sent[person as usize] += 1;
        let id = RequestId { person, request };
        let shown = self.joined[person as usize];
        self.told.push(Told { shown, ..Told::sent(id, stage, kind, at, at + MS / 5) });
        request
    }

    fn answer(&mut self, at: u64, person: u32, request: u32, word: Word, status: u16) -> &mut Told {
        let id = RequestId { person, request };
        let told = self.told.iter_mut().rfind(|told| told.id == id).expect("it was asked");
        (told.ending, told.ended, told.word, told.status) = (Ending::Answered, at, word, status);
        told
    }

    fn visit(&mut self, at: u64, person: u32) {
        let who = person as usize;
        let polls = self.joined[who] && person % 2 == 1;
        let turn = self.called[who] || (!self.joined[who] && self.room.is_empty() && self.line.is_empty());
        let kind = if polls && !turn { Kind::Poll } else { Kind::Submit };
        let request = self.ask(at, person, 0, kind);
        if self.entered >= QUOTA {
            self.answer(at + MS, person, request, Word::Over, 403);
        } else if turn {
            self.coming -= usize::from(self.called[who]);
            self.line.push_back((person, request));
        } else {
            if !std::mem::replace(&mut self.joined[who], true) {
                self.room.push_back(person);
            }
            let ahead = self.room.iter().position(|other| *other == person).expect("he waits");
            let ahead = u32::try_from(ahead).expect("few");
            let wait = (ahead + 30) * 50;
            let again = (wait / 3).max(500);
            let told = self.answer(at + MS, person, request, Word::Place, 503);
            (told.place, told.ahead, told.retry_after) = (ahead + 1, ahead, again);
            (told.eta_p50, told.eta_p90) = (wait, wait * 2);
            self.events.push(Reverse((at + u64::from(again) * MS, Event::Visit(person, 0))));
        }
    }

    fn call(&mut self) {
        while self.coming + self.line.len() < CALLED {
            let Some(person) = self.room.pop_front() else { break };
            self.called[person as usize] = true;
            self.coming += 1;
        }
    }

    fn serve(&mut self, at: u64, (person, request): (u32, u32), stage: u8, takes: u64) {
        let in_flight = if stage == 0 { u32::try_from(self.in_flight).expect("few") } else { 1 };
        self.ledgers.served.push(Served {
            id: Some(RequestId { person, request }),
            service: stage,
            server: 0,
            effect: Effect::First,
            status: 201,
            heard: true,
            stage,
            in_flight,
            started: at,
            done: at + takes,
            work: 1.0,
            key: u64::from(person) + 1,
        });
        self.events.push(Reverse((at + takes, Event::Free(person, request, stage))));
    }

    fn free(&mut self, at: u64, person: u32, request: u32, stage: u8) {
        self.answer(at + MS, person, request, Word::Done, 201);
        if stage == 0 {
            self.in_flight -= 1;
            self.events.push(Reverse((at + 1_000 * MS, Event::Visit(person, 1))));
        }
        if self.entered >= QUOTA {
            for (person, request) in std::mem::take(&mut self.line) {
                self.answer(at + MS, person, request, Word::Over, 403);
            }
        }
    }
}

pub(super) fn persona(name: &str) -> Persona {
    Persona {
        name: name.into(),
        share: 1.0,
        patience: Spread::Fixed(Duration::from_mins(10)),
        answer_patience: Spread::Fixed(Duration::from_secs(10)),
        think: Spread::Fixed(Duration::from_secs(1)),
        honours_retry_after: 1.0,
        impatience: Spread::Fixed(Duration::from_secs(1)),
        fastest: 10.0,
        double_click: 0.0,
        tabs: Tabs { probability: 0.0, further: 0 },
        keeps: Keeps { cookie: 1.0, ticket_header: true, key: true },
        waits: Waits::Repeat,
        source: Source::Own,
        protocol: Protocol::Http2 { people: 100 },
        upload: None,
        attack: None,
    }
}

fn scenario() -> Scenario {
    let service = |name: &str, capacity, knee| Service {
        name: name.into(),
        curve: Curve::kink(capacity, knee, 0.05),
        in_flight: 1_000,
        servers: 1,
        reserve: 0,
        needs: Vec::new(),
        idempotent: false,
        failures: Failures::default(),
        work_shape: 0,
    };
    let stage = |name: &str, service, entrance| Stage {
        name: name.into(),
        path: format!("/{name}"),
        service,
        body: 100,
        entrance,
        goes_on: 1.0,
    };
    Scenario {
        name: "model".into(),
        shows: "an honest gateway".into(),
        seed: 1,
        duration: Duration::from_secs(20),
        drain: Duration::from_secs(20),
        measured_from: Duration::from_secs(2),
        gateway: Gateway { config: "weir.toml".into(), tls: false },
        services: vec![service("join", 20.0, 4), service("finish", 400.0, 40)],
        stages: vec![stage("join", 0, true), stage("finish", 1, false)],
        quota: Some(QUOTA),
        arrivals: vec![Arrivals {
            curve: crate::scenario::Curve::Points(vec![(Duration::ZERO, 40.0), (Duration::from_secs(20), 40.0)]),
            process: Process::Uniform,
            personas: Vec::new(),
        }],
        personas: vec![persona("patient")],
        faults: Vec::new(),
        thresholds: vec![Threshold { figure: Figure::Goodput, bound: Bound::AtLeast(0.98) }],
    }
}
