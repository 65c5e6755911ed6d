//! The end of a room's journal is cut off at any byte, as a power cut leaves it.

use std::fs;

use super::*;

const QUOTA: u64 = 12;
const STEPS: u32 = 600;
const CUTS: u32 = 150;

/// Bytes of a journal's header, which is there whole or not at all.
const HEADER: u64 = 24;

/// Not acknowledged.
const NEVER: u64 = u64::MAX;

/// What was acknowledged to somebody, and how long the journal was then.
struct Person {
    place: Place,
    name: String,
    given: u64,
    states: Vec<(u64, State)>,
}

impl Person {
    /// What the first `length` bytes may say of him.
    fn may_be(&self, length: u64) -> Vec<State> {
        let known = self.states.iter().rposition(|(written, _)| *written <= length);
        let after_a_start = |state: State| if state == State::Sending { State::Ambiguous } else { state };
        let mut may: Vec<State> =
            self.states.iter().skip(known.unwrap_or(0)).map(|(_, state)| after_a_start(*state)).collect();
        if known.is_none() {
            may.push(State::Waiting);
        }
        may
    }
}

/// A day in a room, with what was acknowledged.
fn day(rng: &mut fastrand::Rng) -> (Bench, Vec<Person>) {
    let mut bench = Bench::new(vec![wave(QUOTA)]);
    let mut people: Vec<Person> = Vec::new();
    for step in 0..STEPS {
        let length = |bench: &Bench| bench.room.journal().bytes;
        if people.is_empty() || rng.u8(..6) == 0 {
            let name = format!("person {step}");
            let joined = bench.room.join(Some(name.as_bytes()), Class::New, bench.unix()).unwrap();
            joined.recorded.into_iter().for_each(wait);
            let given = length(&bench);
            people.push(Person { place: joined.place, name, given, states: vec![(given, State::Waiting)] });
            continue;
        }
        let who = rng.usize(..people.len());
        let person = &mut people[who];
        match rng.u8(..8) {
            0..2 => bench.pass(Duration::from_secs(1)),
            2..4 => drop(bench.look(&person.place)),
            4 if rng.u8(..5) == 0 => {
                if bench.room.leave(&person.place, bench.unix()) {
                    person.states.push((NEVER, State::Gone));
                }
            }
            _ => {
                let Ok(mut turn) = bench.enter(&person.place, true, Some(person.name.as_bytes())) else { continue };
                if bench.state(&person.place) == State::Done {
                    continue;
                }
                // The redemption is written before it, and waited for with it.
                person.states.push((NEVER, State::Admitted));
                person.states.push((length(&bench), State::Sending));
                turn.answered(*rng.choice(&[201, 201, 404, 500, 503]).unwrap());
                person.states.push((NEVER, bench.state(&person.place)));
                if let Some(record) = bench.room.success(&person.place, bench.unix()) {
                    wait(record);
                    person.states.push((length(&bench), State::Done));
                }
            }
        }
    }
    bench.flush();
    (bench, people)
}

#[test]
fn what_was_acknowledged_before_the_cut_is_there_and_no_number_comes_again() {
    let mut rng = fastrand::Rng::with_seed(8);
    let (mut bench, people) = day(&mut rng);
    let whole = fs::read(bench.plan.state.join("journal")).unwrap();
    let mut settled = 0;
    for cut in 0..CUTS {
        let length = rng.u64(HEADER..=whole.len() as u64);
        let directory = bench.directory.path().join(format!("cut {cut}"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("journal"), &whole[..usize::try_from(length).unwrap()]).unwrap();
        bench.plan.state = directory;
        let room = Room::open(&bench.plan, PASSAGE, PATIENCE, &bench.clock, bench.unix()).unwrap();
        let mut taken = 0;
        for person in people.iter().filter(|person| person.given <= length) {
            let number = person.place.number();
            let named = room.find([].into_iter(), Some(person.name.as_bytes()), bench.unix());
            assert_eq!(named.map(|place| place.number()), Some(number), "cut at {length}");
            let state = room.order.state(number).unwrap();
            let may = person.may_be(length);
            assert!(may.contains(&state), "{number} is {state:?}, cut at {length}, and may be {may:?}");
            taken += u32::from(!matches!(state, State::Waiting | State::Gone));
            settled += u32::from(state == State::Done);
        }
        let count = room.quota_of(0).unwrap().count();
        assert!(u64::from(count.taken) <= QUOTA || room.is_untold(0), "{count:?}");
        assert!(count.taken >= taken, "{count:?} of {taken}, cut at {length}");
        let last = people.iter().filter(|person| person.given <= length).map(|person| person.place.number()).max();
        let mut before = last.unwrap_or(0);
        for _ in 0..2 {
            let joined = room.join(None, Class::New, bench.unix()).unwrap();
            joined.recorded.into_iter().for_each(wait);
            let number = joined.place.number();
            assert!(last.is_none() || number > before, "{number} after {before}, cut at {length}");
            before = number;
        }
        drop(room);
        bench.restart_in("again");
        let again = bench.join().number();
        assert!(again > before, "{again} after {before}, cut at {length}");
    }
    assert!(settled > 0);
}
