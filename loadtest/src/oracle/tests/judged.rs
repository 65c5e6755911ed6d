//! What is judged, and what is not: where a judge could be blind, or cry wolf.

use super::broken::{SOMEBODY, but};
use super::model::{MS, QUOTA, World, persona};
use super::*;
use crate::figure::{Bound, Threshold};
use crate::ledger::{Ending, Kind, RequestId, Resources, Told, Word};
use crate::scenario::fault::{Fault, FaultKind, ServiceFault};

/// Idle is 7 % of what can be done.
fn idle(world: &mut World) {
    world.ledgers.samples.iter_mut().for_each(|sample| sample.work *= 0.93);
}

/// Of those let in only each fourth goes on to the last stage, which is what the quota counts.
fn a_fourth(world: &mut World) {
    world.scenario.stages[0].goes_on = 0.25;
    world.scenario.quota = Some(QUOTA / 4);
    let goes_on = |id: RequestId| id.person.is_multiple_of(4);
    world.told.retain(|told| told.stage == 0 || goes_on(told.id));
    world.ledgers.served.retain(|served| served.stage == 0 || served.id.is_some_and(goes_on));
}

#[test]
fn an_idle_bottleneck_is_seen_before_a_quota_of_a_later_stage_is_spent() {
    assert_eq!(broken(&but(a_fourth)), [""; 0]);
    assert_eq!(broken(&but(|world| (a_fourth(world), idle(world)).1)), ["I8"]);
}

#[test]
fn an_idle_bottleneck_is_seen_whatever_a_forger_or_a_later_stage_is_told() {
    let over = |kind: Kind, stage: u8| {
        but(|world| {
            idle(world);
            let id = world.told.iter().map(|told| told.id).filter(|id| id.person == 0).max();
            let id = id.map(|id| RequestId { request: id.request + 1, ..id }).expect("he came");
            let (at, ending) = (2_500 * MS, Ending::Answered);
            let told = Told { word: Word::Over, ending, status: 403, ..Told::sent(id, stage, kind, at, at) };
            world.told.push(told);
        })
    };
    let conserved = |world: &World| !broken(world).contains(&"I8");
    assert!(!conserved(&over(Kind::Forged, 0)) && !conserved(&over(Kind::Submit, 1)));
    assert!(conserved(&over(Kind::Submit, 0)), "nobody new can come in");
}

#[test]
fn who_left_before_the_last_stage_holds_no_place_of_a_quota() {
    let last = u32::try_from(QUOTA).expect("few") - 1;
    let inside = |word: Option<Word>| {
        but(|world| {
            let registered = |id: RequestId| id.person != last;
            world.ledgers.served.retain(|served| served.stage == 0 || served.id.is_some_and(registered));
            match word {
                None => world.told.retain(|told| told.stage == 0 || registered(told.id)),
                Some(word) => {
                    let told = world.told.iter_mut().find(|told| told.stage == 1 && told.id.person == last);
                    let told = told.expect("he asked");
                    (told.word, told.status) = (word, 503);
                }
            }
        })
    };
    let broken = |world: &World| world.judge().broken().map(|finding| finding.invariant.id()).collect::<Vec<_>>();
    assert_eq!(broken(&inside(None)), ["I5"]);
    assert_eq!(broken(&inside(Some(Word::Later))), ["I5"]);
    assert_eq!(broken(&inside(Some(Word::Turn))), [""; 0], "a place is kept for him");
}

/// The gateway has given [`QUOTA`] places of 30 more, and tells everybody else a place until the end.
fn withheld(world: &mut World) {
    world.scenario.quota = Some(QUOTA + 30);
    for told in world.told.iter_mut().filter(|told| told.word == Word::Over) {
        (told.word, told.status, told.place, told.ahead) = (Word::Place, 503, 1, 0);
    }
}

#[test]
fn a_quota_that_is_kept_back_without_a_word_is_broken() {
    assert_eq!(broken(&but(withheld)), ["I5"]);
    let earlier = but(|world| {
        withheld(world);
        world.scenario.drain = std::time::Duration::from_secs(10);
    });
    assert_eq!(broken(&earlier), [""; 0], "there was not time enough");
    let disturbed = but(|world| {
        withheld(world);
        let kind = FaultKind::Service { service: 0, server: None, kind: ServiceFault::Stall };
        let (at, lasts) = (std::time::Duration::from_secs(19), std::time::Duration::from_secs(9));
        world.scenario.faults = vec![Fault { at, lasts, kind }];
    });
    assert!(!broken(&disturbed).contains(&"I5"));
    let gone = but(|world| {
        withheld(world);
        // The next in line were called, and have left: their places are kept for them.
        let served: Vec<u32> = world.ledgers.served.iter().filter_map(|served| Some(served.id?.person)).collect();
        let next = (0..).zip(&mut world.people).filter(|(person, _)| !served.contains(person));
        next.take(30).for_each(|(_, person)| person.leaves = 25_000 * MS);
    });
    assert_eq!(broken(&gone), [""; 0]);
}

