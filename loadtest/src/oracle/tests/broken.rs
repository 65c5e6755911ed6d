//! One thing broken at a time.

use super::model::{MS, QUOTA, World, persona};
use super::*;
use crate::figure::{Bound, Threshold};
use crate::ledger::{Effect, Ending, Kind, RequestId, Resources, Served, Told, Word};
use crate::scenario::fault::GatewayFault;
use crate::scenario::persona::Attack;
use crate::scenario::{Fault, FaultKind, Scenario};

/// Somebody who was served in the middle of the run, after several visits.
pub(super) const SOMEBODY: u32 = 250;

/// The honest run, with `sabotage`.
pub(super) fn but(sabotage: impl FnOnce(&mut World)) -> World {
    let mut world = World::honest();
    sabotage(&mut world);
    world
}

#[test]
fn what_was_promised_and_not_done_is_lost() {
    assert_eq!(broken(&but(|world| world.served(SOMEBODY, 1).effect = Effect::Nothing)), ["I1"]);
    // Told before it was done.
    let early = but(|world| world.served(SOMEBODY, 1).done += 3 * MS);
    assert_eq!(broken(&early), ["I1"]);
    let accepted = but(|world| {
        world.served(SOMEBODY, 1).done += 3 * MS;
        let id = world.served(SOMEBODY, 1).id.expect("a number");
        world.told(id.person, id.request).status = 202;
    });
    assert_eq!(broken(&accepted), [""; 0], "accepted, and done later");
}

#[test]
fn a_request_done_twice_is_the_gateways_doing() {
    let twice = but(|world| {
        let first = *world.served(SOMEBODY, 1);
        let second = Served { effect: Effect::Duplicate, started: first.started + MS, ..first };
        world.ledgers.served.push(second);
    });
    assert_eq!(broken(&twice), ["I2"]);
    assert_eq!(twice.judge().broken().next().map(|finding| finding.count), Some(1));
    let recognised = but(|world| {
        let first = *world.served(SOMEBODY, 1);
        let second = Served { effect: Effect::Recognised, started: first.started + MS, ..first };
        world.ledgers.served.push(second);
    });
    let note = &recognised.judge().invariants[1].note;
    assert!(broken(&recognised).is_empty() && note.starts_with("1 requests reached a service twice"), "{note}");
}

/// `SOMEBODY` asks for the last stage once more, after an answer `word` to the first time.
fn repeated(world: &mut World, says: Word, status: u16) {
    let first = *world.served(SOMEBODY, 1);
    let id = first.id.expect("a number");
    let told = *world.told(id.person, id.request);
    let again = RequestId { request: id.request + 1, ..id };
    let later = 3_000 * MS;
    let repetition =
        Told { id: again, intended: told.intended + later, sent: told.sent + later, ended: told.ended + later, ..told };
    world.ledgers.told.push(repetition);
    let (started, done) = (first.started + later, first.done + later);
    world.ledgers.served.push(Served { id: Some(again), effect: Effect::Duplicate, started, done, ..first });
    let first = world.told(id.person, id.request);
    (first.word, first.status) = (says, status);
}

#[test]
fn a_repetition_is_the_gateways_doing_only_if_it_said_that_nothing_was_done() {
    for (word, status) in [(Word::Later, 503), (Word::Place, 503), (Word::Wrong, 400)] {
        assert_eq!(broken(&but(|world| repeated(world, word, status))), ["I2"], "{word:?}");
    }
    for (word, status) in [(Word::Failed, 502), (Word::Failed, 500), (Word::Done, 201)] {
        let own = but(|world| repeated(world, word, status));
        assert_eq!(broken(&own), [""; 0], "{word:?}");
        let duplicate = &own.judge().invariants[1];
        assert!(duplicate.note.starts_with("1 further"), "{}", duplicate.note);
    }
}

#[test]
fn what_nobody_asked_for_is_a_phantom() {
    let stranger = |id| {
        move |world: &mut World| {
            let served = *world.served(SOMEBODY, 1);
            world.ledgers.served.push(Served { id, ..served });
        }
    };
    assert_eq!(broken(&but(stranger(None))), ["I3"]);
    assert_eq!(broken(&but(stranger(Some(RequestId { person: 5_000_000, request: 0 })))), ["I3"]);
    let elsewhere = but(|world| {
        let served = *world.served(SOMEBODY, 0);
        let id = world.served(SOMEBODY, 1).id;
        world.ledgers.served.push(Served { id, ..served });
    });
    assert_eq!(broken(&elsewhere), ["I3"]);
}

