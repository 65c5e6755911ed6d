//! What lies between the workers and the writer.
//!
//! **Invariants**: what is pushed before `closing` is set is written or refused; nothing stays in the ring once the writer has ended.
//! **Cost**: a push and a fence; 1 MiB a room, slots included.
//! **Not here**: who waits (`acknowledgement`), the writing (`writer`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering, fence};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;

use super::AppendError;
use super::acknowledgement::{Claim, Slots};
use super::record::Record;

/// Records held for the writer, and appends that may wait at once: a tenth of a second of 80,000 a second, which is a slow
/// `fdatasync`.
pub(super) const RING: usize = 8192;
/// A ring this full wakes the writer for a post, too.
const WAKE_AT: usize = RING / 2;

/// A record on its way.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: Record,
    /// Nobody waits for a post.
    pub(super) claim: Option<Claim>,
}

/// Between the workers and the writer.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ring: ArrayQueue<Entry>,
    pub(super) slots: Arc<Slots>,
    /// Posts that were not kept.
    pub(super) dropped: CachePadded<AtomicU64>,
    /// Length of the journal.
    pub(super) length: AtomicU64,
    /// Number of the error with which the disk refuses; zero while it does not.
    pub(super) refusal: AtomicI32,
    /// Some append was refused since the start.
    pub(super) refused: AtomicBool,
    /// No more records; the writer ends when it has written what is there.
    pub(super) closing: AtomicBool,
    /// The writer has ended: what is pushed now is for nobody.
    ended: AtomicBool,
    /// It has ended with everything on the disk.
    pub(super) complete: AtomicBool,
}

impl Shared {
    pub(super) fn new(length: u64) -> Self {
        Self {
            ring: ArrayQueue::new(RING),
            slots: Arc::new(Slots::new(RING)),
            dropped: CachePadded::default(),
            length: AtomicU64::new(length),
            refusal: AtomicI32::new(0),
            refused: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            complete: AtomicBool::new(false),
        }
    }

    /// Hands over a record; the claim comes back if there is no room. Returns whether the writer should be woken for a post.
    pub(super) fn push(&self, record: Record, claim: Option<Claim>) -> Result<bool, Option<Claim>> {
        self.ring.push(Entry { record, claim }).map_err(|entry| entry.claim)?;
        // Pairs with the one in `end`: either the writer sees the entry, or we see that it has ended.
        fence(Ordering::SeqCst);
        if self.ended.load(Ordering::Relaxed) {
            self.refuse_all();
        }
        Ok(self.ring.len() >= WAKE_AT)
    }

    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// For the writer, when it ends, however it does: nobody waits for ever.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.refuse_all();
    }

    fn refuse_all(&self) {
        while let Some(entry) = self.ring.pop() {
            self.refuse(entry);
        }
    }

    pub(super) fn refuse(&self, entry: Entry) {
        match entry.claim {
            Some(claim) => self.slots.complete(claim, Err(AppendError::Closed)),
            None => self.drop_one(),
        }
    }
}
