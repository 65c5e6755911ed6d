//! What one decision of admission costs: gate, contract rate, line, client limits. No sockets, no tasks.
//!
//! `cargo bench --bench decision`. The figures that matter are the medians; `tests/decision.rs` proves that nothing is allocated.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use weir::admission::dispatch::Dispatcher;
use weir::admission::gate::Gate;
use weir::admission::queue::Line;
use weir::admission::rate::Bucket;
use weir::admission::route::{Person, RouteAdmission, Verdict};
use weir::clock::{Clock, Tick};
use weir::config::plan::{Class, Queue, Rate, RateLimit};

const NEWCOMER: Person = Person::of(Class::New);

/// So many permits, a contract rate that never binds, and a line that is long enough for all.
fn route(permits: u32) -> (RouteAdmission, Clock) {
    let count = NonZeroU32::new(1_000_000_000).unwrap();
    let rate = RateLimit { rate: Rate { count, per: Duration::from_secs(1) }, burst: count };
    let clock = Clock::machine();
    let line = Line::new(vec![Gate::new(permits, Some(Bucket::new(rate)))], 100_000);
    let dispatcher = Dispatcher::new(vec![vec![Arc::clone(&line)]], clock.clone());
    let queue = Queue { wait: Duration::from_hours(1), length: 100_000 };
    (RouteAdmission::new(dispatcher, line, Vec::new(), queue), clock)
}

fn decide(route: &RouteAdmission, now: Tick) -> Verdict {
    route.decide(black_box(NEWCOMER), now, |_| None, 0.5)
}

fn decisions(criterion: &mut Criterion) {
    let (free, clock) = route(1_000);
    criterion.bench_function("admit and give back", |bencher| bencher.iter(|| drop(decide(&free, clock.now()))));

    for crowd in [0, 1_000, 50_000] {
        let (full, clock) = route(1);
        let inside = decide(&full, clock.now());
        let held: Vec<_> = (0..crowd).map(|_| decide(&full, clock.now())).collect();
        criterion.bench_function(&format!("enqueue and leave behind {crowd}"), |bencher| {
            bencher.iter(|| drop(decide(&full, clock.now())));
        });
        drop((inside, held));
    }

    let short = Queue { wait: Duration::from_nanos(1), length: 1 };
    let clock = Clock::machine();
    let line = Line::new(vec![Gate::new(0, None)], 1);
    let dispatcher = Dispatcher::new(vec![vec![Arc::clone(&line)]], clock.clone());
    let closed = RouteAdmission::new(dispatcher, line, Vec::new(), short);
    criterion.bench_function("refuse by predicted wait", |bencher| bencher.iter(|| decide(&closed, clock.now())));
}

criterion_group!(benches, decisions);
criterion_main!(benches);
