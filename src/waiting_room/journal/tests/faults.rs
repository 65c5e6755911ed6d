use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::super::queue::RING;
use super::super::replay::{HEADER, Header, replay};
use super::super::writer::Medium;
use super::super::{AppendError, Journal, Record};
use super::{counted, counts};
use crate::clock::Clock;

const BOUND: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// A medium that does what the test says.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    bytes: Vec<u8>,
    /// What was on the disk at the last sync.
    synced: usize,
    /// After so many more bytes the medium is full.
    room: Option<usize>,
    sync_fails: bool,
    renew_fails: bool,
    /// Cuts, syncs and renewals, as they came.
    calls: Vec<&'static str>,
    panics: bool,
    stalled: Option<Receiver<()>>,
}

impl Medium for Fake {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut script = self.0.lock().unwrap();
        if let Some(stalled) = script.stalled.take() {
            drop(script);
            stalled.recv().ok();
            script = self.0.lock().unwrap();
        }
        if script.panics {
            drop(script);
            panic!("as the test asked");
        }
        let taken = script.room.unwrap_or(usize::MAX).min(bytes.len());
        script.bytes.extend(&bytes[..taken]);
        script.room = script.room.map(|room| room - taken);
        if taken < bytes.len() { Err(io::Error::from_raw_os_error(ENOSPC)) } else { Ok(()) }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut script = self.0.lock().unwrap();
        script.calls.push("cut");
        script.bytes.truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut script = self.0.lock().unwrap();
        script.calls.push("sync");
        if script.sync_fails {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        script.synced = script.bytes.len();
        Ok(())
    }

    fn renew(&mut self, length: u64) -> io::Result<()> {
        let mut script = self.0.lock().unwrap();
        script.calls.push("renew");
        if script.renew_fails {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        assert_eq!(script.bytes.len() as u64, length, "cut to what is whole");
        script.synced = script.bytes.len();
        Ok(())
    }

    fn directory(&self) -> &Path {
        Path::new("a fake")
    }
}

impl Fake {
    fn start(script: Script) -> (Self, Journal, Clock) {
        let fake = Self::default();
        let header = Header { room: 1, generation: 2 }.encode();
        *fake.0.lock().unwrap() = Script { bytes: header.to_vec(), synced: HEADER, ..script };
        let clock = Clock::manual();
        let journal = Journal::start(fake.clone(), HEADER as u64, clock.clone()).unwrap();
        (fake, journal, clock)
    }

    fn set(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.0.lock().unwrap());
    }

    /// Every record, without anything torn behind or between.
    fn records(&self) -> Vec<Record> {
        let script = self.0.lock().unwrap();
        let mut records = Vec::new();
        let extent = replay(script.bytes.as_slice(), |record| records.push(record)).unwrap();
        assert_eq!(extent.torn, 0);
        records
    }
}

/// Waits until it is so; the writer looks every 50 ms.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(BOUND, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_full_disk_fails_what_waits_keeps_what_does_not_and_heals() {
    // Room for two records and a half.
    let (fake, journal, clock) = Fake::start(Script { room: Some(40), ..Script::default() });
    assert_eq!(journal.append(counted(0, 1)).await, Ok(()));
    assert_eq!(journal.append(counted(0, 2)).await, Ok(()));
    journal.post(counted(0, 3));
    assert_eq!(journal.append(counted(0, 100)).await, Err(AppendError::Disk(ENOSPC)));
    assert!(!journal.is_healthy());
    // At once, without the writer, and the post behind it is kept as well.
    let at_once = tokio::time::timeout(BOUND, journal.append(counted(0, 101))).await;
    assert_eq!(at_once, Ok(Err(AppendError::Disk(ENOSPC))));
    journal.post(counted(0, 4));

    clock.advance(SECOND);
    until("a second attempt", || fake.0.lock().unwrap().calls == ["cut"]).await;
    assert!(!journal.is_healthy(), "the disk is still full");

    fake.set(|script| script.room = None);
    clock.advance(SECOND);
    until("healthy again", || journal.is_healthy()).await;
    assert_eq!(journal.append(counted(0, 5)).await, Ok(()));
    assert_eq!(counts(&fake.records()), [1, 2, 3, 4, 5]);
    assert_eq!(journal.dropped(), 0);
}

