//! What must survive `kill -9`: an append-only log of one room.
//!
//! A worker hands a [`Record`] to a bounded ring; a thread of the room's own writes what has gathered there and then acknowledges
//! it. At the next start the records are read back in order, and the room is what it was. A log of our own, and no database:
//! the records are few kinds of a few bytes, are read once and from the beginning, and whether one is there is decided by one
//! checksum.
//!
//! ```text
//! header  magic, version, room, generation (24 bytes)
//! frame   checksum, kind, fields           (16 to 56 bytes, see `frame`)
//! …
//! ```
//!
//! **Invariants**
//! * A record whose [`Journal::append`] was answered `Ok` is read back after `kill -9` at any instant, whole, once, and in its place;
//!   and after a power cut if it is one that [says so](Record::is_synced_at_once) or a second old.
//! * What is read back is a prefix of what was written. A torn end is cut off; damage to what was on the disk once is an error
//!   that names file and offset, never skipped.
//! * One process at a time has a room's directory.
//! * A disk that refuses harms nothing that is written: appends fail at once, and recovery is by itself.
//!
//! **Cost**: an append is two rings' push and pop, a fence and a wake-up (~1 µs); a write is shared by all that came meanwhile.
//! 1 MiB a room, one thread. On disk 16 bytes for most records, 24 for an identity.
//! **No bound**: it is made shorter at a start only. Whoever is let in and repeats a request that counts and fails leaves 32 bytes each time;
//! how often he may, client limits say.
//! **Not here**: what the records mean (the room restores itself from them), when to let a request wait for one, encryption: numbers,
//! moments, keyed hashes and a lottery's secret are all there is.

mod acknowledgement;
mod checksum;
mod disk;
mod frame;
mod queue;
mod record;
mod replay;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

pub use acknowledgement::Appended;
pub use record::{LotSecret, NUMBERS, Record, STATES};

use crate::clock::Clock;
use disk::Disk;
use queue::Shared;
use replay::{Damage, Extent, Header};
use writer::Ended;

/// A journal below this many bytes is not worth compacting: it is read in a few milliseconds.
const COMPACT_FROM: u64 = 1024 * 1024;
/// A journal is compacted when it is longer than this many times what is needed: so compacting costs no more writing than the
/// records themselves.
const COMPACT_AT: u64 = 2;

/// Why a journal cannot be opened. Its text says what an operator can do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{}: in use by another process; each gateway needs a state directory of its own", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Damage to what was on the disk once.
    #[error(
        "{}: damaged at byte {offset}, and what follows was written whole, so this is the disk's or somebody's doing: put back a \
         copy, or move the file away and the room begins anew (tickets already given are still served first)",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// First byte that cannot be relied on.
        offset: u64,
    },
    /// Some other file, or its first bytes are gone.
    #[error("{}: not a journal of a waiting room; move it away and the room begins anew", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version of weir.
    #[error("{}: a journal of version {version}, which this weir cannot read; run the weir that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u8,
    },
    /// Of a room of another name.
    #[error("{}: the journal of another waiting room; each room needs a directory of its own", path.display())]
    OtherRoom {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

impl OpenError {
    fn of(damage: Damage, path: PathBuf) -> Self {
        match damage {
            Damage::Foreign => Self::Foreign { path },
            Damage::Version(version) => Self::Version { path, version },
            Damage::Corrupt(offset) => Self::Corrupt { path, offset },
            Damage::Io(source) => Self::Io { path, source },
        }
    }
}

/// Why nobody may rely on a record. It may be found at the next start all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// As many records wait as there is room for.
    #[error("too many records wait for the journal")]
    Full,
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// The disk refused; the system's number of the error.
    #[error("the journal cannot be written: {}", io::Error::from_raw_os_error(*.0))]
    Disk(i32),
}

/// A journal that has been read and is not yet written to.
#[derive(Debug)]
pub struct Opened {
    disk: Disk,
    header: Header,
    length: u64,
    records: u64,
    torn: u64,
}

impl Opened {
    /// The generation of the room: of the journal found, or the one given if there was none.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.header.generation
    }

    /// Records read.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Bytes of a torn end that were cut off.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.torn
    }

    /// Gives the records to `visit` once more: whoever must know how a story ends before it is told.
    pub fn read(&mut self, visit: impl FnMut(Record)) -> Result<(), OpenError> {
        self.disk.read(visit)
    }

    /// Whether the journal is so much longer than a snapshot of `snapshot` bytes ([`Record::encoded_len`]) that it should be
    /// [compacted](Self::compact).
    #[must_use]
    pub fn is_bloated(&self, snapshot: u64) -> bool {
        self.length >= COMPACT_FROM && self.length / COMPACT_AT > snapshot
    }

    /// Replaces all that was read by `records`, from which the room can be restored as well. Killed at any instant, the one or the
    /// other journal is there, whole.
    pub fn compact(self, records: impl IntoIterator<Item = Record>) -> Result<Self, OpenError> {
        let (disk, length) = self.disk.compact(self.header, records)?;
        Ok(Self { disk, length, ..self })
    }

    /// Starts the thread that writes. The clock says when a second has passed.
    pub fn start(self, clock: Clock) -> io::Result<Journal> {
        Journal::start(self.disk, self.length, clock)
    }
}

