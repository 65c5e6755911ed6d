//! Waiting rooms that run out of places: what they do then, and what keeps one sender from taking all.

use crate::client::Client;
use crate::origin::Latch;
use crate::rooms::{ask, config, number, origin};
use crate::weir::Weir;

#[test]
fn a_full_room_with_a_quota_lets_nobody_in_uncounted() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let lines = "capacity = 4096\n[[waiting_room.wave]]\nquota = 20000";
    let weir = Weir::start(&config(origin.address, lines));
    let mut client = Client::connect(weir.http);
    // What is not found does not count, and takes a number all the same.
    let refused = (0..10_000).find_map(|_| {
        let answer = client.ask("GET", "/status/404").answer();
        (answer.reason() == "room_full").then_some(answer)
    });
    let (done, sent) = ("weir_room_quota_done{room=\"line\"}", origin.requests());
    let answer = ask(&weir, "GET", "/register", "");
    assert_eq!(weir.metrics().value(done), u64::from(answer.status == 200), "who goes in counts: {answer:?}");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "room_full"), "{answer:?}");
    assert!((4_096..=8_192).contains(&sent) && origin.requests() == sent, "{sent}");
    assert!(refused.is_some_and(|refused| refused.field("retry-after").is_some()));
}

#[test]
fn one_sender_is_given_as_many_places_as_his_rate_and_keeps_asking_for_them() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let limit = "[[client_limit]]\nname = \"address\"\nkey = \"address\"\nrate = \"6/m\"\nburst = 2\n";
    let room = config(origin.address, "pace = \"paused\"");
    let weir = Weir::start(&format!("{limit}{room}client_limits = [\"address\"]\n"));
    let tickets = [(); 2].map(|()| ask(&weir, "GET", "/register", "").field("weir-ticket").unwrap().to_owned());
    for _ in 0..3 {
        let answer = ask(&weir, "GET", "/register", "");
        assert_eq!((answer.status, answer.reason().as_str()), (429, "client_limit"), "{answer:?}");
        assert!(answer.field("weir-ticket").is_none() && answer.field("retry-after").is_some(), "{answer:?}");
    }
    // Whoever has a place asks for it as often as he was told to, and that is no new one.
    for (position, ticket) in (1..).zip(&tickets) {
        for _ in 0..3 {
            assert_eq!(number(&weir, "/register", &format!("weir-ticket: {ticket}\r\n")), position);
        }
    }
    assert_eq!(weir.metrics().value("weir_room_joined_total{room=\"line\"}"), 2);
}