#[test]
fn one_more_than_the_limit_is_over_admission() {
    assert_eq!(broken(&but(|world| world.served(SOMEBODY, 0).in_flight = 5)), ["I4"]);
}

#[test]
fn over_a_limit_that_is_found_once_is_chance_and_for_long_is_not() {
    let found = |span: u64| {
        but(|world| {
            world.declared.limits.clear();
            let from = 8_000 * MS;
            for served in world.ledgers.served.iter_mut().filter(|served| served.service == 0) {
                served.in_flight = if (from..from + span).contains(&served.started) { 5 } else { 4 };
            }
        })
    };
    assert_eq!(broken(&found(300 * MS)), [""; 0]);
    assert!(found(300 * MS).judge().value(Figure::OverLimit) >= 4.0);
    assert_eq!(broken(&found(2_000 * MS)), ["I4"]);
    assert_eq!(World::honest().judge().value(Figure::OverLimit).to_bits(), 0.0_f64.to_bits());
}

#[test]
fn short_bursts_over_a_limit_that_is_found_are_chance_if_they_are_rare() {
    let each = |nth: usize| {
        but(|world| {
            world.declared.limits.clear();
            let starts = world.ledgers.served.iter_mut().filter(|served| served.service == 0);
            for (index, served) in starts.enumerate() {
                served.in_flight = if index.is_multiple_of(nth) { 9 } else { 4 };
            }
        })
    };
    assert_eq!(broken(&each(30)), [""; 0]);
    assert_eq!(broken(&each(10)), ["I4"], "never long enough for a window");
}

#[test]
fn faster_than_the_rate_is_over_admission() {
    let rate = |rate, burst| but(|world| world.declared.limits[0].rate = Some((rate, burst)));
    assert_eq!(broken(&rate(20.0, 4.0)), [""; 0]);
    assert_eq!(broken(&rate(18.0, 4.0)), ["I4"]);
}

#[test]
fn a_quota_is_exact_both_ways() {
    assert_eq!(broken(&but(|world| world.scenario.quota = Some(QUOTA - 1))), ["I5"]);
    let kept_back = but(|world| world.scenario.quota = Some(QUOTA + 1));
    assert_eq!(broken(&kept_back), ["I5"]);
    assert_eq!(kept_back.judge().invariants[4].count, 1);
    let closes = but(|world| {
        world.scenario.quota = Some(QUOTA + 1);
        world.declared.closes = Some(std::time::Duration::from_secs(30));
    });
    assert_eq!(broken(&closes), [""; 0], "it closed by the clock");
}

/// `SOMEBODY` comes in the middle, finds a hundred waiting, and is served at once.
pub(super) fn past() -> World {
    but(|world| {
        let id = RequestId { person: SOMEBODY, request: 0 };
        // He goes no further, and takes no place of the quota.
        world.scenario.quota = Some(QUOTA - 1);
        let came = world.told(SOMEBODY, 0).sent;
        world.ledgers.told.retain(|told| told.id.person != SOMEBODY || told.id == id);
        let told = world.told(SOMEBODY, 0);
        (told.word, told.status, told.ended) = (Word::Done, 201, came + 250 * MS);
        world.ledgers.served.retain(|served| served.id.is_none_or(|id| id.person != SOMEBODY) || served.stage == 0);
        let served = world.served(SOMEBODY, 0);
        (served.id, served.started, served.done) = (Some(id), came + MS, came + 200 * MS);
    })
}

#[test]
fn who_walks_past_those_who_wait_breaks_the_order() {
    let past = past();
    assert_eq!(broken(&past), ["I6"]);
    let judgement = past.judge();
    let order = &judgement.invariants[5];
    assert!(order.count > 50 && order.offenders.len() == 20, "{}", order.count);
    assert_eq!(judgement.value(Figure::Overtaken).to_bits(), (order.count as f64).to_bits());
    assert!(order.offenders.iter().all(|offender| offender.what.contains("person 250")), "{:?}", order.offenders);
}

#[test]
fn last_in_first_out_in_line_breaks_the_order() {
    let swapped = but(|world| {
        let mut line: Vec<Served> = world.ledgers.served.iter().filter(|served| served.stage == 0).copied().collect();
        line.sort_by_key(|served| served.started);
        let (early, late) = (line[200], line[212]);
        for (of, by) in [(early, late), (late, early)] {
            let id = of.id.expect("a number");
            let served = world.served(id.person, 0);
            (served.started, served.done) = (by.started, by.done);
            world.told(id.person, id.request).ended = by.done + MS;
        }
    });
    assert_eq!(broken(&swapped), ["I6"]);
    // Who attacks is not judged, neither as the one nor as the other.
    let attackers = World { scenario: Scenario { personas: vec![attacker()], ..swapped.scenario.clone() }, ..swapped };
    assert!(!broken(&attackers).contains(&"I6"));
}

