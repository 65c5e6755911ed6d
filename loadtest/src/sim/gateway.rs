//! The walk of a request through weir, told again without sockets: `weir::proxy::Worker::walk` is what this mirrors, step by step.
//!
//! **Invariants**: everything that decides is weir's own; here is only in which order it is asked, and what its answers are to a person.
//! **Not here**: doors of waiting rooms (`room`), when things happen (`world`).

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Response;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use weir::admission::client::ClientLimit;
use weir::admission::permit::{Expired, Permit};
use weir::admission::route::{Held, Parked, Verdict};
use weir::admission::verdict::Reason;
use weir::clock::{Clock, Tick};
use weir::config::plan::{Class, Plan};
use weir::proxy::cookies;
use weir::proxy::gateway::{self as core, Route};
use weir::proxy::pass::{Bearer, Pass, WEIR_PASS};
use weir::proxy::room::Doorway;
use weir::proxy::room::kept::is_served;
use weir::proxy::visit::InService;
use weir::upstream::{Guard, InFlight, Outcome, ServerState};
use weir::waiting_room::room::Place;

use super::acquaintance::{Acquaintances, Who};
use super::key::Key;
use super::setup::{self, Unbuilt};
use super::told;
use crate::ledger::Kind;
use crate::scenario::Scenario;
use crate::visitor::{Answer, Shown};

/// The day begins on 11 April 2020 at 19:00 in Jakarta, since 1970.
pub(super) const BEGINS: Duration = Duration::from_hours(440_724);

/// Whoever finds no server is not called back sooner than this (`weir::proxy`).
const UNREACHABLE_RETURN: Duration = Duration::from_secs(5);

/// A server that cannot be reached is left for another so often: more servers than this nobody has.
const TRIED: usize = 8;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// weir, under a clock that is turned by hand.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) core: Arc<core::Gateway>,
    clock: Clock,
    pub(super) now: Duration,
    /// Of each stage.
    routes: Vec<Arc<Route>>,
    /// Of each upstream, the service behind it.
    services: Vec<u8>,
    /// What is remembered of each person who is there.
    pub(super) acquaintances: Acquaintances,
    pub(super) rng: fastrand::Rng,
    /// A defect to be found: one newcomer in four goes before those who wait.
    #[cfg(test)]
    pub(super) overtakes: bool,
}

/// A request on its way through weir.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) who: Who,
    pub(super) route: Arc<Route>,
    pub(super) key: Key,
    pub(super) anew: bool,
    pub(super) shown: Shown,
    pub(super) bearer: Bearer,
    pub(super) place: Option<Place>,
    /// He came without a place.
    pub(super) is_unknown: bool,
    address: IpAddr,
    fields: HeaderMap,
    pub(super) repeated: bool,
}

/// What a person says.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) kind: Kind,
    pub(super) who: Who,
    pub(super) stage: u8,
    pub(super) key: Key,
    pub(super) anew: bool,
    pub(super) shown: Shown,
    pub(super) address: IpAddr,
}

/// What comes of asking admission.
#[derive(Debug)]
pub(super) enum Admission {
    Go(Permit),
    No(Answer),
    Wait(Waits),
}

#[derive(Debug)]
pub(super) enum Waits {
    Queued(Held),
    Parked(Parked),
}

impl Waits {
    pub(super) const fn deadline(&self) -> Tick {
        match self {
            Self::Queued(held) => held.deadline,
            Self::Parked(parked) => parked.deadline,
        }
    }
}

impl Gateway {
    pub(super) fn new(plan: Plan, scenario: &Scenario, people: usize, seed: u64) -> Result<Self, Unbuilt> {
        let clock = Clock::manual();
        let routes = scenario.stages.iter().map(|stage| setup::route(&plan, stage)).collect::<Result<Vec<_>, _>>()?;
        let service = |upstream: &weir::config::plan::Upstream| {
            let found = scenario.services.iter().position(|service| service.name == upstream.name);
            let found = found.and_then(|found| u8::try_from(found).ok());
            found.ok_or_else(|| Unbuilt::NoService(upstream.name.clone()))
        };
        let services = plan.upstreams.iter().map(service).collect::<Result<_, _>>()?;
        let core = core::Gateway::volatile(plan, clock.clone(), BEGINS)?;
        let acquaintances = Acquaintances::new(&core, people);
        let routes = routes.into_iter().filter_map(|position| core.routes().get(position)).map(Arc::clone).collect();
        let rng = fastrand::Rng::with_seed(seed);
        Ok(Self {
            core,
            clock,
            now: Duration::ZERO,
            routes,
            services,
            acquaintances,
            rng,
            #[cfg(test)]
            overtakes: false,
        })
    }

    /// It is `now`.
    pub(super) fn turn(&mut self, now: Duration) {
        self.clock.advance(now.saturating_sub(self.now));
        self.now = self.now.max(now);
    }

    pub(super) fn tick(&self) -> Tick {
        self.clock.now()
    }