#[tokio::test]
async fn nothing_is_tried_again_before_a_second_has_passed() {
    let (fake, journal, clock) = Fake::start(Script { room: Some(0), ..Script::default() });
    assert_eq!(journal.append(counted(0, 1)).await, Err(AppendError::Disk(ENOSPC)));
    fake.set(|script| script.room = None);
    clock.advance(Duration::from_millis(999));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!journal.is_healthy());
    clock.advance(Duration::from_millis(1));
    until("healthy again", || journal.is_healthy()).await;
}

#[tokio::test]
async fn a_file_whose_sync_failed_is_never_synced_again() {
    let (fake, journal, clock) = Fake::start(Script { sync_fails: true, renew_fails: true, ..Script::default() });
    assert_eq!(journal.append(counted(0, 1)).await, Ok(()));
    let lease = Record::Lease { issued_until: 4096 };
    assert_eq!(journal.append(lease).await, Err(AppendError::Disk(EIO)));
    assert!(!journal.is_healthy());
    clock.advance(SECOND);
    until("a copy that fails", || fake.0.lock().unwrap().calls == ["sync", "cut", "renew"]).await;
    assert!(!journal.is_healthy());
    fake.set(|script| script.renew_fails = false);
    clock.advance(SECOND);
    until("healthy again", || journal.is_healthy()).await;
    assert_eq!(fake.0.lock().unwrap().calls, ["sync", "cut", "renew", "cut", "renew"]);
    fake.set(|script| script.sync_fails = false);
    assert_eq!(journal.append(lease).await, Ok(()));
    assert_eq!(fake.records(), [counted(0, 1), lease, lease], "what was refused may be there, and does no harm");
}

#[tokio::test]
async fn what_says_so_is_on_the_disk_before_it_is_acknowledged_and_the_rest_a_second_later() {
    let (fake, journal, clock) = Fake::start(Script::default());
    let synced = || {
        let script = fake.0.lock().unwrap();
        let mut records = 0;
        replay(&script.bytes[..script.synced], |_| records += 1).unwrap();
        records
    };
    assert_eq!(journal.append(counted(0, 1)).await, Ok(()));
    assert_eq!(synced(), 0);
    assert_eq!(journal.append(Record::Lease { issued_until: 1 }).await, Ok(()));
    assert_eq!(synced(), 2);
    assert_eq!(journal.append(counted(0, 2)).await, Ok(()));
    assert_eq!(synced(), 2);
    clock.advance(SECOND);
    until("a sync", || synced() == 3).await;
    // An idle room leaves the disk alone.
    let calls = fake.0.lock().unwrap().calls.len();
    clock.advance(10 * SECOND);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(fake.0.lock().unwrap().calls.len(), calls);
}

#[tokio::test]
async fn a_full_ring_refuses_and_forgets_nobody() {
    let (go_on, stalled) = channel();
    let (fake, journal, _) = Fake::start(Script { stalled: Some(stalled), ..Script::default() });
    let first = journal.append(counted(0, 0));
    until("the writer stalls", || fake.0.lock().unwrap().stalled.is_none()).await;
    let mut waiting = vec![first];
    for at in 1..RING {
        waiting.push(journal.append(counted(0, u32::try_from(at).unwrap())));
    }
    assert_eq!(journal.append(counted(0, 0)).await, Err(AppendError::Full), "every slot is taken");
    journal.post(counted(0, u32::try_from(RING).unwrap()));
    journal.post(counted(0, 0));
    assert_eq!(journal.dropped(), 1, "and the ring is full");
    // Half of those who wait leave.
    waiting.truncate(RING / 2);
    drop(go_on);
    for appended in waiting {
        assert_eq!(appended.await, Ok(()));
    }
    assert!(journal.close(BOUND));
    assert_eq!(counts(&fake.records()), (0..=u32::try_from(RING).unwrap()).collect::<Vec<_>>());
    let free = journal.0.as_ref().unwrap().shared.slots.free();
    assert_eq!(free, RING, "slots come back from those who waited and from those who left");
}

