//! A worker over real sockets, to a gateway of this test: whoever comes first is given a place, and let in when he comes again.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

use super::*;
use crate::clock::monotonic;
use crate::coordinator::plan::{Entrance, Machine};
use crate::ledger::{Ending, Kind, NONE, Reader, Told, Word};
use crate::origin::server::speak;
use crate::scenario::persona::{Keeps, Persona, Protocol, Source, Spread, Tabs, Waits};
use crate::scenario::{Gateway, Stage};

/// Patient, quick to think, comes when told, over HTTP/1.1.
pub(crate) fn persona() -> Persona {
    let fixed = |millis| Spread::Fixed(Duration::from_millis(millis));
    Persona {
        name: "patient".into(),
        share: 1.0,
        patience: fixed(20_000),
        answer_patience: fixed(5_000),
        think: fixed(50),
        honours_retry_after: 1.0,
        impatience: fixed(200),
        fastest: 50.0,
        double_click: 0.0,
        tabs: Tabs { probability: 0.0, further: 0 },
        keeps: Keeps { cookie: 1.0, ticket_header: false, key: true },
        waits: Waits::Poll,
        source: Source::Own,
        protocol: Protocol::Http1,
        upload: None,
        attack: None,
    }
}

/// Two stages, nobody planned to come.
pub(crate) fn scenario(personas: Vec<Persona>) -> Scenario {
    let stage = |path: &str, body| Stage {
        name: path.trim_start_matches('/').into(),
        path: path.into(),
        service: 0,
        body,
        entrance: path == "/register",
        goes_on: 1.0,
    };
    Scenario {
        name: "test".into(),
        shows: String::new(),
        seed: 1,
        duration: Duration::from_secs(5),
        drain: Duration::from_secs(20),
        measured_from: Duration::ZERO,
        gateway: Gateway { config: PathBuf::new(), tls: false },
        services: Vec::new(),
        stages: vec![stage("/register", 100), stage("/photo", 40_000)],
        quota: None,
        arrivals: Vec::new(),
        personas,
        faults: Vec::new(),
        thresholds: Vec::new(),
    }
}

/// Where people come to, from now.
pub(crate) fn plan(entrance: SocketAddr) -> RunPlan {
    RunPlan {
        name: "test".into(),
        scenario: "test.toml".into(),
        seed: 1,
        time_scale: 1.0,
        start_ns: monotonic(),
        workers: 1,
        entrance: Some(Entrance { address: entrance, tls: false }),
        admin: None,
        services: Vec::new(),
        proxied: None,
        gateway: None,
        plan_hash: String::new(),
        versions: std::collections::BTreeMap::new(),
        machine: Machine::default(),
    }
}

/// A gateway that gives everybody a place first.
#[derive(Debug, Default)]
struct Door {
    asked: Mutex<HashMap<String, u32>>,
    sources: Mutex<HashSet<SocketAddr>>,
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, mut body) = request.into_parts();
        let mut length = 0;
        while let Some(Ok(frame)) = body.frame().await {
            length += frame.data_ref().map_or(0, Bytes::len);
        }
        let field = |fields: &HeaderMap, name: &str| {
            fields.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let key = field(&head.headers, "idempotency-key");
        let shown = field(&head.headers, "cookie").contains(&format!("weir_ticket={key}"));
        let times = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let times = asked.entry(key.clone()).or_default();
            *times += 1;
            *times
        };
        let response = Response::builder().header("content-type", "application/json");
        let answer = match (head.method, head.uri.path(), times) {
            (Method::POST, "/register", 1) => response
                .status(503)
                .header("retry-after", "1")
                .header("set-cookie", format!("weir_ticket={key}; Path=/"))
                .body(r#"{"type":"urn:weir:problem:waiting","place":2,"ahead":1,"eta_seconds":{"p50":1,"p90":2}}"#),
            (Method::GET, "/.weir/place", 2) if shown => response.status(200).body(r#"{"state":"turn"}"#),
            (Method::POST, "/register", 3) if shown && length == 100 => response.status(201).body("{}"),
            (Method::POST, "/photo", 4) if length == 40_000 => response.status(201).body("{}"),
            _ => response.status(400).body("{}"),
        };
        answer.expect("a response").map(|text| Full::new(Bytes::from_static(text.as_bytes())))
    }
}

/// Serves until the runtime ends.
fn door() -> (SocketAddr, Arc<Door>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let (address, door) = (listener.local_addr().expect("bound"), Arc::<Door>::default());
    let (listener, doors) = (TcpListener::from_std(listener).expect("a listener"), Arc::clone(&door));
    tokio::spawn(async move {
        while let Ok((stream, from)) = listener.accept().await {
            doors.sources.lock().unwrap_or_else(PoisonError::into_inner).insert(from);
            let doors = Arc::clone(&doors);
            tokio::spawn(speak(stream, move |request| {
                let doors = Arc::clone(&doors);
                async move { Ok::<_, std::convert::Infallible>(doors.answer(request).await) }
            }));
        }
    });
    (address, door)
}

fn people(count: u32, personas: u32) -> Vec<Person> {
    let person = |number: u32| Person {
        arrives: Duration::from_millis(300 + u64::from(number) * 5),
        persona: u8::try_from(number % personas).expect("few"),
        seed: number.into(),
        address: number,
    };
    (0..count).map(person).collect()
}

