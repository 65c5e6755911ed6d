//! What the waiting room does for one request: a join, a poll, a turn. No sockets.
//!
//! `cargo bench --bench room`. The figures that matter are the medians; `tests/room.rs` proves what is not allocated.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use weir::clock::Tick;
use weir::config::plan::{Class, Secret};
use weir::waiting_room::identity::Identities;
use weir::waiting_room::order::Order;
use weir::waiting_room::ticket::{Keyring, LENGTH, Ticket, room_tag};

const PEOPLE: u64 = 1_432_133;
const BEGAN: u32 = 1_586_600_000;

fn unix(secs: u64) -> Duration {
    Duration::from_secs(u64::from(BEGAN) + secs)
}

fn tickets(criterion: &mut Criterion) {
    let ring = Keyring::new(&Secret([1; 32]), &[Secret([2; 32])]);
    let ticket = Ticket {
        room: room_tag("opening"),
        generation: BEGAN,
        number: PEOPLE,
        wave: 0,
        class: Class::New,
        identified: false,
        issued: unix(1),
    };
    let text = ring.sign(&ticket);
    criterion.bench_function("sign a ticket", |bencher| bencher.iter(|| ring.sign(black_box(&ticket))));
    criterion.bench_function("verify a ticket", |bencher| bencher.iter(|| ring.verify(black_box(text.as_ref()))));
    let forged = [b'A'; LENGTH];
    criterion.bench_function("refuse a forgery, two keys", |bencher| bencher.iter(|| ring.verify(black_box(&forged))));
    criterion.bench_function("refuse another form", |bencher| bencher.iter(|| ring.verify(black_box(b"weir_ticket"))));
    let identities = Identities::new(&Secret([1; 32]), 1);
    criterion.bench_function("hash an identity", |bencher| {
        bencher.iter(|| identities.hash(black_box(b"3175012345670001")));
    });
}

fn places(criterion: &mut Criterion) {
    let order = Order::new(usize::try_from(2 * PEOPLE).unwrap(), BEGAN);
    let mut chance = fastrand::Rng::with_seed(1);
    for _ in 0..PEOPLE {
        let number = order.issue().unwrap();
        if chance.u8(..4) > 0 {
            order.returned(number, unix(1), unix(1));
        }
    }
    (0..=60).for_each(|secs| order.settle(Tick::ZERO.after(Duration::from_secs(secs)), unix(secs)));
    criterion.bench_function("how many are ahead, of 1.4 million", |bencher| {
        bencher.iter(|| order.ahead(chance.u64(..PEOPLE)));
    });
    criterion.bench_function("a return", |bencher| {
        bencher.iter(|| order.returned(chance.u64(..PEOPLE), unix(100), unix(100)));
    });
    criterion.bench_function("a tick, 1.4 million waiting", |bencher| {
        bencher.iter(|| order.advance(Tick::ZERO, black_box(1)));
    });
}

criterion_group!(benches, tickets, places);
criterion_main!(benches);