#[test]
fn who_lost_his_place_keeps_the_one_he_was_given_instead() {
    let lost = |later: u32| {
        but(|world| {
            world.declared.identity = false;
            let first = world.told(SOMEBODY, 0).place;
            let told = world.told(SOMEBODY, 1);
            (told.place, told.shown) = (first + 1_000, false);
            let told = world.told(SOMEBODY, 2);
            assert!(told.shown && told.word == Word::Place);
            told.place = first + later;
        })
    };
    assert_eq!(broken(&lost(900)), [""; 0], "smaller than the new one");
    assert_eq!(broken(&lost(1_100)), ["I7"]);
}

#[test]
fn a_place_at_one_stage_is_no_promise_for_the_next() {
    let told = |late: u8| {
        but(|world| {
            let last = world.served(SOMEBODY, 1).id.expect("he came so far");
            let (first, sent) = (*world.told(SOMEBODY, 0), world.told(last.person, last.request).sent);
            // He has been let in; an answer that was asked for before comes only now.
            let stale = RequestId { request: last.request + 1, ..last };
            let stale = Told { id: stale, place: 3, sent: sent - 1_200 * MS, ended: sent - 500 * MS, ..first };
            let again = RequestId { request: last.request + 2, ..last };
            let again = Told { id: again, place: 9, sent: sent - 400 * MS, ended: sent - 300 * MS, ..first };
            world.told.extend([stale, Told { stage: late, shown: true, ..again }]);
        })
    };
    assert!(!broken(&told(1)).contains(&"I7"));
    assert!(broken(&told(0)).contains(&"I7"));
}

#[test]
fn who_comes_while_something_is_disturbed_is_not_over_the_limit() {
    let over = |fault: bool| {
        let world = but(|world| {
            let served = world.served(SOMEBODY, 0);
            served.in_flight = 9;
            let at = std::time::Duration::from_micros(served.started - 100 * MS);
            let kind = FaultKind::Gateway(crate::scenario::fault::GatewayFault::Kill);
            let lasts = std::time::Duration::from_millis(200);
            world.scenario.faults = if fault { vec![Fault { at, lasts, kind }] } else { Vec::new() };
        });
        world.judge().value(Figure::OverLimit)
    };
    assert_eq!((over(false).to_bits(), over(true).to_bits()), (1.0_f64.to_bits(), 0.0_f64.to_bits()));
}

#[test]
fn in_line_only_who_came_later_overtakes() {
    let mut world = World::honest();
    let mut line: Vec<_> = world.ledgers.served.iter().filter(|served| served.stage == 0).copied().collect();
    line.sort_by_key(|served| served.started);
    let early = line[200];
    let sent = |world: &mut World, served: &crate::ledger::Served| {
        let id = served.id.expect("a number");
        world.told(id.person, id.request).sent
    };
    let early_sent = sent(&mut world, &early);
    let behind = |served: &&crate::ledger::Served| {
        let sent = sent(&mut world, served);
        sent > early_sent + 150 * MS && sent + 150 * MS < early.started
    };
    let late = *line[201..].iter().find(behind).expect("he waits longer than that");
    let id = late.id.expect("a number");
    let begins = sent(&mut world, &late) + MS;
    let served = world.served(id.person, 0);
    (served.started, served.done) = (begins, begins + 200 * MS);
    assert_eq!(broken(&world), ["I6"]);
    let first = world.told(id.person, 0);
    (first.intended, first.sent) = (0, 0);
    assert_eq!(broken(&world), [""; 0], "he came first of all");
}

/// Somebody who was let in, and has `shown` so, asks for the last stage and hears this.
fn refused(status: u16, word: Word, by_service: bool, shown: bool) -> f64 {
    let run = but(|honest| {
        let served = honest.served(SOMEBODY, 1);
        let id = served.id.expect("a number");
        served.status = if by_service { status } else { 201 };
        let told = honest.told(id.person, id.request);
        (told.word, told.status, told.shown) = (word, status, shown);
    });
    run.judge().value(Figure::FunnelRefusals)
}

