//! The sockets of one server, which close when it refuses or starts again, and open on the same port.
//!
//! **Invariants**: a server that closes breaks every connection. Never more connections than [`Places`] has; beyond, callers wait in the
//! listen backlog. Bodies are read to the end at whatever speed they come, and thrown away.
//! **Cost**: one task a connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::fleet::{Answer, NO_STAGE, Visit};
use super::hub::Hub;
use super::reply::{Lost, Reply, page, respond};
use crate::clock::Clock;
use crate::ledger::{REQUEST, key_hash};
use crate::origin::server::{IDEMPOTENCY_KEY, speak_or_break};
use crate::overload::server::Port;
use crate::scenario::{Scenario, ServiceIndex};

/// After a failed accept; descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Connections of all servers at once.
pub type Places = Arc<Semaphore>;

/// A span of time in which a server listens: from, and until if ever.
pub type Span = (Duration, Option<Duration>);

/// One server as its sockets know it.
#[derive(Clone, Debug)]
pub struct Door {
    /// All services.
    pub hub: Arc<Hub>,
    /// Which server this is among all.
    pub server: usize,
    /// Which of the paths it knows are its own.
    pub service: ServiceIndex,
    /// All paths.
    pub paths: Arc<Paths>,
}

/// The stages by the path they are sent to.
#[derive(Debug)]
pub struct Paths(Vec<Path>);

#[derive(Debug)]
struct Path {
    whole: String,
    without_query: String,
    stage: u8,
    service: ServiceIndex,
}

impl Paths {
    /// Those of `scenario`.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let paths = (0..).zip(&scenario.stages).map(|(stage, definition)| {
            let path = definition.path.split('?').next().unwrap_or_default();
            Path { whole: definition.path.clone(), without_query: path.into(), stage, service: definition.service }
        });
        Self(paths.collect())
    }

    /// The stage with this very path and query, or else with this path.
    fn find(&self, uri: &http::Uri) -> Option<&Path> {
        let whole = uri.path_and_query().map_or("", |whole| whole.as_str());
        let exactly = self.0.iter().find(|path| path.whole == whole);
        exactly.or_else(|| self.0.iter().find(|path| path.without_query == uri.path()))
    }
}

impl Door {
    /// Serves in these spans of time, in order; the last has no end.
    pub async fn open(self, port: Port, spans: Vec<Span>, places: Places, clock: Clock) -> io::Result<()> {
        for (from, until) in spans {
            // Who is there from the start is there before it: the gateway looks for him.
            if !from.is_zero() {
                sleep_until(clock.instant(from)).await;
            }
            let listener = port.listen()?;
            let Some(until) = until else {
                self.accept(listener, &places).await;
                continue;
            };
            tokio::select! {
                () = self.accept(listener, &places) => {}
                // Listener and connections are dropped.
                () = sleep_until(clock.instant(until)) => self.hub.catch_up(),
            }
        }
        Ok(())
    }

    /// Accepts for ever; dropping it breaks the connections.
    async fn accept(&self, listener: TcpListener, places: &Places) {
        let mut connections = JoinSet::new();
        while let Ok(place) = Arc::clone(places).acquire_owned().await {
            while connections.try_join_next().is_some() {}
            let Ok((stream, _)) = listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let door = self.clone();
            connections.spawn(async move {
                // A gateway that breaks a connection is an ordinary event: the ledger has it.
                speak_or_break(stream, move |request| door.clone().answer(request)).await.ok();
                drop(place);
            });
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Reply>, Lost> {
        let (head, mut body) = request.into_parts();
        while let Some(frame) = body.frame().await {
            // It never was complete here.
            frame.map_err(|_| Lost)?;
        }
        let header = |name: &str| head.headers.get(name);
        let stage = self.paths.find(&head.uri);
        let visit = Visit {
            id: header(REQUEST).and_then(|number| number.to_str().ok()?.parse().ok()),
            stage: stage.map_or(NO_STAGE, |path| path.stage),
            key: header(IDEMPOTENCY_KEY.as_str()).map_or(0, |key| key_hash(key.as_bytes())),
        };
        let is_mine = stage.is_some_and(|path| path.service == self.service);
        if head.method == Method::GET || head.method == Method::HEAD {
            return match self.hub.glance(self.server, visit, Answer::Known(0)) {
                Answer::Known(_) => Ok(page()),
                failed => respond(failed),
            };
        }
        if !is_mine {
            return respond(self.hub.glance(self.server, visit, Answer::Failed(404)));
        }
        respond(self.hub.work(self.server, visit).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::fixture;

    #[test]
    fn stages_are_known_by_path_and_query_and_else_by_path() {
        let mut scenario = fixture::scenario(vec![fixture::service(), fixture::service()]);
        scenario.stages[1].path = "/sign-up?step=2".into();
        let paths = Paths::of(&scenario);
        let stage = |uri: &str| paths.find(&uri.parse().expect("a target")).map(|path| path.stage);
        assert_eq!((stage("/sign-up"), stage("/sign-up?step=2"), stage("/sign-up?x=1")), (Some(0), Some(1), Some(0)));
        assert_eq!((stage("/"), stage("/sign-up/")), (None, None));
    }
}
