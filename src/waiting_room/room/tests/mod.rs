//! A room with a journal on a disk, which is killed and opened again.

mod asleep;
mod kills;
mod promises;
mod recover;
mod restarts;
mod rush;
mod schedules;
mod torn;
mod turns;
mod unsent;
mod waves;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{Load, Now, Place, Room, Turn};
use crate::clock::Clock;
use crate::config::plan::{self, AtClose, Class, Key, Pace, Secret, WaitingRoom, Wave};
use crate::waiting_room::journal::{Appended, Record};
use crate::waiting_room::order::State;
use crate::waiting_room::quota::Count;

const BEGAN: Duration = Duration::from_secs(1_586_600_000);
const PASSAGE: Duration = Duration::from_mins(10);
const PATIENCE: Duration = Duration::from_secs(10);
const KEY: &[u8] = b"the only request";

/// Everybody fits in.
const FREE: Load = Load { rate: 1_000.0, held: 0, wait: Duration::ZERO, free: 1_000 };

struct Bench {
    directory: TempDir,
    clock: Clock,
    /// How far the clock has come.
    passed: Duration,
    plan: WaitingRoom,
    room: Arc<Room>,
}

fn plan(state: PathBuf, waves: Vec<Wave>, key: Key) -> WaitingRoom {
    WaitingRoom {
        name: "opening".to_owned(),
        key,
        old_keys: Vec::new(),
        identity: None,
        waves,
        at_close: AtClose::Serve,
        pace: Pace::Measured,
        capacity: 8_192,
        life: Duration::from_hours(24),
        state,
        page: None,
    }
}

fn wave(quota: u64) -> Wave {
    Wave { quota: NonZeroU64::new(quota), ..Wave::default() }
}

impl Bench {
    fn new(waves: Vec<Wave>) -> Self {
        Self::with_key(waves, Key::New(Secret([7; 32])))
    }

    fn with_key(waves: Vec<Wave>, key: Key) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual();
        let plan = plan(directory.path().join("0"), waves, key);
        let room = Room::open(&plan, PASSAGE, PATIENCE, &clock, BEGAN).unwrap();
        let mut bench = Self { directory, clock, passed: Duration::ZERO, plan, room };
        bench.plan.key = Key::Known(Secret([7; 32]));
        bench.pass(Duration::ZERO);
        bench
    }

    fn now(&self) -> Now {
        (self.clock.now(), BEGAN + self.passed)
    }

    fn unix(&self) -> Duration {
        self.now().1
    }

    /// Time passes, in one step, and the chore looks.
    fn pass(&mut self, span: Duration) {
        self.pass_before(span, &FREE);
    }

    /// The same before routes of which `load` is known.
    fn pass_before(&mut self, span: Duration, load: &Load) {
        self.clock.advance(span);
        self.passed += span;
        for record in self.room.tick(self.now(), load) {
            wait(record);
        }
        self.room.announce();
    }

    /// All that was handed to the journal is in the file.
    fn flush(&self) {
        wait(self.room.journal.append(Record::Paused(false)));
    }

    /// The process is killed with all that it has said on the disk, and starts again; what it still had in hand tells nobody.
    fn restart(&mut self) {
        self.flush();
        self.restart_in("state");
        self.pass(Duration::ZERO);
    }

    /// The same, while a pause lasts.
    fn restart_paused(&mut self) {
        wait(self.room.journal.append(Record::Paused(true)));
        self.restart_in("state");
        self.pass(Duration::ZERO);
    }

    /// The same with a state directory that is empty.
    fn lose(&mut self) {
        self.passed += Duration::from_secs(2);
        self.plan.state = self.directory.path().join(format!("lost {}", self.passed.as_nanos()));
        self.room = Room::open(&self.plan, PASSAGE, PATIENCE, &self.clock, self.unix()).unwrap();
        self.pass(Duration::ZERO);
    }

    /// The process is killed with what is in the file now, and starts again; its chore has not looked yet.
    fn restart_in(&mut self, name: &str) {
        // Turns in hand keep the old room, and its lock.
        let next = self.directory.path().join(format!("{name} {}", fastrand::u64(..)));
        std::fs::create_dir(&next).unwrap();
        std::fs::copy(self.plan.state.join("journal"), next.join("journal")).unwrap();
        self.plan.state = next;
        self.room = Room::open(&self.plan, PASSAGE, PATIENCE, &self.clock, self.unix()).unwrap();
    }

    fn join(&self) -> Place {
        let joined = self.room.join(None, Class::New, self.unix()).unwrap();
        joined.recorded.into_iter().for_each(wait);
        joined.place
    }

    /// Somebody for whom there was a permit at once.
    fn welcome(&self, identity: Option<&[u8]>) -> Place {
        let joined = self.room.welcome(identity, Class::New, self.now()).unwrap();
        joined.recorded.into_iter().for_each(wait);
        joined.place
    }

    /// The place that the ticket of `place` proves.
    fn find(&self, place: &Place) -> Option<Place> {
        let text = self.room.sign(place);
        let text: &str = text.as_ref();
        self.room.find([text.as_bytes()].into_iter(), None, self.unix())
    }

    fn look(&self, place: &Place) -> super::Stand {
        let look = self.room.look(place, self.unix(), 0.5);
        look.recorded.into_iter().for_each(wait);
        look.stand
    }

    fn enter(&self, place: &Place, counting: bool, key: Option<&[u8]>) -> Result<Turn, super::NotEntered> {
        let mut entered = self.room.enter(place, counting, key, self.now())?;
        entered.recorded.into_iter().for_each(wait);
        entered.turn.handed(true);
        Ok(entered.turn)
    }

    fn state(&self, place: &Place) -> State {
        self.room.order.state(place.number()).unwrap()
    }

    fn count(&self) -> Count {
        self.room.quota_of(0).unwrap().count()
    }
}

fn wait(record: Appended) {
    assert!(is_written(record));
}

fn is_written(record: Appended) -> bool {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(record).is_ok()
}
