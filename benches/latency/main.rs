//! What admission adds to the time of a request, and how soon a permit that comes back is in use again.
//!
//! `cargo bench --bench latency`, as part of `make bench`. Two figures, each with its goal:
//!
//! * **added**: [`RATE`] requests a second, each at its own moment on a kept-alive connection, for a second straight to the service and for a
//!   second through weir, in turn. Time runs from the moment at which a request was due, not from that at which it could be
//!   sent, so that a stall is not counted once for all whom it kept. What weir adds is the difference of the percentiles.
//! * **next**: people wait in line for the only permit. From the end of the service's answer to its next request: the answer's way
//!   back, the permit, who is next, and the request's way out, so it is more than the goal is about.
//!
//! weir has one worker on the first processor; client and service share the second, and one of them sleeps at any time. What else
//! runs on the machine is in the figures: the lowest of [`ROUNDS`] rounds is the one to read.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]
#![expect(clippy::disallowed_methods, reason = "it measures the machine")]

#[path = "../side_by_side/process.rs"]
#[expect(dead_code, reason = "of the processes, where they run")]
mod process;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use process::{LOAD, PROXY, Process, command};

/// Requests a second, seconds of each kind in a round, and rounds.
const RATE: u32 = 5_000;
const ROUNDS: usize = 5;

/// Goals, in µs: what is added to the median and to the 99th percentile, and the 99th percentile of the next.
const ADDED: [f64; 2] = [80.0, 500.0];
const NEXT: f64 = 100.0;

/// People in line for the only permit.
const LINE: usize = 1_000;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Below this the scheduler is not asked to wait.
const SPIN: Duration = Duration::from_micros(120);

fn main() {
    let mut words = std::env::args().skip(1);
    // Pinned by its parent.
    if words.next().as_deref() == Some("client") {
        let ports: Vec<u16> = words.map(|word| word.parse().unwrap()).collect();
        return added(ports[0], ports[1]);
    }
    let service = quick();
    let (release, released) = channel();
    let (slow, gaps) = measuring(released);
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let path = directory.path().join("weir.toml");
    fs::write(&path, config(port, service, slow)).unwrap();
    let mut weir = command(env!("CARGO_BIN_EXE_weir"), PROXY);
    weir.arg("--config").arg(path);
    let _weir = Process::start(weir);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut client = command(std::env::current_exe().unwrap().to_str().unwrap(), LOAD);
    assert!(client.args(["client", &service.to_string(), &port.to_string()]).status().unwrap().success());
    next(port, &release, &gaps);
}

/// Prints what weir adds at [`RATE`].
fn added(direct: u16, through: u16) {
    let mut connections = [direct, through].map(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
    for connection in &mut connections {
        connection.set_nodelay(true).unwrap();
        second(connection);
    }
    let mut best = [f64::INFINITY; 2];
    println!("| µs at {RATE}/s | p50 | p99 |\n|---|---:|---:|");
    for _ in 0..ROUNDS {
        let [direct, through] = [0, 1].map(|which| percentiles(second(&mut connections[which])));
        println!(
            "| direct | {:.0} | {:.0} |\n| through weir | {:.0} | {:.0} |",
            direct[0], direct[1], through[0], through[1]
        );
        for at in 0..2 {
            best[at] = best[at].min(through[at] - direct[at]);
        }
    }
    let good = best[0] <= ADDED[0] && best[1] <= ADDED[1];
    println!("| added, least of {ROUNDS} | {:.0} | {:.0} |", best[0], best[1]);
    println!("\nadded: {}, goals {} and {} µs\n", if good { "kept" } else { "MISSED" }, ADDED[0], ADDED[1]);
}

/// µs of the requests of a second, each from when it was due.
fn second(connection: &mut TcpStream) -> Vec<f64> {
    let began = Instant::now();
    let one = |at: u32| {
        let due = began + Duration::from_secs(1) / RATE * at;
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if left > SPIN {
                std::thread::sleep(left - SPIN);
            }
        }
        ask(connection);
        due.elapsed().as_secs_f64() * 1e6
    };
    (0..RATE).map(one).collect()
}

fn ask(connection: &mut TcpStream) {
    connection.write_all(b"GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 1024];
    let length = connection.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..length]));
}

/// The median and the 99th percentile.
fn percentiles(mut all: Vec<f64>) -> [f64; 2] {
    all.sort_by(f64::total_cmp);
    [all[all.len() / 2], all[all.len() * 99 / 100]]
}

/// Prints how long it takes from an answer of the service to its next request.
fn next(port: u16, release: &Sender<()>, gaps: &Receiver<Vec<f64>>) {
    let ask = |_| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        stream
    };
    println!("| µs from an answer to the next request | p50 | p99 |\n|---|---:|---:|");
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let line: Vec<TcpStream> = (0..LINE).map(ask).collect();
        std::thread::sleep(Duration::from_millis(500));
        release.send(()).unwrap();
        let [middle, most] = percentiles(gaps.recv().unwrap());
        println!("| with {LINE} in line | {middle:.0} | {most:.0} |");
        best = best.min(most);
        drop(line);
    }
    println!("\nnext: {}, goal {NEXT} µs, least {best:.0}", if best <= NEXT { "kept" } else { "MISSED" });
}

/// A service that answers at once: its port.
fn quick() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || while is_asked(&mut stream) && stream.write_all(ANSWER).is_ok() {});
        }
    });
    port
}

/// A service that waits for a word before it answers the first of [`LINE`], and measures how soon the others come.
fn measuring(released: Receiver<()>) -> (u16, Receiver<Vec<f64>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.set_nodelay(true).unwrap();
        loop {
            while !is_asked(&mut stream) {
                stream = listener.accept().unwrap().0;
                stream.set_nodelay(true).unwrap();
            }
            if released.recv().is_err() {
                return;
            }
            let mut gap = |_| {
                stream.write_all(ANSWER).unwrap();
                let answered = Instant::now();
                assert!(is_asked(&mut stream));
                answered.elapsed().as_secs_f64() * 1e6
            };
            let gaps = (1..LINE).map(&mut gap).collect();
            stream.write_all(ANSWER).unwrap();
            tell.send(gaps).unwrap();
        }
    });
    (port, told)
}

/// Reads a request, which comes in one piece; false at the end of the connection.
fn is_asked(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0)
}

/// A port at which nobody listens.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// All of admission on the way: a gate, a line, a limit for each client.
fn config(port: u16, quick: u16, slow: u16) -> String {
    let admin = free_port();
    format!(
        "[[listener]]\naddress = \"127.0.0.1:{port}\"\n[admin]\naddress = \"127.0.0.1:{admin}\"\n[log]\naccess = \"off\"\n\
         [runtime]\nworkers = 1\n\
         [[client_limit]]\nname = \"each\"\nkey = \"address\"\nrate = \"1000000/s\"\nburst = 1000000\n\
         [[upstream]]\nname = \"quick\"\nservers = [\"127.0.0.1:{quick}\"]\nconcurrency = 256\n\
         [[upstream]]\nname = \"slow\"\nservers = [\"127.0.0.1:{slow}\"]\nconcurrency = 1\n\
         [[route]]\npath = \"/x\"\nupstream = \"quick\"\nclient_limits = [\"each\"]\n\
         [[route]]\npath = \"/slow\"\nupstream = \"slow\"\nclient_limits = [\"each\"]\nqueue = {{ wait = \"1h\", length = 10000 }}\n"
    )
}
