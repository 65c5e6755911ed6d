//! What people are told, written down beside the day: by a thread of its own, in the order in which it was said.
//!
//! Each person's roll lies somewhere else in memory, and to wait for that is a good part of what a visit in line costs.
//!
//! **Invariants**: nothing is asked of it while the day lasts, so nothing depends on how fast it is; everything handed over is in the rolls at the end.
//! **Cost**: two copies of a record; at most [`AHEAD`] + 2 batches of [`BATCH`] at once, 3 MiB.

use std::panic::resume_unwind;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::ledger::{Rolls, Told};

/// Records handed over at once: rarely enough that handing over costs nothing.
const BATCH: usize = 8_192;
/// … and of these so many are put in at once: their rolls' ends fit into a processor's nearer caches.
const TOGETHER: usize = 512;
/// Batches that wait to be written down; then the day waits.
const AHEAD: usize = 4;

/// Writes down what it is handed.
#[derive(Debug)]
pub(super) struct Recorder {
    batch: Vec<Told>,
    /// None: there is no second thread, and all of it is written down here.
    out: Option<(SyncSender<Vec<Told>>, JoinHandle<Rolls>)>,
    here: Rolls,
}

impl Recorder {
    /// Of so many people.
    pub(super) fn new(people: usize) -> Self {
        let (sender, receiver) = sync_channel::<Vec<Told>>(AHEAD);
        let write = move || {
            let mut rolls = Rolls::new(people);
            for batch in receiver {
                batch.chunks(TOGETHER).for_each(|some| rolls.put(some));
            }
            rolls
        };
        let thread = thread::Builder::new().name("rolls".to_owned()).spawn(write).ok();
        let here = if thread.is_some() { Rolls::default() } else { Rolls::new(people) };
        Self { batch: Vec::with_capacity(BATCH), out: thread.map(|thread| (sender, thread)), here }
    }

    /// Writes `told` down.
    pub(super) fn push(&mut self, told: Told) {
        self.batch.push(told);
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
    }

    /// Everything that was written down.
    pub(super) fn end(mut self) -> Rolls {
        self.hand_over();
        let Some((sender, thread)) = self.out else { return self.here };
        drop(sender);
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn hand_over(&mut self) {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        match &self.out {
            // Nobody takes it only if the thread has panicked, which the end says.
            Some((sender, _)) => drop(sender.send(batch)),
            None => self.here.put(&batch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Kind, RequestId};

    #[test]
    fn what_is_handed_over_is_in_the_rolls_in_its_order() {
        let told = |number: u64| {
            let id = RequestId { person: u32::try_from(number % 7).expect("small"), request: 0 };
            Told::sent(id, 0, Kind::Poll, number, number)
        };
        let mut recorder = Recorder::new(7);
        let count = 3 * BATCH as u64 + 5;
        (0..count).for_each(|number| recorder.push(told(number)));
        let rolls = recorder.end();
        assert_eq!(rolls, (0..count).map(told).collect());
        assert_eq!(Recorder::new(7).end().len(), 0);
    }
}
