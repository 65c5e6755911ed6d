//! Whether what one decision costs grows: with the crowd that waits, and with the threads that ask.
//!
//! `cargo bench --bench scaling`, as part of `make bench`. Best of [`ROUNDS`] for each figure: whatever else runs only adds. With as many
//! threads as processors the time of one thread's decision would stay the same if threads shared nothing; at one gate they share its
//! word.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]
#![expect(clippy::disallowed_methods, reason = "it measures the machine")]

#[path = "instructions/operations.rs"]
#[expect(dead_code, reason = "of the list, the gate and how it is asked")]
mod operations;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use operations::{decide, gated};
use weir::admission::permit::{Expired, Permit};
use weir::admission::route::{RouteAdmission, Verdict};

/// Times each figure is taken, and decisions in each.
const ROUNDS: usize = 7;
const TIMES: u32 = 20_000;

/// Waiting people, at most.
const CROWD: usize = 1_000_000;

fn main() {
    println!("| waiting | wait and leave, ns | wait and be granted, ns |\n|---:|---:|---:|");
    for crowd in [0, 1_000, 10_000, 100_000, CROWD] {
        let route = gated(1, Duration::from_hours(1_000), CROWD + 10);
        let Verdict::Admit(first) = decide(&route) else { panic!("the first is let in") };
        let mut inside = Some(first);
        let mut line: VecDeque<Verdict> = (0..crowd).map(|_| joined(&route)).collect();
        let left = best(|| drop(joined(&route)));
        let granted = best(|| {
            // Who comes stands at the end; who leaves lets in the first.
            line.push_back(joined(&route));
            inside.take().iter_mut().for_each(Permit::spend);
            let Some(Poll::Ready(Ok(permit))) = line.pop_front().and_then(|mut first| looked(&mut first)) else {
                panic!("it is his turn")
            };
            inside = Some(permit);
        });
        println!("| {crowd} | {left:.0} | {granted:.0} |");
    }
    println!("\n| threads | admit and give back, ns of each thread |\n|---:|---:|");
    let cores = std::thread::available_parallelism().unwrap().get();
    for threads in (0..).map(|power| 1 << power).take_while(|threads| *threads <= 2 * cores) {
        let route = gated(1_000, Duration::from_hours(1), 1_000);
        let all = (0..ROUNDS).map(|_| together(threads, &route)).fold(f64::INFINITY, f64::min);
        println!("| {threads}{} | {all:.0} |", if threads > cores { ", more than processors" } else { "" });
    }
}

/// Somebody who stands in line and has looked whether it is his turn.
fn joined(route: &RouteAdmission) -> Verdict {
    let mut newcomer = decide(route);
    assert!(looked(&mut newcomer).is_some_and(|turn| turn.is_pending()));
    newcomer
}

/// Whether it is his turn, if he is in line.
fn looked(verdict: &mut Verdict) -> Option<Poll<Result<Permit, Expired>>> {
    let Verdict::Queue(held) = verdict else { return None };
    Some(Pin::new(held).poll(&mut Context::from_waker(Waker::noop())))
}

/// Nanoseconds of one, in the best round.
fn best(mut operation: impl FnMut()) -> f64 {
    let mut round = || {
        let began = Instant::now();
        (0..TIMES).for_each(|_| operation());
        began.elapsed().as_nanos() as f64 / f64::from(TIMES)
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// Nanoseconds that a decision takes one of so many threads.
fn together(threads: usize, route: &RouteAdmission) -> f64 {
    let start = Barrier::new(threads);
    let one = || {
        start.wait();
        let began = Instant::now();
        (0..TIMES).for_each(|_| drop(decide(route)));
        began.elapsed().as_nanos() as f64 / f64::from(TIMES)
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum::<f64>() / threads as f64
    })
}
