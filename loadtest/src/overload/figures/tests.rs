//! Each figure over runs written by hand.

use std::time::Duration;

use super::*;
use crate::overload::catalogue;
use crate::overload::people::Person;
use crate::overload::scenario::{Clients, Fault, Scenario};
use crate::overload::service::Log;
use crate::overload::timeline::span;

/// A server of 100 a second for ten seconds, of which `done` of each tick's capacity was done.
fn log(capacity: impl Fn(f64) -> f64, done: impl Fn(f64) -> f64) -> Log {
    let mut samples = vec![Sample::default()];
    for tick in 0..200 {
        let (at, last) = (f64::from(tick) * 0.05, samples.last().copied().unwrap_or_default());
        let capacity = 5.0 * capacity(at);
        let work = last.work + capacity * done(at);
        samples.push(Sample { work, capacity: last.capacity + capacity, in_flight: 10 + u32::from(at >= 5.0) });
    }
    Log { served: Vec::new(), samples }
}

fn run(edit: impl FnOnce(&mut Run)) -> Run {
    let steady = catalogue::all().into_iter().next().expect("steady");
    let scenario = Scenario { measured: Span { from: 0.0, until: 10.0 }, ..steady };
    let mut run = Run {
        scenario,
        people: Vec::new(),
        attempts: Vec::new(),
        servers: vec![log(|_| 1.0, |_| 0.9)],
        asked: Vec::new(),
        serving: Vec::new(),
        said: (0_u32..500).map(|at| Said { at: span(f64::from(at) * 0.02), limit: 64.0, predicted: 2.0 }).collect(),
    };
    edit(&mut run);
    run
}

/// Person `person` sends step `step` at `sent` and is answered `status` at `ended`.
fn attempt(person: u32, step: u8, sent: Seconds, ended: Seconds, status: u16) -> Attempt {
    let (sent, ended) = (span(sent), Some(span(ended)));
    let outcome = Outcome::Answered(status, (status == 503).then_some(Duration::from_secs(2)));
    Attempt { person, step, intended: sent, sent, ended, outcome }
}

fn served(attempt: u32, started: Seconds, done: Seconds, in_flight: u32) -> Served {
    Served { attempt, started: span(started), done: Some(span(done)), in_flight, work: 1.0, heard: true }
}

fn person(arrives: Seconds, client: Option<u32>) -> Person {
    Person { arrives: span(arrives), seed: 0, client }
}