#[test]
fn a_place_that_grows_is_not_kept() {
    let grown = but(|world| world.told(SOMEBODY, 1).place += 1_000);
    assert_eq!(broken(&grown), ["I7"]);
    assert!(grown.judge().value(Figure::PlaceKept) < 1.0);
    let lost = but(|world| {
        world.told(SOMEBODY, 1).place += 1_000;
        world.told(SOMEBODY, 1).shown = false;
        world.declared.identity = false;
    });
    assert_eq!(broken(&lost), [""; 0], "he lost his ticket");
}

#[test]
fn an_idle_bottleneck_is_not_conserved() {
    let idle = |share: f64| but(|world| world.ledgers.samples.iter_mut().for_each(|sample| sample.work *= share));
    assert_eq!(broken(&idle(0.97)), [""; 0]);
    assert_eq!(broken(&idle(0.93)), ["I8"]);
    assert!((idle(0.93).judge().value(Figure::Goodput) - 0.93).abs() < 0.01);
}

/// A visit of `SOMEBODY` that ends otherwise.
fn silent(world: &mut World, ending: Ending, after: u64) {
    let told = world.told(SOMEBODY, 2);
    (told.ending, told.word, told.status, told.ended) = (ending, Word::Nothing, 0, told.sent + after * MS);
}

#[test]
fn no_answer_is_silence() {
    assert_eq!(broken(&but(|world| silent(world, Ending::BrokenOff, 34_000))), ["I9"]);
    assert_eq!(broken(&but(|world| silent(world, Ending::Open, 34_000))), ["I9"]);
    assert_eq!(broken(&but(|world| silent(world, Ending::Open, 10_000))), [""; 0], "he may have been called");
    let asked = |world: &mut World| world.told(SOMEBODY, 2).kind = Kind::Poll;
    let poll = but(|world| (silent(world, Ending::BrokenOff, 4_000), asked(world)).1);
    assert_eq!(broken(&poll), ["I9"], "nobody who asks for his place is held");
    assert_eq!(broken(&but(|world| silent(world, Ending::Cut, 1))), ["I9"]);
    assert_eq!(broken(&but(|world| silent(world, Ending::Unreachable, 1))), ["I9"]);
    assert_eq!(broken(&but(|world| silent(world, Ending::Answered, 1))), ["I9"], "an answer that says nothing");
    assert_eq!(broken(&but(|world| silent(world, Ending::BrokenOff, 2_000))), [""; 0], "his own impatience");
}

#[test]
fn a_fault_excuses_silence_and_a_reload_does_not() {
    let faulty = |kind| {
        but(|world| {
            silent(world, Ending::Cut, 1);
            let at = std::time::Duration::from_micros(world.told(SOMEBODY, 2).sent - 10 * MS);
            let lasts = std::time::Duration::from_millis(100);
            world.scenario.faults = vec![Fault { at, lasts, kind: FaultKind::Gateway(kind) }];
        })
    };
    assert!(!broken(&faulty(GatewayFault::Kill)).contains(&"I9"));
    assert!(broken(&faulty(GatewayFault::Reload)).contains(&"I9"));
}

fn attacker() -> crate::scenario::Persona {
    crate::scenario::Persona { attack: Some(Attack::Forge), ..persona("forger") }
}

/// A forger comes and begins at the service at `at`.
fn forged(world: &mut World, at: u64) {
    let id = RequestId { person: u32::try_from(world.people.len()).expect("few"), request: 0 };
    world.scenario.personas.push(attacker());
    world.people.push(Person { persona: 1, arrives: at, leaves: at + 60_000 * MS });
    let told = Told::sent(id, 0, Kind::Forged, at, at);
    let answer = Told { ending: Ending::Answered, word: Word::Done, status: 201, ended: at + 250 * MS, ..told };
    world.ledgers.told.push(answer);
    let served = *world.served(SOMEBODY, 0);
    world.ledgers.served.push(Served { id: Some(id), started: at + MS, done: at + 200 * MS, ..served });
}

