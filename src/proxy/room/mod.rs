//! The door of a waiting room: who may try to come in, and what everybody else is told.
//!
//! ```text
//! pass of this room ───────────────────→ admission, in progress
//! ticket or identity ── called ────────→ admission, returning ── permit → redeemed → forwarded
//!                    └─ not called ────→ told where he stands
//! nobody known ── nobody waits ────────→ admission, new ── permit → a number, redeemed → forwarded
//!              └─ somebody does, or admission refuses → a place, and told so
//! ```
//!
//! **Invariants**: whoever is not in is told where he stands and when to ask again; a request is forwarded only when its redemption is in the
//! journal; nobody who could wait in the room is told to come back without a place, unless a limit of his own is exceeded; where a quota counts
//! nobody is forwarded without a place; whoever is given one has been charged by the limits of the route; of a place that was called
//! one request stands at the gate.
//! **Cost**: for those with a pass the look-up of their place; else what the room's `find` and `look` cost.
//! **Not here**: what is true of a place (`waiting_room`), pages (`waiting_room::page`).

pub mod carried;
pub mod held;
pub mod kept;
pub mod lent;
mod links;
pub mod observe;
mod open;
pub mod told;
pub mod wicket;

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method};
use tokio::time::timeout;

pub use self::open::{load, open, volatile};

use self::held::{Held, HeldVisits};
use self::told::Told;
use super::admit::refused;
use super::answer::Answer;
use super::gateway::Route;
use super::pass::{Bearer, unix_time};
use super::target::Target;
use super::{Asker, Worker};
use crate::admission::client::ClientLimit;
use crate::admission::verdict::Reason;
use crate::config::plan::{self, Class, Identity};
use crate::proxy::cookies;
use crate::sabotage::{self, Fault};
use crate::waiting_room::eta;
use crate::waiting_room::journal::Appended;
use crate::waiting_room::room::{NotEntered, Place, Room, Stand, Turn};

/// The journal is waited for at most so long: a disk that hangs shall not hold permits.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(2);

/// Whoever could not be let in because the journal failed tries again after this.
const JOURNAL_AGAIN: Duration = Duration::from_secs(5);

/// Numbers of a full room become free when the oldest have been called and their tickets are as old as they get, which can take a day; whoever
/// finds none asks again after this, or twice as long.
const FULL_AGAIN: Duration = Duration::from_secs(30);

/// Called people who stand at the gates of one room at once: more than all its lines hold.
const AT_GATE: usize = 1 << 20;

/// A request that a service recognises carries this (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A waiting room as requests meet it.
#[derive(Debug)]
pub struct Doorway {
    room: Arc<Room>,
    tag: u32,
    identity: Option<Identity>,
    cookie: String,
    /// Called people who stand at the gate.
    at_gate: Arc<HeldVisits>,
}

/// Who stands at the door.
#[derive(Debug)]
pub(super) struct Visitor {
    /// What he is to admission.
    pub(super) bearer: Bearer,
    /// His place; [`None`] of a newcomer, and where there is no room.
    pub(super) place: Option<Place>,
    /// Of a place that was given with this request: to be awaited before he is told of it, unless he comes in, which waits for it as well.
    given: Option<Appended>,
    /// Of whoever was called: the one request of his place that stands at the gate, until he is in.
    at_gate: Option<Held>,
}

impl Visitor {
    pub(super) const fn new(bearer: Bearer, place: Option<Place>) -> Self {
        Self { bearer, place, given: None, at_gate: None }
    }
}

/// All that a request says, as far as the door needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) doorway: &'a Doorway,
    pub(super) route: &'a Route,
    pub(super) asker: &'a Asker<'a>,
    pub(super) head: &'a Parts,
    pub(super) target: &'a Target,
    pub(super) class: Class,
    /// A success on its route is one of the quota's.
    pub(super) counts: bool,
}

impl Doorway {
    /// The door of `room`, planned as `plan`; `alone` if there is no other room.
    #[must_use]
    pub fn new(room: Arc<Room>, plan: &plan::WaitingRoom, alone: bool) -> Self {
        let cookie = if alone { cookies::TICKET.to_owned() } else { format!("{}_{}", cookies::TICKET, plan.name) };
        let at_gate = HeldVisits::new(AT_GATE);
        Self { tag: room.tag(), room, identity: plan.identity.clone(), cookie, at_gate }
    }

