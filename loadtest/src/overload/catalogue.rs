//! The scenarios: what the service must do through weir, whose configuration does not say what it can do.
//!
//! **Invariants**: plain data and nothing else, so that a reader of files can replace this module. The service is that of the
//! Universal Scalability Law with 50 ms alone, σ = 0.01 and its peak at 64 in flight: 491 requests a second, 65 % of that with 200 in
//! flight and 24 % with 640.

use super::room::RoomFigure;
use super::scenario::{
    Answers, Bound, Capacity, Clients, Crowd, Fault, FaultKind, Figure, Gateway, PerClient, Phase, Retry, Scenario,
    Seconds, Server, Span, Threshold, Waits,
};

/// How much of each scenario [`quick`] runs: its name and the share of its time.
const QUICK: [(&str, f64); 4] = [("steady", 0.25), ("halving-parallelism", 0.2), ("stall", 0.4), ("sink-hole", 0.3)];

/// … and of its load: five times the capacity instead of ten is as much overload, at half the work for the harness.
const QUICK_LOAD: f64 = 0.5;

/// `drift` shortened: two and a half minutes instead of twenty.
pub const SHORT_DRIFT: f64 = 0.125;

/// Every scenario, at its full length.
#[must_use]
pub fn all() -> Vec<Scenario> {
    vec![
        steady(),
        halving("halving-parallelism", FaultKind::Parallelism(0.5)),
        halving("halving-speed", FaultKind::Speed(0.5)),
        stall(),
        refuse(),
        drift(),
        funnel(),
        greedy(),
        promises(),
        retry_storm(),
        sink_hole(),
        uneven(),
        room(),
        room_steps(),
    ]
}

/// A few, shortened, with half of their load so that they bear a busy machine, for less than 90 seconds together. Fairness over
/// deciles of arrival is not judged: a tenth of so short a span is less than a second.
#[must_use]
pub fn quick() -> Vec<Scenario> {
    let pick = |(name, scale): &(&str, f64)| {
        let mut scenario = all().into_iter().find(|scenario| scenario.name == *name)?.scaled(*scale);
        scenario.crowd.phases.iter_mut().for_each(|phase| phase.load *= QUICK_LOAD);
        scenario.shows.push_str(" (shortened, half of the load)");
        scenario.thresholds.retain(|threshold| threshold.figure != Figure::JainDeciles);
        Some(scenario)
    };
    QUICK.iter().filter_map(pick).collect()
}

fn steady() -> Scenario {
    Scenario {
        measured: Span { from: 8.0, until: 45.0 },
        ..judged(
            "steady",
            "ten times as many requests as it can serve, from a cold start",
            &[(45.0, 10.0)],
            &[
                (Figure::Goodput, Bound::AtLeast(0.98)),
                (Figure::ColdStart, Bound::AtMost(3.0)),
                (Figure::Overtakes, Bound::AtMost(0.0)),
                (Figure::LongestOvertake, Bound::Shown),
                (Figure::JainDeciles, Bound::AtLeast(0.97)),
            ],
        )
    }
}

fn halving(name: &str, kind: FaultKind) -> Scenario {
    Scenario {
        faults: vec![Fault { at: 45.0, lasts: 30.0, server: None, kind }],
        measured: Span { from: 5.0, until: 105.0 },
        ..judged(
            name,
            "half of the capacity is gone for 30 s, at ten times as many requests",
            &[(105.0, 10.0)],
            &[(Figure::Goodput, Bound::AtLeast(0.95)), (Figure::Recovery { share: 0.95 }, Bound::AtMost(2.0))],
        )
    }
}

fn stall() -> Scenario {
    Scenario {
        faults: vec![Fault { at: 20.0, lasts: 5.0, server: None, kind: FaultKind::Stall }],
        measured: Span { from: 5.0, until: 40.0 },
        ..judged(
            "stall",
            "it takes requests and answers none for 5 s, at ten times as many",
            &[(40.0, 10.0)],
            &[(Figure::Recovery { share: 0.9 }, Bound::AtMost(1.0)), (Figure::Goodput, Bound::AtLeast(0.9))],
        )
    }
}