/// Plays `count` people; what they were told.
async fn played(scenario: Scenario, plan: RunPlan, count: u32) -> (Progress, Vec<Told>, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let personas = u32::try_from(scenario.personas.len()).expect("few");
    let assignment = Assignment {
        scenario,
        plan,
        folder: Folder::new(folder.path()),
        share: Share { worker: 0, workers: 1 },
        descriptors: 1_000,
    };
    let mut out = Vec::new();
    let progress = play(assignment, &people(count, personas), std::future::pending(), &mut out).await.expect("played");
    let told = Reader::open(&folder.path().join("told.0")).expect("a ledger");
    (progress, told.map(|record| record.expect("a record")).collect(), out)
}

#[tokio::test]
async fn everybody_gets_through_and_all_of_it_is_written_down() {
    let (address, door) = door();
    let shared = Persona { protocol: Protocol::Http2 { people: 25 }, ..persona() };
    let (progress, told, out) = played(scenario(vec![persona(), shared]), plan(address), 100).await;
    assert_eq!((progress.arrived, progress.registered, progress.present), (100, 100, 0));
    assert_eq!((progress.requests, progress.harness, told.len()), (400, 0, 400));
    for person in 0..100 {
        let mut of: Vec<_> = told.iter().filter(|told| told.id.person == person).collect();
        of.sort_by_key(|told| told.id.request);
        let said: Vec<_> = of.iter().map(|told| (told.stage, told.kind, told.word, told.shown)).collect();
        let wanted = [
            (0, Kind::Submit, Word::Place, false),
            (0, Kind::Poll, Word::Turn, true),
            (0, Kind::Submit, Word::Done, true),
            (1, Kind::Submit, Word::Done, true),
        ];
        assert_eq!(said, wanted, "{person}");
        let [first, poll, ..] = of[..] else { panic!("four requests") };
        assert_eq!((first.status, first.place, first.ahead, first.eta_p90), (503, 2, 1, 2_000));
        assert_eq!((first.retry_after, poll.retry_after), (1_000, NONE));
        assert_eq!(first.intended, 300_000 + u64::from(person) * 5_000, "as planned");
        assert_eq!(poll.intended, first.ended + 1_000_000, "as told");
        assert!(of.iter().all(|told| told.intended <= told.sent && told.sent <= told.ended));
    }
    let lines: Vec<Progress> =
        String::from_utf8_lossy(&out).lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    assert!(lines.len() >= 5 && lines.last() == Some(&progress) && progress.over, "{lines:?}");
    // An address each over HTTP/1.1, one of each connection over HTTP/2.
    let sources = door.sources.lock().unwrap_or_else(PoisonError::into_inner);
    let addresses: HashSet<_> = sources.iter().map(SocketAddr::ip).collect();
    assert_eq!(addresses.len(), 50 + 2);
    // The second stage follows soon: its connection is kept. The turn is told a second after the place: also that.
    assert_eq!(sources.len(), 50 + 2);
}

#[tokio::test]
async fn who_waits_when_the_run_ends_is_written_down_as_waiting() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut scenario = scenario(vec![persona()]);
    (scenario.duration, scenario.drain) = (Duration::from_millis(900), Duration::ZERO);
    let (progress, told, _) = played(scenario, plan(address), 10).await;
    assert_eq!((progress.present, progress.requests, told.len()), (10, 0, 10));
    assert!(told.iter().all(|told| told.ending == Ending::Open && told.ended >= 900_000), "{told:?}");
    drop(listener);
}

#[tokio::test]
async fn without_a_gateway_each_stage_goes_to_a_server_of_its_service() {
    let (first, door) = door();
    let mut scenario = scenario(vec![persona()]);
    scenario.stages.truncate(1);
    let mut plan = plan(first);
    (plan.entrance, plan.services) = (None, vec![vec![first]]);
    let service = crate::scenario::Service {
        name: "registration".into(),
        curve: crate::origin::curve::Curve::kink(100.0, 10, 0.1),
        in_flight: 10,
        servers: 1,
        reserve: 0,
        needs: Vec::new(),
        idempotent: false,
        failures: crate::scenario::service::Failures::default(),
        work_shape: 0,
    };
    scenario.services = vec![service];
    let (progress, told, _) = played(scenario, plan, 5).await;
    assert_eq!((progress.registered, told.len()), (5, 15));
    assert_eq!(door.asked.lock().unwrap_or_else(PoisonError::into_inner).len(), 5);
}

#[tokio::test]
async fn a_worker_that_is_asked_to_stop_keeps_what_it_knows() {
    let (address, _) = door();
    let folder = tempfile::tempdir().expect("a folder");
    let assignment = Assignment {
        scenario: scenario(vec![persona()]),
        plan: plan(address),
        folder: Folder::new(folder.path()),
        share: Share { worker: 3, workers: 4 },
        descriptors: 1_000,
    };
    let stop = async {
        spawn_blocking(|| ()).await.ok();
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let progress = play(assignment, &people(400, 1), stop, io::sink()).await.expect("played");
    assert!(progress.arrived > 10 && progress.arrived < 50, "{progress:?}");
    let told = Reader::<Told>::open(&folder.path().join("told.3")).expect("a ledger").count();
    assert!(told as u64 >= progress.requests && told > 10, "{told}");
}
