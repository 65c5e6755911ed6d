//! Gate, line and dispatcher in scenes of their own: floors, tokens, failed connections.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::dispatch::{Dispatcher, Entry};
use super::gate::Gate;
use super::permit::Waiting;
use super::queue::Line;
use super::rate::Bucket;
use crate::clock::{Clock, Tick};
use crate::config::plan::{Class, Rate, RateLimit};

/// Design rule 3: mid-funnel beats new, with a floor so that nobody starves.
#[test]
fn lower_classes_keep_their_floor_while_others_press() {
    const EACH: usize = 2_000;
    let line = Line::new(vec![Gate::new(1, None)], 4 * EACH);
    let dispatcher = Dispatcher::new(vec![vec![Arc::clone(&line)]], Clock::manual());
    let far = Tick::from_nanos(u64::MAX);
    let Entry::Granted(mut inside) = dispatcher.enter(&line, Class::New, Tick::ZERO, far) else { panic!("free") };
    let classes = [Class::InProgress, Class::Returning, Class::New, Class::Bulk];
    let mut lines: Vec<VecDeque<Waiting>> = classes
        .iter()
        .map(|class| {
            let one = |_| match dispatcher.enter(&line, *class, Tick::ZERO, far) {
                Entry::Waiting(waiting) => waiting,
                other => panic!("taken: {other:?}"),
            };
            (0..EACH).map(one).collect()
        })
        .collect();
    let mut context = Context::from_waker(Waker::noop());
    let mut served = [0; 4];
    for _ in 0..1_000 {
        drop(inside);
        let granted = lines.iter_mut().enumerate().find_map(|(class, line)| {
            let Poll::Ready(Ok(permit)) = Pin::new(line.front_mut()?).poll(&mut context) else { return None };
            line.pop_front();
            Some((class, permit))
        });
        let (class, permit) = granted.expect("a permit is free: the first of some class has it");
        served[class] += 1;
        inside = permit;
    }
    assert_eq!(served, [890, 50, 50, 10]);
}

/// A contract rate holds people in line until tokens come; the driver of [`Dispatcher::due`] lets them go on time.
#[test]
fn a_paced_gate_serves_the_line_as_tokens_come() {
    let clock = Clock::manual();
    let count = NonZeroU32::new(10).unwrap();
    let limit = RateLimit { rate: Rate { count, per: Duration::from_secs(1) }, burst: NonZeroU32::MIN };
    let line = Line::new(vec![Gate::new(100, Some(Bucket::new(limit)))], 10);
    let dispatcher = Dispatcher::new(vec![vec![Arc::clone(&line)]], clock.clone());
    let far = Tick::from_nanos(u64::MAX);
    let mut context = Context::from_waker(Waker::noop());
    let enter = |now| dispatcher.enter(&line, Class::New, now, far);
    let Entry::Granted(mut first) = enter(clock.now()) else { panic!("the bucket was full") };
    first.spend();
    let mut waiting: Vec<_> = (0..3)
        .map(|_| match enter(clock.now()) {
            Entry::Waiting(waiting) => waiting,
            other => panic!("no token has come: {other:?}"),
        })
        .collect();
    let mut inside = vec![first];
    for turn in 1..=3_u64 {
        let due = {
            let mut due = std::pin::pin!(dispatcher.due());
            let Poll::Ready(due) = due.as_mut().poll(&mut context) else { panic!("somebody waits for a token") };
            due
        };
        assert_eq!(due, Tick::ZERO.after(Duration::from_millis(100 * turn)));
        clock.advance(due.since(clock.now()));
        dispatcher.look();
        let mut first = waiting.remove(0);
        let Poll::Ready(Ok(mut permit)) = Pin::new(&mut first).poll(&mut context) else { panic!("turn {turn}") };
        permit.spend();
        inside.push(permit);
        assert!(waiting.iter_mut().all(|later| Pin::new(later).poll(&mut context).is_pending()), "overtaking");
    }
    assert!(std::pin::pin!(dispatcher.due()).as_mut().poll(&mut context).is_pending(), "nobody waits any more");
}

/// A connection that failed teaches no pace and takes no token.
#[test]
fn a_permit_that_was_spared_leaves_no_trace() {
    let clock = Clock::manual();
    let limit =
        RateLimit { rate: Rate { count: NonZeroU32::MIN, per: Duration::from_secs(1) }, burst: NonZeroU32::MIN };
    let gate = Gate::new(1, Some(Bucket::new(limit)));
    let line = Line::new(vec![Arc::clone(&gate)], 1);
    let dispatcher = Dispatcher::new(vec![vec![Arc::clone(&line)]], clock.clone());
    let hold = gate.mean_hold();
    for _ in 0..3 {
        let mut permit = dispatcher.try_enter(&line, Class::New, clock.now()).expect("the token came back");
        permit.spend();
        permit.spare();
    }
    assert_eq!(gate.mean_hold(), hold);
    let mut permit = dispatcher.try_enter(&line, Class::New, clock.now()).expect("a token");
    permit.spend();
    drop(permit);
    assert_ne!(gate.mean_hold(), hold);
    assert!(dispatcher.try_enter(&line, Class::New, clock.now()).is_none(), "that one was sent");
}

#[test]
fn a_tunnel_says_nothing_of_the_pace_when_it_ends() {
    let clock = Clock::manual();
    let gate = Gate::new(4, None);
    let line = Line::new(vec![Arc::clone(&gate)], 10);
    let dispatcher = Dispatcher::new(vec![vec![Arc::clone(&line)]], clock.clone());
    let enter = || dispatcher.try_enter(&line, Class::New, clock.now()).unwrap();
    let mut tunnel = enter();
    tunnel.spend();
    clock.advance(Duration::from_millis(100));
    tunnel.fall_quiet();
    clock.advance(Duration::from_hours(1));
    assert!(!gate.is_stalled(clock.now()), "nobody is in service");
    assert_eq!(gate.occupancy().in_flight, 1, "its permit is held all the same");
    let mut request = enter();
    request.spend();
    assert!(!gate.is_stalled(clock.now()), "it has just begun");
    clock.advance(Duration::from_millis(100));
    drop(request);
    drop(tunnel);
    assert_eq!(gate.mean_hold(), Duration::from_millis(100));
    assert_eq!(gate.occupancy().in_flight, 0);
    let _request = enter();
    clock.advance(Duration::from_hours(1));
    assert!(gate.is_stalled(clock.now()), "whoever is in service now is");
}
