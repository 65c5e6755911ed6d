//! Attackers beside honest people: slowhttptest in its four modes, h2load, and connections that say nothing.
//!
//! In `make test` a few dozen for seconds; `make attack` (`WEIR_ATTACK=1`) takes 5,000 attackers beside 500 people and prints what these
//! had to wait before, meanwhile and afterwards, how much memory weir took, and how long it took until the attackers' connections were gone;
//! the rows of these, which begin with `|`, are its table.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::client::Client;
use crate::origin::Origin;
use crate::tools::command;
use crate::weir::{PATIENCE, Weir, one_route, within};

/// An answer that does not fit into any socket's buffer, and no permit is held for.
const LARGE: usize = 60 << 10;
/// A look at a socket.
const BLINK: Duration = Duration::from_micros(1);
/// Times that p99 may grow by; what is below the floor no person notices.
const GROWS: u32 = 2;

/// How many, and for how long.
struct Size {
    attackers: usize,
    people: usize,
    lasts: Duration,
    /// Requests a second of each connection of h2load.
    rate: u32,
    /// Between two requests of a person.
    thinks: Duration,
    /// A p99 that is not looked into: the machine that runs `make test` does other things as well.
    floor: Duration,
    /// How much larger weir may be.
    growth: u64,
}

fn size() -> Size {
    if std::env::var_os("WEIR_ATTACK").is_some() {
        let (lasts, thinks, floor) = (Duration::from_secs(24), Duration::from_secs(2), Duration::from_millis(20));
        Size { attackers: 5_000, people: 500, lasts, rate: 40, thinks, floor, growth: 512 << 20 }
    } else {
        let (lasts, thinks, floor) = (Duration::from_secs(4), Duration::from_millis(500), Duration::from_millis(500));
        Size { attackers: 200, people: 20, lasts, rate: 4, thinks, floor, growth: 96 << 20 }
    }
}

fn start(clients: &str) -> (Origin, Weir) {
    let origin = Origin::start(|exchange| {
        exchange.body()?;
        exchange.respond(200, "", &vec![b'x'; if exchange.target() == "/large" { LARGE } else { 100 }])
    });
    let route = one_route(origin.address, 64, "queue = { wait = \"30s\", length = 20000 }");
    let weir = Weir::start(&format!("[clients]\n{clients}\n{route}"));
    (origin, weir)
}

/// A connection of a person with an address of his own.
fn connect(person: usize, to: SocketAddr) -> std::io::Result<Client> {
    let [_, _, high, low] = u32::try_from(person + 1).unwrap().to_be_bytes();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 9, high, low), 0)).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    Client::over(TcpStream::from(socket))
}

/// What people had to wait.
#[derive(Default)]
struct Waited {
    all: Vec<Duration>,
    failed: usize,
}

impl Waited {
    fn fails(&mut self, why: &dyn std::fmt::Display) {
        if self.failed == 0 {
            println!("not served: {why}");
        }
        self.failed += 1;
    }

