//! The access log: one JSON object a line for each request that was answered.
//!
//! A worker moves an [`AccessRecord`] onto a bounded ring; a thread of its own formats and writes.
//!
//! **Invariants**: [`AccessLog::record`] never blocks, whatever the disk does: a full ring drops the record and counts
//! it. No body, query or header value beside host and request id is ever in a record (design §5.12); everything a peer
//! chose is capped in length when the record is made and escaped when it is written, so a line is printable ASCII.
//! **Cost**: a record is one push (~10 ns) and no system call below half a ring; 16,384 slots, each a record and at
//! most 1.4 KiB of text: 4 MiB allocated at start, 26 MiB at the very worst. Off, nothing.
//! **Not here**: sampling, rotation by signal (use `copytruncate`: lines are appended), the operators' log.

mod line;
mod record;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

pub use record::{AccessRecord, Capped, HOST_MAX, LoggedPath, PATH_MAX, REQUEST_ID_MAX};

use crate::config::plan;
use writer::{Ended, Queue};

/// Records held for the writer: two tenths of a second of 80,000 requests a second, enough for a disk that stalls
/// briefly, and four times what arrives at that rate between two looks of the writer.
const RING: usize = 16_384;
/// A ring this full wakes the writer before its time. Below it a record costs no system call.
const WAKE_AT: usize = RING / 2;
/// Readable by the operators' group: the log holds client addresses.
const FILE_MODE: u32 = 0o640;

/// Where requests are recorded. Clones share one log; the writer ends with the last of them.
#[derive(Clone, Debug)]
pub struct AccessLog(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    queue: Arc<Queue>,
    writer: Thread,
    ended: Mutex<Receiver<Ended>>,
}

impl AccessLog {
    /// A log that writes nothing.
    pub const OFF: Self = Self(None);

    /// Opens what the plan names and starts the writer's thread.
    ///
    /// # Errors
    ///
    /// The file cannot be opened for appending, or the thread cannot be started.
    pub fn open(plan: &plan::AccessLog) -> io::Result<Self> {
        match plan {
            plan::AccessLog::File(path) => {
                let file = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)?;
                Self::start(Box::new(file))
            }
            plan::AccessLog::Off => Ok(Self::OFF),
            plan::AccessLog::Stdout => Self::start(Box::new(io::stdout())),
        }
    }

    fn start(sink: Box<dyn Write + Send>) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(RING));
        let (writer, ended) = writer::start(Arc::clone(&queue), sink)?;
        Ok(Self(Some(Arc::new(Open { queue, writer, ended: Mutex::new(ended) }))))
    }

    /// Whether records are written: if not, do not make them.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Hands `record` to the writer; drops and counts it if the ring is full or the log closed. Never blocks.
    pub fn record(&self, record: AccessRecord) {
        let Some(open) = &self.0 else { return };
        if open.queue.push(record) && open.queue.len() >= WAKE_AT {
            open.writer.unpark();
        }
    }

    /// Records that were not written: the ring was full, the log closed, or the sink failed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |open| open.queue.dropped.load(Ordering::Relaxed))
    }

    /// Closes the log and waits until everything recorded before is written, at most for `bound`. Returns whether it was.
    ///
    /// Blocks: for the end of the process, after the workers.
    pub fn close(&self, bound: Duration) -> bool {
        let Some(open) = &self.0 else { return true };
        open.stop();
        let ended = open.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = matches!(ended.recv_timeout(bound), Err(RecvTimeoutError::Disconnected));
        ended && open.queue.complete.load(Ordering::Acquire)
    }
}

impl Open {
    fn stop(&self) {
        self.queue.closing.store(true, Ordering::Release);
        self.writer.unpark();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stop();
    }
}
