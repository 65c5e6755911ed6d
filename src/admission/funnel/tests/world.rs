//! People, services and the clock; the gates, lines and pace are the real ones.
//!
//! Steps over two upstreams and a dependency, think time exponential with a mean of 2 s between two steps, more newcomers
//! than can be served. Services hold each permit for a time of their own; a dependency's time is that of the request.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::admission::client::ClientHash;
use crate::admission::client::concurrency::Concurrency;
use crate::admission::dispatch::Dispatcher;
use crate::admission::funnel::Funnel;
use crate::admission::gate::Gate;
use crate::admission::permit::Permit;
use crate::admission::queue::Line;
use crate::admission::route::{Held, Inside, Person, RouteAdmission, Session, Verdict};
use crate::clock::{Clock, Tick};
use crate::config::plan::{Class, ClientConcurrency, Queue};

/// Gates: two upstreams, a dependency.
pub(super) const FIRST: usize = 0;
pub(super) const SECOND: usize = 1;
pub(super) const CHECK: usize = 2;

const STEPS: usize = 5;
const THINK: f64 = 2.0;
const LOOK: Duration = Duration::from_millis(200);
pub(super) const PASS_WAIT: Duration = Duration::from_secs(30);
const LINE: usize = 20_000;
/// People take one step after the other.
pub(super) const ONE_AT_A_TIME: ClientConcurrency = ClientConcurrency { requests: NonZeroU32::MIN, waiting: 0 };
/// Everybody who was refused at the entrance comes back so often, when he was told.
const PATIENCE: usize = 3;
/// Long enough for five steps, once nobody comes any more, beside the longest form.
const GRACE: f64 = 60.0;

/// What a step needs, and how long its service takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) gates: &'static [usize],
    pub(super) seconds: f64,
}

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) limits: [u32; 3],
    pub(super) steps: [Step; STEPS],
    /// People a second that the narrowest gate can finish.
    pub(super) capacity: f64,
    pub(super) narrowest: usize,
    /// From then on services at the narrowest gate take twice as long.
    pub(super) halves_at: Option<f64>,
    /// Limits start at a quarter and grow while they are reached, as one does that is found by trying.
    pub(super) found_by_trying: bool,
    /// So many times as many newcomers as can be served.
    pub(super) overload: f64,
    /// Mean time that a form between the second and the third step takes, between half and one and a half of it; without, all
    /// steps are alike.
    pub(super) form: Option<f64>,
    /// So long only a tenth of what could be served comes; then the crowd.
    pub(super) quiet: f64,
    /// So long newcomers come; then those inside have [`GRACE`] to finish.
    pub(super) seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Somebody comes for his step.
    Asks(usize),
    /// His service is done.
    Done(usize),
    /// He has waited long enough.
    TooLate(usize),
    Arrival,
    Look,
    Token,
}

#[derive(Debug, Default)]
struct Visitor {
    step: usize,
    refusals: usize,
    admitted: Option<Tick>,
    waiting: Option<Held>,
    permit: Option<Permit>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) entered: usize,
    pub(super) finished: usize,
    pub(super) refused_inside: usize,
    pub(super) refused_outside: usize,
    /// Time with a pass spent in lines, and the longest of one step.
    pub(super) waited: f64,
    pub(super) longest: f64,
}

struct Ring {
    woken: Sender<usize>,
    who: usize,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        // Nobody listens once the world has ended.
        self.woken.send(self.who).ok();
    }
}

pub(super) struct World {
    scene: Scene,
    clock: Clock,
    gates: Vec<Arc<Gate>>,
    dispatcher: Arc<Dispatcher>,
    funnel: Arc<Funnel>,
    routes: Vec<RouteAdmission>,
    events: BinaryHeap<Reverse<(Tick, u64, Event)>>,
    count: u64,
    people: Vec<Visitor>,
    came: Vec<Tick>,
    wake: Sender<usize>,
    woken: Receiver<usize>,
    random: fastrand::Rng,
    tally: Tally,
    /// Permit-seconds used at the narrowest gate, and what there were, since the crowd filled the funnel.
    used: (f64, f64),
}

