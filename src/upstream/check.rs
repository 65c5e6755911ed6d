//! Active health checks: a small request to each server, now and then.
//!
//! **Invariants**: one check of a server at a time, on a connection of its own that is closed after it; a check takes at most its
//! timeout. It is no exchange: it counts neither as in flight nor as an answer, and teaches whoever controls the limit nothing.
//! **Cost**: one task for each server; one connection a check.
//! **Not here**: what an unhealthy server means for the choice (`balance`).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::Empty;
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::count::Event;
use super::dial::open;
use super::health::Thresholds;
use super::repeat::Load;
use super::resolve::jittered;
use super::server::ServerState;
use super::shared::Upstream;
use super::upload::Upload;
use crate::clock::Clock;
use crate::config::plan::HealthCheck;

/// Checks `server` until it is no longer part of the upstream.
pub(super) async fn keep_checked(upstream: Arc<Upstream>, server: Arc<ServerState>, check: HealthCheck, clock: Clock) {
    let thresholds = Thresholds { rise: check.rise.get(), fall: check.fall.get() };
    // The first one at any time, so that servers are not all checked at once.
    let mut pause = check.interval.mul_f64(fastrand::f64());
    loop {
        sleep(pause).await;
        if server.health.is_retired() {
            return;
        }
        let passed = timeout(check.timeout, passes(&upstream, &server, &check, &clock)).await.unwrap_or(false);
        if !passed {
            server.record(Event::ChecksFailed);
        }
        match server.health.checked(passed, thresholds, clock.now()) {
            Some(true) => tracing::info!(upstream = %upstream.name, server = %server.authority(), "server healthy"),
            Some(false) => tracing::warn!(upstream = %upstream.name, server = %server.authority(), "server unhealthy"),
            None => {}
        }
        pause = jittered(check.interval, fastrand::f64());
    }
}

/// Whether the server answers the check with one of the statuses wanted.
async fn passes(upstream: &Upstream, server: &ServerState, check: &HealthCheck, clock: &Clock) -> bool {
    let mut request = Request::new(Upload::new(Load::First(Empty::<Bytes>::new()), None, clock));
    *request.uri_mut() = check.path.clone().into();
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("weir-health"));
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let Ok(mut connection): Result<Connection<Empty<Bytes>>, _> = open(upstream, server, clock).await else {
        return false;
    };
    let response = connection.send(request, &server.origin).await;
    response.is_ok_and(|response| check.status.iter().any(|range| range.contains(&response.status().as_u16())))
}