fn refuse() -> Scenario {
    Scenario {
        faults: vec![Fault { at: 15.0, lasts: 10.0, server: None, kind: FaultKind::Refuse { warm_up: 5.0 } }],
        measured: Span { from: 27.0, until: 60.0 },
        ..judged(
            "refuse",
            "it is down for 10 s and comes back cold, at ten times as many requests: no collapse",
            &[(60.0, 10.0)],
            &[(Figure::Goodput, Bound::AtLeast(0.9)), (Figure::Recovery { share: 0.9 }, Bound::Shown)],
        )
    }
}

fn drift() -> Scenario {
    Scenario {
        measured: Span { from: 60.0, until: 1_200.0 },
        ..judged(
            "drift",
            "three times as many requests for a long time: what is in flight does not creep",
            &[(1_200.0, 3.0)],
            &[(Figure::Drift, Bound::AtMost(0.1)), (Figure::Goodput, Bound::AtLeast(0.98))],
        )
    }
}

fn funnel() -> Scenario {
    let base = judged(
        "funnel",
        "registrations of five steps, five times as many as it can serve: who is let in finishes",
        // Each person brings five requests.
        &[(60.0, 1.0)],
        &[
            (Figure::Completed, Bound::AtLeast(0.999)),
            (Figure::MidFunnelRefusals, Bound::AtMost(0.0)),
            (Figure::Goodput, Bound::Shown),
        ],
    );
    Scenario {
        crowd: Crowd { steps: 5, think: 2.0, ..base.crowd },
        measured: Span { from: 8.0, until: 60.0 },
        drain: 40.0,
        ..base
    }
}

fn greedy() -> Scenario {
    let base = judged(
        "greedy",
        "one client in a hundred sends a hundred times as much",
        // The honest alone are half again as many as it can serve, the greedy as many again.
        &[(60.0, 3.0)],
        &[
            (Figure::JainClients, Bound::AtLeast(0.99)),
            // Three places in line and in flight, where an honest client seldom has more than one.
            (Figure::GreedyShare, Bound::AtMost(4.0)),
            (Figure::JainDeciles, Bound::AtLeast(0.97)),
            (Figure::Overtakes, Bound::AtMost(0.0)),
            (Figure::LongestOvertake, Bound::Shown),
        ],
    );
    Scenario {
        // A short line, so that an honest client seldom has two requests in it.
        gateway: Gateway { queue_wait: 0.5, per_client: Some(PerClient { concurrency: 1, waiting: 2 }) },
        crowd: Crowd { clients: Some(Clients { honest: 297, greedy: 3, factor: 100.0 }), ..base.crowd },
        measured: Span { from: 8.0, until: 60.0 },
        ..base
    }
}

fn promises() -> Scenario {
    let base = judged(
        "promises",
        "a burst that can all be served in time: who comes when told is let in, who is held waits as predicted",
        &[(5.0, 0.5), (3.0, 15.0), (72.0, 0.0)],
        &[(Figure::PromiseError, Bound::AtMost(0.15)), (Figure::WaitError, Bound::Shown)],
    );
    Scenario {
        crowd: Crowd {
            patience: Span { from: 15.0, until: 20.0 },
            retry: Retry::WhenTold { give_up: 85.0 },
            ..base.crowd
        },
        measured: Span { from: 5.0, until: 8.0 },
        ..base
    }
}

fn retry_storm() -> Scenario {
    let base = judged(
        "retry-storm",
        "the refused come again at the next full second, eight in ten, three times; it stalls for 3 s: no collapse",
        &[(10.0, 0.5), (50.0, 2.0)],
        &[
            (Figure::Amplification, Bound::AtMost(1.02)),
            (Figure::Goodput, Bound::AtLeast(0.95)),
            (Figure::Recovery { share: 0.9 }, Bound::Shown),
        ],
    );
    Scenario {
        crowd: Crowd { retry: Retry::Storm { probability: 0.8, retries: 3, every: 1.0 }, ..base.crowd },
        // What makes a storm stay where it can: answers that come too late, all at once.
        faults: vec![Fault { at: 30.0, lasts: 3.0, server: None, kind: FaultKind::Stall }],
        measured: Span { from: 14.0, until: 60.0 },
        ..base
    }
}

