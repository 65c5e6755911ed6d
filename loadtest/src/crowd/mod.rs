//! An open-loop crowd: people come when they come, whatever the answers are.
//!
//! **Invariants**: one task a person, one connection an attempt, never more sockets than [`Crowd::sockets`]; who finds none
//! free waits, and that is counted as lag of the harness. Nobody is left out: the run ends when the last person has left.
//! **Cost**: one thread; about 1 KiB a person who is thinking and 20 KiB one who waits for an answer.

pub mod answer;
pub mod attempt;
pub mod plan;
pub mod progress;
pub mod tally;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout, timeout_at};

use self::answer::{Answer, Next, Outcome, react};
use self::attempt::{Target, attempt};
use self::plan::{Behaviour, Person, Plan};
use self::tally::{Account, Tally};
use crate::clock::Clock;

/// Sockets a crowd opens at most, below the 20,000 descriptors a process usually gets.
pub const SOCKETS: usize = 18_000;

/// Descriptors left for everything that is not a person.
const SPARE_DESCRIPTORS: usize = 200;

/// Time between planning and the first arrival, so that nobody is late because the run has just begun.
const LEAD: Duration = Duration::from_millis(50);

/// A crowd ready to go.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Who comes when.
    pub plan: Arc<Plan>,
    /// Where they go.
    pub target: Target,
    /// Sockets at most.
    pub sockets: usize,
}

/// What can be seen while it runs.
#[derive(Debug, Default)]
pub struct Live {
    /// People who have come.
    pub arrived: AtomicU64,
    /// People who have left.
    pub left: AtomicU64,
    /// People who have registered.
    pub registered: AtomicU64,
}

struct Scene {
    plan: Arc<Plan>,
    target: Target,
    clock: Clock,
    tally: Mutex<Tally>,
    live: Arc<Live>,
    sockets: Arc<Semaphore>,
}

/// Sockets for a crowd in a process that may hold `descriptors`.
#[must_use]
pub fn sockets(descriptors: usize) -> usize {
    descriptors.saturating_sub(SPARE_DESCRIPTORS).clamp(1, SOCKETS)
}

impl Crowd {
    /// Sends everybody and waits for the last to leave. Blocks: it runs on the calling thread.
    pub fn run(self, live: Arc<Live>) -> anyhow::Result<Account> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tally = Mutex::new(Tally::new()?);
        let sockets = Arc::new(Semaphore::new(self.sockets));
        let Self { plan, target, .. } = self;
        let scene = Arc::new(Scene { plan, target, clock: Clock::start(), tally, live, sockets });
        runtime.block_on(send(&scene));
        let elapsed = scene.clock.now().saturating_sub(LEAD);
        Ok(scene.tally.lock().unwrap_or_else(PoisonError::into_inner).close(elapsed))
    }
}

async fn send(scene: &Arc<Scene>) {
    let mut visits = JoinSet::new();
    for (number, person) in (0_u32..).zip(&scene.plan.people) {
        let arrives = LEAD + person.arrives;
        if arrives > scene.clock.now() {
            sleep_until(scene.clock.instant(arrives)).await;
        }
        scene.live.arrived.fetch_add(1, Ordering::Relaxed);
        visits.spawn(Visit { scene: Arc::clone(scene), number, person: *person, arrives }.go());
        while visits.try_join_next().is_some() {}
    }
    while visits.join_next().await.is_some() {}
}

struct Visit {
    scene: Arc<Scene>,
    number: u32,
    person: Person,
    arrives: Duration,
}

impl Visit {
    async fn go(self) {
        let Behaviour { give_up, .. } = self.scene.plan.behaviour;
        let leaves = self.arrives + give_up;
        let mut rng = fastrand::Rng::with_seed(self.person.seed);
        let key = self.key();
        let (mut intended, mut attempts) = (self.arrives, 0);
        let outcome = loop {
            attempts += 1;
            let Some(answer) = self.attempt(&key, attempts, intended, leaves).await else { break Outcome::GaveUp };
            let now = self.scene.clock.now();
            match react(answer, &self.scene.plan.behaviour, self.person.ignores_retry_after, &mut rng) {
                Next::Leave(outcome) => break outcome,
                Next::Again(pause) => {
                    let next = now.saturating_add(pause);
                    sleep_until(self.scene.clock.instant(next.min(leaves))).await;
                    if next >= leaves {
                        break Outcome::GaveUp;
                    }
                    intended = next;
                }
            }
        };
        self.leave(outcome, intended);
    }

    /// One attempt meant for `intended`; none if the person left before a socket was free.
    async fn attempt(&self, key: &HeaderValue, number: u32, intended: Duration, leaves: Duration) -> Option<Answer> {
        let Scene { clock, plan, .. } = &*self.scene;
        let (socket, waited) = self.socket(leaves).await?;
        let sent = clock.now();
        self.count(|tally| tally.sent(sent.saturating_sub(intended), waited));
        let patience = plan.behaviour.patience.min(leaves.saturating_sub(sent));
        let answer = timeout(patience, attempt(&self.scene.target, self.number, key, number)).await;
        drop(socket);
        let answer = answer.unwrap_or(Answer::Silence);
        self.count(|tally| tally.answered(answer, clock.now().saturating_sub(intended)));
        Some(answer)
    }

    async fn socket(&self, leaves: Duration) -> Option<(OwnedSemaphorePermit, bool)> {
        let sockets = Arc::clone(&self.scene.sockets);
        if let Ok(socket) = Arc::clone(&sockets).try_acquire_owned() {
            return Some((socket, false));
        }
        let socket = timeout_at(self.scene.clock.instant(leaves), sockets.acquire_owned()).await.ok()?.ok()?;
        Some((socket, true))
    }

    fn key(&self) -> HeaderValue {
        let key = format!("person-{}-{}", self.scene.plan.seed, self.number);
        HeaderValue::from_str(&key).unwrap_or(HeaderValue::from_static("person"))
    }

    fn leave(&self, outcome: Outcome, intended: Duration) {
        let now = self.scene.clock.now();
        self.count(|tally| tally.left(outcome, now.saturating_sub(self.arrives), now.saturating_sub(intended)));
        self.scene.live.left.fetch_add(1, Ordering::Relaxed);
        self.scene.live.registered.fetch_add(u64::from(outcome == Outcome::Registered), Ordering::Relaxed);
    }

    fn count(&self, entry: impl FnOnce(&mut Tally)) {
        entry(&mut self.scene.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
