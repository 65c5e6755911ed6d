//! The service and the crowd over real sockets, as libraries and as programs.
#![expect(clippy::expect_used, reason = "a helper of a test that cannot go on says where")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{Request, StatusCode, Version};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use loadtest::crowd::attempt::Target;
use loadtest::crowd::plan::{Arrivals, Behaviour, Plan};
use loadtest::crowd::{Crowd, Live, tally};
use loadtest::ideal;
use loadtest::origin::curve::Curve;
use loadtest::origin::ledger::{Effect, Record};
use loadtest::origin::server::Account;
use loadtest::origin::service::Bounds;
use loadtest::origin::{self, Origin};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

const PROGRAM: &str = env!("CARGO_BIN_EXE_loadtest");

fn service(capacity: f64, knee: u32) -> Origin {
    Origin {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        curve: Curve::kink(capacity, knee, 0.1),
        bounds: Bounds { in_flight: 10_000, keys: 10_000 },
        max_connections: 2_000,
        seed: 1,
        idempotent: false,
        ledger: None,
    }
}

/// Runs `origin` on a thread of its own while `body` has its address.
fn with_origin<T>(origin: Origin, body: impl FnOnce(SocketAddr) -> T) -> (T, Account) {
    let (ready, address) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let stop = async {
            stopped.await.ok();
        };
        runtime.block_on(origin::run(origin, |address| ready.send(address).expect("awaited"), stop)).expect("served")
    });
    let result = body(address.blocking_recv().expect("listening"));
    stop.send(()).expect("running");
    (result, server.join().expect("server"))
}

fn crowd(address: SocketAddr, people: u32, rate: f64, behaviour: Behaviour) -> (tally::Account, Arc<Plan>) {
    let plan = Arc::new(Plan::draw(Arrivals { people, rate }, behaviour, 7));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let authority = Authority::try_from(address.to_string()).expect("an authority");
    let target = runtime.block_on(Target::resolve(&authority)).expect("resolved");
    let crowd = Crowd { plan: Arc::clone(&plan), target, sockets: 1_000 };
    (crowd.run(Arc::new(Live::default())).expect("ran"), plan)
}

#[test]
fn a_service_below_its_capacity_registers_everybody_once() {
    let ((met, plan), did) =
        with_origin(service(1_000.0, 100), |address| crowd(address, 300, 300.0, Behaviour::default()));
    assert_eq!((met.people, met.registered, met.attempts), (300, 300, 300));
    assert_eq!(met.statuses.get(&201), Some(&300));
    assert_eq!((did.service.counts.effects, did.service.counts.duplicates, did.service.counts.wasted), (300, 0, 0));
    assert!(did.service.max_in_flight >= 5 && did.service.max_in_flight < 300, "{did:?}");
    assert_eq!(ideal::serve(plan.stays(), 1_000.0).registered, 300);
    // 100 in flight at 1,000/s: a request of half the mean work takes at least 50 ms.
    assert!(met.from_arrival.p50 >= 0.05 && met.lag.count == 300, "{met:?}");
}

#[test]
fn an_overrun_service_works_for_people_who_have_left() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let ledger = folder.path().join("ledger.jsonl");
    let behaviour = Behaviour {
        patience: Duration::from_millis(300),
        give_up: Duration::from_secs(2),
        think: 0.1..0.2,
        ..Behaviour::default()
    };
    let overrun = Origin { ledger: Some(ledger.clone()), ..service(50.0, 5) };
    let ((met, plan), did) = with_origin(overrun, |address| crowd(address, 150, 100.0, behaviour));
    let counts = did.service.counts;
    assert_eq!((met.people, met.registered + met.gave_up), (150, 150));
    assert!(met.registered < ideal::serve(plan.stays(), 50.0).registered && met.silences > 150, "{met:?}");
    assert!(counts.wasted > 0 && did.service.in_flight > 0, "{did:?}");
    let text = std::fs::read_to_string(ledger).expect("ledger");
    let records: Vec<Record> = text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    let unheard = records.iter().filter(|record| !record.heard).count();
    let heard_first = records.iter().filter(|record| record.heard && record.effect != Effect::Recognised).count();
    assert_eq!((records.len() as u64, unheard as u64), (counts.effects, counts.wasted));
    assert_eq!(heard_first as u64, met.registered);
    assert!(records.iter().all(|record| record.attempt >= 1 && record.done_us > record.received_us));
}

