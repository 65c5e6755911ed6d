//! A decision of admission allocates nothing: not to admit, not to hold in line, not to grant, not to refuse.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use weir::admission::dispatch::Dispatcher;
use weir::admission::gate::Gate;
use weir::admission::queue::Line;
use weir::admission::rate::Bucket;
use weir::admission::route::{Person, RouteAdmission, Verdict};
use weir::clock::Clock;
use weir::config::plan::{Class, Queue, Rate, RateLimit};

const NEWCOMER: Person = Person::of(Class::New);
/// Times each path is taken.
const TIMES: u64 = 1_000;

fn route(permits: u32, wait: Duration) -> (RouteAdmission, Clock) {
    let clock = Clock::manual();
    let rate = Rate { count: NonZeroU32::MAX, per: Duration::from_secs(1) };
    let gate = Gate::new(permits, Some(Bucket::new(RateLimit { rate, burst: NonZeroU32::MAX })));
    let line = Line::new(vec![gate], 100);
    let dispatcher = Dispatcher::new(vec![vec![Arc::clone(&line)]], clock.clone());
    (RouteAdmission::new(dispatcher, line, Vec::new(), Queue { wait, length: 100 }), clock)
}

fn decide(route: &RouteAdmission, clock: &Clock) -> Verdict {
    route.decide(NEWCOMER, clock.now(), |_| None, 0.5)
}

#[test]
fn the_counter_counts() {
    let info = measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(info.count_total, 1);
}

#[test]
fn admitting_allocates_nothing() {
    let (route, clock) = route(10, Duration::from_secs(4));
    let info = measure(|| {
        for _ in 0..TIMES {
            assert!(matches!(decide(&route, &clock), Verdict::Admit(_)));
        }
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn holding_leaving_and_granting_allocate_nothing() {
    let (route, clock) = route(1, Duration::from_secs(4));
    let Verdict::Admit(first) = decide(&route, &clock) else { panic!("the first is let in") };
    let mut inside = Some(first);
    let mut context = Context::from_waker(Waker::noop());
    let info = measure(|| {
        for _ in 0..TIMES {
            let Verdict::Queue(mut held) = decide(&route, &clock) else { panic!("the one permit is taken") };
            assert!(Pin::new(&mut held).poll(&mut context).is_pending());
            let leaves = decide(&route, &clock);
            assert!(matches!(leaves, Verdict::Queue(_)));
            drop(leaves);
            inside.take().iter_mut().for_each(weir::admission::permit::Permit::spend);
            let Poll::Ready(Ok(permit)) = Pin::new(&mut held).poll(&mut context) else { panic!("it is his turn") };
            inside = Some(permit);
        }
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn refusing_allocates_nothing() {
    let (route, clock) = route(1, Duration::from_millis(1));
    let inside = decide(&route, &clock);
    let info = measure(|| {
        for _ in 0..TIMES {
            assert!(matches!(decide(&route, &clock), Verdict::Refuse(_)));
        }
    });
    assert_eq!(info.count_total, 0);
    drop(inside);
}