    pub(super) fn unix(&self) -> Duration {
        BEGINS.saturating_add(self.now)
    }

    /// The service to which `call` is sent.
    pub(super) fn service(&self, call: &Call) -> u8 {
        self.services.get(call.route.upstream().0).copied().unwrap_or_default()
    }

    /// A request has come.
    pub(super) fn begin(&mut self, said: Said) -> Option<Call> {
        let route = Arc::clone(self.routes.get(usize::from(said.stage))?);
        let class = route.plan(&self.core).map_or(Class::New, |plan| plan.class);
        let fields = fields(&self.core, &route, &said);
        let bearer = match self.core.passes() {
            Some(passes) => {
                let is_his = |pass: &Pass| !self.is_anothers(&route, &said, pass);
                passes.bearer(class, route.doorway().map(|doorway| doorway.tag()), &fields, is_his, self.unix())
            }
            None => Bearer::without(class),
        };
        Some(Call {
            kind: said.kind,
            who: said.who,
            route,
            key: said.key,
            anew: said.anew,
            shown: said.shown,
            bearer,
            place: None,
            is_unknown: true,
            address: said.address,
            fields,
            repeated: false,
        })
    }

    /// At the door, if there is one; an error is what he is told instead of being let in.
    pub(super) fn knock(&mut self, call: &mut Call) -> Result<(), Answer> {
        if let Some(doorway) = call.route.doorway().map(Arc::clone) {
            self.approach(call, &doorway)?;
        }
        call.is_unknown = call.place.is_none();
        Ok(())
    }

    /// From the door to admission.
    pub(super) fn ask(&mut self, call: &mut Call, waker: &Waker) -> Admission {
        let (route, now, chance) = (Arc::clone(&call.route), self.tick(), self.rng.f64());
        let client = |limit: &ClientLimit| self.core.client(limit, call.address, &call.fields);
        let verdict = route.admission().decide(call.bearer.person, now, client, chance);
        self.settle(call, verdict, waker)
    }

    /// A request that is held was woken.
    pub(super) fn woken(&mut self, call: &mut Call, waits: Waits, waker: &Waker) -> Admission {
        let verdict = match waits {
            Waits::Queued(held) => Verdict::Queue(held),
            Waits::Parked(parked) => Verdict::Park(parked),
        };
        self.settle(call, verdict, waker)
    }

    /// The wait of a request has ended without a turn.
    pub(super) fn expire(&mut self, call: &mut Call, waits: Waits) -> Answer {
        let (now, chance, person) = (self.tick(), self.rng.f64(), call.bearer.person);
        let admission = call.route.admission();
        let refusal = match waits {
            Waits::Queued(held) => {
                drop(held);
                admission.expired(person, now, chance)
            }
            Waits::Parked(parked) => admission.crowded_out(parked.account, person, now, chance),
        };
        self.turned_away(call, refusal.reason, Some(refusal.retry_after))
    }

    fn settle(&mut self, call: &mut Call, mut verdict: Verdict, waker: &Waker) -> Admission {
        let context = &mut Context::from_waker(waker);
        let (route, person) = (Arc::clone(&call.route), call.bearer.person);
        loop {
            verdict = match verdict {
                Verdict::Admit(permit) => return Admission::Go(permit),
                Verdict::Refuse(refusal) => {
                    return Admission::No(self.turned_away(call, refusal.reason, Some(refusal.retry_after)));
                }
                Verdict::Park(mut parked) => match Pin::new(&mut parked).poll(context) {
                    Poll::Ready(walk) => {
                        let (now, chance) = (self.tick(), self.rng.f64());
                        let client = |limit: &ClientLimit| self.core.client(limit, call.address, &call.fields);
                        route.admission().resume(walk, person, now, client, chance)
                    }
                    Poll::Pending => return Admission::Wait(Waits::Parked(parked)),
                },
                Verdict::Queue(mut held) => {
                    self.line_up(call);
                    match Pin::new(&mut held).poll(context) {
                        Poll::Ready(Ok(permit)) => Verdict::Admit(permit),
                        Poll::Ready(Err(Expired)) => {
                            let chance = self.rng.f64();
                            Verdict::Refuse(route.admission().expired(person, self.tick(), chance))
                        }
                        Poll::Pending => return Admission::Wait(Waits::Queued(held)),
                    }
                }
            };
        }
    }

    /// A request that has a permit goes on: its place is redeemed, and a server chosen that is open.
    pub(super) fn enter(
        &mut self,
        call: &mut Call,
        permit: Permit,
        is_open: impl Fn(&ServerState) -> bool,
    ) -> Result<InFlight<InService>, Answer> {
        let turn = self.redeem(call)?;
        let guard = InService::begin(permit, Arc::clone(&call.route), turn);
        self.send(call, guard, is_open).ok_or_else(|| self.unreachable(call))
    }

