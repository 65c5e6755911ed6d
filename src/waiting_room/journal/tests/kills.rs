//! Real processes that are killed: this test binary again, with a directory in [`DIRECTORY`].

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use super::super::{AppendError, Journal, OpenError, Opened, Record};
use super::counted;
use crate::clock::Clock;

const DIRECTORY: &str = "WEIR_JOURNAL_CHILD";
const SEED: &str = "WEIR_JOURNAL_SEED";
/// `WEIR_JOURNAL_KILLS=1000 cargo test journal` for the full proof.
const KILLS: &str = "WEIR_JOURNAL_KILLS";
const KILLS_DEFAULT: u32 = 200;

/// Bytes of a file when the disk is full. Not a multiple of a frame: the last write is torn.
const LIMIT: u64 = 65_001;

const BOUND: Duration = Duration::from_secs(10);
const EFBIG: i32 = 27;
/// Who append at once, each its own count.
const STREAMS: usize = 4;

/// What the journal says of each stream: its last count.
type Last = [u32; STREAMS];

/// Opens the journal; every stream must go on where it stood, from the first record or from a snapshot.
fn open(room: &Path) -> Result<(Opened, Last), OpenError> {
    let mut last = Last::default();
    let opened = Journal::open(&room.join("room"), 1, 2, |record| match record {
        Record::State { number, at, .. } => {
            let last = &mut last[usize::try_from(number).unwrap()];
            assert!(*last == 0 || at == *last + 1, "stream {number}: {at} after {last}");
            *last = at;
        }
        Record::Lease { .. } => {}
        other => panic!("never appended: {other:?}"),
    })?;
    Ok((opened, last))
}

fn wait(span: Duration) {
    // A channel that says nothing: sleeping is for those who have nothing to hear.
    let (_sender, receiver) = sync_channel::<()>(0);
    receiver.recv_timeout(span).ok();
}

