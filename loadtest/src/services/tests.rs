//! The services on real sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::fixture::{at, fault, scenario, service};
use crate::clock::Clock;
use crate::ledger::{Effect, Folder, Reader, RequestId, Sample, Served, key_hash};
use crate::overload::server::Port;
use crate::scenario::fault::ServiceFault;
use crate::scenario::{Scenario, Service, service::Failures};

/// Running services of a test.
struct Running {
    addresses: Vec<Vec<SocketAddr>>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
    folder: Folder,
    clock: Clock,
    _on_disk: tempfile::TempDir,
}

impl Running {
    fn start(scenario: &Scenario) -> Self {
        let on_disk = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(on_disk.path());
        let address = |_| Port::reserve().expect("a port").address;
        let servers = |service: &Service| (0..service.servers + service.reserve).map(address).collect();
        let addresses: Vec<Vec<_>> = scenario.services.iter().map(servers).collect();
        let (stop, stopped) = oneshot::channel::<()>();
        let (clock, scenario, listens, files) = (Clock::start(), scenario.clone(), addresses.clone(), folder.clone());
        let serving = tokio::spawn(async move {
            let stop = async move { drop(stopped.await) };
            super::serve(&scenario, &listens, clock, 1, &files, stop).await
        });
        Self { addresses, stop, serving, folder, clock, _on_disk: on_disk }
    }

    /// The first server of the first service.
    fn address(&self) -> SocketAddr {
        self.addresses[0][0]
    }

    async fn until(&self, millis: u64) {
        sleep(at(millis).saturating_sub(self.clock.now())).await;
    }

    async fn connect(&self, address: SocketAddr) -> TcpStream {
        for _ in 0..100 {
            match TcpStream::connect(address).await {
                Ok(stream) => return stream,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
        panic!("nobody listens on {address}")
    }

    /// Sends a request over a connection of its own and reads until that ends.
    async fn post(&self, person: u32, path: &str, body: usize) -> String {
        let mut stream = self.connect(self.address()).await;
        send(&mut stream, person, path, body).await;
        read(&mut stream).await
    }

    async fn end(self) -> (Vec<Served>, Vec<Sample>) {
        drop(self.stop);
        self.serving.await.expect("no panic").expect("served");
        let served = Reader::open(&self.folder.served()).expect("a ledger").map(|record| record.expect("whole"));
        let samples = Reader::open(&self.folder.samples()).expect("a ledger").map(|record| record.expect("whole"));
        (served.collect(), samples.collect())
    }
}

async fn send(stream: &mut TcpStream, person: u32, path: &str, body: usize) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nloadtest-request: {person}-0\r\nidempotency-key: p1-{person}\r\n\
         content-length: {body}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&vec![b'x'; body]).await.expect("sent");
}

/// What came until the end; a reset is an end.
async fn read(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok();
    text
}

fn person(served: &Served) -> Option<u32> {
    served.id.map(|id| id.person)
}

#[tokio::test]
async fn a_registration_is_answered_and_recorded() {
    let running = Running::start(&scenario(vec![Service { idempotent: true, ..service() }]));
    let first = running.post(7, "/sign-up", 80).await;
    assert!(first.starts_with("HTTP/1.1 201") && first.ends_with("{\"registration\":1}\n"), "{first}");
    let again = running.post(7, "/sign-up", 80).await;
    assert!(again.starts_with("HTTP/1.1 200") && again.ends_with("{\"registration\":1}\n"), "{again}");
    assert!(running.post(8, "/check", 0).await.starts_with("HTTP/1.1 404"));
    let (status, _) = crate::fetch::get(&format!("http://{}/healthz", running.address())).await.expect("a page");
    assert_eq!(status, StatusCode::OK);
    let (served, samples) = running.end().await;
    let seen: Vec<_> =
        served.iter().map(|served| (person(served), served.stage, served.effect, served.status)).collect();
    assert_eq!(
        seen,
        [
            (Some(7), 0, Effect::First, 201),
            (Some(7), 0, Effect::Recognised, 200),
            (Some(8), 255, Effect::Nothing, 404),
            (None, 255, Effect::Nothing, 200),
        ]
    );
    assert_eq!(served[0].key, key_hash(b"p1-7"));
    assert_eq!(served[0].id, Some(RequestId { person: 7, request: 0 }));
    assert!(served[0].heard && served[0].in_flight == 1);
    let took = served[0].done - served[0].started;
    assert!((99_900..=100_100).contains(&took), "{took} µs of 100 ms");
    assert_eq!((samples[0].at, samples[1].at), (0, 50_000));
}

