//! What the waiting room's answers cost, beside the same bytes from a bare hyper server.
//!
//! `cargo bench --bench reply` starts the weir of the same build, with one worker, and lets a crowd join its room; and a second server
//! with one worker: this program once more, as a child. For each kind of request it takes an answer of weir's and gives its status,
//! fields and body to the bare server. Then it asks both for the same, by the same bytes, by turns and in changing order.
//!
//! **What is measured**: the CPU time of a request: user and system, of *all* threads of the process, chores and journal included, as
//! the kernel accounts it to the nanosecond (`/proc/PID/task/*/schedstat`, read when the server has done its work). Printed are
//! medians over the rounds, the ratio of the medians, and the quartiles of a round's ratio. [`CONNECTIONS`] connections are kept
//! alive, each with one request under way, so that a server rarely waits for work. Whatever else runs on the machine makes both
//! slower. No round begins after [`LONGEST`].
//!
//! **The bare reply**: tokio's current-thread runtime, `TCP_NODELAY`, hyper's HTTP/1 as it comes, and a service that looks at nothing
//! and answers with the same status, fields and body every time: a field map filled with shared values, and shared bytes. It lets go
//! of the request at once, so that hyper reads into the same buffer again. hyper parses the request with all its fields and writes
//! `date` and `content-length`. No route, no limit on the connection, no request id, no count.
//!
//! **The kinds**: `404` is weir's own answer to what no route takes, for comparison; `place` asks for a place as a program does;
//! `poll` is the waiting route itself with a ticket; `join` is the same without, and is given one. Tickets are [`PEOPLE`] people's,
//! each asked for in turn, and sooner than was told. The first return of a person, which the journal waits for, is not in it.
//! `cargo bench --bench reply -- log` has weir write its access log as well.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]
#![expect(clippy::disallowed_methods, reason = "it measures the machine, and blocks only itself")]

mod bare;
mod crowd;
mod process;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crowd::{Answer, Crowd, ask};
use process::Server;

/// Enough for every wake-up of a server to find several requests, as in a rush.
const CONNECTIONS: usize = 50;

/// Requests to one server before the other's turn: a quarter of a second.
const TURN: usize = 15_000;

const ROUNDS: usize = 21;

/// No round begins later.
const LONGEST: Duration = Duration::from_secs(50);

/// People whose tickets are asked for.
const PEOPLE: usize = 10_000;

/// People before them: more than are called in [`LONGEST`].
const AHEAD: usize = 500;

/// The word by which this program is the bare server.
const BARE: &str = "bare";

/// What programs send beside what is asked.
const FIELDS: &str = "host: daftar.example\r\nuser-agent: okhttp/4.12.0\r\naccept: application/json\r\n\
    accept-language: id-ID,id;q=0.9,en;q=0.8\r\n";

/// A kind of request: its name, its requests, and at most which ratio is wanted.
struct Kind {
    name: &'static str,
    wanted: Option<f64>,
    requests: Vec<Vec<u8>>,
}

/// Both servers' connections for one kind, and what was measured: µs a request, bare and weir's.
struct Duel {
    kind: Kind,
    bare: Crowd,
    measured: Vec<(f64, f64)>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == BARE) {
        bare::serve(words[1..].iter().map(PathBuf::from));
    }
    let began = Instant::now();
    let directory = tempfile::tempdir().unwrap();
    let weir = Server::weir(directory.path(), words.iter().any(|word| word == "log"));
    let address = weir.addresses[0];
    let kinds = kinds(&tickets(address));
    let answers = kinds.iter().map(|kind| {
        let answer = ask(address, &kind.requests[0]);
        println!(
            "{:>6}: {} with {} B of fields and {} B of body",
            kind.name,
            answer.status(),
            answer.fields().len(),
            answer.body().len()
        );
        answer
    });
    let answers: Vec<Answer> = answers.collect();
    let bare = Server::bare(directory.path(), &answers);
    let mut duels: Vec<Duel> = kinds
        .into_iter()
        .zip(&bare.addresses)
        .map(|(kind, address)| Duel { kind, bare: Crowd::new(*address), measured: Vec::new() })
        .collect();
    let mut crowd = Crowd::new(address);
    let mut rounds = 0;
    while rounds < ROUNDS && began.elapsed() < LONGEST {
        for duel in &mut duels {
            duel.round(rounds, (&bare, &weir), &mut crowd);
        }
        rounds += 1;
    }
    println!("{rounds} rounds of {TURN} requests to each; CPU time of the process, medians");
    println!("{:>6} {:>9} {:>9} {:>7}  {:>13} {:>7}", "", "bare µs", "weir µs", "ratio", "quartiles", "wanted");
    for duel in &duels {
        duel.report();
    }
}

