//! The walk of a request: read it, find its route, ask admission, forward it, pass the answer on.
//!
//! [`Worker::serve`] is the whole of it, from top to bottom.
//!
//! **Invariants**
//! * Every request gets an answer, and every answer says whose doing it is: the client's (4xx), ours to hold back (429, 503), or
//!   the upstream's (502, 504) — and never the latter for what was never tried.
//! * What is matched is what is forwarded; nothing ambiguous passes (`target`, `headers`).
//! * The exchange with the upstream does not depend on the client once it has begun: the permit stays with it.
//! * A client that left while waiting is never served.
//!
//! **Cost**: no task and, uncontended, no timer a request.
//! **Not here**: sockets and protocols (`listener`), decisions (`admission`), connections to servers (`upstream`).

pub mod address;
mod admit;
pub mod answer;
pub mod body;
pub mod capacity;
pub mod cookies;
pub mod departure;
mod detached;
pub mod forwarded;
pub mod gateway;
pub mod headers;
mod hops;
mod lines;
mod observe;
pub mod pass;
pub mod peer;
pub mod policy;
pub mod room;
pub mod route;
pub mod target;
mod trailers;
pub mod tunnel;
pub mod turn;
pub mod upload;
pub mod visit;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use self::answer::{Answer, Reads};
use self::body::{Body, Source};
use self::forwarded::Chain;
use self::gateway::{Gateway, Route};
use self::headers::RequestId;
use self::pass::{Bearer, unix_time};
use self::peer::Peer;
use self::room::kept::{Kept, is_served};
use self::room::{Request as Door, Visitor};
use self::target::{BadRequest, Target};
use self::upload::{Upload, UploadError};
use self::visit::{InService, Visit};
use crate::admission::permit::Permit;
use crate::admission::verdict::Reason;
use crate::sabotage::{self, Fault};
use crate::upstream::{Exchanged, Failure, Pool, exchange};
use crate::waiting_room::room::Turn;

/// How long a service that is being restarted takes to be back is not known here; whoever finds it gone is not called back
/// sooner than its servers are looked at again, and not everybody at once: up to as long again by chance.
const UNREACHABLE_RETURN: Duration = Duration::from_secs(5);

/// One worker's part of the gateway: the shared state, and connections of its own.
#[derive(Debug)]
pub struct Worker {
    gateway: Arc<Gateway>,
    pools: Vec<Pool<Upload>>,
}

/// Who asks, as far as the walk needs it.
#[derive(Debug)]
struct Asker<'a> {
    peer: &'a Arc<Peer>,
    /// The client behind trusted proxies.
    address: IpAddr,
    /// Who came to the peer through whom, as far as the peer is believed.
    hops: Vec<IpAddr>,
    /// Whether the client came by TLS, unless `X-Forwarded-Proto` says otherwise.
    tls: bool,
    /// Whether the peer may speak for others.
    trusted: bool,
    id: RequestId,
}

impl Worker {
    /// A worker of `gateway`. Its connections are driven by the runtime it serves on.
    #[must_use]
    pub fn new(gateway: &Arc<Gateway>) -> Self {
        let pool = |upstream: &Arc<_>| Pool::new(Arc::clone(upstream), gateway.clock().clone());
        Self { gateway: Arc::clone(gateway), pools: gateway.upstreams().iter().map(pool).collect() }
    }