#[tokio::test]
async fn http2_is_spoken_and_only_the_stream_of_a_lost_answer_breaks() {
    let failures = Failures { lost_reply: 0.5, ..Failures::default() };
    let running = Running::start(&scenario(vec![Service { failures, ..service() }]));
    let stream = running.connect(running.address()).await;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let post = |person: u32| {
        let request = Request::post("http://a/sign-up").header("loadtest-request", format!("{person}-0"));
        let mut sender = sender.clone();
        async move { sender.send_request(request.body(Full::new(Bytes::from_static(b"x"))).expect("a request")).await }
    };
    let mut answers = Vec::new();
    for person in 0..8 {
        answers.push(post(person).await);
    }
    let created = |answer: &hyper::Result<Response<Incoming>>| answer.as_ref().is_ok_and(|a| a.status() == 201);
    let heard = answers.iter().filter(|answer| created(answer)).count();
    assert!(heard > 0 && heard < 8, "{answers:?}");
    assert!(!connection.is_finished());
    let (served, _) = running.end().await;
    assert!(served.iter().all(|served| served.effect == Effect::First));
    assert_eq!(served.iter().filter(|served| served.heard && served.status == 201).count(), heard);
}

#[tokio::test]
async fn a_photo_of_megabytes_is_read_at_any_speed() {
    let running = Running::start(&scenario(vec![service()]));
    assert!(running.post(1, "/sign-up", 5 << 20).await.starts_with("HTTP/1.1 201"));
    let mut slow = running.connect(running.address()).await;
    let head = "POST /sign-up HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 6\r\n\r\n";
    slow.write_all(head.as_bytes()).await.expect("sent");
    for _ in 0..6 {
        sleep(at(20)).await;
        slow.write_all(b"x").await.expect("sent");
    }
    assert!(read(&mut slow).await.starts_with("HTTP/1.1 201"));
    let mut torn = running.connect(running.address()).await;
    torn.write_all(head.as_bytes()).await.expect("sent");
    drop(torn);
    sleep(at(50)).await;
    let (served, _) = running.end().await;
    assert_eq!(served.iter().map(|served| served.status).collect::<Vec<_>>(), [201, 201]);
}

#[tokio::test]
async fn answers_are_lost_cut_and_never_given() {
    let broken = |failures| Running::start(&scenario(vec![Service { failures, ..service() }]));
    let lost = broken(Failures { lost_reply: 1.0, ..Failures::default() });
    assert_eq!(lost.post(1, "/sign-up", 80).await, "");
    let (served, _) = lost.end().await;
    assert_eq!((served[0].effect, served[0].status, served[0].heard), (Effect::First, 0, false));
    let cut = broken(Failures { cut_reply: 1.0, ..Failures::default() });
    let text = cut.post(1, "/sign-up", 80).await;
    assert!(text.starts_with("HTTP/1.1 201") && text.contains("content-length: 19"), "{text}");
    assert!(text.contains("{\"registr") && !text.contains('}'), "{text}");
    let (served, _) = cut.end().await;
    assert_eq!((served[0].effect, served[0].status, served[0].heard), (Effect::First, 201, false));
    let hang = broken(Failures { hang: 1.0, ..Failures::default() });
    let silent = timeout(at(400), hang.post(1, "/sign-up", 80)).await;
    assert!(silent.is_err(), "{silent:?}");
    sleep(at(100)).await;
    let (served, samples) = hang.end().await;
    assert_eq!((served[0].effect, served[0].status, served[0].heard), (Effect::Nothing, 0, false));
    let most = samples.iter().map(|sample| sample.in_flight).max();
    assert_eq!((most, samples.last().map(|sample| sample.in_flight)), (Some(1), Some(0)));
}

