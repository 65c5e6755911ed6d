//! A request before admission: what of its body is read first, whether it is held, and what it is told if it is refused.
//!
//! **Invariants**: a newcomer whom admission holds at the door of a room has his place from that instant: whoever comes later is behind him, also
//! when the line fills meanwhile.
//! **Cost**: that of the decision; one timer if it is held.
//! **Not here**: the decision itself (`admission`), places (`room`), what a wait ends by (`turn`).

use std::future::poll_fn;
use std::sync::Arc;

use http::header::EXPECT;
use http::request::Parts;

use super::answer::Answer;
use super::detached::detach;
use super::gateway::Route;
use super::policy::{LimitPolicy, Quota};
use super::room::{Request as Door, Visitor};
use super::target::Target;
use super::turn::{Client, turn};
use super::upload::Upload;
use super::visit::Visit;
use super::{Asker, Worker, cookies};
use crate::admission::client::ClientLimit;
use crate::admission::permit::{Expired, Permit};
use crate::admission::route::{Person, Verdict};
use crate::admission::verdict::{Account, Reason, Refusal};
use crate::config::plan::Class;

impl Worker {
    /// Body, client limits, predicted wait, line, permit.
    pub(super) async fn admit(
        &self,
        asker: &Asker<'_>,
        head: &Parts,
        (route, door): (&Arc<Route>, Option<&Door<'_>>),
        visitor: &mut Visitor,
        body: &mut Upload,
        visit: &mut Visit,
    ) -> Result<Permit, Answer> {
        let person = visitor.bearer.person;
        if !body.is_complete() && self.reads_first(head, route, person, body) {
            poll_fn(|context| body.poll_ahead(context)).await?;
        }
        let arrival = self.gateway.clock().now();
        let client = |limit: &ClientLimit| self.gateway.client(limit, asker.address, &head.headers);
        let waiting = Client { peer: asker.peer, version: head.version, owes_body: !body.is_complete() };
        let (admission, watchers, clock) = (route.admission(), self.gateway.watchers(), self.gateway.clock());
        let mut verdict = admission.decide(person, arrival, client, fastrand::f64());
        let mut has_waited = false;
        loop {
            verdict = match verdict {
                Verdict::Admit(permit) => {
                    if has_waited {
                        visit.waited(clock.now().since(arrival));
                    }
                    return Ok(permit);
                }
                Verdict::Refuse(refusal) => return Err(refused(route, &refusal)),
                Verdict::Park(parked) => {
                    let account = parked.account;
                    match Box::pin(turn(parked.deadline, parked, waiting, watchers, clock)).await {
                        Ok(walk) => admission.resume(walk, person, clock.now(), client, fastrand::f64()),
                        Err(Reason::Expired) => {
                            Verdict::Refuse(admission.crowded_out(account, person, clock.now(), fastrand::f64()))
                        }
                        Err(reason) => return Err(reason.into()),
                    }
                }
                Verdict::Queue(place) => {
                    if let Some(door) = door {
                        self.line_up(door, visitor);
                    }
                    match Box::pin(turn(place.deadline, place, waiting, watchers, clock)).await {
                        Ok(Ok(permit)) => Verdict::Admit(permit),
                        Ok(Err(Expired)) | Err(Reason::Expired) => {
                            Verdict::Refuse(admission.expired(person, clock.now(), fastrand::f64()))
                        }
                        Err(reason) => return Err(reason.into()),
                    }
                }
            };
            has_waited = true;
        }
    }
}

impl Worker {
    /// Looks after memory before anybody is held: short of it a newcomer is turned away, and whoever would be held keeps no buffer.
    pub(super) fn spare(
        &self,
        route: &Route,
        person: Person,
        visit: &Visit,
        (head, target): (&mut Parts, &mut Target),
    ) -> Result<(), Answer> {
        if self.gateway.is_memory_short() && person.class > Class::InProgress {
            return Err(Answer::overloaded(fastrand::f64()));
        }
        if route.admission().would_line_up(person, visit.arrival()) {
            detach(head, &mut target.authority);
        }
        Ok(())
    }

    /// Whether room was found to read `body` before the decision. Nobody shall send a photograph to be refused: who would be told to come
    /// back now is told so at once.
    fn reads_first(&self, head: &Parts, route: &Route, person: Person, body: &mut Upload) -> bool {
        if head.headers.contains_key(EXPECT) {
            return false;
        }
        body.reserve_small(self.gateway.small_bodies())
            || (!self.gateway.is_memory_short()
                && route.admission().would_hold(person, self.gateway.clock().now())
                && body.reserve_large(self.gateway.large_bodies()))
    }
}

pub(super) fn refused(route: &Route, refusal: &Refusal) -> Answer {
    let limit = refusal.limit.and_then(|exceeded| {
        let limit = match exceeded.account {
            Account::Session => {
                let quota = Quota::Concurrent(route.admission().sessions()?.quota());
                return Some(LimitPolicy { name: cookies::PASS.to_owned(), quota });
            }
            Account::Limit(position) => route.admission().client_limit(position)?,
        };
        let quota = match exceeded.reset {
            Some(reset) => {
                let buckets = limit.buckets()?;
                Quota::Requests { burst: buckets.burst(), window: buckets.window(), reset }
            }
            None => Quota::Concurrent(limit.concurrency()?.quota()),
        };
        Some(LimitPolicy { name: limit.name().to_owned(), quota })
    });
    Answer { retry_after: Some(refusal.retry_after), limit, ..refusal.reason.into() }
}