    /// Answers `request` of `peer`.
    ///
    /// Its parts are taken apart before the future is made: it would have room for the request as well.
    pub fn serve(&self, peer: &Arc<Peer>, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send {
        let (mut head, incoming) = request.into_parts();
        let asker = self.asker(peer, &head);
        let mut visit = Visit::begin(&self.gateway, &head, asker.address, peer.tls, &asker.id);
        let mut upload = Some(Upload::new(incoming, head.version, self.gateway.plan().clients.body_timeout));
        let mut reads = None;
        let forgotten = self.gateway.passes().and_then(|_| room::lent::forgotten(&head, asker.tls));
        async move {
            sabotage::swallow().await;
            let mut response = match self.walk(&asker, &mut head, &mut upload, &mut visit, &mut reads).await {
                Ok(response) => response,
                Err(answer) => {
                    // A client that waits for `100 Continue` has sent no body, and shall not.
                    let owes = |upload: &&mut Upload| !upload.is_complete() && !head.headers.contains_key(EXPECT);
                    if let Some(upload) = upload.as_mut().filter(owes) {
                        Box::pin(upload.drain()).await;
                    }
                    visit.refused(answer.reason, answer.status());
                    let reads = || reads.unwrap_or_else(|| Reads::of(&head.headers));
                    let response = answer.response(reads, &asker.id);
                    if head.method == Method::HEAD { answer::without_body(response) } else { response }.map(Source::Own)
                }
            };
            if let Some(forgotten) = forgotten {
                room::lent::forget(*forgotten, response.headers_mut());
            }
            response.map(|source| Body::new(source, visit))
        }
    }

    /// The way through; an error is what the client is told instead of the upstream's answer. `reads` is what is left of a head that went on.
    async fn walk(
        &self,
        asker: &Asker<'_>,
        head: &mut Parts,
        upload: &mut Option<Upload>,
        visit: &mut Visit,
        reads: &mut Option<Reads>,
    ) -> Result<Response<Source>, Answer> {
        let mut target = Target::of(head, self.gateway.plan().clients.header_count)?;
        headers::check(&head.headers)?;
        hops::spend(head)?;
        // Boxed, each step that few requests take: all others would carry room for it.
        if let Some(own) = self.own_path(&target) {
            return Box::pin(self.wicket(asker, head, own)).await.map(|response| response.map(Source::Own));
        }
        let route = self.gateway.route(&head.method, &target)?;
        visit.routed(route);
        let limits = route.plan(&self.gateway).ok_or(Reason::Internal)?;
        let body = upload.as_mut().ok_or(Reason::Internal)?;
        visit.counts(body.received());
        body.bound(limits.body_size)?;
        // Who only asks what he may ask is nobody who waits: he is given no place and no pass.
        let preflight = headers::is_preflight(head);
        let doorway = route.doorway().filter(|_| !preflight);
        let bearer = self.gateway.bearer(limits.class, doorway.map(Arc::as_ref), head);
        visit.classed(bearer.person.class);
        if bearer.is_inside() {
            asker.peer.note_inside();
        }
        self.spare(route, bearer.person, visit, (head, &mut target))?;
        let door = doorway.map(|doorway| Door {
            doorway,
            route,
            asker,
            head,
            target: &target,
            class: limits.class,
            counts: limits.counts,
        });
        let mut visitor = Visitor::new(bearer, None);
        if let Some(door) = &door {
            visitor = Box::pin(self.approach(door, bearer)).await?;
            visit.classed(visitor.bearer.person.class);
        }
        let (is_unknown, in_cookie) = (visitor.place.is_none(), !head.uri.query().is_some_and(room::carried::is_anew));
        let permit = match (self.admit(asker, head, (route, door.as_ref()), &mut visitor, body, visit).await, &door) {
            (Err(answer), Some(door)) => return Err(Box::pin(self.turned_away(door, &mut visitor, answer)).await),
            (admitted, _) => admitted?,
        };
        let mut turn = None;
        if let Some(door) = &door {
            turn = Box::pin(self.enter(door, &mut visitor)).await?;
        }
        if sabotage::is_one_in(20, Fault::DropAfterAccept) {
            return Ok(Response::new(Source::Own(Bytes::new())));
        }
        let Visitor { bearer, place, .. } = visitor;
        *reads = Some(Reads::of(&head.headers));
        let upgrade = upgrade(head, limits.upgrade);
        let body = upload.take().ok_or(Reason::Internal)?;
        let request = outbound(asker, head, &target, upgrade.is_some(), body)?;
        // Boxed: whoever waits in line would carry room for it.
        let mut answered = Box::pin(self.forward(asker, route, request, (permit, turn), upgrade, visit)).await;
        if let (true, Some(place), Some(doorway)) = (limits.counts, &place, doorway) {
            room::written(doorway.room().success(place, unix_time())).await;
        }
        if limits.grants_pass && !preflight {
            let session = match (&place, doorway) {
                (Some(place), Some(doorway)) => (doorway.tag(), place.session()),
                _ => (0, fastrand::u64(..)),
            };
            self.grant(asker.peer, route, (&bearer, session), answered.as_mut().ok(), asker.tls);
        }
        if let (true, Some(place), Some(doorway)) = (is_unknown, &place, doorway) {
            room::kept::keep(&mut answered, limits.grants_pass, || Kept::new(doorway, place, in_cookie, asker.tls));
        }
        answered
    }

    /// Whoever was let in and served is given a pass.
    fn grant(
        &self,
        peer: &Peer,
        route: &Route,
        (bearer, session): (&Bearer, (u32, u64)),
        response: Option<&mut Response<Source>>,
        secure: bool,
    ) {
        let served = response.filter(|response| is_served(response.status()));
        if bearer.is_newcomer() {
            route.admission().answered(served.is_some());
        }
        if let (Some(passes), Some(response)) = (self.gateway.passes(), served) {
            passes.grant(bearer, response, unix_time(), session, secure);
            peer.note_inside();
        }
    }

    /// Sends the request on and passes the answer back.
    async fn forward(
        &self,
        asker: &Asker<'_>,
        route: &Arc<Route>,
        request: Request<Upload>,
        (permit, turn): (Permit, Option<Turn>),
        upgrade: Option<OnUpgrade>,
        visit: &mut Visit,
    ) -> Result<Response<Source>, Answer> {
        let pool = self.pools.get(route.upstream().0).ok_or(Reason::Internal)?;
        let in_service = InService::begin(permit, Arc::clone(route), turn);
        visit.sent();
        match exchange(pool, request, in_service).await {
            Ok(Exchanged::Response { mut response, server }) => {
                headers::for_client(response.headers_mut(), &asker.id);
                if response.status() == StatusCode::NO_CONTENT {
                    // RFC 9110 §8.6. Over HTTP/2 and in reply to HEAD hyper would pass it on.
                    response.headers_mut().remove(CONTENT_LENGTH);
                }
                *response.version_mut() = Version::HTTP_11;
                visit.answered(response.status(), server);
                Ok(response.map(Source::Upstream))
            }
            Ok(Exchanged::Upgraded { mut response, upgraded, guard }) => {
                // Nothing else was offered to the upstream (RFC 9110 §7.8).
                let switches = headers::names_websocket(response.headers());
                let client = upgrade.filter(|_| switches).ok_or(Reason::UpstreamBroken)?;
                visit.answered(response.status(), Arc::clone(guard.server().authority()));
                tunnel::open(client, upgraded, self.gateway.plan().clients.idle_timeout, guard);
                headers::for_switching_client(response.headers_mut(), &asker.id);
                Ok(response.map(|()| Source::Own(Bytes::new())))
            }
            Err(failure) => Err(unserved(failed(&failure))),
        }
    }

    fn asker<'a>(&self, peer: &'a Arc<Peer>, head: &Parts) -> Asker<'a> {
        let trusted_proxies = &self.gateway.plan().clients.trusted_proxies;
        let trusted = peer.may_speak_for_others && address::is_trusted(peer.address.ip(), trusted_proxies);
        let named = trusted.then(|| Chain::of(peer.address.ip(), &head.headers, trusted_proxies));
        let chain = named.unwrap_or_else(|| Chain::own(peer.address.ip()));
        let id = RequestId::of(&head.headers, trusted, fastrand::u128(..));
        let tls = chain.tls.unwrap_or_else(|| headers::came_by_tls(&head.headers, peer.tls, trusted));
        Asker { peer, address: chain.client, hops: chain.hops, tls, trusted, id }
    }
}