#[tokio::test]
async fn the_work_of_who_has_gone_is_done_and_unheard() {
    let running = Running::start(&scenario(vec![service()]));
    let mut stream = running.connect(running.address()).await;
    send(&mut stream, 1, "/sign-up", 80).await;
    sleep(at(30)).await;
    drop(stream);
    sleep(at(200)).await;
    let (served, _) = running.end().await;
    assert_eq!((served.len(), served[0].effect, served[0].heard), (1, Effect::First, false));
}

#[tokio::test]
async fn a_restart_breaks_connections_and_work_and_keeps_port_and_ledger() {
    let mut scenario = scenario(vec![service()]);
    scenario.faults = vec![fault(400, 400, None, ServiceFault::Restart)];
    let running = Running::start(&scenario);
    assert!(running.post(1, "/sign-up", 80).await.starts_with("HTTP/1.1 201"));
    let mut idle = running.connect(running.address()).await;
    running.until(350).await;
    let lost = running.post(2, "/sign-up", 80).await;
    assert_eq!(lost, "", "what is in flight breaks");
    assert_eq!(read(&mut idle).await, "", "so does who is idle");
    running.until(500).await;
    let refused = TcpStream::connect(running.address()).await.map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(io::ErrorKind::ConnectionRefused));
    running.until(850).await;
    let again = running.post(1, "/sign-up", 80).await;
    assert!(again.ends_with("{\"registration\":2}\n"), "{again}");
    let (served, _) = running.end().await;
    let effects: Vec<_> = served.iter().map(|served| (person(served), served.effect, served.status)).collect();
    assert_eq!(
        effects,
        [(Some(1), Effect::First, 201), (Some(2), Effect::Nothing, 0), (Some(1), Effect::Duplicate, 201)]
    );
    assert_eq!(served[1].done, 400_000);
}

#[tokio::test]
async fn a_reserve_refuses_until_it_is_added() {
    let mut scenario = scenario(vec![Service { reserve: 1, ..service() }]);
    scenario.faults = vec![fault(300, 0, None, ServiceFault::AddServers(1))];
    let running = Running::start(&scenario);
    let reserve = running.addresses[0][1];
    drop(running.connect(running.address()).await);
    assert!(TcpStream::connect(reserve).await.is_err());
    running.until(350).await;
    let mut added = running.connect(reserve).await;
    send(&mut added, 1, "/sign-up", 80).await;
    assert!(read(&mut added).await.starts_with("HTTP/1.1 201"));
    let (served, _) = running.end().await;
    assert_eq!((served[0].service, served[0].server), (0, 1));
}

#[tokio::test]
async fn a_missing_address_and_a_taken_port_are_errors() {
    let on_disk = tempfile::tempdir().expect("a folder");
    let (scenario, folder) = (scenario(vec![service()]), Folder::new(on_disk.path()));
    let serve = |addresses: Vec<Vec<SocketAddr>>| {
        let (scenario, folder) = (scenario.clone(), folder.clone());
        async move { super::serve(&scenario, &addresses, Clock::start(), 1, &folder, std::future::pending()).await }
    };
    let missing = serve(vec![]).await.expect_err("no address");
    assert!(missing.to_string().contains("server 0 of the service registration"), "{missing}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let error = serve(vec![vec![address]]).await.expect_err("taken");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}
