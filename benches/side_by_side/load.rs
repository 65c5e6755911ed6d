//! The programs that ask, and what is asked by hand.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::process::{LOAD, command};

/// A proxy's turn in a round.
const SECONDS: &str = "1";

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a kind of request is asked.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    Wrk,
    Connecting,
    Tls,
    /// A new TLS connection each.
    Shaking,
    Http2,
    /// With a ticket.
    Poll,
}

impl Load {
    /// Loads `port` for a second; how many requests were answered.
    pub(crate) fn run(self, port: u16, path: &str, ticket: &str) -> f64 {
        let scheme = if matches!(self, Self::Tls | Self::Shaking) { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{port}{path}");
        if matches!(self, Self::Http2) {
            let mut command = command("h2load", LOAD);
            command.args(["-t1", "-c10", "-m10", "-D", SECONDS, &url]);
            return counted(command, |line| line.strip_prefix("requests: ")?.split(' ').next());
        }
        let mut command = command("wrk", LOAD);
        command.args(["-t1", "-c100", &format!("-d{SECONDS}s")]);
        match self {
            Self::Connecting | Self::Shaking => command.args(["-H", "Connection: close"]),
            Self::Poll => command.args(["-H", &format!("weir-ticket: {ticket}")]),
            _ => &mut command,
        };
        command.arg(url);
        counted(command, |line| line.trim_start().split_once(" requests in ").map(|(count, _)| count))
    }
}

/// Runs `command`; the number that `found` finds in a line of what it says.
fn counted(mut command: Command, found: impl Fn(&str) -> Option<&str>) -> f64 {
    let said = command.output().unwrap().stdout;
    let said = String::from_utf8_lossy(&said);
    said.lines().find_map(found).unwrap_or_else(|| panic!("{command:?} said: {said}")).parse().unwrap()
}

fn sent(port: u16, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n").unwrap();
    stream
}

/// What came first of the answer.
fn heard(stream: &mut TcpStream) -> String {
    let mut came = [0; 4096];
    let from = stream.peer_addr();
    let length = stream.read(&mut came).unwrap_or_else(|error| panic!("{from:?} does not answer: {error}"));
    String::from_utf8_lossy(&came[..length]).into_owned()
}

/// A request that is not answered while its connection is kept.
pub(crate) fn hold(port: u16, path: &str) -> TcpStream {
    let stream = sent(port, path);
    std::thread::sleep(Duration::from_millis(200));
    stream
}

/// `count` connections with a request each, which `answered` waits for.
pub(crate) fn crowd(port: u16, path: &str, count: usize, answered: bool) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = sent(port, path);
        if answered {
            heard(&mut stream);
        }
        stream
    };
    (0..count).map(one).collect()
}

/// The ticket of somebody who waits in weir's room; until somebody does, newcomers go straight in.
pub(crate) fn ticket(port: u16) -> String {
    let ticket = || {
        let said = heard(&mut sent(port, "/room"));
        said.lines().find_map(|line| line.strip_prefix("weir-ticket: ").map(str::to_owned))
    };
    // The first are called soon; the last of many waits for as long as this takes.
    (0..1_000).fold(None, |last, _| ticket().or(last)).unwrap()
}