/// The journal of a room. Clones share it; the writer ends with the last of them.
#[derive(Clone, Debug)]
pub struct Journal(Option<Arc<Running>>);

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    writer: Thread,
    ended: Mutex<Receiver<Ended>>,
}

impl Journal {
    /// Opens the journal of room `room` in `directory`, or begins one of `generation` if there is none, and gives its records to
    /// `visit` in the order in which they were appended. Before an error, some may have been given.
    ///
    /// Blocks: for the start of the process. 10 million records take about half a second.
    pub fn open(directory: &Path, room: u32, generation: u32, visit: impl FnMut(Record)) -> Result<Opened, OpenError> {
        let (disk, Extent { header, records, end, torn }) = Disk::open(directory, Header { room, generation }, visit)?;
        Ok(Opened { disk, header, length: end, records, torn })
    }

    /// A journal that remembers nothing and acknowledges at once: for rooms without a state directory, and for tests.
    #[must_use]
    pub const fn volatile() -> Self {
        Self(None)
    }

    fn start(medium: impl writer::Medium + 'static, length: u64, clock: Clock) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(length));
        let (writer, ended) = writer::start(Arc::clone(&shared), medium, length, clock)?;
        Ok(Self(Some(Arc::new(Running { shared, writer, ended: Mutex::new(ended) }))))
    }

    /// Writes `record`; the future is ready when it is written, or will not be. Records of one thread are written in its order, also
    /// if their futures are dropped. Never blocks; but a disk that hangs lets the future hang, so bound the wait.
    pub fn append(&self, record: Record) -> Appended {
        let Some(running) = &self.0 else { return Appended::ready(Ok(())) };
        match running.append(record) {
            Ok(appended) => appended,
            Err(error) => {
                running.shared.refused.store(true, Ordering::Release);
                Appended::ready(Err(error))
            }
        }
    }

    /// Writes `record` soon, without telling when: what is lost of these costs somebody a little, and no promise. A full ring
    /// drops the record and counts it. Never blocks.
    pub fn post(&self, record: Record) {
        let _kept = self.offer(record);
    }

    /// The same; whether it was kept. What is kept is written before all that is appended or posted by the same thread after it.
    #[must_use]
    pub fn offer(&self, record: Record) -> bool {
        let Some(running) = &self.0 else { return true };
        let closing = running.shared.closing.load(Ordering::Relaxed);
        let pushed = if closing { Err(None) } else { running.shared.push(record, None) };
        match pushed {
            Ok(false) => {}
            Ok(true) => running.writer.unpark(),
            Err(_) => running.shared.drop_one(),
        }
        pushed.is_ok()
    }

    /// Whether the disk takes what it is given. While it does not, appends fail at once.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.0.as_ref().is_none_or(|running| running.shared.refusal.load(Ordering::Acquire) == 0)
    }

    /// Whether the journal may lack something that was appended since the start: the disk refused, or there was no room.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        self.0.as_ref().is_some_and(|running| running.shared.refused.load(Ordering::Acquire))
    }

    /// Posts that were not written: there was no room, or the journal was closed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |running| running.shared.dropped.load(Ordering::Relaxed))
    }

    /// Bytes of the journal.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.0.as_ref().map_or(0, |running| running.shared.length.load(Ordering::Relaxed))
    }

    /// Closes the journal and waits until everything appended before is on the disk, at most for `bound`. Returns whether it is.
    /// The directory is then free.
    ///
    /// Blocks: for the end of the process, after the workers.
    #[must_use]
    pub fn close(&self, bound: Duration) -> bool {
        let Some(running) = &self.0 else { return true };
        running.stop();
        let ended = running.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = matches!(ended.recv_timeout(bound), Err(RecvTimeoutError::Disconnected));
        ended && running.shared.complete.load(Ordering::Acquire)
    }
}

impl Running {
    fn append(&self, record: Record) -> Result<Appended, AppendError> {
        let shared = &self.shared;
        if shared.closing.load(Ordering::Relaxed) {
            return Err(AppendError::Closed);
        }
        match shared.refusal.load(Ordering::Acquire) {
            0 => {}
            number => return Err(AppendError::Disk(number)),
        }
        let (claim, appended) = shared.slots.claim().ok_or(AppendError::Full)?;
        if let Err(claim) = shared.push(record, Some(claim)) {
            if let Some(claim) = claim {
                shared.slots.complete(claim, Err(AppendError::Full));
            }
            return Err(AppendError::Full);
        }
        self.writer.unpark();
        Ok(appended)
    }

    fn stop(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.writer.unpark();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