/// The child named `name` of these, on `room`.
fn child(name: &str, room: &Path, seed: u64) -> Child {
    // A shell, because who writes beyond a limit of size is killed unless he inherits that he is not.
    Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
        .arg(env::current_exe().unwrap())
        .args(["--exact", &format!("waiting_room::journal::tests::kills::{name}"), "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, room)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// The room of a child; a parent's run of its test does nothing.
fn inherited() -> Option<std::path::PathBuf> {
    env::var_os(DIRECTORY).map(Into::into)
}

/// Appends until it is killed; says of each acknowledged record so in a file, with one write.
#[test]
fn child_that_appends() {
    let Some(room) = inherited() else { return };
    let seed: u64 = env::var(SEED).unwrap().parse().unwrap();
    fastrand::seed(seed);
    let (mut opened, last) = open(&room).unwrap();
    if fastrand::u8(..4) == 0 {
        let snapshot = (0..).zip(last).filter(|(_, at)| *at > 0);
        opened = opened.compact(snapshot.map(|(number, at)| counted(number, at))).unwrap();
    }
    let journal = opened.start(Clock::machine()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let streams: Vec<_> = (0..)
            .zip(last)
            .map(|(number, at)| tokio::spawn(stream(journal.clone(), number, at, room.clone())))
            .collect();
        for stream in streams {
            stream.await.unwrap();
        }
    });
}

async fn stream(journal: Journal, number: u64, last: u32, room: std::path::PathBuf) {
    let mut acknowledged = File::create(room.join(format!("acknowledged.{number}"))).unwrap();
    // An end, should nobody kill it.
    for at in last + 1..last + 1_000_000 {
        journal.append(counted(number, at)).await.unwrap();
        acknowledged.write_all(&at.to_le_bytes()).unwrap();
        if fastrand::u8(..64) == 0 {
            journal.append(Record::Lease { issued_until: u64::from(at) }).await.unwrap();
        }
    }
}

/// The last count of each stream that was acknowledged; zero if none was since the child began.
fn acknowledged(room: &Path) -> Last {
    let mut last = Last::default();
    for (number, last) in last.iter_mut().enumerate() {
        let bytes = fs::read(room.join(format!("acknowledged.{number}"))).unwrap_or_default();
        *last = bytes.as_chunks().0.last().map_or(0, |at| u32::from_le_bytes(*at));
    }
    last
}

#[test]
fn what_was_acknowledged_survives_kill_9_at_random_instants() {
    let kills = env::var(KILLS).map_or(KILLS_DEFAULT, |kills| kills.parse().unwrap());
    let room = TempDir::new().unwrap();
    let clock = Clock::machine();
    let (mut before, mut at_work, mut torn) = (Last::default(), 0, 0);
    let mut to_first = Duration::from_millis(100);
    for kill in 0..kills {
        for number in 0..STREAMS {
            fs::remove_file(room.path().join(format!("acknowledged.{number}"))).ok();
        }
        let started = clock.now();
        let mut child = child("child_that_appends", room.path(), u64::from(kill));
        if kill % 2 == 0 {
            // At work.
            while acknowledged(room.path()) == Last::default() {
                assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
                wait(Duration::from_millis(1));
            }
            to_first = clock.now().since(started);
            wait(Duration::from_micros(fastrand::u64(..20_000)));
        } else {
            // Anywhere: starting, reading, compacting, at work.
            wait(to_first.mul_f64(1.2 * fastrand::f64()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let known = acknowledged(room.path());
        at_work += u32::from(known != Last::default());
        let (opened, found) = open(room.path()).unwrap();
        torn += u32::from(opened.torn() > 0);
        for ((found, known), before) in found.iter().zip(known).zip(before) {
            assert!(*found >= known, "kill {kill}: {known} was acknowledged, {found} is there");
            assert!(*found >= before, "kill {kill}: {before} was there, {found} is");
        }
        before = found;
    }
    let records: u32 = before.iter().sum();
    println!("{kills} kills, {at_work} of them at work, {torn} torn ends, {records} records");
    assert!(at_work >= kills / 2);
}

/// Holds the journal until it is killed.
#[test]
fn child_that_holds() {
    let Some(room) = inherited() else { return };
    let _opened = open(&room).unwrap();
    fs::write(room.join("held"), b"").unwrap();
    wait(BOUND);
}

#[test]
fn a_second_process_is_told_so_and_the_directory_is_free_when_the_first_is_killed() {
    let room = TempDir::new().unwrap();
    let mut child = child("child_that_holds", room.path(), 0);
    while !room.path().join("held").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        wait(Duration::from_millis(1));
    }
    let refused = open(room.path()).unwrap_err();
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(open(room.path()).unwrap().1, Last::default());
}

/// Fills its disk, which is a limit of the process, and has more room later.
#[test]
fn child_that_runs_out_of_room() {
    let Some(room) = inherited() else { return };
    let (opened, _) = open(&room).unwrap();
    let journal = opened.start(Clock::machine()).unwrap();
    let unlimited = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(LIMIT), ..unlimited }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut written = 0;
        let refused = loop {
            match journal.append(counted(0, written + 1)).await {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, AppendError::Disk(EFBIG));
        assert!(u64::from(written) * 16 > LIMIT - 1000 && !journal.is_healthy());
        assert_eq!(journal.append(counted(0, 0)).await, Err(AppendError::Disk(EFBIG)));
        setrlimit(Resource::Fsize, unlimited).unwrap();
        let healed = async {
            while !journal.is_healthy() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(BOUND, healed).await.unwrap();
        assert_eq!(journal.append(counted(0, written + 1)).await, Ok(()));
        let mut report = OpenOptions::new().create(true).append(true).open(room.join("written")).unwrap();
        report.write_all(&(written + 1).to_le_bytes()).unwrap();
    });
    // Not closed: what is written is written.
}

#[test]
fn a_disk_that_was_full_leaves_no_torn_record() {
    let room = TempDir::new().unwrap();
    let mut child = child("child_that_runs_out_of_room", room.path(), 0);
    assert!(child.wait().unwrap().success());
    let written = fs::read(room.path().join("written")).unwrap();
    let (opened, found) = open(room.path()).unwrap();
    assert_eq!(found[0].to_le_bytes(), *written);
    assert_eq!(opened.torn(), 0);
}