fn sink_hole() -> Scenario {
    let base = judged(
        "sink-hole",
        "one of four servers answers 500 within a millisecond, at five times as many requests as the others can serve",
        &[(40.0, 5.0)],
        &[(Figure::Goodput, Bound::AtLeast(0.95))],
    );
    let fails = Server { capacity: usl(16), answers: Answers::Fail { after: 0.001 } };
    let works = Server { capacity: usl(16), answers: Answers::Work };
    Scenario { servers: vec![fails, works, works, works], measured: Span { from: 10.0, until: 40.0 }, ..base }
}

fn uneven() -> Scenario {
    let base = judged(
        "uneven",
        "one of four servers has half the capacity, at five times as many requests",
        &[(40.0, 5.0)],
        &[(Figure::Goodput, Bound::AtLeast(0.95))],
    );
    let server = |peak_at| Server { capacity: usl(peak_at), answers: Answers::Work };
    let servers = vec![server(8), server(16), server(16), server(16)];
    Scenario { servers, measured: Span { from: 10.0, until: 40.0 }, ..base }
}

fn room() -> Scenario {
    Scenario {
        // Until the first rush has been worked off, and while many still wait.
        measured: Span { from: 35.0, until: 95.0 },
        ..waiting(
            "room",
            "a minute and a half's work joins a waiting room within 5 s, more comes later: places, estimates, turns",
            &[
                (Figure::Room(RoomFigure::EstimateMedian), Bound::AtMost(0.05)),
                (Figure::Room(RoomFigure::EstimateWorst), Bound::AtMost(0.15)),
                (Figure::Room(RoomFigure::WithinP90), Bound::Shown),
                (Figure::Goodput, Bound::AtLeast(0.98)),
            ],
        )
    }
}

fn room_steps() -> Scenario {
    Scenario {
        faults: vec![Fault { at: 35.0, lasts: 25.0, server: None, kind: FaultKind::Parallelism(0.5) }],
        measured: Span { from: 25.0, until: 105.0 },
        drain: 40.0,
        ..waiting(
            "room-steps",
            "the same, and half of the capacity is gone for 25 s: turns are noticed in time all the same",
            &[(Figure::Goodput, Bound::AtLeast(0.95)), (Figure::Recovery { share: 0.95 }, Bound::Shown)],
        )
    }
}

/// A service of 154 a second, and a minute and a half's work for it that comes within 5 s; for half a minute after it half as many come as it
/// can serve. Everybody waits for his turn, a third of them with their visits held.
fn waiting(name: &str, shows: &str, thresholds: &[(Figure, Bound)]) -> Scenario {
    let room = [
        (RoomFigure::NoticeHeld, Bound::AtMost(1.0)),
        (RoomFigure::NoticeTold, Bound::Shown),
        (RoomFigure::NoticeShare, Bound::AtMost(1.0)),
        (RoomFigure::Polls, Bound::AtMost(30.0)),
        (RoomFigure::OutOfOrder, Bound::AtMost(0.0)),
        (RoomFigure::Contradicted, Bound::AtMost(0.0)),
        (RoomFigure::Unserved, Bound::AtMost(0.0)),
    ];
    let room = room.map(|(figure, bound)| (Figure::Room(figure), bound));
    let line = [
        (Figure::Overtakes, Bound::AtMost(0.0)),
        (Figure::LongestOvertake, Bound::Shown),
        (Figure::Amplification, Bound::AtMost(1.0)),
    ];
    let thresholds: Vec<_> = thresholds.iter().chain(&room).chain(&line).copied().collect();
    let base = judged(name, shows, &[(5.0, 18.0), (30.0, 0.5), (75.0, 0.0)], &thresholds);
    Scenario {
        servers: vec![Server { capacity: usl(16), answers: Answers::Work }],
        crowd: Crowd {
            patience: Span { from: 15.0, until: 20.0 },
            waits: Some(Waits { holding: 1.0 / 3.0, hold: 20.0 }),
            ..base.crowd
        },
        drain: 20.0,
        ..base
    }
}

