//! Services that speak HTTP/2 and do not keep to it: streams they refuse, connections they leave or lose, answers that lie.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::client::{Client, Response};
use crate::frames::{DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, block};
use crate::weir::{Weir, one_route};

/// RFC 9113 §7.
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// It is served.
    Serve,
    /// It is served, and the connection closed without a word, so many times 200 µs later.
    ServeAndClose(u32),
    /// It is served, and the connection announced to be the last.
    ServeAndLeave,
    /// The stream is refused: not processed.
    Refuse,
    /// The connection is left before this request: not processed.
    LeaveBefore,
    /// Processed, and the connection lost before an answer.
    Lose,
    /// Processed, and the stream reset.
    Reset,
}

/// A service that does its deeds in turn, and serves when there are none left.
struct Service {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    deeds: Mutex<VecDeque<Deed>>,
    /// Bodies of what was processed.
    processed: Mutex<Vec<String>>,
    connections: AtomicUsize,
    stopped: AtomicBool,
}

impl Service {
    /// Answers requests that have a body by [`Deed`], those without by what `lie` writes on their stream.
    fn start(lie: impl Fn(&mut Frames, u32) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (shared, lie) = (Arc::<Shared>::default(), Arc::new(lie));
        let state = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if state.stopped.load(Ordering::SeqCst) {
                    return;
                }
                state.connections.fetch_add(1, Ordering::SeqCst);
                let (state, lie) = (Arc::clone(&state), Arc::clone(&lie));
                // A connection that ends is what these tests are about.
                std::thread::spawn(move || Frames::accept(stream).and_then(|frames| serve(frames, &state, &*lie)).ok());
            }
        });
        Self { address, shared }
    }

    /// What it does next.
    fn does(&self, deed: Deed) {
        self.shared.deeds.lock().unwrap().push_back(deed);
    }

    /// How often it has processed `body`.
    fn processed(&self, body: &str) -> usize {
        self.shared.processed.lock().unwrap().iter().filter(|processed| *processed == body).count()
    }

    fn weir(&self) -> Weir {
        Weir::start(&one_route(self.address, 4, "").replace("concurrency", "protocol = \"http2\"\nconcurrency"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
    }
}

fn serve(mut frames: Frames, shared: &Shared, lie: &dyn Fn(&mut Frames, u32) -> io::Result<()>) -> io::Result<()> {
    let mut body = Vec::new();
    loop {
        let frame = frames.next()?;
        if ![HEADERS, DATA].contains(&frame.kind) {
            continue;
        }
        if frame.kind == DATA {
            body.extend_from_slice(&frame.payload);
        }
        if frame.flags & END_STREAM == 0 {
            continue;
        }
        if body.is_empty() {
            lie(&mut frames, frame.stream)?;
            continue;
        }
        let deed = shared.deeds.lock().unwrap().pop_front().unwrap_or(Deed::Serve);
        let body = String::from_utf8(std::mem::take(&mut body)).unwrap();
        act(&mut frames, frame.stream, deed, || shared.processed.lock().unwrap().push(body))?;
    }
}

/// Does `deed` on `stream`. An error closes the connection.
fn act(frames: &mut Frames, stream: u32, deed: Deed, process: impl FnOnce()) -> io::Result<()> {
    let lost = || Err(io::ErrorKind::ConnectionAborted.into());
    match deed {
        Deed::Refuse => return frames.try_frame(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes()),
        Deed::LeaveBefore => {
            leave(frames, stream.saturating_sub(2), NO_ERROR)?;
            // It reads what it was told before the connection ends.
            std::thread::sleep(Duration::from_millis(50));
            return lost();
        }
        _ => process(),
    }
    match deed {
        Deed::Lose => return lost(),
        Deed::Reset => return frames.try_frame(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes()),
        Deed::ServeAndLeave => leave(frames, stream, NO_ERROR)?,
        _ => {}
    }
    respond(frames, stream, b"served")?;
    if let Deed::ServeAndClose(wait) = deed {
        std::thread::sleep(Duration::from_micros(200) * wait);
        return lost();
    }
    Ok(())
}

fn leave(frames: &mut Frames, last: u32, code: u32) -> io::Result<()> {
    frames.try_frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

fn respond(frames: &mut Frames, stream: u32, body: &[u8]) -> io::Result<()> {
    head(frames, stream, &[(":status", b"200")], 0)?;
    frames.try_frame(DATA, END_STREAM, stream, body)
}

fn head(frames: &mut Frames, stream: u32, fields: &[(&str, &[u8])], flags: u8) -> io::Result<()> {
    frames.try_frame(HEADERS, END_HEADERS | flags, stream, &block(fields))
}

fn post(client: &mut Client, body: &str) -> Response {
    let length = body.len();
    client.send(format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}")).answer()
}

#[test]
fn a_post_on_a_shared_connection_is_neither_lost_nor_doubled() {
    const ROUNDS: usize = 8;
    let service = Service::start(|frames, stream| respond(frames, stream, b"read"));
    let weir = service.weir();
    let mut client = Client::connect(weir.http);
    for round in 0..ROUNDS {
        for deed in [
            Deed::Refuse,
            Deed::LeaveBefore,
            Deed::ServeAndLeave,
            Deed::Lose,
            Deed::Reset,
            Deed::ServeAndClose(u32::try_from(round).unwrap()),
        ] {
            // Of a connection that is in use already.
            let warm = format!("warm={round}&{deed:?}");
            service.does(Deed::Serve);
            assert_eq!((post(&mut client, &warm).status, service.processed(&warm)), (200, 1), "before {deed:?}");
            let body = format!("name={round}&{deed:?}");
            service.does(deed);
            let answer = post(&mut client, &body);
            let outcome = (answer.status, service.processed(&body));
            match deed {
                // It may have acted on it: that is said, and it is not sent again.
                Deed::Lose | Deed::Reset => {
                    assert_eq!((outcome, answer.reason().as_str()), ((502, 1), "upstream_broken"), "{deed:?}");
                }
                _ => assert_eq!((outcome, answer.text().as_str()), ((200, 1), "served"), "{deed:?}: {answer:?}"),
            }
            // One that was closed without a word: whatever is sent on it is sent once, and nobody is told that it was done when it was not.
            if let Deed::ServeAndClose(_) = deed {
                let body = format!("after={round}");
                let answer = post(&mut client, &body);
                let processed = service.processed(&body);
                assert!(
                    (answer.status, processed) == (200, 1) || (answer.status == 502 && processed <= 1),
                    "{answer:?}"
                );
            }
        }
    }
    drop(client);
    weir.wait_for_rest();
    assert!(service.shared.connections.load(Ordering::SeqCst) > ROUNDS);
}

/// What is wrong with an answer, and how it is written.
type Lie = (&'static str, fn(&mut Frames, u32) -> io::Result<()>);

/// Heads that nobody can read, or that two read differently: 502.
const UNREADABLE: [Lie; 9] = [
    ("no status", |frames, stream| head(frames, stream, &[("x-a", b"b")], END_STREAM)),
    ("a status that is none", |frames, stream| head(frames, stream, &[(":status", b"2x0")], END_STREAM)),
    ("a field of a connection", |frames, stream| {
        head(frames, stream, &[(":status", b"200"), ("transfer-encoding", b"chunked")], END_STREAM)
    }),
    ("capitals in a name", |frames, stream| head(frames, stream, &[(":status", b"200"), ("X-A", b"b")], END_STREAM)),
    ("a line end in a value", |frames, stream| {
        head(frames, stream, &[(":status", b"200"), ("x-a", b"b\r\nset-cookie: c=d")], END_STREAM)
    }),
    ("NUL in a value", |frames, stream| head(frames, stream, &[(":status", b"200"), ("x-a", b"b\0c")], END_STREAM)),
    ("a body before its head", |frames, stream| frames.try_frame(DATA, END_STREAM, stream, b"ok")),
    ("a block that cannot be decoded", |frames, stream| {
        frames.try_frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    }),
    ("an error and the end instead of an answer", |frames, stream| {
        leave(frames, stream, PROTOCOL_ERROR)?;
        Err(io::ErrorKind::ConnectionAborted.into())
    }),
];

/// Bodies that are not what their heads say: broken off, so that nobody takes them for whole.
const BROKEN: [Lie; 4] = [
    ("shorter than its length", |frames, stream| {
        head(frames, stream, &[(":status", b"200"), ("content-length", b"5")], 0)?;
        frames.try_frame(DATA, END_STREAM, stream, b"ok")
    }),
    ("longer than its length", |frames, stream| {
        head(frames, stream, &[(":status", b"200"), ("content-length", b"200000")], 0)?;
        (0..20).try_for_each(|_| frames.try_frame(DATA, 0, stream, &[b'x'; 16_000]))?;
        frames.try_frame(DATA, END_STREAM, stream, b"x")
    }),
    ("reset in the middle", |frames, stream| {
        head(frames, stream, &[(":status", b"200"), ("content-length", b"200000")], 0)?;
        frames.try_frame(DATA, 0, stream, b"ok")?;
        frames.try_frame(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes())
    }),
    ("lost in the middle", |frames, stream| {
        head(frames, stream, &[(":status", b"200")], 0)?;
        frames.try_frame(DATA, 0, stream, b"ok")?;
        Err(io::ErrorKind::ConnectionAborted.into())
    }),
];

/// weir in front of a service that tells these lies one after the other, and whatever a GET on a new connection comes to each time.
fn told(lies: &'static [Lie], check: impl Fn(&str, io::Result<Response>)) {
    let turn = AtomicUsize::new(0);
    let service = Service::start(move |frames, stream| lies[turn.fetch_add(1, Ordering::SeqCst)].1(frames, stream));
    let weir = service.weir();
    for (name, _) in lies {
        check(name, Client::connect(weir.http).ask("GET", "/").try_answer("GET"));
        let body = format!("next={name}");
        let answer = post(&mut Client::connect(weir.http), &body);
        assert_eq!((answer.text().as_str(), service.processed(&body)), ("served", 1), "after {name}: {answer:?}");
    }
    weir.wait_for_rest();
}

#[test]
fn what_cannot_be_read_is_not_passed_on() {
    told(&UNREADABLE, |name, answer| {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_broken"), "{name}: {answer:?}");
    });
}

#[test]
fn a_body_that_lies_is_broken_off() {
    told(&BROKEN, |name, answer| match answer {
        // What was read ahead before anything was passed on may still become an error.
        Ok(answer) => assert_eq!(answer.status, 502, "{name}: {answer:?}"),
        Err(error) => println!("{name}: {error}"),
    });
}
