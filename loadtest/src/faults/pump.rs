//! One direction of one connection: bytes in, later or slower out.
//!
//! **Invariants**: bytes leave in the order in which they came, all of them, but for those of a direction that is half-closed. At most
//! [`BUFFER`] are held; then the sender waits. A black hole neither reads nor writes, nor sees an end.
//! **Cost**: two system calls a chunk; no buffer while nothing is held. The runtime's timers round up to a millisecond.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use super::weather::{Conditions, Direction, Lot, Weather};
use crate::clock::Clock;

/// Bytes held in one direction at most.
pub const BUFFER: usize = 64 << 10;

/// Most that is read at once.
const CHUNK: usize = 16 << 10;

/// A slow direction is written in so many pieces a second.
const PIECES: u64 = 50;

/// A slow direction catches up on lost time up to this.
const CATCH_UP: Duration = Duration::from_millis(40);

pub(super) struct Pump<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    weather: &'a Weather,
    clock: Clock,
    rng: fastrand::Rng,
    closes: Option<Duration>,
    /// Half-closed: whatever comes goes nowhere.
    closed: bool,
    /// The sender has ended.
    ended: bool,
    queue: VecDeque<Chunk>,
    held: usize,
    last_due: Duration,
    /// A slow direction writes again then.
    paced: Duration,
}

/// Bytes that are due; without any, the end.
struct Chunk {
    due: Duration,
    data: Vec<u8>,
    sent: usize,
}

/// What keeps the first chunk from leaving.
enum Wait {
    Nothing,
    Until(Duration),
    Room,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        (from, to): (&'a TcpStream, &'a TcpStream),
        weather: &'a Weather,
        clock: Clock,
        (connection, direction, lot): (u64, Direction, Lot),
    ) -> Self {
        let closes = lot.half_close.filter(|(_, lost)| *lost == direction).map(|(at, _)| at);
        Self {
            from,
            to,
            weather,
            clock,
            rng: weather.draws(connection, direction),
            closes,
            closed: false,
            ended: false,
            queue: VecDeque::new(),
            held: 0,
            last_due: Duration::ZERO,
            paced: Duration::ZERO,
        }
    }

    /// Until the end has been passed on.
    ///
    /// # Errors
    /// Of one of the sockets: both must go.
    pub(super) async fn run(mut self) -> io::Result<()> {
        loop {
            let now = self.clock.now();
            let (conditions, changes) = (self.weather.at(now), self.weather.changes(now));
            if conditions.black {
                self.sleep(changes).await;
                continue;
            }
            if self.closes.is_some_and(|at| at <= now) {
                self.half_close();
            }
            let wait = self.write(now, conditions)?;
            if self.ended && self.queue.is_empty() {
                return Ok(());
            }
            let due = if let Wait::Until(due) = wait { Some(due) } else { None };
            let wake = [changes, self.closes, due].into_iter().flatten().min();
            tokio::select! {
                readable = self.from.readable(), if !self.ended && self.held < BUFFER => {
                    readable?;
                    self.read()?;
                }
                writable = self.to.writable(), if matches!(wait, Wait::Room) => writable?,
                () = self.sleep(wake) => {}
            }
        }
    }

    async fn sleep(&self, until: Option<Duration>) {
        match until {
            Some(until) => sleep_until(self.clock.instant(until)).await,
            None => std::future::pending().await,
        }
    }

    fn half_close(&mut self) {
        (self.closes, self.closed) = (None, true);
        self.queue.clear();
        self.held = 0;
        end(self.to);
    }

    fn read(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        let room = CHUNK.min(BUFFER - self.held);
        let came = match chunk.get_mut(..room).map(|chunk| self.from.try_read(chunk)) {
            Some(Ok(came)) => came,
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Some(Err(error)) => return Err(error),
            None => return Ok(()),
        };
        self.ended = came == 0;
        if self.closed {
            return Ok(());
        }
        let now = self.clock.now();
        let Conditions { delay, jitter, .. } = self.weather.at(now);
        // In order: nothing overtakes what came before it.
        let due = (now + delay + jitter.mul_f64(self.rng.f64())).max(self.last_due);
        self.last_due = due;
        self.held += came;
        self.queue.push_back(Chunk { due, data: chunk.get(..came).unwrap_or_default().to_vec(), sent: 0 });
        Ok(())
    }

    /// Writes what is due.
    fn write(&mut self, now: Duration, conditions: Conditions) -> io::Result<Wait> {
        while let Some(chunk) = self.queue.front_mut() {
            let ready = if conditions.rate.is_some() { chunk.due.max(self.paced) } else { chunk.due };
            if ready > now {
                return Ok(Wait::Until(ready));
            }
            let left = chunk.data.get(chunk.sent..).unwrap_or_default();
            if left.is_empty() {
                if chunk.data.is_empty() {
                    end(self.to);
                }
                self.queue.pop_front();
                continue;
            }
            let piece = conditions.rate.map_or(left.len(), |rate| piece(rate).min(left.len()));
            match self.to.try_write(left.get(..piece).unwrap_or(left)) {
                Ok(sent) => {
                    chunk.sent += sent;
                    self.held -= sent;
                    if let Some(rate) = conditions.rate {
                        let takes = Duration::from_secs_f64(sent as f64 / rate as f64);
                        self.paced = self.paced.max(now.saturating_sub(CATCH_UP)) + takes;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Wait::Room),
                Err(error) => return Err(error),
            }
        }
        Ok(Wait::Nothing)
    }
}

/// Most that a direction of so many bytes a second writes at once.
fn piece(rate: u64) -> usize {
    usize::try_from(rate / PIECES).unwrap_or(usize::MAX).max(1)
}

/// Tells the receiver that nothing more comes. If it has gone, it knows.
fn end(to: &TcpStream) {
    SockRef::from(to).shutdown(Shutdown::Write).ok();
}
