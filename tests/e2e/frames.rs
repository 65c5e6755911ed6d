//! HTTP/2 frame by frame (RFC 9113 §4.1), for what a well-behaved client library would not show.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::weir::PATIENCE;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
/// `SETTINGS_INITIAL_WINDOW_SIZE` 0 (RFC 9113 §6.5.2).
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];
/// RFC 9113 §7.
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// RFC 9113 §3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection, cleartext with prior knowledge.
pub(crate) struct Frames {
    stream: TcpStream,
    next_stream: u32,
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frames {
    /// Connects and sends the preface.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::with_settings(address, &[])
    }

    /// Connects as a client that takes no byte of an answer until it says so.
    pub(crate) fn without_window(address: SocketAddr) -> Self {
        Self::with_settings(address, &NO_WINDOW)
    }

    fn with_settings(address: SocketAddr, settings: &[u8]) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut frames = Self { stream, next_stream: 1 };
        frames.stream.write_all(PREFACE).unwrap();
        frames.send(SETTINGS, 0, 0, settings);
        frames
    }

    /// The other side of a connection: a client's preface is read and ours sent.
    pub(crate) fn accept(mut stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        stream.read_exact(&mut [0; PREFACE.len()])?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
        Ok(Self { stream, next_stream: 2 })
    }

    /// Begins a request and answers its stream. `fields` are names and values beyond the pseudo-fields.
    pub(crate) fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)], ends: bool) -> u32 {
        let pseudo = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
        let fields: Vec<_> = pseudo.iter().chain(fields).map(|(name, value)| (*name, value.as_bytes())).collect();
        self.ask_raw(&fields, ends)
    }

    /// Begins a request of just these fields and answers its stream.
    pub(crate) fn ask_raw(&mut self, fields: &[(&str, &[u8])], ends: bool) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.send(HEADERS, END_HEADERS | if ends { END_STREAM } else { 0 }, stream, &block(fields));
        stream
    }

    /// The next request is on this stream.
    pub(crate) fn skip_to(&mut self, stream: u32) {
        self.next_stream = stream;
    }

    /// Asks for `path`, if that can still be sent.
    pub(crate) fn try_ask(&mut self, path: &str) -> io::Result<()> {
        let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
        let fields = fields.map(|(name, value)| (name, value.as_bytes()));
        self.try_send(&frame(HEADERS, END_HEADERS | END_STREAM, self.next_stream, &block(&fields)))
    }

    /// Takes so many bytes more of a stream, or of all with 0.
    pub(crate) fn widen(&mut self, stream: u32, by: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    }

    /// Takes no byte more of any answer: windows shrink by what they were given at first (RFC 9113 §6.9.2).
    pub(crate) fn shrink(&mut self) {
        self.send(SETTINGS, 0, 0, &NO_WINDOW);
    }

    /// Gives a request up.
    pub(crate) fn reset(&mut self, stream: u32) {
        self.send(RST_STREAM, 0, stream, &CANCEL);
    }

    /// Sends a frame.
    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.try_send(&frame(kind, flags, stream, payload)).unwrap();
    }

    /// Sends a frame, if that can still be sent.
    pub(crate) fn try_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.try_send(&frame(kind, flags, stream, payload))
    }

    /// Sends any bytes, as far as they are taken.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(PATIENCE))?;
        self.stream.write_all(bytes)
    }

    /// Connects and sends `bytes` where the preface should be.
    pub(crate) fn instead_of_preface(address: SocketAddr, bytes: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        Self { stream, next_stream: 1 }
    }

    /// The next frame that is not the connection's own housekeeping, which is answered.
    pub(crate) fn next(&mut self) -> io::Result<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head)?;
            let [a, b, c, kind, flags, stream @ ..] = head;
            let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
            self.stream.read_exact(&mut payload)?;
            let frame = Frame { kind, flags, stream: u32::from_be_bytes(stream), payload };
            match frame.kind {
                // Whoever has closed wants no answer.
                SETTINGS if frame.flags & ACK == 0 => drop(self.try_send(&self::frame(SETTINGS, ACK, 0, &[]))),
                PING if frame.flags & ACK == 0 => drop(self.try_send(&self::frame(PING, ACK, 0, &frame.payload))),
                SETTINGS | PING | WINDOW_UPDATE => {}
                _ => return Ok(frame),
            }
        }
    }
}

/// Fields as literals without indexing, with new names (RFC 7541 §6.2.2); lengths below 127 need no continuation.
pub(crate) fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_bytes(), value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend_from_slice(text);
        }
    }
    block
}