/// Futures of many threads, awaited, dropped at once, or dropped when they have been looked at.
#[test]
fn however_futures_end_every_record_is_written_once_and_every_slot_comes_back() {
    const THREADS: u64 = 4;
    const EACH: u32 = 5_000;
    let (fake, journal, _) = Fake::start(Script::default());
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            let journal = &journal;
            scope.spawn(move || {
                let mut context = Context::from_waker(Waker::noop());
                for at in 1..=EACH {
                    let mut appended = pin!(journal.append(counted(number, at)));
                    for _ in 0..[0, 1, u32::MAX][usize::try_from(at % 3).unwrap()] {
                        if let Poll::Ready(answer) = appended.as_mut().poll(&mut context) {
                            assert_eq!(answer, Ok(()));
                            break;
                        }
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    assert!(journal.close(BOUND));
    let records = fake.records();
    for stream in 0..THREADS {
        let own = |record: &&Record| matches!(record, Record::State { number, .. } if *number == stream);
        let own: Vec<_> = records.iter().filter(own).copied().collect();
        assert_eq!(counts(&own), (1..=EACH).collect::<Vec<_>>());
    }
    assert_eq!(journal.0.as_ref().unwrap().shared.slots.free(), RING);
}

#[test]
fn an_append_allocates_nothing() {
    let (_fake, journal, _) = Fake::start(Script::default());
    let mut context = Context::from_waker(Waker::noop());
    let allocated = allocation_counter::measure(|| {
        let mut appended = pin!(journal.append(counted(0, 1)));
        while appended.as_mut().poll(&mut context).is_pending() {
            std::thread::yield_now();
        }
        journal.post(counted(0, 2));
    });
    assert_eq!(allocated.count_total, 0);
}

#[tokio::test]
async fn closing_writes_and_syncs_what_is_there_and_refuses_what_comes() {
    let (fake, journal, _) = Fake::start(Script::default());
    (1..=100).for_each(|at| journal.post(counted(0, at)));
    assert!(journal.close(BOUND));
    assert_eq!(counts(&fake.records()), (1..=100).collect::<Vec<_>>());
    assert_eq!(fake.0.lock().unwrap().calls, ["sync"]);
    assert_eq!(journal.append(counted(0, 101)).await, Err(AppendError::Closed));
    journal.post(counted(0, 101));
    assert_eq!(journal.dropped(), 1);

    let (_, refusing, _) = Fake::start(Script { room: Some(0), ..Script::default() });
    refusing.post(counted(0, 1));
    assert!(!refusing.close(BOUND), "not everything is on the disk");
    assert_eq!(refusing.dropped(), 1);
}

#[tokio::test]
async fn nobody_waits_for_a_writer_that_has_died() {
    let (die, stalled) = channel();
    let (fake, journal, _) = Fake::start(Script { panics: true, stalled: Some(stalled), ..Script::default() });
    let in_its_hands = journal.append(counted(0, 1));
    until("the writer stalls", || fake.0.lock().unwrap().stalled.is_none()).await;
    let in_the_ring = journal.append(counted(0, 2));
    drop(die);
    for appended in [in_its_hands, in_the_ring] {
        assert_eq!(tokio::time::timeout(BOUND, appended).await, Ok(Err(AppendError::Closed)));
    }
    let late = journal.append(counted(0, 3));
    assert_eq!(tokio::time::timeout(BOUND, late).await, Ok(Err(AppendError::Closed)));
    assert!(!journal.close(BOUND));
}

#[tokio::test]
async fn a_volatile_journal_acknowledges_at_once() {
    let journal = Journal::volatile();
    assert_eq!(journal.append(counted(0, 1)).await, Ok(()));
    journal.post(counted(0, 2));
    assert!(journal.is_healthy() && journal.close(Duration::ZERO));
}
