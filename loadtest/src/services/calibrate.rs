//! What a service really does, measured: callers who never wait drive it at fixed numbers of requests in flight, on real sockets, below, at
//! and beyond its knee.
//!
//! **Invariants**: the service is alone: what it needs and how it fails are left out. Throughput is counted by the callers: the work of the
//! requests they heard of, as far as it fell into the level's window; the service's ledger only says how much work each was. How late
//! answers come is therefore in it, as it is for a gateway.
//! **Cost**: one to two seconds a level, nine levels; this thread and two more.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::clock::Clock;
use crate::ledger::{Folder, REQUEST, Reader, RequestId, Served};
use crate::origin::curve::Curve;
use crate::overload::server::Port;
use crate::scenario::service::Failures;
use crate::scenario::{Gateway, Scenario, Service, Stage};

/// Below the knee a service that is further from its curve is a failure of the harness.
pub const TOLERANCE: f64 = 0.03;

/// Levels, in knees.
const LEVELS: [f64; 9] = [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0];

/// A level has settled after this, and after twice the time of a request.
const SETTLES: Duration = Duration::from_millis(300);

/// Times a request takes that a window has at least.
const ROUNDS: f64 = 4.0;

/// Where the callers' requests go.
const PATH: &str = "/calibrate";

/// What was measured of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Its name.
    pub service: String,
    /// Requests a second of one server at its best, as the scenario says.
    pub capacity: f64,
    /// Requests in flight there.
    pub knee: f64,
    /// In order of the requests in flight.
    pub levels: Vec<Level>,
}

/// What was measured at one number of callers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Callers, of whom each has always one request on its way.
    pub callers: u32,
    /// Mean requests in flight at the service.
    pub in_flight: f64,
    /// Work a second that callers heard of, in mean requests.
    pub throughput: f64,
    /// What the curve says of so many callers.
    pub expected: f64,
    /// What it says of so many requests in flight as there were: the difference from what it says of the callers is the harness being late.
    pub by_in_flight: f64,
    /// Mean time from a request's end at the service until the caller knows, in seconds.
    pub late: f64,
}

impl Level {
    /// How far the measured throughput is from what the curve says of the callers, as a share of it: what a gateway with such a limit loses
    /// to the harness.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        self.throughput / self.expected - 1.0
    }
}

impl Calibration {
    /// The largest deviation up to the knee; not a number if nothing was measured there.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        let below = self.levels.iter().filter(|level| f64::from(level.callers) <= self.knee);
        below.map(|level| level.deviation().abs()).reduce(f64::max).unwrap_or(f64::NAN)
    }

    /// Whether the harness does what the scenario says.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.deviation() <= TOLERANCE
    }
}

/// A level while it is driven.
struct Driven {
    callers: u32,
    from: Duration,
    until: Duration,
    calls: Vec<Call>,
}

struct Call {
    person: u32,
    sent: Duration,
    heard: Duration,
}

/// Measures one server of `service`, each level for `window` or longer. The ledger of it goes to `folder`. Blocks; for outside of a runtime.
pub fn calibrate(service: &Service, window: Duration, seed: u64, folder: &Folder) -> anyhow::Result<Calibration> {
    let (port, clock) = (Port::reserve()?, Clock::start());
    let (scenario, addresses) = (alone(service), vec![vec![port.address]]);
    let (stop, stopped) = oneshot::channel::<()>();
    let ledger = folder.clone();
    let serving = thread::Builder::new().name("services".into()).spawn(move || {
        let stop = async { drop(stopped.await) };
        runtime()?.block_on(super::serve(&scenario, &addresses, clock, seed, &ledger, stop))
    })?;
    let driven = runtime()?.block_on(drive(port.address, clock, service.curve, window));
    drop(stop);
    serving.join().map_err(|_| anyhow!("the service panicked"))?.context("the service")?;
    let mut served = HashMap::new();
    for record in Reader::<Served>::open(&folder.served())? {
        let record = record?;
        served.extend(record.id.map(|id| (id.person, record)));
    }
    let levels = driven?.iter().map(|level| level.judge(&served, service.curve)).collect::<anyhow::Result<_>>()?;
    let (capacity, knee) = (service.curve.capacity(), service.curve.knee());
    Ok(Calibration { service: service.name.clone(), capacity, knee, levels })
}