    fn quantile(&self, of_100: usize) -> Duration {
        self.all.get((self.all.len() * of_100 / 100).min(self.all.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// `count` people ask now and then until `meanwhile` is over: half of them on connections that they keep, the others on a new one each
/// time.
fn people(weir: &Weir, count: usize, meanwhile: impl FnOnce()) -> Waited {
    let (over, thinks) = (AtomicBool::new(false), size().thinks);
    let waited = std::thread::scope(|scope| {
        let asking = |person: usize| {
            let mut waited = Waited::default();
            let mut kept = None;
            // Not all at one instant.
            std::thread::sleep(thinks.mul_f64(fastrand::f64()));
            while !over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                // Of two requests: it may have had to make room.
                let open = kept.take().and_then(|mut kept: Client| (!kept.is_closed_within(BLINK)).then_some(kept));
                let connected = open.map_or_else(|| connect(person, weir.http), Ok);
                let answered = connected.and_then(|mut client| {
                    client.try_send("GET /form HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
                    client.try_answer("GET").map(|answer| (client, answer.status))
                });
                match answered {
                    Ok((client, 200)) => {
                        waited.all.push(asked.elapsed());
                        kept = Some(client).filter(|_| person.is_multiple_of(2));
                    }
                    Ok((_, status)) => waited.fails(&status),
                    Err(error) => waited.fails(&error),
                }
                std::thread::sleep(thinks);
            }
            waited
        };
        let asked: Vec<_> = (0..count)
            .map(|person| {
                let small = std::thread::Builder::new().stack_size(128 << 10);
                small.spawn_scoped(scope, move || asking(person)).unwrap()
            })
            .collect();
        meanwhile();
        over.store(true, Ordering::Relaxed);
        asked.into_iter().map(|asked| asked.join().unwrap()).collect::<Vec<_>>()
    });
    let failed = waited.iter().map(|waited| waited.failed).sum();
    let mut all: Vec<Duration> = waited.into_iter().flat_map(|waited| waited.all).collect();
    all.sort_unstable();
    Waited { all, failed }
}

/// Runs `attack` beside people, prints what came of it, and asserts that they hardly noticed.
fn beside_people(name: &str, weir: &Weir, attack: impl FnOnce()) {
    let size = size();
    let before = people(weir, size.people, || std::thread::sleep(size.lasts / 3));
    let (small, peak) = (weir.resident_memory(), AtomicBool::new(false));
    let mut largest = small;
    let mut most = 0;
    let meanwhile = people(weir, size.people, || {
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let (mut largest, mut most) = (0, 0);
                while !peak.load(Ordering::Relaxed) {
                    largest = largest.max(weir.resident_memory());
                    most = most.max(weir.metrics().sum("weir_connections{"));
                    std::thread::sleep(Duration::from_millis(100));
                }
                (largest, most)
            });
            attack();
            peak.store(true, Ordering::Relaxed);
            (largest, most) = watching.join().unwrap();
        });
    });
    let ended = Instant::now();
    let left = || weir.metrics().sum("weir_connections{");
    assert!(within(PATIENCE * 3, || left() <= 2), "{} connections left", left());
    let recovered = ended.elapsed();
    let after = people(weir, size.people, || std::thread::sleep(size.lasts / 3));
    for (when, waited) in [("before", &before), ("meanwhile", &meanwhile), ("afterwards", &after)] {
        let [p50, p99] = [50, 99].map(|of_100| waited.quantile(of_100));
        println!(
            "{name}, {when}: {} answered, {} failed, p50 {p50:.1?}, p99 {p99:.1?}",
            waited.all.len(),
            waited.failed
        );
    }
    let [alone, attacked, afterwards] =
        [&before, &meanwhile, &after].map(|waited| waited.quantile(99).as_secs_f64() * 1000.0);
    let failed = before.failed + meanwhile.failed + after.failed;
    let memory = [small, largest, weir.resident_memory()].map(|bytes| (bytes >> 20).to_string()).join(" / ");
    println!(
        "| {name} | {most} | {alone:.1} | {attacked:.1} | {:.2} | {afterwards:.1} | {failed} | {memory} | {:.1} |",
        attacked / alone,
        recovered.as_secs_f64()
    );
    assert_eq!((before.failed, meanwhile.failed, after.failed), (0, 0, 0), "{name}: honest people were not served");
    let bound = (before.quantile(99) * GROWS).max(size.floor);
    assert!(meanwhile.quantile(99) <= bound, "{name}: p99 {:?} beyond {bound:?}", meanwhile.quantile(99));
    assert!(after.quantile(99) <= bound, "{name}: p99 {:?} beyond {bound:?} afterwards", after.quantile(99));
    assert!(largest.saturating_sub(small) < size.growth, "{name}: {largest} bytes");
}

/// slowhttptest in one of its modes, for as long as the attack lasts.
fn slowly(weir: &Weir, mode: &[&str], target: &str) {
    let size = size();
    let (url, number) = (format!("http://{}{target}", weir.http), |number: usize| number.to_string());
    let lasts = size.lasts.as_secs().to_string();
    let common = ["-c", &number(size.attackers), "-r", &number(size.attackers / 3), "-l", &lasts, "-p", "3", "-v", "0"];
    let child = command("slowhttptest", "slowhttptest")
        .args(mode)
        .args(common)
        .args(["-u", &url])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    ends(child, size.lasts);
}

/// Waits for a tool, and ends it when it has had its time.
fn ends(mut child: Child, lasts: Duration) {
    within(lasts + Duration::from_secs(5), || child.try_wait().unwrap().is_some());
    // It has gone, or is to go.
    child.kill().ok();
    child.wait().unwrap();
}