#[test]
fn a_refusal_is_the_gateways_own_and_tells_no_place() {
    let refusals = [
        (503, Word::Later, false, true),
        (429, Word::Later, false, true),
        (503, Word::Later, true, true),
        (503, Word::Place, false, true),
        (503, Word::Turn, false, true),
        // Whoever keeps nothing of what he is given cannot be told from a newcomer.
        (503, Word::Later, false, false),
    ];
    let counted = refusals.map(|(status, word, by_service, shown)| refused(status, word, by_service, shown).to_bits());
    assert_eq!(counted, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0].map(f64::to_bits));
    let nothing_given = but(|honest| honest.told.iter_mut().for_each(|told| told.shown = false));
    assert!(nothing_given.judge().value(Figure::FunnelRefusals).is_nan(), "who gives nobody anything keeps no promise");
}

#[test]
fn what_nobody_had_to_wait_for_is_not_judged_and_what_has_no_value_otherwise_is_missed() {
    let bounds = [
        (Figure::PlaceKept, Bound::AtLeast(0.99)),
        (Figure::SlipP99, Bound::AtMost(9.0)),
        (Figure::EtaErrorP50, Bound::AtMost(0.2)),
        (Figure::Recovery, Bound::AtMost(2.0)),
    ];
    let mut world = but(|world| {
        world.scenario.thresholds = bounds.map(|(figure, bound)| Threshold { figure, bound }).into();
        let served = |world: &World, id| world.ledgers.served.iter().any(|served| served.id == Some(id));
        let first: Vec<RequestId> =
            world.told.iter().map(|told| told.id).filter(|id| id.request == 0 && served(world, *id)).collect();
        // Only those are left who were let in at once; nobody else was to come.
        let came: Vec<u32> = first.iter().map(|id| id.person).collect();
        let others = (0..).zip(&mut world.people).filter(|(person, _)| !came.contains(person));
        others.for_each(|(_, person)| person.arrives = u64::MAX);
        world.told.retain(|told| first.contains(&RequestId { request: 0, ..told.id }));
        world
            .ledgers
            .served
            .retain(|served| served.id.is_some_and(|id| first.contains(&RequestId { request: 0, ..id })));
    });
    let states = |world: &World| world.judge().thresholds.iter().map(|it| it.state).collect::<Vec<_>>();
    let (not_judged, missed) = (State::NotJudged, State::Broken);
    assert_eq!(states(&world), [not_judged, not_judged, not_judged, missed]);
    let text = table::summary(&world.judge());
    assert!(text.contains("FAIL (no case)") && text.contains("– (nobody had to wait)"), "{text}");
    world.scenario.thresholds.pop();
    assert_eq!(world.judge().verdict, Verdict::Pass, "{text}");
    // Somebody is sent away with no place at all.
    let id = RequestId { person: SOMEBODY, request: 0 };
    let told = Told::sent(id, 0, Kind::Submit, MS, MS);
    world.told.push(Told { ending: Ending::Answered, word: Word::Later, status: 503, ..told });
    assert_eq!(states(&world), [missed, missed, missed]);
}

#[test]
fn a_minute_in_which_the_harness_is_late_is_not_hidden_by_a_day() {
    let within = |told: &Told| (10_000 * MS..20_000 * MS).contains(&told.intended);
    let late = but(|world| {
        let told = &mut world.told;
        let (sent, all) = (told.iter().filter(|told| within(told)).count(), told.len());
        assert!(sent >= 1_000 && sent + 300 < all, "{sent} of {all}");
        // One in a hundred of ten seconds, and not of all.
        let from = told.iter_mut().filter(|told| within(told) && told.intended > 12_000 * MS);
        from.take(sent / 100 + 2).for_each(|told| told.intended -= 60 * MS);
    });
    let doubts = late.judge().doubts;
    assert!(
        matches!(doubts.as_slice(), [Doubt::LateFor { lag, from }] if *lag > 0.06 && (*from - 10.0).abs() < 0.1),
        "{doubts:?}"
    );
}

#[test]
fn who_was_to_come_and_sent_nothing_makes_a_run_invalid() {
    let without = |who: u32| {
        but(|world| {
            world.told.retain(|told| told.id.person != who);
            world.ledgers.served.retain(|served| served.id.is_none_or(|id| id.person != who));
        })
    };
    assert_eq!(without(SOMEBODY).judge().doubts, [Doubt::Absent(1, SOMEBODY)]);
    let mut late = without(SOMEBODY);
    late.people[SOMEBODY as usize].arrives = facts::micros(late.scenario.end()) - MS;
    assert_eq!(late.judge().doubts, [], "the run was over");
    let mut attacks = without(SOMEBODY);
    let flood = Some(crate::scenario::persona::Attack::Flood { connections: 9 });
    attacks.scenario.personas.push(crate::scenario::Persona { attack: flood, ..persona("flood") });
    attacks.people[SOMEBODY as usize].persona = 1;
    assert_eq!(attacks.judge().doubts, []);
}

