//! The floor: a relay on bare epoll, which knows of HTTP no more than where a message ends. It admits, checks, counts and limits nothing; below
//! what it costs, which is nearly all the kernel's, no proxy is that reads and writes each message once.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// The largest message that it reads at once, as many bytes as hyper's buffer takes here.
const PART: usize = 32 * 1024;

/// Events taken at once, as many as tokio takes.
const EVENTS: usize = 1024;

const LISTENER: u64 = 0;

/// One end of the relay.
struct End {
    stream: TcpStream,
    /// Whom it is talking to.
    other: Option<u64>,
    /// To the origin: bytes of the answer that are still to come, once they are known.
    left: Option<usize>,
    is_client: bool,
}

/// The relay.
struct Relay {
    epoll: rustix::fd::OwnedFd,
    origin: u16,
    ends: HashMap<u64, End>,
    /// Connections to the origin that wait for a request.
    idle: Vec<u64>,
    next: u64,
}

/// Relays from `port` to `origin` until it is killed.
pub(crate) fn serve(port: &str, origin: &str) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).unwrap();
    let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN).unwrap();
    let mut relay =
        Relay { epoll, origin: origin.parse().unwrap(), ends: HashMap::new(), idle: Vec::new(), next: LISTENER + 1 };
    let mut events = Vec::with_capacity(EVENTS);
    let mut bytes = vec![0; PART];
    loop {
        epoll::wait(&relay.epoll, spare_capacity(&mut events), None).unwrap();
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => drop(relay.open(listener.accept().unwrap().0, true)),
                end => relay.read(end, &mut bytes),
            }
        }
    }
}

impl Relay {
    fn open(&mut self, stream: TcpStream, is_client: bool) -> u64 {
        stream.set_nodelay(true).unwrap();
        let number = self.next;
        self.next += 1;
        epoll::add(&self.epoll, &stream, EventData::new_u64(number), EventFlags::IN).unwrap();
        self.ends.insert(number, End { stream, other: None, left: None, is_client });
        number
    }

    /// There is something to read from `number`; messages are small, so a socket is there when one is to be written.
    fn read(&mut self, number: u64, bytes: &mut [u8]) {
        let Some(end) = self.ends.get_mut(&number) else { return };
        let read = end.stream.read(bytes).unwrap_or(0);
        let (came, is_client, other) = (&bytes[..read], end.is_client, end.other);
        if read == 0 {
            self.idle.retain(|idle| *idle != number);
            self.ends.remove(&number);
        } else if is_client {
            let server = self.server(number);
            if let Some(server) = self.ends.get_mut(&server) {
                server.stream.write_all(came).unwrap();
            }
        } else if let Some(client) = other {
            let left = end.left.unwrap_or_else(|| whole(came)).saturating_sub(read);
            end.left = Some(left).filter(|left| *left > 0);
            if left == 0 {
                end.other = None;
                self.idle.push(number);
            }
            if let Some(client) = self.ends.get_mut(&client) {
                client.stream.write_all(came).ok();
            }
        }
    }

    /// A connection to the origin for `client`.
    fn server(&mut self, client: u64) -> u64 {
        let server = self.idle.pop().unwrap_or_else(|| {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.origin)).unwrap();
            self.open(stream, false)
        });
        if let Some(end) = self.ends.get_mut(&server) {
            end.other = Some(client);
        }
        server
    }
}

/// How many bytes the answer has that begins with `came`, which has its whole head.
fn whole(came: &[u8]) -> usize {
    let head = came.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let text = str::from_utf8(&came[..head]).unwrap();
    let mut fields = text.lines().filter_map(|line| line.split_once(": "));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    head + length.unwrap().1.parse::<usize>().unwrap()
}
