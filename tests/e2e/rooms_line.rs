//! Newcomers of an empty room who are held in line have places too: whoever joins when the line is full is behind them.

use crate::client::Client;
use crate::origin::Latch;
use crate::rooms::{ask, config, join, number, occupy, origin, said};
use crate::weir::Weir;

#[test]
fn newcomers_in_line_are_before_whoever_joins_later() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "").replace("\"200ms\", length = 1", "\"30s\", length = 3"));
    let mut first = occupy(&weir);
    let mut line: Vec<_> = (1..=3)
        .map(|held| {
            let mut client = Client::connect(weir.http);
            client.ask("GET", &format!("/busy?{held}"));
            weir.wait_for_load("u", 1, held);
            client
        })
        .collect();
    // The line is full.
    let later: Vec<_> = (0..20).map(|_| join(&weir, "")).collect();
    let told: Vec<_> =
        later.iter().map(|ticket| number(&weir, "/register", &format!("weir-ticket: {ticket}\r\n"))).collect();
    assert!(told.iter().all(|number| *number >= 4) && told.is_sorted(), "{told:?}");
    latch.let_pass(4);
    assert_eq!(first.answer().status, 200);
    for client in &mut line {
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.field("weir-pass").is_some(), "{answer:?}");
    }
}

#[test]
fn whoever_waits_in_line_in_vain_keeps_the_place_he_had_there() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "").replace("\"200ms\", length = 1", "\"400ms\", length = 1"));
    let mut first = occupy(&weir);
    let mut held = Client::connect(weir.http);
    held.ask("GET", "/register");
    weir.wait_for_load("u", 1, 1);
    let later = join(&weir, "");
    let answer = held.answer();
    assert_eq!(answer.status, 503, "{answer:?}");
    let ticket = answer.field("weir-ticket").unwrap().to_owned();
    assert!(
        said(&answer)["ticket_number"].as_u64()
            < Some(number(&weir, "/register", &format!("weir-ticket: {later}\r\n")))
    );
    latch.let_pass(1);
    assert_eq!(first.answer().status, 200);
    // He has been called: it is his turn whenever he comes.
    let answer = ask(&weir, "GET", "/register", &format!("weir-ticket: {ticket}\r\n"));
    assert_eq!(answer.status, 200, "{answer:?}");
}
