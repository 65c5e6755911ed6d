use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::super::{Journal, OpenError, Opened, Record};
use super::{counted, counts};
use crate::clock::Clock;

const BOUND: Duration = Duration::from_secs(10);
const ROOM: u32 = 7;
const GENERATION: u32 = 1_775_908_800;

fn open(directory: &Path) -> (Vec<Record>, Result<Opened, OpenError>) {
    let mut records = Vec::new();
    let opened = Journal::open(directory, ROOM, GENERATION, |record| records.push(record));
    (records, opened)
}

/// A room's directory with a journal of `count` records.
fn room(count: u32) -> TempDir {
    let room = TempDir::new().unwrap();
    let (found, opened) = open(room.path());
    assert_eq!(found, []);
    drop(opened.unwrap().compact((1..=count).map(|at| counted(0, at))).unwrap());
    room
}

fn text(result: Result<Opened, OpenError>) -> String {
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn what_was_appended_is_read_back_in_order() {
    let room = TempDir::new().unwrap();
    let directory = room.path().join("rooms/opening");
    let journal = open(&directory).1.unwrap().start(Clock::machine()).unwrap();
    for at in 1..=10 {
        assert_eq!(journal.append(counted(0, at)).await, Ok(()));
    }
    assert!(journal.close(BOUND));
    let mut records = Vec::new();
    let opened = Journal::open(&directory, ROOM, GENERATION + 5, |record| records.push(record)).unwrap();
    assert_eq!(counts(&records), (1..=10).collect::<Vec<_>>());
    assert_eq!((opened.records(), opened.torn()), (10, 0));
    assert_eq!(opened.generation(), GENERATION, "a room keeps its generation");
}

#[test]
fn only_the_owner_reads_it() {
    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("room");
    let opened = open(&directory).1.unwrap().compact([counted(0, 1)]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("journal")), 0o600);
    assert_eq!(mode(&directory.join("lock")), 0o600);
    drop(opened);
}

#[test]
fn a_torn_end_is_cut_off_and_written_over() {
    let room = room(100);
    let path = room.path().join("journal");
    let whole = fs::metadata(&path).unwrap().len();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&[0x5a; 13]).unwrap();
    let (records, opened) = open(room.path());
    let opened = opened.unwrap();
    assert_eq!((records.len(), opened.torn()), (100, 13));
    assert_eq!(fs::metadata(&path).unwrap().len(), whole);
    let journal = opened.start(Clock::machine()).unwrap();
    journal.post(counted(0, 101));
    assert!(journal.close(BOUND));
    assert_eq!(counts(&open(room.path()).0), (1..=101).collect::<Vec<_>>());
}

#[test]
fn damage_in_the_middle_names_file_and_offset_and_changes_nothing() {
    let room = room(100);
    let path = room.path().join("journal");
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"!", 24 + 16 * 50 + 3).unwrap();
    let damaged = fs::read(&path).unwrap();
    let message = text(open(room.path()).1);
    assert!(message.starts_with(&format!("{}: damaged at byte {}", path.display(), 24 + 16 * 50)), "{message}");
    assert!(message.contains("move the file away"), "{message}");
    assert_eq!(fs::read(&path).unwrap(), damaged);
}

#[test]
fn what_is_not_this_rooms_journal_is_refused() {
    let room = room(1);
    let path = room.path().join("journal");
    let other = Journal::open(room.path(), ROOM + 1, GENERATION, |_| ());
    assert!(matches!(other, Err(OpenError::OtherRoom { .. })), "{other:?}");
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[2], 7).unwrap();
    assert!(text(open(room.path()).1).contains("a journal of version 2"));
    for foreign in [&b""[..], b"weir", b"a letter to the minister of education, of some length"] {
        fs::write(&path, foreign).unwrap();
        assert!(text(open(room.path()).1).contains("not a journal"));
    }
}

#[test]
fn a_directory_has_one_owner_at_a_time() {
    let room = room(1);
    let (_, first) = open(room.path());
    let first = first.unwrap();
    let message = text(open(room.path()).1);
    assert_eq!(
        message,
        format!(
            "{}: in use by another process; each gateway needs a state directory of its own",
            room.path().display()
        )
    );
    let journal = first.start(Clock::machine()).unwrap();
    assert!(open(room.path()).1.is_err());
    assert!(journal.close(BOUND));
    assert!(open(room.path()).1.is_ok(), "free as soon as it is closed");
}

#[test]
fn compacting_keeps_what_it_is_given_and_the_generation() {
    let room = room(70_000);
    let (_, opened) = open(room.path());
    let opened = opened.unwrap();
    let snapshot = [counted(0, 70_000), Record::Serving { position: 9 }];
    let needed = snapshot.iter().map(Record::encoded_len).sum();
    assert!(opened.is_bloated(needed));
    assert!(!opened.is_bloated(600_000), "less than twice what is needed");
    let opened = opened.compact(snapshot).unwrap();
    assert!(!opened.is_bloated(needed));
    let journal = opened.start(Clock::machine()).unwrap();
    journal.post(counted(0, 70_001));
    assert!(journal.close(BOUND));
    let (records, opened) = open(room.path());
    assert_eq!(records, [snapshot[0], snapshot[1], counted(0, 70_001)]);
    let opened = opened.unwrap();
    assert_eq!(opened.generation(), GENERATION);
    assert!(!opened.is_bloated(0), "not worth it when so short");
}

#[test]
fn a_snapshot_that_was_never_finished_means_nothing() {
    let room = room(3);
    fs::write(room.path().join("journal.new"), b"weirjnl\x01 half a snapsh").unwrap();
    let (records, opened) = open(room.path());
    assert_eq!(counts(&records), [1, 2, 3]);
    assert!(!room.path().join("journal.new").exists());
    drop(opened);
}

/// What a failed `fdatasync` asks for, on real files.
#[test]
fn a_renewed_journal_is_another_file_with_the_same_records() {
    use std::os::unix::fs::MetadataExt;

    use super::super::writer::Medium;

    let room = room(20_000);
    let path = room.path().join("journal");
    let before = fs::metadata(&path).unwrap();
    let Opened { mut disk, length, .. } = open(room.path()).1.unwrap();
    disk.renew(length).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_ne!(before.ino(), after.ino());
    disk.write(b"torn").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), length + 4, "goes on in the new file");

    // A page that was lost is not taken over.
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[0; 4096], 8192).unwrap();
    assert!(disk.renew(length).is_err());
    assert_eq!(fs::metadata(&path).unwrap().ino(), after.ino());
    drop(disk);
    assert!(matches!(open(room.path()).1, Err(OpenError::Corrupt { .. })));
}