#[test]
fn a_forged_ticket_opens_nothing_while_people_wait() {
    assert_eq!(broken(&but(|world| forged(world, 10_000 * MS))), ["I10"]);
    let refused = but(|world| {
        forged(world, 10_000 * MS);
        let forger = u32::try_from(world.people.len()).expect("few") - 1;
        world.ledgers.served.retain(|served| served.id.is_none_or(|id| id.person != forger));
        let told = world.told(forger, 0);
        (told.word, told.status) = (Word::Place, 503);
    });
    assert_eq!(broken(&refused), [""; 0]);
    // Told a place long before those who wait, he comes in when it is his turn, whatever he shows.
    let own_turn = but(|world| {
        forged(world, 10_000 * MS);
        let forger = u32::try_from(world.people.len()).expect("few") - 1;
        let later = *world.told(forger, 0);
        world.told(forger, 0).id.request = 1;
        let served = world.served(forger, 0);
        served.id = Some(RequestId { person: forger, request: 1 });
        let (sent, ended) = (10 * MS, 11 * MS);
        let place = Told { intended: sent, sent, ended, word: Word::Place, status: 503, ..later };
        world.ledgers.told.push(place);
    });
    assert_eq!(broken(&own_turn), [""; 0]);
    // The very first, when nobody waits yet.
    assert_eq!(broken(&but(|world| forged(world, 10 * MS))), [""; 0]);
}

#[test]
fn over_is_over() {
    let reopened = but(|world| {
        let over = world.ledgers.told.iter().filter(|told| told.word == Word::Over);
        let over = *over.max_by_key(|told| told.ended).expect("somebody was told so");
        let id = RequestId { request: over.id.request + 1, ..over.id };
        let at = over.ended + 1_000 * MS;
        let told = Told::sent(id, 0, Kind::Submit, at, at);
        let done = Told { ending: Ending::Answered, word: Word::Done, status: 201, ended: at + 250 * MS, ..told };
        world.ledgers.told.push(done);
        let served = *world.served(SOMEBODY, 0);
        world.ledgers.served.push(Served { id: Some(id), started: at + MS, done: at + 200 * MS, ..served });
    });
    assert_eq!(broken(&reopened), ["I11"]);
    let closed = but(|world| world.declared.closes = Some(std::time::Duration::from_secs(5)));
    assert_eq!(broken(&closed), ["I11"], "people who came after the end were let in");
}

#[test]
fn a_harness_out_of_breath_makes_a_run_invalid() {
    let doubts = |sabotage: fn(&mut World)| but(sabotage).judge().doubts;
    let late =
        doubts(|world| world.ledgers.told.iter_mut().for_each(|told| told.intended -= told.intended.min(60 * MS)));
    assert!(matches!(late.as_slice(), [Doubt::Late(lag)] if (*lag - 0.0602).abs() < 1e-4), "{late:?}");
    let short = doubts(|world| world.told(SOMEBODY, 0).ending = Ending::Harness);
    assert_eq!(short, [Doubt::Short(1)]);
    let busy = doubts(|world| {
        let of = |second: u64| Resources {
            at: second * 1_000 * MS,
            process: "people-1".into(),
            cpu: second * 900 * MS,
            ..Resources::default()
        };
        world.ledgers.resources.extend((0..8).map(of));
    });
    assert!(
        matches!(busy.as_slice(), [Doubt::Busy { worker, seconds }] if worker == "people-1" && *seconds > 5.0),
        "{busy:?}"
    );
    let missing =
        doubts(|world| world.ledgers.told.retain(|told| told.id != RequestId { person: SOMEBODY, request: 1 }));
    assert_eq!(missing, [Doubt::Missing(1, RequestId { person: SOMEBODY, request: 1 })]);
    let strangers = doubts(|world| {
        let id = RequestId { person: 1_000_000, request: 0 };
        world.ledgers.told.push(Told {
            ending: Ending::Answered,
            word: Word::Later,
            status: 503,
            ..Told::sent(id, 0, Kind::Submit, 0, 0)
        });
    });
    assert_eq!(strangers, [Doubt::Strangers(1)]);
}

#[test]
fn the_worst_decides_the_verdict() {
    let missed = Threshold { figure: Figure::RequestsPerPerson, bound: Bound::AtMost(1.0) };
    let mut world = but(|world| world.scenario.thresholds.push(missed));
    assert_eq!(world.judge().verdict.code(), 1);
    world.served(SOMEBODY, 0).in_flight = 5;
    assert_eq!(world.judge().verdict.code(), 2);
    world.told(SOMEBODY, 0).ending = Ending::Harness;
    assert_eq!(world.judge().verdict.code(), 3);
}