/// Short enough that a small attack outlives it; in `make attack` what everybody has.
fn timeouts() -> &'static str {
    if std::env::var_os("WEIR_ATTACK").is_some() {
        ""
    } else {
        "header_timeout = \"2s\"\nbody_timeout = \"2s\"\nidle_timeout = \"3s\""
    }
}

#[test]
fn slow_heads_harm_nobody() {
    let (_origin, weir) = start(timeouts());
    beside_people("slow heads", &weir, || slowly(&weir, &["-H", "-i", "1", "-x", "24", "-t", "GET"], "/"));
}

#[test]
fn slow_bodies_harm_nobody() {
    let (_origin, weir) = start(timeouts());
    beside_people("slow bodies", &weir, || {
        slowly(&weir, &["-B", "-i", "1", "-x", "10", "-s", "8192", "-t", "POST"], "/");
    });
}

#[test]
fn ranges_harm_nobody() {
    let (_origin, weir) = start(timeouts());
    beside_people("ranges", &weir, || slowly(&weir, &["-R", "-a", "10", "-b", "3000", "-t", "HEAD"], "/"));
}

#[test]
fn slow_readers_harm_nobody() {
    let (_origin, weir) = start(timeouts());
    let mode = ["-X", "-w", "256", "-y", "512", "-n", "5", "-z", "32", "-k", "1"];
    beside_people("slow readers", &weir, || slowly(&weir, &mode, "/large"));
}

#[test]
fn a_flood_of_connections_that_say_nothing_harms_nobody() {
    let (_origin, weir) = start(timeouts());
    let size = size();
    beside_people("silent connections", &weir, || {
        let silent: Vec<_> = (0..size.attackers).map(|_| TcpStream::connect(weir.http).unwrap()).collect();
        std::thread::sleep(size.lasts);
        drop(silent);
    });
}

#[test]
fn more_connections_than_there_may_be_harm_nobody() {
    let size = size();
    let clients = format!("{}\nmax_connections = {}", timeouts(), size.people + size.attackers / 4);
    let (_origin, weir) = start(&clients);
    beside_people("four times all connections", &weir, || {
        let (began, mut open) = (Instant::now(), Vec::new());
        for number in 0..size.attackers {
            let mut attacker = TcpStream::connect(weir.http).unwrap();
            if number % 2 == 0 {
                // One request and no other; it may have been reset already.
                attacker.write_all(b"GET /once HTTP/1.1\r\nhost: localhost\r\n\r\n").ok();
            }
            open.push(attacker);
            let due = size.lasts.mul_f64((number + 1) as f64 / size.attackers as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
    });
    let displaced = weir.metrics().value("weir_connections_ended_total{cause=\"displaced\"}");
    assert!(displaced > size.attackers as u64 / 2, "{displaced}");
}

#[test]
fn a_flood_of_connections_of_one_address_is_reset_at_the_door() {
    let (_origin, weir) = start(&format!("{}\nconnections_per_address = 50", timeouts()));
    let size = size();
    beside_people("connections of one address", &weir, || {
        let began = Instant::now();
        let (mut open, mut tried) = (std::collections::VecDeque::new(), 0);
        while began.elapsed() < size.lasts {
            // One that is reset at once may be an error here already.
            open.extend(TcpStream::connect(weir.http).ok());
            if open.len() > size.attackers {
                open.pop_front();
            }
            tried += 1;
            std::thread::sleep(Duration::from_micros(200));
        }
        println!("{tried} connections tried");
    });
    assert!(weir.metrics().value("weir_connections_ended_total{cause=\"crowded\"}") > 100);
}

#[test]
fn a_flood_of_requests_over_http2_is_refused_and_harms_nobody() {
    let limit = "[[client_limit]]\nname = \"address\"\nkey = \"address\"\nrate = \"20/s\"\nburst = 20\n";
    let origin = Origin::echo();
    let route = one_route(origin.address, 64, "client_limits = [\"address\"]");
    let weir = Weir::start(&format!("{limit}[clients]\n{}\n{route}", timeouts()));
    let size = size();
    beside_people("h2load", &weir, || {
        let (lasts, rate) = (size.lasts.as_secs().to_string(), size.rate.to_string());
        let url = format!("http://{}/flood", weir.http);
        let child = command("h2load", "nghttp2-client")
            .args(["-D", &lasts, "-c", "50", "-m", "20", "-t", "1", "--rps", &rate, &url])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        ends(child, size.lasts);
    });
    assert!(weir.metrics().requests("all", "client_limit") > 100);
}
