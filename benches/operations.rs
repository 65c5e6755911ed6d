//! Time of what is done for a request: the list whose instructions `instructions` counts.
//!
//! `cargo bench --bench operations`. The figures that matter are the medians. `decision` and `room` go into more of the heart.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

#[path = "instructions/operations.rs"]
mod operations;

use criterion::{Criterion, criterion_group, criterion_main};

fn all(criterion: &mut Criterion) {
    for (name, ready) in operations::ALL {
        let mut operation = ready();
        criterion.bench_function(name, |bencher| bencher.iter(&mut operation));
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