    /// The room behind it.
    #[must_use]
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Name of the cookie in which its tickets travel.
    #[must_use]
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// By which its passes are known.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.tag
    }

    fn find(&self, headers: &HeaderMap, query: Option<&str>, unix: Duration) -> Option<Place> {
        self.room.find(carried::tickets(headers, query, &self.cookie), self.identity_of(headers), unix)
    }

    /// The place that the browser keeps.
    fn kept(&self, headers: &HeaderMap, unix: Duration) -> Option<Place> {
        self.room.find(cookies::values(headers, &self.cookie), None, unix)
    }

    /// The place of the page from which a form was sent, where nothing else says whose it is: for browsers that keep no cookies.
    fn referred(&self, head: &Parts, unix: Duration) -> Option<Place> {
        if head.uri.query().is_some_and(carried::is_anew) {
            return None;
        }
        let (_, query) = carried::referrer(head)?.split_once('?')?;
        self.room.find(carried::written(query), self.identity_of(&head.headers), unix)
    }

    /// Whether a browser with these `headers` keeps a ticket of the room, be it good or not.
    fn is_kept(&self, headers: &HeaderMap) -> bool {
        cookies::values(headers, &self.cookie).next().is_some()
    }

    /// Whether what a browser with these `headers` sends by itself shows that it is of `place`.
    fn recognises(&self, headers: &HeaderMap, place: &Place, unix: Duration) -> bool {
        let kept = cookies::values(headers, &self.cookie);
        let found = self.room.find(kept, self.identity_of(headers), unix);
        found.is_some_and(|found| found.number() == place.number())
    }

    fn identity_of<'h>(&'h self, headers: &'h HeaderMap) -> Option<&'h [u8]> {
        carried::identity(headers, self.identity.as_ref())
    }
}

impl Worker {
    /// Who may try to come in; an error is what he is told instead.
    pub(super) async fn approach(&self, request: &Request<'_>, bearer: Bearer) -> Result<Visitor, Answer> {
        let Request { doorway, head, class, .. } = *request;
        if !matches!(class, Class::New | Class::Bulk) {
            return Ok(Visitor::new(bearer, None));
        }
        let (room, unix) = (&doorway.room, unix_time());
        if let Some(session) = bearer.session() {
            match room.inside(session, unix) {
                Some(place) if room.stays(&place, unix) => return Ok(Visitor::new(bearer, Some(place))),
                // Of a place that is not remembered the pass alone speaks; but not where each success must be somebody's.
                None if !request.counts => return Ok(Visitor::new(bearer, None)),
                _ => {}
            }
        }
        let found = doorway.find(&head.headers, head.uri.query(), unix).or_else(|| doorway.referred(head, unix));
        let Some(place) = found else {
            return self.newcomer(request, bearer, unix).await;
        };
        let look = room.look(&place, unix, fastrand::f64());
        written(look.recorded).await;
        match look.stand {
            Stand::Called => match self.to_the_gate(doorway, &place) {
                Ok(at_gate) => {
                    let visitor = Visitor::new(bearer.called(returning(place.class())), Some(place));
                    Ok(Visitor { at_gate: Some(at_gate), ..visitor })
                }
                Err(again) => Err(Told::new(request, Some(&place), Stand::Called, again).into()),
            },
            // Of whom nothing is known, the same request may make it known: `enter` decides.
            Stand::Inside | Stand::Sending | Stand::Unclear | Stand::Done => {
                let age = room.admitted(&place).map_or(Duration::ZERO, |admitted| unix.saturating_sub(admitted));
                Ok(Visitor::new(Bearer::inside(place.session(), age), Some(place)))
            }
            stand if is_lost(&stand, room) => {
                room.forget(doorway.identity_of(&head.headers), &place);
                self.newcomer(request, bearer, unix).await
            }
            stand => Err(Told::new(request, Some(&place), stand, look.poll_after).into()),
        }
    }

    /// The holder of `place`, who was called, goes to the gate, unless he stands there already; an error is when to ask again.
    fn to_the_gate(&self, doorway: &Doorway, place: &Place) -> Result<Held, Duration> {
        doorway.room.approach(place, self.gateway.clock().now())?;
        doorway.at_gate.hold((doorway.tag, place.number())).ok_or(eta::FLOOR)
    }

    /// Somebody of whom nothing is known.
    async fn newcomer(&self, request: &Request<'_>, bearer: Bearer, unix: Duration) -> Result<Visitor, Answer> {
        let room = &request.doorway.room;
        let overtakes = sabotage::is_one_in(4, Fault::LetNewcomersOvertake);
        if overtakes || room.lets_straight_in() {
            let class = if overtakes { Class::Returning } else { request.class };
            let anew = overtakes || bearer.session().is_some();
            let bearer = if anew { Bearer::without(class) } else { bearer };
            return Ok(Visitor::new(bearer, None));
        }
        // Told his number he has had something of the route: by its limits, as if he had been forwarded.
        let (admission, clock) = (request.route.admission(), self.gateway.clock());
        let client = |limit: &ClientLimit| self.gateway.client(limit, request.asker.address, &request.head.headers);
        let charged = admission.charge(clock.now(), client, fastrand::f64());
        charged.map_err(|refusal| refused(request.route, &refusal))?;
        Err(self.join(request, unix).await)
    }

    /// Gives a newcomer a place, and tells him so.
    async fn join(&self, request: &Request<'_>, unix: Duration) -> Answer {
        let room = &request.doorway.room;
        if !room.takes() {
            return Told::new(request, None, room.closed(), told::CLOSED_AGAIN).into();
        }
        let identity = request.doorway.identity_of(&request.head.headers);
        let Some(joined) = room.join(identity, request.class, unix) else {
            return full();
        };
        written(joined.recorded).await;
        let (stand, poll_after) = room.first_look(&joined.place, unix, fastrand::f64());
        Told::new(request, Some(&joined.place), stand, poll_after).into()
    }