impl World {
    pub(super) fn new(scene: Scene, seed: u64) -> Self {
        let clock = Clock::manual();
        let gates: Vec<_> = scene
            .limits
            .iter()
            .map(|limit| Gate::new(if scene.found_by_trying { limit / 4 } else { *limit }, None))
            .collect();
        let funnel = Funnel::new(gates.iter().map(Arc::clone));
        let mut groups = vec![Vec::new(), Vec::new()];
        let mut lines = Vec::new();
        for (position, step) in scene.steps.iter().enumerate() {
            // Dependencies first, the upstream last.
            let needs = || step.gates.iter().map(|gate| Arc::clone(&gates[*gate]));
            let inside = Line::new(needs().collect(), LINE);
            let entrance = (position == 0).then(|| Arc::clone(funnel.entrance()));
            let outside = Line::new(entrance.into_iter().chain(needs()).collect(), LINE);
            let upstream = step.gates[step.gates.len() - 1];
            groups[upstream].extend([Arc::clone(&inside), Arc::clone(&outside)]);
            lines.push((inside, outside));
        }
        let dispatcher = Dispatcher::new(groups, clock.clone());
        let sessions = Concurrency::new(ONE_AT_A_TIME);
        let routes = lines.into_iter().map(|(inside, outside)| {
            let queue = Queue { wait: Duration::from_secs(4), length: LINE };
            RouteAdmission::new(Arc::clone(&dispatcher), outside, Vec::new(), queue).with_passes(Inside::new(
                inside,
                PASS_WAIT,
                Arc::clone(&funnel),
                Arc::clone(&sessions),
            ))
        });
        let (wake, woken) = channel();
        let mut world = Self {
            routes: routes.collect(),
            scene,
            clock,
            gates,
            dispatcher,
            funnel,
            events: BinaryHeap::new(),
            count: 0,
            people: Vec::new(),
            came: Vec::new(),
            wake,
            woken,
            random: fastrand::Rng::with_seed(seed),
            tally: Tally::default(),
            used: (0.0, 0.0),
        };
        world.after(0.0, Event::Arrival);
        world.after(LOOK.as_secs_f64(), Event::Look);
        world
    }

