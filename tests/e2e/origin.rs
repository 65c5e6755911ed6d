//! A service behind weir: it remembers the exact bytes of what it was asked, counts exactly what it works on at once, and
//! works on when its caller has gone.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Requests remembered; load tests send more.
const REMEMBERED: usize = 2_000;
/// Bytes of a body that are remembered.
const BODY_REMEMBERED: usize = 4096;

type Serve = dyn Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync;

/// A running service; it stops when dropped.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    seen: Mutex<Vec<Vec<u8>>>,
    requests: AtomicUsize,
    working: AtomicUsize,
    most: AtomicUsize,
    connections: AtomicUsize,
}

/// A request that is being served. An error of the service closes its connection.
pub(crate) struct Exchange<'a> {
    /// Request line and fields, as they came.
    pub(crate) head: String,
    stream: &'a mut BufReader<TcpStream>,
    shared: &'a Shared,
}

impl Origin {
    /// Serves each request by `serve`.
    pub(crate) fn start(serve: impl Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (state, serve): (_, Arc<Serve>) = (Arc::clone(&shared), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if state.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (state, serve) = (Arc::clone(&state), Arc::clone(&serve));
                std::thread::spawn(move || {
                    state.connections.fetch_add(1, Ordering::SeqCst);
                    // A connection that fails is the business of the test that made it fail.
                    converse(stream, &state, serve.as_ref()).ok();
                });
            }
        });
        Self { address, shared }
    }

    /// Answers 200 with the bytes of the request: head, then body.
    pub(crate) fn echo() -> Self {
        Self::start(|exchange| {
            let body = exchange.body()?;
            let text = [exchange.head.as_bytes(), &body].concat();
            exchange.respond(200, "", &text)
        })
    }

    /// Answers each request once `latch` lets it.
    pub(crate) fn latched(latch: &Arc<Latch>) -> Self {
        let latch = Arc::clone(latch);
        Self::start(move |exchange| {
            exchange.body()?;
            exchange.work(|| latch.pass());
            exchange.respond(200, "", b"done")
        })
    }

    /// What it was asked: head and the beginning of the body of each request.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// The targets of what it was asked, in order.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.seen().iter().map(|request| request.split(' ').nth(1).unwrap_or_default().to_owned()).collect()
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The most it ever worked on at once.
    pub(crate) fn most(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then looks.
        TcpStream::connect(self.address).ok();
    }
}

fn converse(stream: TcpStream, shared: &Shared, serve: &Serve) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_until(b'\n', &mut head)? == 0 {
                if !head.is_empty() {
                    shared.seen.lock().unwrap().push(head);
                }
                return Ok(());
            }
        }
        shared.requests.fetch_add(1, Ordering::SeqCst);
        shared.remember(&head);
        let head = String::from_utf8_lossy(&head).into_owned();
        serve(&mut Exchange { head, stream: &mut stream, shared })?;
    }
}

impl Shared {
    fn remember(&self, bytes: &[u8]) {
        let mut seen = self.seen.lock().unwrap();
        if seen.len() < REMEMBERED {
            seen.push(bytes.to_vec());
        }
    }
}

impl Exchange<'_> {
    /// What was asked for.
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The method.
    pub(crate) fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    /// The first field of this name, in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// Reads the body to its end.
    pub(crate) fn body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.each_part(|part| body.extend_from_slice(part))?;
        if let Some(last) = self.shared.seen.lock().unwrap().last_mut()
            && last.starts_with(self.head.as_bytes())
        {
            last.extend_from_slice(body.get(..BODY_REMEMBERED).unwrap_or(&body));
        }
        Ok(body)
    }

    /// Reads the body, part by part.
    pub(crate) fn each_part(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        if self.field("transfer-encoding").is_some() {
            loop {
                let mut line = String::new();
                self.stream.read_line(&mut line)?;
                let length = u64::from_str_radix(line.trim_end(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
                self.exactly(length, &mut take)?;
                self.exactly(2, &mut |_| {})?;
                if length == 0 {
                    return Ok(());
                }
            }
        }
        let length = self.field("content-length").map_or(0, |length| length.parse().unwrap());
        self.exactly(length, &mut take)
    }

    fn exactly(&mut self, mut left: u64, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.stream.read(&mut buffer[..most])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(&buffer[..read]);
            left -= read as u64;
        }
        Ok(())
    }

    /// Does `work`, and counts it for as long as it lasts: the answer is not begun before it is over.
    pub(crate) fn work(&self, work: impl FnOnce()) {
        let now = self.shared.working.fetch_add(1, Ordering::SeqCst) + 1;
        self.shared.most.fetch_max(now, Ordering::SeqCst);
        work();
        self.shared.working.fetch_sub(1, Ordering::SeqCst);
    }

    /// Answers; `fields` are whole lines.
    pub(crate) fn respond(&mut self, status: u16, fields: &str, body: &[u8]) -> io::Result<()> {
        let length =
            if matches!(status, 204 | 304) { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let head = format!("HTTP/1.1 {status} Status\r\n{fields}{length}\r\n");
        let body = if self.method() == "HEAD" { &[] } else { body };
        self.raw(&[head.as_bytes(), body].concat())
    }

    /// Writes `bytes`.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads what comes, at most `buffer`.
    pub(crate) fn some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

/// The value of the first field of this name, in lower case, in a message.
pub(crate) fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    let line = head
        .lines()
        .skip(1)
        .find(|line| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name)))?;
    Some(line.split_once(':')?.1.trim())
}

/// Lets as many pass as it was told to.
#[derive(Default)]
pub(crate) struct Latch {
    passes: Mutex<usize>,
    changed: Condvar,
}

impl Latch {
    /// Closed.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets `count` more pass.
    pub(crate) fn let_pass(&self, count: usize) {
        *self.passes.lock().unwrap() += count;
        self.changed.notify_all();
    }

    /// Waits to be let pass; for two minutes at most, so that no thread outlives its test for good.
    pub(crate) fn pass(&self) {
        let passes = self.passes.lock().unwrap();
        let limit = Duration::from_mins(2);
        let (mut passes, waited) = self.changed.wait_timeout_while(passes, limit, |passes| *passes == 0).unwrap();
        if !waited.timed_out() {
            *passes -= 1;
        }
    }
}