    /// To a server that is open, if there is one.
    fn send(
        &self,
        call: &Call,
        mut guard: InService,
        is_open: impl Fn(&ServerState) -> bool,
    ) -> Option<InFlight<InService>> {
        let upstream = self.core.upstreams().get(call.route.upstream().0)?;
        for _ in 0..TRIED {
            let Some((server, is_trial)) = upstream.first_choice(self.tick()) else { break };
            let mut in_flight = InFlight::new(&server, guard, is_trial);
            if is_open(&server) {
                in_flight.handed_over();
                return Some(in_flight);
            }
            guard = in_flight.leave(self.tick())?;
        }
        guard.outcome(if call.repeated { Outcome::Broken } else { Outcome::Unreachable });
        None
    }

    /// The connection of an exchange broke: once more, if that may be.
    pub(super) fn again(
        &mut self,
        call: &mut Call,
        mut exchange: InFlight<InService>,
        began: Tick,
        is_open: impl Fn(&ServerState) -> bool,
    ) -> Result<InFlight<InService>, Answer> {
        let now = self.tick();
        let upstream = self.core.upstreams().get(call.route.upstream().0).map(Arc::clone);
        let recognises = call.route.plan(&self.core).and_then(|route| self.core.plan().upstreams.get(route.upstream.0));
        let may = recognises.is_some_and(|upstream| upstream.idempotent) && !call.repeated;
        if !may || !upstream.is_some_and(|upstream| upstream.may_retry(exchange.server(), now)) {
            exchange.broken(began, now);
            return Err(Self::failed(call, Reason::UpstreamBroken));
        }
        exchange.repeated();
        call.repeated = true;
        let guard = exchange.leave(now);
        let sent = guard.and_then(|guard| self.send(call, guard, is_open));
        sent.ok_or_else(|| Self::failed(call, Reason::UpstreamBroken))
    }

    fn unreachable(&mut self, call: &Call) -> Answer {
        let again = UNREACHABLE_RETURN.mul_f64(1.0 + self.rng.f64());
        let answer = told::refused(call.kind, Reason::UpstreamUnreachable, Some(again));
        Self::keep(call, answer, false)
    }

    /// The exchange failed for `reason`.
    pub(super) fn failed(call: &Call, reason: Reason) -> Answer {
        Self::keep(call, told::refused(call.kind, reason, None), false)
    }

    /// The service has answered, and its answer is passed on.
    pub(super) fn answered(&self, call: &Call, response: &mut Response<()>) -> Answer {
        let Some(plan) = call.route.plan(&self.core) else { return Answer::bare(call.kind, 500) };
        if let (true, Some(place), Some(doorway)) = (plan.counts, &call.place, call.route.doorway()) {
            drop(doorway.room().success(place, self.unix()));
        }
        let served = is_served(response.status());
        if plan.grants_pass {
            if call.bearer.is_newcomer() {
                call.route.admission().answered(served);
            }
            let session = match (&call.place, call.route.doorway()) {
                (Some(place), Some(doorway)) => (doorway.tag(), place.session()),
                _ => (0, fastrand::u64(..)),
            };
            if let Some(passes) = self.core.passes().filter(|_| served) {
                passes.grant(&call.bearer, response, self.unix(), session, false);
            }
        }
        let mut answer = Answer::bare(call.kind, response.status().as_u16());
        let again = response.headers().get(RETRY_AFTER).and_then(|again| again.to_str().ok()?.parse::<u32>().ok());
        answer.retry_after = again.map(|seconds| seconds.saturating_mul(1_000));
        answer.gifts = told::gifts(response);
        Self::keep(call, answer, plan.grants_pass && served)
    }

    /// Whoever came without a place, and has one now, is told of it unless a pass speaks for him.
    fn keep(call: &Call, mut answer: Answer, passed: bool) -> Answer {
        if let (true, false, Some(place), Some(doorway)) = (call.is_unknown, passed, &call.place, call.route.doorway())
        {
            let mut gifts = told::ticket(doorway.room(), place, None, (!call.anew).then(|| doorway.cookie()));
            answer.gifts.ticket = gifts.ticket.take();
            answer.gifts.cookies.append(&mut gifts.cookies);
        }
        answer
    }

    pub(super) fn doorways(&self) -> &[Arc<Doorway>] {
        self.core.doorways()
    }
}

/// The fields of a request that somebody looks at: passes, and what client limits tell clients apart by.
fn fields(core: &core::Gateway, route: &Route, said: &Said) -> HeaderMap {
    let mut fields = HeaderMap::new();
    let mut put = |name: HeaderName, value: Option<&str>| {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            fields.insert(name, value);
        }
    };
    let limited = route.plan(core).is_some_and(|plan| !plan.client_limits.is_empty());
    if limited {
        put(IDEMPOTENCY_KEY, std::str::from_utf8(said.key.as_bytes()).ok());
    }
    // Most cookies hold a ticket alone, for which nobody looks here.
    let cookie = said.shown.cookie.as_deref().filter(|cookie| limited || cookie.contains(cookies::PASS));
    if core.passes().is_some() || limited {
        put(WEIR_PASS, said.shown.pass.as_deref());
        put(COOKIE, cookie);
    }
    fields
}
