//! What the service did: every effect, whom it was for, and whether anybody was there to hear it.
//!
//! **Invariants**: append-only; one record per completed request, in order of completion; the counts are those of the
//! records. A key is one person: a second effect under it is a duplicate sign-up.
//! **Cost**: a hash lookup per completion; about 100 bytes per distinct key, bounded by the service's stated maximum.
//! The file is written by a thread of its own; when it is [`FILE_BACKLOG`] records behind, the service waits for it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Records between the service and the disk: 40 s of a service of 400/s.
pub const FILE_BACKLOG: usize = 16_384;

/// Records reach the file at the latest after this.
const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// One completed request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The person's Idempotency-Key.
    pub key: Box<str>,
    /// The caller's own count of its attempts; 0 when it said nothing.
    pub attempt: u32,
    /// Microseconds from the service's start until the request was complete.
    pub received_us: u64,
    /// … until its work was done.
    pub done_us: u64,
    /// Requests in flight when it started, itself included.
    pub in_flight: usize,
    /// Its work, in units of the mean request.
    pub work: f64,
    /// Whether the caller was still there when the answer was ready.
    pub heard: bool,
    /// What happened.
    pub effect: Effect,
}

/// What a completed request changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The person's first sign-up.
    First,
    /// One more sign-up under the same key.
    Duplicate,
    /// Nothing: an idempotent service recognised the key.
    Recognised,
}

/// Counts over all records.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Sign-ups made, duplicates included.
    pub effects: u64,
    /// Distinct people signed up.
    pub unique_keys: u64,
    /// Sign-ups beyond a person's first.
    pub duplicates: u64,
    /// Requests an idempotent service recognised.
    pub recognised: u64,
    /// Requests whose caller had gone when the answer was ready.
    pub wasted: u64,
    /// Work of all completed requests, in units of the mean request.
    pub finished_work: f64,
    /// Work of those nobody waited for, in units of the mean request.
    pub wasted_work: f64,
}

/// The ledger and, if asked for, its file.
#[derive(Debug)]
pub struct Ledger {
    numbers: HashMap<Box<str>, u64>,
    idempotent: bool,
    counts: Counts,
    file: Option<SyncSender<Record>>,
}

impl Ledger {
    /// An empty ledger; `idempotent` says whether a key that is known changes nothing.
    #[must_use]
    pub fn new(idempotent: bool, file: Option<SyncSender<Record>>) -> Self {
        Self { numbers: HashMap::new(), idempotent, counts: Counts::default(), file }
    }

    /// The effect a request with `key` has now, and the registration number it is answered.
    pub fn sign_up(&mut self, key: &str) -> (Effect, u64) {
        let next = self.counts.effects + 1;
        match self.numbers.get(key) {
            Some(number) if self.idempotent => (Effect::Recognised, *number),
            Some(_) => {
                self.counts.effects = next;
                (Effect::Duplicate, next)
            }
            None => {
                self.counts.effects = next;
                self.numbers.insert(key.into(), next);
                (Effect::First, next)
            }
        }
    }

    /// Enters a completed request.
    pub fn enter(&mut self, record: Record) {
        match record.effect {
            Effect::First => self.counts.unique_keys += 1,
            Effect::Duplicate => self.counts.duplicates += 1,
            Effect::Recognised => self.counts.recognised += 1,
        }
        self.counts.finished_work += record.work;
        if !record.heard {
            self.counts.wasted += 1;
            self.counts.wasted_work += record.work;
        }
        // The writer has gone only when the file has: its error is answered where the thread is joined.
        if self.file.as_ref().is_some_and(|file| file.send(record).is_err()) {
            self.file = None;
        }
    }

    /// Distinct keys held in memory.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.numbers.len()
    }

    /// Counts over all records.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Lets go of the file, so that its writer finishes.
    pub fn close(&mut self) {
        self.file = None;
    }
}

/// Opens `path` for appending and starts the thread that writes one JSON object a line to it, until every sender is gone.
pub fn writer(path: &Path) -> std::io::Result<(SyncSender<Record>, JoinHandle<std::io::Result<()>>)> {
    let file = File::options().create(true).append(true).open(path)?;
    let (sender, receiver) = sync_channel(FILE_BACKLOG);
    let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || write(&receiver, file))?;
    Ok((sender, thread))
}

fn write(records: &Receiver<Record>, file: File) -> std::io::Result<()> {
    let mut out = BufWriter::new(file);
    loop {
        match records.recv_timeout(FLUSH_INTERVAL) {
            Ok(record) => {
                serde_json::to_writer(&mut out, &record)?;
                out.write_all(b"\n")?;
            }
            Err(RecvTimeoutError::Timeout) => out.flush()?,
            Err(RecvTimeoutError::Disconnected) => return out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(ledger: &mut Ledger, key: &str, heard: bool) -> (Effect, u64) {
        let (effect, number) = ledger.sign_up(key);
        let key = key.into();
        ledger.enter(Record { key, attempt: 1, received_us: 0, done_us: 1, in_flight: 1, work: 1.25, heard, effect });
        (effect, number)
    }

    #[test]
    fn duplicates_and_waste_are_counted() {
        let mut ledger = Ledger::new(false, None);
        assert_eq!(record(&mut ledger, "a", false), (Effect::First, 1));
        assert_eq!(record(&mut ledger, "b", true), (Effect::First, 2));
        assert_eq!(record(&mut ledger, "a", true), (Effect::Duplicate, 3));
        let counts = ledger.counts();
        assert_eq!((counts.effects, counts.unique_keys, counts.duplicates, counts.wasted), (3, 2, 1, 1));
        assert!((counts.finished_work - 3.75).abs() < 1e-9);
        assert!((counts.wasted_work - 1.25).abs() < 1e-9);
    }

    #[test]
    fn an_idempotent_service_recognises_the_key() {
        let mut ledger = Ledger::new(true, None);
        assert_eq!(record(&mut ledger, "a", true), (Effect::First, 1));
        assert_eq!(record(&mut ledger, "a", true), (Effect::Recognised, 1));
        assert_eq!((ledger.counts().effects, ledger.counts().recognised), (1, 1));
    }

    #[test]
    fn the_file_holds_every_record() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("ledger.jsonl");
        let (sender, thread) = writer(&path).expect("file");
        let mut ledger = Ledger::new(false, Some(sender));
        for key in ["a", "b", "a"] {
            record(&mut ledger, key, true);
        }
        ledger.close();
        thread.join().expect("writer").expect("written");
        let text = std::fs::read_to_string(path).expect("ledger");
        let effects: Vec<Effect> =
            text.lines().map(|line| serde_json::from_str::<Record>(line).expect("a record").effect).collect();
        assert_eq!(effects, [Effect::First, Effect::First, Effect::Duplicate]);
    }
}
