//! The thread that writes the access log, and the ring it reads from.
//!
//! **Invariants**: every record pushed is written or counted as dropped, except those pushed while the writer ends and,
//! if the sink still fails then, those in the buffer. A sink that fails or stalls harms only the log. No line is torn by
//! a failed write and none is written twice.
//! **Cost**: asleep but for a look every [`POLL`]; awake, one write for each [`BUFFER`] bytes.

use std::convert::Infallible;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;

use super::line;
use super::record::AccessRecord;

/// Between two looks at the ring. A line is on its way this soon after its request, and nobody makes a system call to
/// wake the writer for each.
const POLL: Duration = Duration::from_millis(50);
/// Bytes collected for one write; far more than the longest line (9 KiB of escapes), so lines never go out in halves.
const BUFFER: usize = 64 * 1024;

/// Nothing is ever sent: the sender's end says that the writer has ended.
pub(super) type Ended = Infallible;

/// Between the workers and the writer.
#[derive(Debug)]
pub(super) struct Queue {
    ring: ArrayQueue<AccessRecord>,
    /// Records that were not written.
    pub(super) dropped: CachePadded<AtomicU64>,
    /// No more records; the writer ends when it has written what is there.
    pub(super) closing: AtomicBool,
    /// The writer has ended with nothing left to write.
    pub(super) complete: AtomicBool,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            ring: ArrayQueue::new(capacity),
            dropped: CachePadded::default(),
            closing: AtomicBool::new(false),
            complete: AtomicBool::new(false),
        }
    }

    /// Records that wait for the writer.
    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether there was room; if not, the record is counted as dropped.
    pub(super) fn push(&self, mut record: AccessRecord) -> bool {
        record.cap_method();
        let pushed = !self.closing.load(Ordering::Relaxed) && self.ring.push(record).is_ok();
        if !pushed {
            self.drop_one();
        }
        pushed
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Starts the writer; the receiver is disconnected when it has ended.
pub(super) fn start(queue: Arc<Queue>, sink: Box<dyn Write + Send>) -> io::Result<(Thread, Receiver<Ended>)> {
    let (ending, ended) = sync_channel(1);
    let out = BufWriter::with_capacity(BUFFER, sink);
    let writer = Writer { queue, out, line: Vec::new(), failing: false, _ending: ending };
    let handle = thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
    Ok((handle.thread().clone(), ended))
}

struct Writer {
    queue: Arc<Queue>,
    out: BufWriter<Box<dyn Write + Send>>,
    /// The line in the making; its memory is used again.
    line: Vec<u8>,
    /// The sink's last write failed; said once, not for each line.
    failing: bool,
    _ending: SyncSender<Ended>,
}

impl Writer {
    fn run(mut self) {
        loop {
            // Read before the ring is emptied: whoever recorded before closing is in the ring by now.
            let closing = self.queue.closing.load(Ordering::Acquire);
            let flushed = self.write_all();
            if closing {
                self.queue.complete.store(flushed, Ordering::Release);
                return;
            }
            thread::park_timeout(POLL);
        }
    }

    /// Writes until the ring is empty, then flushes; whether the sink has it all.
    fn write_all(&mut self) -> bool {
        while let Some(record) = self.queue.ring.pop() {
            if let Err(error) = self.write_one(&record) {
                self.queue.drop_one();
                self.report(&error);
            }
        }
        match self.out.flush() {
            Ok(()) => self.failing = false,
            Err(error) => self.report(&error),
        }
        !self.failing
    }

    /// A failed write leaves earlier lines in the buffer, to be tried again, and nothing of this one.
    fn write_one(&mut self, record: &AccessRecord) -> io::Result<()> {
        self.line.clear();
        line::write(&mut self.line, record)?;
        self.out.write_all(&self.line)
    }

    fn report(&mut self, error: &io::Error) {
        if !self.failing {
            self.failing = true;
            tracing::error!(%error, "the access log cannot be written; records are dropped until it can");
        }
    }
}
