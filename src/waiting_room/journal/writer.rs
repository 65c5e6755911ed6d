//! The thread that writes a room's journal.
//!
//! Whatever came while the last write was under way goes out in the next (group commit): one write for all of it, then the
//! acknowledgements. A record that says so is on the disk before it is acknowledged; the rest is put there once a second.
//!
//! **Invariants**
//! * What is acknowledged was given to the kernel whole: a process that is killed loses none of it. A power cut loses at most the
//!   last [`SYNC_EVERY`] of records that do not say more.
//! * No torn frame has anything behind it: what a failed write left is cut off before the next.
//! * After a failed `fdatasync` the same file is never trusted again: the kernel may have thrown the pages away and called them clean
//!   (the `PostgreSQL` developers' "fsyncgate", 2018). The journal is copied to a new file, read back, and goes on there.
//! * While the disk refuses, appends fail, posts are kept as long as there is room (and counted when there is not), and every
//!   [`RETRY`] another attempt is made.
//!
//! **Cost**: asleep but for a look every [`POLL`]; awake, one write for at most [`BATCH`] records.
//! **Not here**: files (`disk`), the ring it reads from (`queue`).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use super::AppendError;
use super::frame::{self, FRAME_MAX, Frame};
use super::queue::{Entry, RING, Shared};
use crate::clock::{Clock, Tick};

/// Records of one write: the first of a burst is acknowledged before its last is encoded.
const BATCH: usize = 1024;
/// Between two looks at the ring. An append wakes the writer at once, a post is on its way this soon.
const POLL: Duration = Duration::from_millis(50);
/// Between two `fdatasync` of ordinary records: what a power cut may take back.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Between two attempts while the disk refuses.
const RETRY: Duration = Duration::from_secs(1);

/// Nothing is ever sent: the sender's end says that the writer has ended.
pub(super) type Ended = Infallible;

/// Where frames go.
pub(super) trait Medium: Send {
    /// Appends all of `bytes`; after an error, any part of them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Takes away everything behind `length`.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Returns when everything written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Goes on with a copy of the first `length` bytes that is on the disk, after a [`Self::sync`] that failed.
    fn renew(&mut self, length: u64) -> io::Result<()>;
    /// Where that is, for operators.
    fn directory(&self) -> &Path;
}

/// Starts the writer behind the first `length` bytes of `medium`; the receiver is disconnected when it has ended.
pub(super) fn start(
    shared: Arc<Shared>,
    medium: impl Medium + 'static,
    length: u64,
    clock: Clock,
) -> io::Result<(Thread, Receiver<Ended>)> {
    let (ending, ended) = sync_channel(1);
    let writer = Writer {
        shared,
        medium,
        synced_at: clock.now(),
        clock,
        length,
        durable: length,
        unsynced: false,
        pending: VecDeque::new(),
        buffer: Vec::with_capacity(BATCH * FRAME_MAX),
        fault: None,
        _ending: ending,
    };
    let handle = thread::Builder::new().name("room-journal".to_owned()).spawn(move || writer.run())?;
    Ok((handle.thread().clone(), ended))
}

/// What has to be put right before the next write.
#[derive(Clone, Copy)]
enum Fault {
    /// There may be part of a batch behind what is whole.
    Torn,
    /// What is behind the last mark may never reach the disk.
    Unsynced,
}

struct Writer<M: Medium> {
    shared: Arc<Shared>,
    medium: M,
    clock: Clock,
    /// Bytes that are whole: header and frames.
    length: u64,
    /// Of these, on the disk for certain.
    durable: u64,
    /// Records were written since. Marks are not worth a sync.
    unsynced: bool,
    synced_at: Tick,
    /// Taken from the ring and not written; after a fault only posts.
    pending: VecDeque<Entry>,
    /// The batch in the making; its memory is used again.
    buffer: Vec<u8>,
    /// What the disk refused last, and when.
    fault: Option<(Fault, Tick)>,
    /// Last: whoever sees it gone may open the journal again.
    _ending: SyncSender<Ended>,
}