fn serve(run: &mut Run, entries: &[Served]) {
    if let Some(server) = run.servers.first_mut() {
        server.served.extend_from_slice(entries);
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn goodput_is_work_that_was_heard_of() {
    let run = run(|run| {
        run.attempts = vec![attempt(0, 1, 1.0, 2.0, 200), attempt(1, 1, 1.0, 2.0, 504), attempt(2, 1, 1.0, 2.0, 200)];
        run.attempts.push(Attempt { ended: None, outcome: Outcome::Silence, ..attempt(3, 1, 9.0, 9.0, 0) });
        serve(run, &[served(0, 1.5, 2.0, 1), served(1, 1.5, 2.0, 2), served(2, 1.6, 2.0, 3), served(3, 9.1, 9.9, 1)]);
    });
    // 900 of 1,000 done, one of them for nobody; who still waited at the end is not judged.
    assert!(close(compute(&run, Figure::Goodput), 0.899));
    assert!(close(compute(&run, Figure::WastedWork), 0.25));
    let stall = Fault { at: 1.6, lasts: 0.2, server: None, kind: FaultKind::Stall };
    let excused =
        |at| Run { scenario: Scenario { faults: vec![Fault { at, ..stall }], ..run.scenario.clone() }, ..run.clone() };
    assert!(close(compute(&excused(1.6), Figure::WastedWork), 0.0), "in hand when it stalled");
    assert!(close(compute(&excused(1.4), Figure::WastedWork), 0.25), "sent into a stall");
}

#[test]
fn recovery_is_the_slowest_return_to_the_capacity_in_force() {
    let fault = |at, lasts, kind| Fault { at, lasts, server: None, kind };
    let run = run(|run| {
        run.scenario.faults = vec![fault(2.0, 2.0, FaultKind::Stall), fault(7.0, 1.0, FaultKind::Speed(0.5))];
        // Nothing at first, nothing in the stall and for a second after it; instantly right about the other fault.
        let capacity = |at: f64| if (2.0..4.0).contains(&at) { 0.0 } else { 1.0 };
        run.servers = vec![log(capacity, |at| if at < 0.5 || (2.0..4.999).contains(&at) { 0.0 } else { 1.0 })];
    });
    assert!(close(compute(&run, Figure::ColdStart), 0.45), "{}", compute(&run, Figure::ColdStart));
    let recovery = compute(&run, Figure::Recovery { share: 0.9 });
    assert!(close(recovery, 0.9), "{recovery}");
    assert!(compute(&self::run(|_| ()), Figure::Recovery { share: 0.9 }).is_nan(), "nothing changed");
    let never = self::run(|run| run.servers = vec![log(|_| 1.0, |_| 0.5)]);
    assert!(compute(&never, Figure::ColdStart) >= 9.0);
}

#[test]
fn a_start_is_above_the_limit_if_no_limit_near_allows_it() {
    let judged = |in_flight, at| {
        let run = run(|run| {
            for said in run.said.iter_mut().filter(|said| said.at >= Duration::from_secs(5)) {
                said.limit = 50.0;
            }
            serve(run, &[served(0, at, at + 0.1, in_flight)]);
        });
        compute(&run, Figure::OverLimit)
    };
    assert!(close(judged(64, 1.0), 0.0) && close(judged(65, 1.0), 1.0));
    // Let through just before the limit fell; long after it.
    assert!(close(judged(60, 5.2), 0.0) && close(judged(60, 5.4), 1.0));
    assert!(judged(1, 50.0).is_nan(), "nobody looked");
}

#[test]
fn several_servers_are_counted_together() {
    let run = run(|run| {
        run.said.iter_mut().for_each(|said| said.limit = 3.0);
        serve(run, &[served(0, 1.0, 2.0, 1), served(1, 1.1, 2.0, 2)]);
        let second = vec![served(2, 1.2, 1.5, 1), served(3, 1.3, 2.0, 2), served(4, 2.0, 2.1, 2)];
        run.servers.push(Log { served: second, samples: Vec::new() });
    });
    assert!(close(compute(&run, Figure::OverLimit), 1.0), "the fourth only: the fifth starts as three end");
}

#[test]
fn a_funnel_counts_those_let_in() {
    let run = run(|run| {
        run.scenario.crowd.steps = 2;
        run.attempts = vec![
            attempt(0, 1, 1.0, 1.1, 200),
            attempt(0, 2, 2.0, 2.1, 200),
            attempt(1, 1, 1.0, 1.1, 503),
            attempt(2, 1, 1.0, 1.1, 200),
            attempt(2, 2, 2.0, 2.1, 503),
        ];
    });
    assert!(close(compute(&run, Figure::Completed), 0.5));
    assert!(close(compute(&run, Figure::MidFunnelRefusals), 1.0));
}

#[test]
fn promises_are_kept_if_the_visit_they_named_is_the_one_let_in() {
    let judged = |attempts: Vec<Attempt>| {
        compute(
            &run(|run| {
                run.people = vec![person(1.0, None)];
                run.attempts = attempts;
            }),
            Figure::PromiseError,
        )
    };
    let refused = attempt(0, 1, 1.0, 1.0, 503);
    assert!(
        close(judged(vec![refused, attempt(0, 1, 3.0, 7.0, 200)]), 0.0),
        "told 2 s, came then, was held and served"
    );
    let twice = vec![refused, attempt(0, 1, 3.0, 3.0, 503), attempt(0, 1, 5.0, 6.0, 200)];
    assert!(close(judged(twice), 1.0));
    assert!(judged(vec![refused]).is_infinite());
    assert!(judged(vec![attempt(0, 1, 1.0, 2.0, 200)]).is_nan(), "nothing was promised");
}

#[test]
fn predicted_waits_are_compared_with_those_that_came() {
    let run = run(|run| {
        run.attempts = vec![attempt(0, 1, 1.0, 3.6, 200), attempt(1, 1, 1.0, 1.2, 200)];
        // Predicted 2 s: one waited 2.5 s; the other hardly, and is not judged.
        serve(run, &[served(0, 3.5, 3.6, 1), served(1, 1.1, 1.2, 1)]);
    });
    assert!(close(compute(&run, Figure::WaitError), 0.2));
}

#[test]
fn order_and_fairness_leave_the_greedy_out() {
    let clients = Clients { honest: 2, greedy: 1, factor: 10.0 };
    let run = run(|run| {
        run.scenario.crowd.clients = Some(clients);
        run.people = vec![person(1.0, Some(0)), person(1.5, Some(1)), person(1.6, Some(1)), person(1.0, Some(2))];
        // Client 1 is overtaken twice, once by its own doing; the greedy one, too.
        run.attempts = vec![
            attempt(0, 1, 2.0, 3.0, 200),
            attempt(1, 1, 1.5, 6.0, 200),
            attempt(2, 1, 1.6, 7.0, 200),
            attempt(3, 1, 1.0, 8.0, 200),
        ];
        serve(run, &[served(0, 2.5, 3.0, 1), served(1, 5.5, 6.0, 1), served(2, 6.5, 7.0, 1), served(3, 7.5, 8.0, 1)]);
    });
    assert!(close(compute(&run, Figure::Overtakes), 1.0));
    assert!(close(compute(&run, Figure::LongestOvertake), 0.5));
    assert!(close(compute(&run, Figure::JainClients), 0.9) && close(compute(&run, Figure::GreedyShare), 1.0 / 1.5));
}

#[test]
fn deciles_of_arrival_are_compared_by_who_was_served() {
    let served_if = |served: fn(u32) -> bool| {
        let run = run(|run| {
            run.people = (0_u32..100).map(|at| person(f64::from(at) / 10.0, None)).collect();
            run.attempts = (0..100).map(|who| attempt(who, 1, 0.0, 1.0, if served(who) { 200 } else { 503 })).collect();
        });
        compute(&run, Figure::JainDeciles)
    };
    assert!(close(served_if(|who| who % 2 == 0), 1.0));
    assert!(close(served_if(|who| who < 50), 0.5));
}

#[test]
fn amplification_counts_what_the_service_saw_twice() {
    let run = run(|run| {
        run.attempts = vec![attempt(0, 1, 1.0, 2.0, 200), attempt(1, 1, 1.0, 2.0, 504), attempt(1, 1, 3.0, 4.0, 200)];
        serve(run, &[served(0, 1.0, 2.0, 1), served(1, 1.0, 2.0, 2), served(2, 3.0, 4.0, 1)]);
    });
    assert!(close(compute(&run, Figure::Amplification), 1.5));
    // 10 in flight for five seconds, then 11: the fitted line rises by 1.5 times the step's difference.
    let drift = compute(&run, Figure::Drift);
    assert!(drift > 0.1 && drift < 0.2, "{drift}");
}
