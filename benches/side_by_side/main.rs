//! What a request costs weir, beside the proxies that people would pick instead.
//!
//! `make bench`, or `cargo bench --bench side_by_side`, starts the weir of the same build with one worker and, as far as they are on `PATH`,
//! nginx, `HAProxy` and Envoy, each with one worker too; this program once more as their origin, and once more as the *bare* proxy: hyper
//! on both sides and a pool of connections, and nothing of what a gateway is for; and as the *relay*, which reads and writes what comes on bare
//! epoll and is the floor. It loads one after the other and prints Markdown.
//!
//! **What is measured**: CPU time of a request: user and system, of all threads of the proxy's process, chores included, as the kernel
//! accounts it to the nanosecond (`/proc/PID/task/*/schedstat`), divided by the requests that the load program counts. Rounds are
//! interleaved: each proxy has its second in every round. Printed are medians over the rounds, and weir's ratio to each. Where there
//! are two processors the proxies have the first to themselves, and origin and load share the second. Whatever else runs makes all
//! slower; more than a few percent of difference between two figures is needed to mean something.
//!
//! **The proxies**: no access log, keep-alive on both sides, cleartext to the origin. weir has a permit gate, a line and a limit for each
//! client on the way; the others forward.
//!
//! | kind | load | what is asked |
//! |---|---|---|
//! | proxied | wrk, 100 connections | 26 bytes of JSON through the proxy |
//! | 16 KiB | the same | an answer of 16 KiB |
//! | connect | the same, `Connection: close` | a new connection each time |
//! | TLS | the same, TLS 1.3 kept alive | ECDSA P-256 |
//! | handshake | the same, `Connection: close` | a new TLS connection each time, resumed where the proxy gives tickets, as all do |
//! | h2 | h2load, 10 connections with 10 streams | HTTP/2 from the client, HTTP/1.1 to the origin |
//! | refused | wrk | weir: 503, the gate is full and the line has no room; others: 503 by a rule of the configuration |
//! | no route | wrk | 404 |
//! | poll | wrk | weir: where somebody stands in its waiting room |
//!
//! Memory is what the resident set of the process grew by, divided by the connections: [`CONNECTIONS`] that have each had one answer
//! (idle), then as many that wait for one (held: weir in its line, `HAProxy` in its queue, the others at the origin).

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]
#![expect(clippy::disallowed_methods, reason = "it measures the machine, and blocks only itself")]

mod bare;
mod load;
mod origin;
mod peers;
mod process;
mod relay;

use std::time::{Duration, Instant};

use load::{Load, crowd};
use peers::{Peer, Ports};
use process::Process;

/// At most.
const ROUNDS: usize = 5;

/// No round begins later.
const LONGEST: Duration = Duration::from_secs(100);

/// For the memory of one.
const CONNECTIONS: usize = 2_000;

/// Connections before them, so that what is made once is not counted.
const WARM: usize = 20;

/// Until everybody has been answered, and an allocator has given back what it will.
const SETTLED: Duration = Duration::from_millis(2_500);

/// A kind of request.
struct Kind {
    name: &'static str,
    load: Load,
    path: &'static str,
    port: fn(&Ports) -> u16,
    /// Who has it.
    of: fn(&str) -> bool,
}

/// Whether `name` is more than a measure for others.
fn is_whole(name: &str) -> bool {
    !matches!(name, "bare" | "relay")
}

const KINDS: [Kind; 9] = [
    Kind { name: "proxied", load: Load::Wrk, path: "/x", port: |ports| ports.plain, of: |_| true },
    Kind { name: "16 KiB", load: Load::Wrk, path: "/big", port: |ports| ports.plain, of: |_| true },
    Kind { name: "connect", load: Load::Connecting, path: "/x", port: |ports| ports.plain, of: |name| name != "relay" },
    Kind { name: "TLS", load: Load::Tls, path: "/x", port: |ports| ports.tls, of: is_whole },
    Kind { name: "handshake", load: Load::Shaking, path: "/x", port: |ports| ports.tls, of: is_whole },
    Kind { name: "h2", load: Load::Http2, path: "/x", port: |ports| ports.http2, of: is_whole },
    Kind { name: "refused", load: Load::Wrk, path: "/full", port: |ports| ports.plain, of: is_whole },
    Kind { name: "no route", load: Load::Wrk, path: "/nothing", port: |ports| ports.plain, of: is_whole },
    Kind { name: "poll", load: Load::Poll, path: "/.weir/place", port: |ports| ports.plain, of: |name| name == "weir" },
];

