//! The crowd at the door: how much memory those who are held take, whether they are let through in order, and whether what they took
//! goes back.
//!
//! `make burst`, or `cargo bench --bench burst`, starts the weir of the same build before a service that works on [`PERMITS`] requests at a time
//! and begins when it is told to. [`STREAMS`] requests over HTTP/2, [`PER_CONNECTION`] on each connection, wait in its line; then as many
//! HTTP/1.1 connections as descriptors allow ([`CONNECTIONS`]), with one each. When all of them are in line the resident set is read, and
//! the service begins. The last line says whether all bounds were kept: memory of each crowd ([`STREAMS_MIB`], [`CONNECTIONS_MIB`]),
//! descriptors of the first ([`DESCRIPTORS`]), everybody answered, nobody further from where he stood than whoever came in the same batch or is
//! served at the same time, and the resident set [`AFTER`] after the last answer at most [`GROWN`] percent above what it was before.
//!
//! Everything is on the loopback. Both crowds are of this program; it wants 17,000 descriptors and half a GiB for itself.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]
#![expect(clippy::disallowed_methods, reason = "it measures the machine")]

mod crowd;
#[path = "../side_by_side/process.rs"]
#[expect(dead_code, reason = "of the processes' figures, memory")]
mod process;
mod service;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use process::Process;
use service::Service;

/// Requests held over HTTP/2, those on one connection, and the MiB they may take.
const STREAMS: usize = 80_000;
const PER_CONNECTION: usize = 100;
const STREAMS_MIB: f64 = 512.0;

/// Descriptors that weir may have open for them.
const DESCRIPTORS: usize = 1_000;

/// Connections of HTTP/1.1 with a held request each, those that come at once, and the MiB they may take.
const CONNECTIONS: usize = 16_000;
const BATCH: usize = 100;
const CONNECTIONS_MIB: f64 = 160.0;

/// Requests that are served at once. Of a service of which nothing is known yet weir takes a request for a quarter of a second, and nobody
/// waits longer than an hour: more than six.
const PERMITS: usize = 8;

/// After the burst, by how many percent the process may be larger than before.
const AFTER: Duration = Duration::from_secs(15);
const GROWN: f64 = 20.0;

/// No crowd takes longer to come in, or to get out.
const PATIENCE: Duration = Duration::from_mins(10);

/// A weir and its service.
struct Stand {
    weir: Process,
    service: Service,
    port: u16,
    admin: u16,
}

fn main() -> ExitCode {
    let directory = tempfile::tempdir().unwrap();
    let streams = Stand::start(directory.path()).burst("HTTP/2 streams", STREAMS, PER_CONNECTION, STREAMS_MIB);
    let connections = Stand::start(directory.path()).burst("HTTP/1.1 connections", CONNECTIONS, BATCH, CONNECTIONS_MIB);
    let passed = streams.1 && connections.1;
    println!("burst: {}: {}; {}", if passed { "passed" } else { "FAILED" }, streams.0, connections.0);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Stand {
    fn start(directory: &Path) -> Self {
        let (port, admin, service) = (free_port(), free_port(), Service::start());
        let path = directory.join("weir.toml");
        fs::write(&path, config(port, admin, service.port)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.arg("--config").arg(path);
        let weir = Process::start(command);
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "weir does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { weir, service, port, admin }
    }

    /// One crowd in and out: its figures, and whether they are good.
    fn burst(self, what: &str, count: usize, batch: usize, most: f64) -> (String, bool) {
        let over_http2 = what.starts_with("HTTP/2");
        std::thread::sleep(Duration::from_secs(2));
        let before = self.weir.resident();
        let began = Instant::now();
        let arrived = |so_far: usize| self.await_line(so_far);
        let crowd = if over_http2 {
            crowd::streams(self.port, count, batch, arrived)
        } else {
            crowd::connections(self.port, count, batch, arrived)
        };
        let (held, open) = (self.weir.resident(), self.weir.descriptors());
        let came = began.elapsed();
        self.service.begin();
        let answered = crowd.answers(PATIENCE);
        let left = began.elapsed().saturating_sub(came);
        let order = self.service.order();
        let in_order =
            order.len() == count && order.iter().enumerate().all(|(at, number)| number.abs_diff(at) < batch + PERMITS);
        std::thread::sleep(AFTER);
        let after = self.weir.resident();
        let mib = (held - before) / 1024.0;
        let grown = (after / before - 1.0) * 100.0;
        let good =
            answered == count && in_order && mib <= most && grown <= GROWN && (!over_http2 || open <= DESCRIPTORS);
        let figures = format!(
            "{count} {what} held in {mib:.0} MiB ({:.1} KiB each, bound {most:.0} MiB) and {open} descriptors, {answered} answered{}, \
             memory {:.1} MiB before and {:.1} MiB {} s after ({grown:+.0} %)",
            mib * 1024.0 / count as f64,
            if in_order { " in order" } else { " OUT OF ORDER" },
            before / 1024.0,
            after / 1024.0,
            AFTER.as_secs(),
        );
        println!("{figures}; in within {:.0} s, out within {:.0} s", came.as_secs_f64(), left.as_secs_f64());
        (figures, good)
    }

    /// Waits until so many have come: all but those that the service has.
    fn await_line(&self, so_far: usize) {
        let began = Instant::now();
        while self.queued() + PERMITS < so_far {
            assert!(began.elapsed() < PATIENCE, "{} of {so_far} are in line", self.queued());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn queued(&self) -> usize {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("weir_queued{upstream=\"u\"} "));
        line.unwrap().parse().unwrap()
    }
}

/// A port at which nobody listens.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn config(port: u16, admin: u16, service: u16) -> String {
    format!(
        "[[listener]]\naddress = \"127.0.0.1:{port}\"\n[admin]\naddress = \"127.0.0.1:{admin}\"\n[log]\naccess = \"off\"\n\
         [clients]\nhttp2_streams = {PER_CONNECTION}\n\
         [[upstream]]\nname = \"u\"\nservers = [\"127.0.0.1:{service}\"]\nconcurrency = {PERMITS}\nresponse_timeout = \"10m\"\n\
         [[route]]\npath = \"/*\"\nupstream = \"u\"\nqueue = {{ wait = \"1h\", length = 100000 }}\n"
    )
}
