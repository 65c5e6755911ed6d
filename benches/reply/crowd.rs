//! A client with many connections, each with one request under way, cheaper than the servers it asks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::CONNECTIONS;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than any answer here.
const BUFFER: usize = 16 * 1024;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const LENGTH: &[u8] = b"content-length: ";

/// An answer as it came.
pub(crate) struct Answer {
    bytes: Vec<u8>,
    head: usize,
}

impl Answer {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let head = position(&bytes, END_OF_HEAD).unwrap() + END_OF_HEAD.len();
        Self { bytes, head }
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Three digits.
    pub(crate) fn status(&self) -> &str {
        let line = str::from_utf8(&self.bytes[..self.head]).unwrap().lines().next().unwrap();
        line.split(' ').nth(1).unwrap()
    }

    /// The lines of the fields.
    pub(crate) fn fields(&self) -> &str {
        let head = str::from_utf8(&self.bytes[..self.head]).unwrap();
        head.split_once("\r\n").unwrap().1.trim_end()
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.head..]
    }
}

/// Connections to one server.
pub(crate) struct Crowd {
    connections: Vec<TcpStream>,
    buffer: Box<[u8]>,
}

impl Crowd {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let connections = (0..CONNECTIONS).map(|_| connect(address)).collect();
        Self { connections, buffer: vec![0; BUFFER].into() }
    }

    /// Asks `count` times, by `requests` in turn. The status must be the same each time.
    pub(crate) fn load(&mut self, requests: &[Vec<u8>], count: usize) {
        let mut requests = requests.iter().cycle();
        let mut send = |connection: &mut TcpStream| connection.write_all(requests.next().unwrap()).unwrap();
        self.connections.iter_mut().for_each(&mut send);
        let mut status: Option<Vec<u8>> = None;
        for done in 0..count {
            let at = done % CONNECTIONS;
            let length = receive(&mut self.connections[at], &mut self.buffer);
            let came = &self.buffer[9..length.min(12)];
            assert_eq!(status.get_or_insert_with(|| came.to_vec()), came);
            if done + CONNECTIONS < count {
                send(&mut self.connections[at]);
            }
        }
    }

    /// Asks once.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Answer {
        let connection = &mut self.connections[0];
        connection.write_all(request).unwrap();
        let length = receive(connection, &mut self.buffer);
        Answer::new(self.buffer[..length].to_vec())
    }
}

/// Asks once, on a connection of its own.
pub(crate) fn ask(address: SocketAddr, request: &[u8]) -> Answer {
    let mut connection = connect(address);
    connection.write_all(request).unwrap();
    let mut buffer = vec![0; BUFFER];
    let length = receive(&mut connection, &mut buffer);
    buffer.truncate(length);
    Answer::new(buffer)
}

fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).unwrap();
    connection.set_nodelay(true).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection
}

/// Reads one answer; its length.
fn receive(connection: &mut TcpStream, buffer: &mut [u8]) -> usize {
    let mut length = 0;
    loop {
        let read = connection.read(&mut buffer[length..]).unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&buffer[..length]));
        length += read;
        let Some(head) = position(&buffer[..length], END_OF_HEAD) else { continue };
        let from = position(&buffer[..head], LENGTH).unwrap() + LENGTH.len();
        let digits = buffer[from..].iter().take_while(|byte| byte.is_ascii_digit());
        let body = digits.fold(0, |value, digit| value * 10 + usize::from(digit - b'0'));
        if length == head + END_OF_HEAD.len() + body {
            return length;
        }
    }
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