#[test]
fn services_and_the_fault_proxy_may_be_out_of_breath_too() {
    let busy = |process: &str| {
        let of = |second: u64| Resources {
            at: second * 1_000 * MS,
            process: process.into(),
            cpu: second * 900 * MS,
            ..Resources::default()
        };
        but(|world| world.ledgers.resources.extend((0..8).map(of))).judge().doubts
    };
    for process in ["services", "faults", "people-3"] {
        let doubts = busy(process);
        assert!(
            matches!(doubts.as_slice(), [Doubt::Busy { worker, .. }] if worker == process),
            "{process}: {doubts:?}"
        );
    }
    assert_eq!(busy("nginx"), [], "a gateway may use what it needs");
}

#[test]
fn a_bottleneck_counts_only_those_who_go_on_to_it() {
    let mut world = World::honest();
    world.scenario.services[1].curve = crate::origin::curve::Curve::kink(15.0, 4, 0.05);
    let bottleneck = |world: &World| {
        let run = Run { scenario: &world.scenario, people: &world.people, declared: &world.declared };
        (run.visits(), run.bottleneck())
    };
    assert_eq!(bottleneck(&world), (vec![1.0, 1.0], 1));
    world.scenario.stages[0].goes_on = 0.5;
    assert_eq!(bottleneck(&world), (vec![1.0, 0.5], 0), "it takes 30 people a second, half of whom come to it");
    world.scenario.services[1].needs = vec![0];
    assert_eq!(bottleneck(&world), (vec![1.5, 0.5], 0));
}

#[test]
fn a_capacity_for_which_there_is_no_demand_is_not_missed() {
    let idle = |people: u32| {
        let world = but(|world| {
            world.told.retain(|told| told.id.person < people);
            world.ledgers.served.retain(|served| served.id.is_some_and(|id| id.person < people));
            world.ledgers.samples.iter_mut().for_each(|sample| sample.work *= 0.4);
        });
        world.judge().value(Figure::ColdStart)
    };
    assert!(idle(50).is_nan(), "three seconds' worth are 60 people: {}", idle(50));
    // Of three seconds' worth, the last has come after three seconds: 40 a second come and 20 are served.
    assert!((15.0..19.0).contains(&idle(800)), "{}", idle(800));
}

#[test]
fn a_cold_start_begins_when_a_crowd_is_there() {
    let cold = |full_from: u64| {
        let world = but(|world| {
            for sample in world.ledgers.samples.iter_mut().filter(|sample| sample.service == 0) {
                sample.work = sample.capacity * 0.5 + sample.at.saturating_sub(full_from) as f64 / 1e6 * 10.0;
            }
        });
        world.judge().value(Figure::ColdStart)
    };
    let from = cold(10_000 * MS);
    assert!((5.0..8.0).contains(&from), "{from}: the crowd was there after some seconds");
    assert_eq!(cold(0).to_bits(), 0.0_f64.to_bits(), "it was full before");
}

#[test]
fn recovery_is_that_of_the_service_which_the_fault_makes_the_bottleneck() {
    let world = but(|world| {
        let seconds = std::time::Duration::from_secs;
        let kind = FaultKind::Service { service: 1, server: None, kind: ServiceFault::Parallelism(0.025) };
        world.scenario.faults = vec![Fault { at: seconds(5), lasts: seconds(5), kind }];
        // From 5 s to 10 s it could do 10 a second, and did half of that for two seconds.
        let span = |at: u64, from: u64, until: u64| {
            (at.clamp(from * 1_000 * MS, until * 1_000 * MS) - from * 1_000 * MS) as f64 / 1e6
        };
        for sample in world.ledgers.samples.iter_mut().filter(|sample| sample.service == 1) {
            let at = sample.at;
            sample.capacity = 400.0 * (span(at, 0, 5) + span(at, 10, 99)) + 10.0 * span(at, 5, 10);
            sample.work = 20.0 * (span(at, 0, 5) + span(at, 10, 99)) + 5.0 * span(at, 5, 7) + 10.0 * span(at, 7, 10);
        }
    });
    let recovery = world.judge().value(Figure::Recovery);
    assert!((recovery - 1.9).abs() < 0.11, "{recovery}");
}

#[test]
fn of_next_to_nothing_no_share_is_wasted() {
    let wasted = |people: u32| {
        let world = but(|world| world.ledgers.served.retain(|served| served.id.is_some_and(|id| id.person < people)));
        world.judge().value(Figure::WastedWork)
    };
    assert!(wasted(30).is_nan() && !wasted(60).is_nan(), "of 800: {} {}", wasted(30), wasted(60));
}