    /// Admission refused somebody who stood at the door: he has, or gets, a place.
    pub(super) async fn turned_away(&self, request: &Request<'_>, visitor: &mut Visitor, answer: Answer) -> Answer {
        let busy = matches!(answer.reason, Reason::QueueFull | Reason::WaitTooLong | Reason::Expired);
        match (busy, &visitor.place) {
            (true, None) if visitor.bearer.session().is_none() => self.join(request, unix_time()).await,
            (true, Some(place)) if visitor.bearer.person.class != Class::InProgress => {
                written(visitor.given.take()).await;
                let room = &request.doorway.room;
                // Of somebody at the front; what newcomers are told is how far back they would be.
                let again = eta::FLOOR.mul_f64(1.0 + fastrand::f64());
                room.turned_away(self.gateway.clock().now().after(again));
                Told::new(request, Some(place), room.standing(place), again).into()
            }
            _ => answer,
        }
    }

    /// Gives a newcomer who is held in line, or has a permit, his place.
    pub(super) fn line_up(&self, request: &Request<'_>, visitor: &mut Visitor) {
        let room = &request.doorway.room;
        if visitor.place.is_none() && (room.has_quota() || visitor.bearer.session().is_none()) {
            let identity = request.doorway.identity_of(&request.head.headers);
            let now = (self.gateway.clock().now(), unix_time());
            if let Some(joined) = room.welcome(identity, request.class, now) {
                (visitor.place, visitor.given) = (Some(joined.place), joined.recorded);
            }
        }
    }

    /// Redeems the place of somebody who has a permit. Where successes are counted nobody goes in without one.
    pub(super) async fn enter(&self, request: &Request<'_>, visitor: &mut Visitor) -> Result<Option<Turn>, Answer> {
        let Some(limits) = request.route.plan(&self.gateway) else { return Err(Reason::Internal.into()) };
        let upstream = self.gateway.plan().upstreams.get(limits.upstream.0);
        let recognised = upstream.is_some_and(|upstream| upstream.idempotent);
        let key = request.head.headers.get(IDEMPOTENCY_KEY).filter(|_| recognised).map(HeaderValue::as_bytes);
        let (room, now) = (&request.doorway.room, (self.gateway.clock().now(), unix_time()));
        self.line_up(request, visitor);
        let Some(place) = visitor.place else {
            // Of a place that is not remembered the pass alone speaks, where nothing is counted.
            let counted = room.has_quota() && (limits.counts || visitor.bearer.session().is_none());
            return if counted { Err(full()) } else { Ok(None) };
        };
        let not = match room.enter(&place, limits.counts, key.map(<[u8]>::trim_ascii), now) {
            Ok(entered) => {
                let mut turn = entered.turn;
                visitor.at_gate = None;
                if written(entered.recorded).await {
                    return Ok(Some(turn));
                }
                turn.unsent();
                return Err(Told::new(request, Some(&place), Stand::Called, JOURNAL_AGAIN).into());
            }
            Err(not) => not,
        };
        // He is told his number all the same.
        written(visitor.given.take()).await;
        let stand = match not {
            NotEntered::NoneLeft => Stand::Taken,
            NotEntered::Unclear => Stand::Unclear,
            NotEntered::NotCalled => room.standing(&place),
            NotEntered::Sending => Stand::Sending,
            NotEntered::Done => Stand::Done,
        };
        Err(Told::new(request, Some(&place), stand, JOURNAL_AGAIN).into())
    }
}

/// No number is left.
fn full() -> Answer {
    Answer { retry_after: Some(FULL_AGAIN.mul_f64(1.0 + fastrand::f64())), ..Reason::RoomFull.into() }
}

/// Whether a place is none any more, and there is another to be had.
fn is_lost(stand: &Stand, room: &Room) -> bool {
    let requeues = sabotage::is(Fault::RequeueOnRefresh) && matches!(stand, Stand::Waiting { .. });
    room.is_lost(stand) || requeues
}

/// What a called ticket makes of a request: what can wait stays so.
const fn returning(class: Class) -> Class {
    match class {
        Class::Bulk => Class::Bulk,
        _ => Class::Returning,
    }
}

/// Whether what had to be in the journal is there.
pub(super) async fn written(record: Option<Appended>) -> bool {
    let Some(record) = record else { return true };
    // Boxed: most visits leave nothing to be written, and their requests need no room for it.
    matches!(Box::pin(timeout(JOURNAL_PATIENCE, record)).await, Ok(Ok(())))
}

/// Whether a page can be had again by following a link.
pub(super) fn is_navigable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether the client came by TLS, as far as is known.
pub(super) fn is_secure(request: &Request<'_>) -> bool {
    request.asker.tls
}