    fn after(&mut self, seconds: f64, event: Event) {
        self.count += 1;
        let at = self.clock.now().after(Duration::from_secs_f64(seconds));
        self.events.push(Reverse((at, self.count, event)));
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.random.f64()).ln()
    }

    fn now(&self) -> f64 {
        self.clock.now().since(Tick::ZERO).as_secs_f64()
    }

    pub(super) fn run(mut self) -> (Tally, f64) {
        let mut token = None;
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.clock.advance(at.since(self.clock.now()));
            if self.now() > self.scene.seconds + GRACE + 1.5 * self.scene.form.unwrap_or_default() {
                break;
            }
            self.happens(event);
            self.settle();
            if event == Event::Token {
                token = None;
            }
            let due = std::pin::pin!(self.dispatcher.due()).as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(due) = due
                && token.is_none_or(|token| due < token)
            {
                token = Some(due);
                let wait = due.since(self.clock.now()).as_secs_f64();
                self.after(wait, Event::Token);
            }
        }
        (self.tally, self.used.0 / self.used.1)
    }

    fn happens(&mut self, event: Event) {
        match event {
            // The evening is over for whoever is not inside.
            Event::Arrival if self.now() > self.scene.seconds => {}
            Event::Asks(who) if self.now() > self.scene.seconds && self.people[who].admitted.is_none() => {}
            Event::Arrival => {
                let overload = if self.now() < self.scene.quiet { 0.1 } else { self.scene.overload };
                let wait = self.exponential(1.0 / (overload * self.scene.capacity));
                self.after(wait, Event::Arrival);
                self.people.push(Visitor::default());
                self.came.push(Tick::ZERO);
                self.asks(self.people.len() - 1);
            }
            Event::Asks(who) => self.asks(who),
            Event::TooLate(who) if self.clock.now().since(self.came[who]) >= PASS_WAIT => {
                if self.people[who].waiting.take().is_some() {
                    self.refused(who, Duration::from_secs(1));
                }
            }
            Event::TooLate(who) => {
                if self.people[who].admitted.is_none() && self.people[who].waiting.take().is_some() {
                    self.refused(who, Duration::from_secs(1));
                }
            }
            Event::Done(who) => self.done(who),
            Event::Look => {
                self.look();
                self.after(LOOK.as_secs_f64(), Event::Look);
            }
            Event::Token => self.dispatcher.look(),
        }
    }

    fn look(&mut self) {
        let now = self.clock.now();
        self.gates.iter().for_each(|gate| gate.observe(now));
        for (gate, most) in self.gates.iter().zip(self.scene.limits) {
            let limit = gate.occupancy().limit;
            if limit < most && gate.is_full(now) {
                self.dispatcher.adjust(gate, 1);
            }
        }
        self.funnel.observe(now);
        self.dispatcher.look();
        // Once the crowd has come through, and while it lasts.
        if self.now() > self.scene.quiet + 30.0 + 1.5 * self.scene.form.unwrap_or_default()
            && self.now() < self.scene.seconds
        {
            let narrowest = self.gates[self.scene.narrowest].occupancy();
            self.used.0 += f64::from(narrowest.in_flight);
            self.used.1 += f64::from(self.scene.limits[self.scene.narrowest]);
        }
    }

    fn person(&self, who: usize) -> Person {
        match self.people[who].admitted {
            Some(since) => {
                let session = Session { client: ClientHash(who as u64), age: self.clock.now().since(since) };
                Person { class: Class::InProgress, inside: Some(session) }
            }
            None => Person::of(Class::New),
        }
    }

    fn asks(&mut self, who: usize) {
        let (person, now) = (self.person(who), self.clock.now());
        self.came[who] = now;
        let chance = self.random.f64();
        match self.routes[self.people[who].step].decide(person, now, |_| None, chance) {
            Verdict::Admit(permit) => self.served(who, permit),
            Verdict::Queue(held) => {
                let wait = held.deadline.since(now).as_secs_f64();
                self.people[who].waiting = Some(held);
                self.after(wait, Event::TooLate(who));
                self.wake.send(who).ok();
            }
            Verdict::Refuse(refusal) => self.refused(who, refusal.retry_after),
            Verdict::Park(_) => panic!("nobody is bounded by himself here"),
        }
    }

    fn refused(&mut self, who: usize, retry_after: Duration) {
        if self.people[who].admitted.is_some() {
            // He is told to come back, and does; it counts.
            self.tally.refused_inside += 1;
        } else {
            self.tally.refused_outside += 1;
            self.people[who].refusals += 1;
            if self.people[who].refusals > PATIENCE {
                return;
            }
        }
        self.after(retry_after.as_secs_f64(), Event::Asks(who));
    }

    /// Whoever was woken looks whether his turn has come.
    fn settle(&mut self) {
        while let Ok(who) = self.woken.try_recv() {
            let Some(mut held) = self.people[who].waiting.take() else { continue };
            let waker = Waker::from(Arc::new(Ring { woken: self.wake.clone(), who }));
            match Pin::new(&mut held).poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => self.people[who].waiting = Some(held),
                Poll::Ready(Ok(permit)) => self.served(who, permit),
                Poll::Ready(Err(_)) => self.refused(who, Duration::from_secs(1)),
            }
        }
    }

    fn served(&mut self, who: usize, mut permit: Permit) {
        if self.people[who].admitted.is_some() {
            let waited = self.clock.now().since(self.came[who]).as_secs_f64();
            self.tally.waited += waited;
            self.tally.longest = self.tally.longest.max(waited);
        }
        permit.spend();
        self.people[who].permit = Some(permit);
        let step = self.scene.steps[self.people[who].step];
        let slow = self.scene.halves_at.is_some_and(|at| self.now() > at);
        let slow = slow && step.gates.contains(&self.scene.narrowest);
        // Between half and one and a half times the mean.
        let seconds = step.seconds * (0.5 + self.random.f64()) * if slow { 2.0 } else { 1.0 };
        self.after(seconds, Event::Done(who));
    }

    fn done(&mut self, who: usize) {
        self.people[who].permit = None;
        let visitor = &mut self.people[who];
        if visitor.admitted.is_none() {
            visitor.admitted = Some(self.clock.now());
            self.tally.entered += 1;
            self.routes[0].answered(true);
        }
        self.people[who].step += 1;
        if self.people[who].step == STEPS {
            self.tally.finished += 1;
            return;
        }
        let think = match self.scene.form {
            Some(form) if self.people[who].step == 2 => form * (0.5 + self.random.f64()),
            _ => self.exponential(THINK),
        };
        self.after(think, Event::Asks(who));
    }
}