impl<M: Medium> Writer<M> {
    fn run(mut self) {
        loop {
            // Read before the ring is emptied: whoever appended before closing is in the ring by now.
            let closing = self.shared.closing.load(Ordering::Acquire);
            self.step(closing);
            if closing && (self.fault.is_some() || self.is_idle()) {
                let complete = self.fault.is_none() && (!self.unsynced || self.sync().is_ok());
                self.shared.complete.store(complete, Ordering::Release);
                return;
            }
            if self.fault.is_some() || self.is_idle() {
                thread::park_timeout(POLL);
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.shared.ring.is_empty()
    }

    /// One batch, and what is due.
    fn step(&mut self, closing: bool) {
        let now = self.clock.now();
        if let Some((fault, at)) = self.fault {
            if !closing && now.since(at) < RETRY {
                return;
            }
            match self.repair(fault) {
                Ok(()) => self.recovered(),
                Err(error) => return self.refused(fault, &error),
            }
        }
        while self.pending.len() < BATCH
            && let Some(entry) = self.shared.ring.pop()
        {
            self.pending.push_back(entry);
        }
        if !self.pending.is_empty() {
            self.commit();
        }
        if self.fault.is_none() && self.unsynced && now.since(self.synced_at) >= SYNC_EVERY {
            // A refusal is remembered; here nobody waits for the answer.
            self.sync().ok();
        }
    }

    /// Writes a batch and acknowledges it.
    fn commit(&mut self) {
        let count = self.pending.len().min(BATCH);
        let batch = self.pending.iter().take(count).map(|entry| Frame::Record(entry.record));
        fill(&mut self.buffer, self.length, batch);
        if let Err(error) = self.write() {
            return self.refused(Fault::Torn, &error);
        }
        self.unsynced = true;
        let mut sync = false;
        let mut strict = Vec::new();
        for entry in self.pending.drain(..count) {
            let at_once = entry.record.is_synced_at_once();
            sync |= at_once;
            match entry.claim {
                Some(claim) if at_once => strict.push(claim),
                Some(claim) => self.shared.slots.complete(claim, Ok(())),
                None => {}
            }
        }
        if sync {
            let result = self.sync();
            for claim in strict {
                self.shared.slots.complete(claim, result);
            }
        }
    }

    /// Writes the buffer behind what is whole.
    fn write(&mut self) -> io::Result<()> {
        self.medium.write(&self.buffer)?;
        self.length += self.buffer.len() as u64;
        self.shared.length.store(self.length, Ordering::Relaxed);
        Ok(())
    }

    /// Puts everything on the disk and says so in the journal.
    fn sync(&mut self) -> Result<(), AppendError> {
        self.synced_at = self.clock.now();
        if let Err(error) = self.medium.sync() {
            self.refused(Fault::Unsynced, &error);
            return Err(AppendError::Disk(number(&error)));
        }
        self.synced();
        if let Err(error) = self.mark() {
            // The records are safe; only what follows them is not.
            self.refused(Fault::Torn, &error);
        }
        Ok(())
    }

    fn synced(&mut self) {
        self.durable = self.length;
        self.unsynced = false;
    }

    /// Says in the journal what is on the disk. Only what was put there before it is covered, not the mark itself.
    fn mark(&mut self) -> io::Result<()> {
        let durable = self.durable;
        fill(&mut self.buffer, self.length, [Frame::Mark { durable }]);
        self.write()
    }

    /// Puts right what a refusal left, and tries the disk with a mark.
    fn repair(&mut self, fault: Fault) -> io::Result<()> {
        self.medium.cut(self.length)?;
        if matches!(fault, Fault::Unsynced) {
            self.medium.renew(self.length)?;
            self.synced();
        }
        self.mark()
    }

    fn recovered(&mut self) {
        self.fault = None;
        self.shared.refusal.store(0, Ordering::Release);
        let directory = self.medium.directory().display();
        tracing::info!(%directory, "the journal of a waiting room is written again");
    }

    /// Remembers a refusal; whoever waits is told, posts are kept.
    fn refused(&mut self, fault: Fault, error: &io::Error) {
        if self.fault.is_none() {
            let directory = self.medium.directory().display();
            tracing::error!(%directory, %error, "the journal of a waiting room cannot be written; tried again every second");
        }
        // Unsynced is the worse of the two and stays until it is repaired.
        let fault = match self.fault {
            Some((Fault::Unsynced, _)) => Fault::Unsynced,
            _ => fault,
        };
        self.fault = Some((fault, self.clock.now()));
        let number = number(error);
        self.shared.refusal.store(number, Ordering::Release);
        self.shared.refused.store(true, Ordering::Release);
        let shared = &self.shared;
        let mut keep = |entry: &mut Entry| match entry.claim.take() {
            Some(claim) => {
                shared.slots.complete(claim, Err(AppendError::Disk(number)));
                false
            }
            None => true,
        };
        self.pending.retain_mut(&mut keep);
        while let Some(mut entry) = self.shared.ring.pop() {
            if !keep(&mut entry) {
                continue;
            }
            if self.pending.len() < RING {
                self.pending.push_back(entry);
            } else {
                self.shared.drop_one();
            }
        }
    }
}

impl<M: Medium> Drop for Writer<M> {
    /// Also when it panicked.
    fn drop(&mut self) {
        for entry in self.pending.drain(..) {
            self.shared.refuse(entry);
        }
        self.shared.end();
    }
}

fn fill(buffer: &mut Vec<u8>, length: u64, frames: impl IntoIterator<Item = Frame>) {
    buffer.clear();
    for frame in frames {
        let offset = length + buffer.len() as u64;
        frame::encode(buffer, offset, &frame);
    }
}

/// The system's number of an error; an error that has none is one of the device.
fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error())
}