fn usl(peak_at: u32) -> Capacity {
    Capacity::Usl { base_time: 0.05, peak_at, contention: 0.01 }
}

/// One server of 491 a second, people who leave after 5 to 20 s or when refused, `phases` of so many seconds and so much load; judged by
/// `thresholds` and by what must hold in every scenario.
fn judged(name: &str, shows: &str, phases: &[(Seconds, f64)], thresholds: &[(Figure, Bound)]) -> Scenario {
    let always = [(Figure::OverLimit, Bound::AtMost(0.0)), (Figure::WastedWork, Bound::AtMost(0.001))];
    let thresholds =
        thresholds.iter().chain(&always).map(|(figure, bound)| Threshold { figure: *figure, bound: *bound });
    Scenario {
        name: name.to_owned(),
        shows: shows.to_owned(),
        servers: vec![Server { capacity: usl(64), answers: Answers::Work }],
        gateway: Gateway { queue_wait: 4.0, per_client: None },
        crowd: Crowd {
            phases: phases.iter().map(|(lasts, load)| Phase { lasts: *lasts, load: *load }).collect(),
            patience: Span { from: 5.0, until: 20.0 },
            retry: Retry::Never,
            steps: 1,
            think: 0.0,
            clients: None,
            waits: None,
        },
        faults: Vec::new(),
        measured: Span { from: 0.0, until: 0.0 },
        drain: 5.0,
        thresholds: thresholds.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_whole_and_has_a_name_of_its_own() {
        let all = all();
        for (index, scenario) in all.iter().enumerate() {
            let Span { from, until } = scenario.measured;
            assert!(from < until && until <= scenario.arrivals_end(), "{}", scenario.name);
            assert!(scenario.faults.iter().all(|fault| fault.at + fault.lasts < until), "{}", scenario.name);
            assert!(!all.iter().skip(index + 1).any(|other| other.name == scenario.name), "{}", scenario.name);
            let capacity = if scenario.crowd.waits.is_some() { 150.0..160.0 } else { 450.0..550.0 };
            assert!(scenario.thresholds.len() >= 3 && capacity.contains(&scenario.capacity()), "{}", scenario.name);
        }
    }

    #[test]
    fn the_quick_ones_take_less_than_90_seconds() {
        let quick = quick();
        assert_eq!(quick.len(), QUICK.len());
        let lasts: f64 = quick.iter().map(Scenario::lasts).sum();
        assert!(lasts < 85.0, "{lasts}");
    }

    #[test]
    fn a_scenario_is_plain_data() {
        for scenario in all() {
            let text = serde_json::to_string(&scenario).expect("data");
            assert_eq!(serde_json::from_str::<Scenario>(&text).expect("the same data"), scenario, "{text}");
        }
    }

    #[test]
    fn scaling_keeps_people_and_thresholds() {
        let (full, half) = (stall(), stall().scaled(0.5));
        assert!((half.arrivals_end() - 20.0).abs() < 1e-9 && (half.measured.until - 20.0).abs() < 1e-9);
        assert!((half.measured.from - 5.0).abs() < 1e-9 && (stall().scaled(0.1).measured.from - 2.0).abs() < 1e-9);
        assert_eq!((half.crowd.patience, half.thresholds), (full.crowd.patience, full.thresholds));
        let slow = steady().with_capacity(|capacity| capacity.slower(2.0));
        assert!((slow.capacity() / steady().capacity() - 0.5).abs() < 1e-9);
        let sharp = steady().with_capacity(|capacity| capacity.kinked(0.5));
        assert!((sharp.capacity() / steady().capacity() - 1.0).abs() < 1e-9);
    }
}