/// One server of it, that needs nobody and never fails.
fn alone(service: &Service) -> Scenario {
    let failures = Failures::default();
    let most = callers(service.curve, LEVELS).last().unwrap_or(1);
    let service = Service {
        servers: 1,
        reserve: 0,
        needs: Vec::new(),
        in_flight: service.in_flight.max(most),
        failures,
        ..service.clone()
    };
    let stage =
        Stage { name: "calibrate".into(), path: PATH.into(), service: 0, body: 0, entrance: true, goes_on: 1.0 };
    Scenario {
        name: "calibrate".into(),
        shows: "one service alone".into(),
        seed: 0,
        duration: Duration::ZERO,
        drain: Duration::ZERO,
        measured_from: Duration::ZERO,
        gateway: Gateway { config: std::path::PathBuf::new(), tls: false },
        services: vec![service],
        stages: vec![stage],
        quota: None,
        arrivals: Vec::new(),
        personas: Vec::new(),
        faults: Vec::new(),
        thresholds: Vec::new(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a knee is from 1 to a million")]
fn callers(curve: Curve, levels: [f64; 9]) -> impl Iterator<Item = u32> {
    levels.into_iter().map(move |share| (share * curve.knee()).round().max(1.0) as u32)
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn drive(address: SocketAddr, clock: Clock, curve: Curve, window: Duration) -> anyhow::Result<Vec<Driven>> {
    let people = Arc::new(AtomicU32::new(0));
    let mut driven: Vec<Driven> = Vec::new();
    for callers in callers(curve, LEVELS) {
        // A small knee has fewer levels.
        if driven.last().is_some_and(|last| last.callers >= callers) {
            continue;
        }
        let takes = Duration::from_secs_f64(f64::from(callers) / curve.throughput_at(callers.into()));
        let begins = clock.now();
        let from = begins + SETTLES.max(takes * 2);
        let until = from + window.max(takes.mul_f64(ROUNDS));
        let mut tasks = JoinSet::new();
        for caller in 0..callers {
            // Not in step with each other.
            let begins = begins + takes.mul_f64(f64::from(caller) / f64::from(callers));
            tasks.spawn(call(address, clock, Arc::clone(&people), begins, until));
        }
        let mut calls = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            calls.extend(ended??);
        }
        driven.push(Driven { callers, from, until, calls });
    }
    Ok(driven)
}

/// One caller, who has always one request on its way.
async fn call(
    address: SocketAddr,
    clock: Clock,
    people: Arc<AtomicU32>,
    begins: Duration,
    until: Duration,
) -> anyhow::Result<Vec<Call>> {
    let stream = reach(address, clock).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; what goes wrong is an error of the request.
    drop(tokio::spawn(connection));
    sleep_until(clock.instant(begins)).await;
    let mut calls = Vec::new();
    while clock.now() < until {
        let person = people.fetch_add(1, Ordering::Relaxed);
        let id = RequestId { person, request: 0 };
        let request = Request::post(PATH).header("host", "calibrate").header(REQUEST, id.to_string());
        let request = request.body(Empty::<Bytes>::new())?;
        let sent = clock.now();
        sender.ready().await?;
        let mut answer = sender.send_request(request).await?;
        ensure!(answer.status() == StatusCode::CREATED, "the service answered {}", answer.status());
        while let Some(frame) = answer.body_mut().frame().await {
            frame?;
        }
        calls.push(Call { person, sent, heard: clock.now() });
    }
    Ok(calls)
}

/// The service begins to listen at about this time.
async fn reach(address: SocketAddr, clock: Clock) -> io::Result<TcpStream> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let given_up = clock.now() + PATIENCE;
    loop {
        match TcpStream::connect(address).await {
            Err(error) if clock.now() >= given_up => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            connected => return connected,
        }
    }
}

impl Driven {
    fn judge(&self, served: &HashMap<u32, Served>, curve: Curve) -> anyhow::Result<Level> {
        let (from, until) = (self.from.as_secs_f64(), self.until.as_secs_f64());
        let inside = |begins: f64, ends: f64| (ends.min(until) - begins.max(from)).max(0.0);
        let (mut work, mut in_flight, mut late) = (0.0, 0.0, 0.0);
        for call in &self.calls {
            let served = served.get(&call.person).context("a request that was heard of is not in the ledger")?;
            let (sent, heard) = (call.sent.as_secs_f64(), call.heard.as_secs_f64());
            let (started, done) = (served.started as f64 / 1e6, served.done as f64 / 1e6);
            // At a steady number of requests in flight work goes on evenly.
            work += f64::from(served.work) * inside(sent, heard) / (heard - sent).max(1e-9);
            in_flight += inside(started, done);
            late += heard - done;
        }
        let window = until - from;
        Ok(Level {
            callers: self.callers,
            in_flight: in_flight / window,
            throughput: work / window,
            expected: curve.throughput_at(self.callers.into()),
            by_in_flight: curve.throughput_at(in_flight / window),
            late: late / (self.calls.len() as f64).max(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::fixture;

    /// A machine that is busy with other tests is late; that is what the tolerance tells.
    const BUSY: f64 = 0.15;

    #[test]
    fn a_service_does_what_its_curve_says() {
        let on_disk = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(on_disk.path());
        let slow = Service { curve: Curve::kink(80.0, 8, 0.1), work_shape: 4, in_flight: 1, ..fixture::service() };
        let failing = Service { failures: Failures { before_effect: 1.0, ..Failures::default() }, ..slow };
        let measured = calibrate(&failing, Duration::from_millis(200), 1, &folder).expect("it can be measured");
        let callers: Vec<_> = measured.levels.iter().map(|level| level.callers).collect();
        assert_eq!(callers, [2, 4, 6, 8, 10, 12, 16, 20, 24]);
        for level in &measured.levels {
            assert!(level.deviation().abs() < BUSY, "{level:?}");
            assert!(level.in_flight <= f64::from(level.callers) + 1e-6 && level.late >= 0.0, "{level:?}");
        }
    }

    #[test]
    fn what_is_off_below_the_knee_does_not_hold_and_beyond_it_is_shown() {
        let level = |callers, throughput, expected| {
            let (in_flight, by_in_flight) = (f64::from(callers), expected);
            Level { callers, in_flight, throughput, expected, by_in_flight, late: 0.0 }
        };
        let of = |levels| Calibration { service: "a".into(), capacity: 400.0, knee: 40.0, levels };
        assert!(of(vec![level(20, 195.0, 200.0), level(40, 392.0, 400.0), level(80, 200.0, 363.0)]).holds());
        assert!(!of(vec![level(20, 193.0, 200.0), level(40, 400.0, 400.0)]).holds());
        assert!(!of(vec![level(20, 207.0, 200.0)]).holds() && !of(vec![]).holds());
    }
}
