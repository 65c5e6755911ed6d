//! What people do: come, wait, come again or go, and what they were answered.
//!
//! **Invariants**: open loop: people come when they come, whatever the answers are. Every attempt is logged when it is sent,
//! with the instant it was *meant* for, so that a late harness shows as lag and not as a fast gateway.
//! **Cost**: one thread; one task and about 1 KiB a person, 64 bytes an attempt.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::people::{Person, exponential};
use super::room::Asked;
use super::scenario::{Crowd, Retry};
use super::timeline::span;
use super::wire::{Call, Pass, Reply, Wire};
use crate::clock::Clock;

/// Pause of those who were told nothing, in seconds.
const PAUSE: std::ops::Range<f64> = 1.0..5.0;

/// Nobody reloads a page faster than this, whatever Retry-After says.
pub(super) const FASTEST_RELOAD: f64 = 0.2;

/// One request of one person.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attempt {
    /// Index into the people.
    pub person: u32,
    /// Step of the registration, from 1.
    pub step: u8,
    /// When it was meant to be sent.
    pub intended: Duration,
    /// When it was.
    pub sent: Duration,
    /// When it ended; none: still waiting when the run ended.
    pub ended: Option<Duration>,
    /// How.
    pub outcome: Outcome,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// A complete answer of this status, with its Retry-After.
    Answered(u16, Option<Duration>),
    /// Patience was lost, or the run ended.
    Silence,
    /// The connection broke.
    Broken,
}

impl Attempt {
    /// Whether it was answered with success.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Answered(200..300, _))
    }

    /// Whether it was refused: 429 or 503.
    #[must_use]
    pub fn refused(&self) -> bool {
        matches!(self.outcome, Outcome::Answered(429 | 503, _))
    }
}

/// A crowd with its connections open.
#[derive(Debug)]
pub struct Ready {
    runtime: tokio::runtime::Runtime,
    wire: Arc<Wire>,
}

pub(super) struct Scene {
    crowd: Crowd,
    pub(super) wire: Arc<Wire>,
    pub(super) clock: Clock,
    log: Mutex<Vec<Attempt>>,
    asked: Mutex<Vec<Asked>>,
}

/// One person, from coming to going.
pub(super) struct Visit {
    pub(super) scene: Arc<Scene>,
    pub(super) number: u32,
    pub(super) person: Person,
    pub(super) rng: fastrand::Rng,
    pass: Pass,
}

/// Opens the crowd's connections to `target`. Blocks: outside of any runtime.
pub fn prepare(target: SocketAddr) -> anyhow::Result<Ready> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wire = Arc::new(runtime.block_on(Wire::open(target))?);
    Ok(Ready { runtime, wire })
}

impl Ready {
    /// Sends `people` and ends the run at `end`, whoever still waits; says what they tried, and what they were told of places. Blocks,
    /// on the calling thread.
    #[must_use]
    pub fn run(self, crowd: Crowd, people: &[Person], clock: Clock, end: Duration) -> (Vec<Attempt>, Vec<Asked>) {
        let log = Mutex::new(Vec::with_capacity(people.len()));
        let scene = Arc::new(Scene { crowd, wire: self.wire, clock, log, asked: Mutex::default() });
        self.runtime.block_on(async {
            // Dropped at the end: that closes what is still open.
            tokio::time::timeout_at(clock.instant(end), send(&scene, people)).await.ok();
        });
        drop(self.runtime);
        let asked = std::mem::take(&mut *scene.asked.lock().unwrap_or_else(PoisonError::into_inner));
        (std::mem::take(&mut *scene.log.lock().unwrap_or_else(PoisonError::into_inner)), asked)
    }
}

async fn send(scene: &Arc<Scene>, people: &[Person]) {
    let mut visits = JoinSet::new();
    for (number, person) in (0_u32..).zip(people) {
        if person.arrives > scene.clock.now() {
            sleep_until(scene.clock.instant(person.arrives)).await;
        }
        let rng = fastrand::Rng::with_seed(person.seed);
        let visit = Visit { scene: Arc::clone(scene), number, person: *person, rng, pass: Pass::default() };
        match scene.crowd.waits {
            Some(waits) => visits.spawn(visit.wait(waits)),
            None => visits.spawn(visit.go()),
        };
        while visits.try_join_next().is_some() {}
    }
    while visits.join_next().await.is_some() {}
}

