//! The account of one request: written down as it goes, told once when it ends.
//!
//! **Invariants**: every request is counted exactly once, under its route and one [`Reason`], and logged once, whatever becomes
//! of it — also when its future is dropped because the client left. Body, query and credentials are not in it.
//! **Cost**: a counter; a record of some 300 bytes where the access log is on.
//! **Not here**: decisions.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::header::HOST;
use http::request::Parts;
use http::{Method, StatusCode, Version};

use crate::admission::permit::Permit;
use crate::admission::verdict::Reason;
use crate::clock::Tick;
use crate::config::plan::Class;
use crate::proxy::gateway::{Gateway, Route};
use crate::proxy::headers::RequestId;
use crate::telemetry::access::{AccessRecord, Capped, HOST_MAX, LoggedPath, REQUEST_ID_MAX};
use crate::upstream::{Guard, Outcome};
use crate::waiting_room::room::Turn;

/// Status logged for a client that did not wait for its answer; nothing is sent. nginx made the number known.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The account of one request.
#[derive(Debug)]
pub struct Visit {
    gateway: Arc<Gateway>,
    route: Option<Arc<Route>>,
    class: Option<Class>,
    arrival: Tick,
    reason: Reason,
    status: u16,
    waited: Option<Duration>,
    sent: Option<Tick>,
    received: Option<Arc<AtomicU64>>,
    server: Option<Arc<str>>,
    bytes_out: u64,
    /// Only where the access log is on.
    facts: Option<Box<Facts>>,
}

/// What only the log wants to know.
#[derive(Debug)]
struct Facts {
    at: SystemTime,
    request_id: Capped<REQUEST_ID_MAX>,
    client: IpAddr,
    tls: bool,
    version: Version,
    method: Method,
    host: Option<Capped<HOST_MAX>>,
    path: LoggedPath,
}

impl Visit {
    /// A request has arrived. Until something else becomes of it, its client has left.
    #[must_use]
    pub fn begin(gateway: &Arc<Gateway>, head: &Parts, client: IpAddr, tls: bool, id: &RequestId) -> Self {
        let facts = gateway.access_log().is_enabled().then(|| {
            let host = head.uri.host().or_else(|| head.headers.get(HOST).and_then(|host| host.to_str().ok()));
            Box::new(Facts {
                at: SystemTime::now(),
                request_id: id.as_str().into(),
                client,
                tls,
                version: head.version,
                method: head.method.clone(),
                host: host.map(Capped::from),
                path: head.uri.path().into(),
            })
        });
        Self {
            gateway: Arc::clone(gateway),
            route: None,
            class: None,
            arrival: gateway.clock().now(),
            reason: Reason::ClientLeft,
            status: CLIENT_CLOSED_REQUEST,
            waited: None,
            sent: None,
            received: None,
            server: None,
            bytes_out: 0,
            facts,
        }
    }

    /// When it came.
    #[must_use]
    pub const fn arrival(&self) -> Tick {
        self.arrival
    }

    /// The route that took it.
    pub fn routed(&mut self, route: &Arc<Route>) {
        self.route = Some(Arc::clone(route));
    }

    /// What it is to admission.
    pub fn classed(&mut self, class: Class) {
        self.class = Some(class);
    }

    /// Where its body bytes are counted.
    pub fn counts(&mut self, received: Option<Arc<AtomicU64>>) {
        self.received = received;
    }

    /// It was held in line for so long.
    pub fn waited(&mut self, waited: Duration) {
        self.waited = Some(waited);
        if let Some(route) = &self.route {
            route.record_wait(waited);
        }
    }

    /// It was sent to the upstream.
    pub fn sent(&mut self) {
        // Only the log asks when.
        self.sent = Some(if self.facts.is_some() { self.gateway.clock().now() } else { self.arrival });
    }

    /// The upstream's `server` answered with `status`.
    pub fn answered(&mut self, status: StatusCode, server: Arc<str>) {
        (self.reason, self.status, self.server) = (Reason::Admitted, status.as_u16(), Some(server));
    }

    /// weir answered with `status`, because of `reason`.
    pub fn refused(&mut self, reason: Reason, status: StatusCode) {
        (self.reason, self.status) = (reason, status.as_u16());
    }

    /// The answer broke off in the middle: the status had been sent already.
    pub fn broke(&mut self, reason: Reason) {
        self.reason = reason;
    }

    /// So many bytes of the answer's body were handed to the client's connection.
    pub fn returned(&mut self, bytes: usize) {
        self.bytes_out = self.bytes_out.saturating_add(bytes as u64);
    }

    fn record(&mut self) {
        let Some(facts) = self.facts.take() else { return };
        let now = self.gateway.clock().now();
        let admitted = self.reason == Reason::Admitted;
        self.gateway.access_log().record(AccessRecord {
            at: facts.at,
            request_id: facts.request_id,
            client: facts.client,
            tls: facts.tls,
            version: facts.version,
            method: facts.method,
            host: facts.host,
            path: facts.path,
            route: self.route.as_ref().map(|route| Arc::clone(route.name())),
            verdict: if self.sent.is_some() { "admit" } else { "refuse" },
            reason: (!admitted).then(|| self.reason.as_str()),
            status: self.status,
            server: self.server.take(),
            waited: self.waited,
            upstream: self.sent.map(|sent| now.since(sent)),
            total: now.since(self.arrival),
            bytes_in: self.received.as_ref().map_or(0, |received| received.load(Ordering::Relaxed)),
            bytes_out: self.bytes_out,
        });
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.gateway.count(self.route.as_deref(), self.class, self.reason);
        self.record();
    }
}

/// A request in service at the upstream: the permit, and the time it is held.
#[derive(Debug)]
pub struct InService {
    route: Arc<Route>,
    /// What becomes of his place in a waiting room.
    turn: Option<Turn>,
    // Dropped after `Drop::drop` has recorded the time.
    permit: Permit,
}

impl InService {
    /// The service begins.
    #[must_use]
    pub fn begin(mut permit: Permit, route: Arc<Route>, turn: Option<Turn>) -> Self {
        permit.spend();
        Self { route, turn, permit }
    }
}

impl Guard for InService {
    /// A connection that failed says nothing about how long the service works, and takes nothing of a contract rate.
    fn outcome(&mut self, outcome: Outcome) {
        if matches!(outcome, Outcome::Unreachable) {
            self.permit.spare();
            if let Some(turn) = &mut self.turn {
                turn.unsent();
            }
        }
    }

    fn handed_over(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.handed(true);
        }
    }

    fn handed_back(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.handed(false);
        }
    }

    fn repeated(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.repeated();
        }
    }

    fn answered(&mut self, status: StatusCode) {
        if let Some(turn) = &mut self.turn {
            turn.answered(status.as_u16());
        }
    }

    fn kind(&self) -> usize {
        self.route.position()
    }

    /// A tunnel lasts as long as people like: from here on it is neither service nor wait.
    fn fall_quiet(&mut self) {
        if self.permit.is_spent() {
            self.route.record_service(self.permit.held());
        }
        self.permit.fall_quiet();
    }

    fn withhold(&mut self) {
        self.permit.withdraw();
    }
}

impl Drop for InService {
    fn drop(&mut self) {
        if self.permit.is_spent() && !self.permit.is_quiet() {
            self.route.record_service(self.permit.end());
        }
    }
}