/// The request as the upstream gets it.
fn outbound(
    asker: &Asker<'_>,
    head: &mut Parts,
    target: &Target,
    upgrade: bool,
    body: Upload,
) -> Result<Request<Upload>, Answer> {
    let context = headers::Context {
        peer: asker.peer.address.ip(),
        hops: &asker.hops,
        trusted: asker.trusted,
        tls: asker.tls,
        certificate: asker.peer.certificate(),
        version: head.version,
        authority: target.authority.as_ref(),
        id: &asker.id,
        upgrade,
    };
    room::carried::strip_referrer(&mut head.headers);
    headers::for_upstream(&mut head.headers, &context, fastrand::u128(..));
    let mut request = Request::new(body);
    *request.uri_mut() = onward(std::mem::take(&mut head.uri), &target.path)?;
    request.method_mut().clone_from(&head.method);
    *request.headers_mut() = std::mem::take(&mut head.headers);
    *request.extensions_mut() = std::mem::take(&mut head.extensions);
    Ok(request)
}

/// `uri` with the normalised `path` and without what is ours: itself, unless that changes something.
fn onward(uri: Uri, path: &str) -> Result<Uri, Answer> {
    let query = uri.query().and_then(room::carried::foreign);
    if uri.authority().is_none() && uri.path() == path && uri.query() == query.as_deref() {
        return Ok(uri);
    }
    origin_form(path, query.as_deref())
}

/// The normalised path with the query as it was (RFC 9112 §3.2.1).
fn origin_form(path: &str, query: Option<&str>) -> Result<Uri, Answer> {
    let target = match query {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    target.map(Uri::from).map_err(|_| Reason::BadRequest.into())
}

/// The client's end of a tunnel, if it asks for a WebSocket and the route allows it.
fn upgrade(head: &mut Parts, allowed: bool) -> Option<OnUpgrade> {
    if allowed && headers::asks_websocket(head) { head.extensions.remove() } else { None }
}

/// Nothing was sent to a service that cannot be reached, so nothing is done twice by coming back; of the others nobody knows.
fn unserved(reason: Reason) -> Answer {
    let unsent = reason == Reason::UpstreamUnreachable;
    let retry_after = unsent.then(|| UNREACHABLE_RETURN.mul_f64(1.0 + fastrand::f64()));
    Answer { retry_after, ..reason.into() }
}

/// Whose doing a failed exchange is.
fn failed(failure: &Failure) -> Reason {
    match failure {
        Failure::Unreachable(_) | Failure::ConnectTimeout => Reason::UpstreamUnreachable,
        Failure::ResponseTimeout => Reason::UpstreamTimeout,
        Failure::RequestBody(error) => {
            error.downcast_ref::<UploadError>().map_or(Reason::BodyBroken, UploadError::reason)
        }
        Failure::Broken(_) => Reason::UpstreamBroken,
    }
}

impl From<BadRequest> for Answer {
    fn from(error: BadRequest) -> Self {
        let answer = Self::from(error.reason());
        let closes =
            answer.closes || matches!(error, BadRequest::Length(_) | BadRequest::Target(_) | BadRequest::Host(_));
        Self { detail: Some(error.to_string()), closes, ..answer }
    }
}

impl From<UploadError> for Answer {
    fn from(error: UploadError) -> Self {
        let answer = Self::from(error.reason());
        Self { closes: answer.closes || matches!(error, UploadError::Trailers), ..answer }
    }
}