impl Visit {
    async fn go(mut self) {
        let mut at = self.person.arrives;
        for step in 1..=self.scene.crowd.steps {
            if !self.step(step, at).await {
                return;
            }
            let think = span(exponential(&mut self.rng) * self.scene.crowd.think);
            at = self.scene.clock.now() + think;
        }
    }

    /// Tries `step`, first at `intended`, until it succeeds or the person leaves.
    async fn step(&mut self, step: u8, mut intended: Duration) -> bool {
        let mut retries = 0;
        loop {
            if intended > self.scene.clock.now() {
                sleep_until(self.scene.clock.instant(intended)).await;
            }
            let reply = self.attempt(step, intended, None).await;
            let told = reply.as_ref().and_then(|reply| reply.retry_after);
            if let Some(Reply { status, pass, .. }) = reply
                && status.is_success()
            {
                self.pass.update(pass);
                return true;
            }
            let Some(next) = self.comes_again(step, told, retries) else { return false };
            retries += 1;
            intended = next;
        }
    }

    /// When they come again, if they do. Who is in the middle of it comes when told, whatever the others do.
    fn comes_again(&mut self, step: u8, told: Option<Duration>, retries: u8) -> Option<Duration> {
        let now = self.scene.clock.now();
        let wait = |visit: &mut Self| told.map_or_else(|| visit.pause(), |told| told.max(span(FASTEST_RELOAD)));
        match self.scene.crowd.retry {
            Retry::WhenTold { give_up } => {
                let next = now + wait(self);
                (next < self.person.arrives + span(give_up)).then_some(next)
            }
            _ if step > 1 => Some(now + wait(self)),
            Retry::Never => None,
            Retry::Storm { probability, retries: most, every } => {
                let again = retries < most && self.rng.f64() < probability;
                again.then(|| span((now.as_secs_f64() / every).floor().mul_add(every, every)))
            }
        }
    }

    /// How long somebody stays away who was not told when to come.
    pub(super) fn pause(&mut self) -> Duration {
        span(PAUSE.start + (PAUSE.end - PAUSE.start) * self.rng.f64())
    }

    /// Sends the request of `step`, with the `ticket` of his place if he has one; none if there was no answer.
    pub(super) async fn attempt(
        &mut self,
        step: u8,
        intended: Duration,
        ticket: Option<&HeaderValue>,
    ) -> Option<Reply> {
        let Scene { crowd, wire, clock, .. } = &*self.scene;
        let sent = clock.now();
        let begun = Attempt { person: self.number, step, intended, sent, ended: None, outcome: Outcome::Silence };
        let attempt = self.log(|log| {
            log.push(begun);
            log.len() - 1
        });
        let patience = crowd.patience.from + (crowd.patience.until - crowd.patience.from) * self.rng.f64();
        let number = u32::try_from(attempt).unwrap_or(u32::MAX);
        let client = self.person.client.unwrap_or(self.number);
        let call = Call { lane: self.number, attempt: number, step, client, pass: &self.pass, ticket };
        let reply = timeout(span(patience), wire.call(call)).await;
        let ended = Some(clock.now());
        let outcome = match &reply {
            Ok(Some(reply)) => Outcome::Answered(reply.status.as_u16(), reply.retry_after),
            Ok(None) => Outcome::Broken,
            Err(_) => Outcome::Silence,
        };
        self.log(|log| {
            if let Some(entry) = log.get_mut(attempt) {
                *entry = Attempt { ended, outcome, ..begun };
            }
        });
        reply.ok().flatten()
    }

    /// Logs what he was told of his place.
    pub(super) fn tell(&self, asked: Asked) {
        self.scene.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    }

    fn log<T>(&self, entry: impl FnOnce(&mut Vec<Attempt>) -> T) -> T {
        entry(&mut self.scene.log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