impl Duel {
    fn round(&mut self, round: usize, (bare, weir): (&Server, &Server), crowd: &mut Crowd) {
        let requests = &self.kind.requests;
        // The first round warms up.
        let mut one = |first: bool| {
            if first { bare.cost(|| self.bare.load(requests, TURN)) } else { weir.cost(|| crowd.load(requests, TURN)) }
        };
        let first = round.is_multiple_of(2);
        let (a, b) = (one(first), one(!first));
        let pair = if first { (a, b) } else { (b, a) };
        let micros = |cost: Duration| cost.as_secs_f64() * 1e6 / TURN as f64;
        if round > 0 {
            self.measured.push((micros(pair.0), micros(pair.1)));
        }
    }

    fn report(&self) {
        let sorted = |figure: fn(&(f64, f64)) -> f64| {
            let mut all: Vec<f64> = self.measured.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let quantile = |all: &[f64], of_four: usize| all[(all.len() - 1) * of_four / 4];
        let [bare, weir, ratio] = [sorted(|pair| pair.0), sorted(|pair| pair.1), sorted(|pair| pair.1 / pair.0)];
        let (bare, weir) = (quantile(&bare, 2), quantile(&weir, 2));
        let wanted = self.kind.wanted.map_or(String::new(), |wanted| format!("{wanted:.2}"));
        let quartiles = format!("{:.3}–{:.3}", quantile(&ratio, 1), quantile(&ratio, 3));
        println!("{:>6} {bare:>9.2} {weir:>9.2} {:>7.3}  {quartiles:>13} {wanted:>7}", self.kind.name, weir / bare);
    }
}

/// The tickets of [`PEOPLE`] people, each of whom has come back once, and whose turn does not come.
fn tickets(address: std::net::SocketAddr) -> Vec<String> {
    let mut crowd = Crowd::new(address);
    let join = request("/daftar", None);
    // Until somebody waits, newcomers go straight in.
    while crowd.ask(&join).field("weir-ticket").is_none() {}
    let mut tickets: Vec<String> =
        (0..AHEAD + PEOPLE).map(|_| crowd.ask(&join).field("weir-ticket").unwrap().to_owned()).collect();
    let people = tickets.split_off(AHEAD);
    // The first of them are called already.
    for ticket in &tickets {
        crowd.ask(&request("/daftar", Some(ticket)));
    }
    let requests: Vec<_> = people.iter().map(|ticket| request("/daftar", Some(ticket))).collect();
    crowd.load(&requests, PEOPLE);
    people
}

fn kinds(tickets: &[String]) -> Vec<Kind> {
    let all = |path| tickets.iter().map(|ticket| request(path, Some(ticket))).collect();
    vec![
        Kind { name: "404", wanted: None, requests: vec![request("/nothing", None)] },
        Kind { name: "place", wanted: Some(1.15), requests: all("/.weir/place") },
        Kind { name: "poll", wanted: Some(1.15), requests: all("/daftar") },
        Kind { name: "join", wanted: Some(1.25), requests: vec![request("/daftar", None)] },
    ]
}

fn request(path: &str, ticket: Option<&str>) -> Vec<u8> {
    let ticket = ticket.map_or(String::new(), |ticket| format!("weir-ticket: {ticket}\r\n"));
    format!("GET {path} HTTP/1.1\r\n{FIELDS}{ticket}\r\n").into_bytes()
}