fn main() {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("origin") => origin::serve(&words.next().unwrap()),
        Some("relay") => relay::serve(&words.next().unwrap(), &words.next().unwrap()),
        Some("bare") => bare::serve(&words.next().unwrap(), &words.next().unwrap()),
        _ => compare(),
    }
}

fn compare() {
    let directory = tempfile::tempdir().unwrap();
    let origin = peers::free_port();
    let _origin = Process::own(&["origin", &origin.to_string()], process::LOAD);
    peers::await_port(origin);
    let peers = peers::start(directory.path(), origin);
    // Before the load, of which some keep more than others.
    let memory: Vec<_> =
        peers.iter().map(|peer| if peer.name == "relay" { vec![None; 2] } else { memory(peer) }).collect();
    // It takes the one permit of the gate that is full.
    let _holder = load::hold(peers.last().unwrap().ports.plain, "/full");
    let ticket = load::ticket(peers.last().unwrap().ports.plain);
    let mut costs = vec![vec![Vec::new(); KINDS.len()]; peers.len()];
    let (began, mut rounds) = (Instant::now(), 0);
    while rounds < ROUNDS && began.elapsed() < LONGEST {
        for (at, kind) in KINDS.iter().enumerate() {
            for (peer, costs) in peers.iter().zip(&mut costs).filter(|(peer, _)| (kind.of)(peer.name)) {
                costs[at].push(cost(kind, peer, &ticket));
            }
        }
        rounds += 1;
    }
    let medians: Vec<Vec<Option<f64>>> = costs.iter().map(|all| all.iter().map(|all| median(all)).collect()).collect();
    println!("CPU µs a request, medians of {rounds} rounds{}\n", if process::pins() { "" } else { ", NOT pinned" });
    table(&peers, &KINDS.map(|kind| kind.name), &medians, 1);
    println!("\nresident KiB a connection, of {CONNECTIONS}\n");
    table(&peers, &["idle", "held"], &memory, 1);
}

/// µs of CPU time a request of `kind` takes `peer`.
fn cost(kind: &Kind, peer: &Peer, ticket: &str) -> f64 {
    let before = peer.process.cpu();
    let requests = kind.load.run((kind.port)(&peer.ports), kind.path, ticket);
    peer.process.cpu().saturating_sub(before).as_secs_f64() * 1e6 / requests
}

/// KiB that one idle connection and one held one take.
fn memory(peer: &Peer) -> Vec<Option<f64>> {
    let each = |kib: f64| Some(kib / CONNECTIONS as f64);
    let settled = || {
        std::thread::sleep(SETTLED);
        peer.process.resident()
    };
    drop(crowd(peer.ports.plain, "/x", WARM, true));
    let before = settled();
    let idle = crowd(peer.ports.plain, "/x", CONNECTIONS, true);
    let with_idle = settled();
    let held = crowd(peer.ports.plain, "/held", CONNECTIONS, false);
    let with_held = settled();
    drop((idle, held));
    vec![each(with_idle - before), each(with_held - with_idle)]
}

fn median(all: &[f64]) -> Option<f64> {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().wrapping_sub(1) / 2).copied()
}

/// A row for each kind, a column for each peer, and weir's ratio to the others; weir is the last.
fn table(peers: &[Peer], kinds: &[&str], figures: &[Vec<Option<f64>>], decimals: usize) {
    let others = &peers[..peers.len() - 1];
    let names = peers.iter().map(|peer| format!(" {} |", peer.name));
    let ratios = others.iter().map(|peer| format!(" weir / {} |", peer.name));
    println!("| |{}", names.chain(ratios).collect::<String>());
    println!("|---|{}", "---:|".repeat(peers.len() + others.len()));
    for (at, kind) in kinds.iter().enumerate() {
        let row: Vec<_> = figures.iter().map(|figures| figures[at]).collect();
        let cell = |figure: Option<f64>, decimals| {
            figure.map_or_else(|| " |".to_owned(), |figure| format!(" {figure:.decimals$} |"))
        };
        let weir = row.last().copied().flatten();
        let figures = row.iter().map(|figure| cell(*figure, decimals));
        let ratios =
            row[..others.len()].iter().map(|other| cell(weir.zip(*other).map(|(weir, other)| weir / other), 2));
        println!("| {kind} |{}", figures.chain(ratios).collect::<String>());
    }
}