#[test]
fn more_people_than_sockets_wait_and_are_counted() {
    let ((met, _), _) = with_origin(service(2_000.0, 1_000), |address| {
        let behaviour = Behaviour { give_up: Duration::from_secs(30), ..Behaviour::default() };
        let plan = Arc::new(Plan::draw(Arrivals { people: 20, rate: 1e4 }, behaviour, 7));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let authority = Authority::try_from(address.to_string()).expect("an authority");
        let target = runtime.block_on(Target::resolve(&authority)).expect("resolved");
        let crowd = Crowd { plan: Arc::clone(&plan), target, sockets: 12 };
        (crowd.run(Arc::new(Live::default())).expect("ran"), plan)
    });
    assert_eq!((met.registered, met.descriptor_waits), (20, 8));
    assert!(met.invalid().is_some_and(|why| why.contains("late")), "{met:?}");
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served() {
    let (ready, address) = oneshot::channel();
    let (_stop, stopped) = oneshot::channel::<()>();
    let stop = async {
        stopped.await.ok();
    };
    let server = origin::run(service(1_000.0, 10), |address| ready.send(address).expect("awaited"), stop);
    let client = async {
        let stream = tokio::net::TcpStream::connect(address.await.expect("listening")).await.expect("connected");
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("handshake");
        tokio::spawn(connection);
        let request = Request::post("http://origin/register").header("idempotency-key", "one");
        let request = request.body(Full::new(Bytes::from_static(b"{}"))).expect("a request");
        sender.send_request(request).await.expect("an answer")
    };
    tokio::select! {
        ended = server => panic!("{ended:?}"),
        response = client => {
            assert_eq!((response.status(), response.version()), (StatusCode::CREATED, Version::HTTP_2));
        }
    }
}

/// A child that is killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts `loadtest origin` under a limit of `descriptors` and reads the address it says.
fn origin_program(descriptors: u32, options: &str) -> (Running, SocketAddr) {
    let script = format!("ulimit -n {descriptors}; exec {PROGRAM} origin --listen 127.0.0.1:0 {options}");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Running(command.spawn().expect("sh"));
    let mut said = Vec::new();
    let mut stderr = child.0.stderr.take().expect("piped");
    while !said.ends_with(b"\n") {
        let mut byte = [0];
        stderr.read_exact(&mut byte).expect("an address");
        said.push(byte[0]);
    }
    let said = String::from_utf8(said).expect("text");
    let address = said.split("http://").nth(1).and_then(|rest| rest.split(',').next()).expect("an address");
    let address = address.parse().expect("an address");
    (child, address)
}

fn get(address: SocketAddr, path: &str, patience: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: origin\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn a_service_out_of_descriptors_recovers() {
    let (_child, address) = origin_program(100, "");
    let held: Vec<_> = (0..200).map(|_| TcpStream::connect(address).expect("the backlog takes it")).collect();
    let waited = get(address, "/", Duration::from_millis(500));
    assert!(waited.is_err(), "the service has places for fewer: {waited:?}");
    drop(held);
    let account = get(address, "/ledger/summary", Duration::from_secs(5)).expect("an answer");
    assert!(account.starts_with("HTTP/1.1 200") && account.contains("\"max_in_flight\":0"), "{account}");
}

#[test]
fn the_service_gives_its_account_at_sigterm() {
    let (mut child, address) = origin_program(200, "--capacity 1000 --knee 10");
    assert!(get(address, "/", Duration::from_secs(5)).expect("a page").contains("Registration"));
    let pid = Pid::from_raw(i32::try_from(child.0.id()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::TERM).expect("sent");
    let mut account = String::new();
    child.0.stdout.take().expect("piped").read_to_string(&mut account).expect("text");
    let account: Account = serde_json::from_str(&account).expect("an account");
    assert_eq!((account.connections, account.service.counts.effects), (1, 0));
    assert!(child.0.wait().expect("ended").success());
}

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("started")
}

#[test]
fn exit_status_tells_usage_from_trouble() {
    assert_eq!(loadtest(&["--help"]).status.code(), Some(0));
    for wrong in [&[][..], &["run"], &["demo", "--people", "0"], &["run", "none.toml", "--without-gateway"]] {
        let ended = loadtest(wrong);
        assert_eq!(ended.status.code(), Some(4), "{wrong:?}");
        assert!(!ended.stderr.is_empty(), "{wrong:?}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    for arguments in [&["origin", "--listen", &address][..], &["demo", "--origin", &address]] {
        let ended = loadtest(arguments);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!((ended.status.code(), said.contains(&address)), (Some(3), true), "{said}");
    }
}
