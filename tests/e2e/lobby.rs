//! A lobby that opens: registered over real sockets, drawn, let in in that order, and verified by whoever doubts it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::client::Client;
use crate::origin::Origin;
use crate::weir::{PATIENCE, Weir, eventually, within};

const PEOPLE: usize = 300;

/// Until the opening: weir starts, and all register.
const LOBBY: Duration = Duration::from_secs(6);

/// A client with his ticket.
struct Person {
    ticket: String,
    /// Counted from 0.
    number: u64,
}

/// An instant as the configuration writes it (civil-from-days, H. Hinnant).
fn instant(unix: u64) -> String {
    let (days, secs) = (unix / 86_400 + 719_468, unix % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let (date, month) = (day - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z", secs / 3_600, secs / 60 % 60, secs % 60)
}

/// Asks for `target` as a program, with a ticket if there is one; status and body.
fn ask(client: &mut Client, target: &str, ticket: Option<&str>) -> (u16, Value) {
    let ticket = ticket.map(|ticket| format!("weir-ticket: {ticket}\r\n")).unwrap_or_default();
    client.send(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n{ticket}\r\n"));
    let answer = client.answer();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

fn join(client: &mut Client) -> Person {
    let (status, told) = ask(client, "/register", None);
    assert_eq!((status, &told["state"]), (503, &Value::from("lobby")), "{told}");
    let number = told["ticket_number"].as_u64().unwrap() - 1;
    Person { ticket: told["ticket"].as_str().unwrap().to_owned(), number }
}

/// Place by number, as the document says.
fn places(document: &Path) -> BTreeMap<u64, u64> {
    let text = fs::read_to_string(document).unwrap();
    let lines = text.lines().skip(1);
    lines
        .map(|line| serde_json::from_str::<(u64, u64, String, u64)>(line).unwrap())
        .map(|line| (line.0, line.3))
        .collect()
}

/// Exit code of `weir draw verify` and what it says.
fn verify(document: &Path, receipt: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    let output = command.args(["draw", "verify"]).arg(document).arg("--receipt").arg(receipt).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Everybody who comes is let in as he is called: at no moment does anybody wait when somebody behind him was called before it. How many came in.
fn let_in(client: &mut Client, people: &[&Person], places: &BTreeMap<u64, u64>) -> usize {
    let mut waiting: Vec<&Person> = people.to_vec();
    let mut entered = 0;
    let mut last = 0;
    let done = within(PATIENCE, || {
        waiting.retain(|&person| {
            let (_, told) = ask(client, "/.weir/place", Some(&person.ticket));
            let place = places[&person.number];
            match told["state"].as_str().unwrap() {
                "turn" => {
                    last = last.max(place);
                    let (status, told) = ask(client, "/register", Some(&person.ticket));
                    assert_eq!(status, 200, "{told}");
                    entered += 1;
                    false
                }
                "waiting" => {
                    assert!(place > last, "{place} waits, and {last} was called");
                    assert_eq!(told["receipt"]["place"], place, "{told}");
                    true
                }
                "lobby" => true,
                other => panic!("{other}: {told}"),
            }
        });
        waiting.is_empty()
    });
    assert!(done, "{} still wait", waiting.len());
    entered
}

#[test]
fn a_lobby_is_called_in_the_order_of_the_document() {
    let origin = Origin::echo();
    let opens = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + LOBBY;
    let weir = Weir::start(&format!(
        "[pass]\nkey = \"file:pass.key\"\n[[upstream]]\nname = \"u\"\nservers = [\"{}\"]\nconcurrency = 4\n\
         [[route]]\nname = \"all\"\npath = \"/*\"\nupstream = \"u\"\nwaiting_room = \"opening\"\n\
         [[waiting_room]]\nname = \"opening\"\nkey = \"file:room.key\"\nopens = \"{}\"\npace = \"60/s\"\n",
        origin.address,
        instant(opens.as_secs())
    ));
    let mut client = Client::connect(weir.http);
    let people: Vec<Person> = (0..PEOPLE).map(|_| join(&mut client)).collect();
    let (coming, away): (Vec<&Person>, Vec<&Person>) = people.iter().partition(|person| person.number % 2 == 0);
    for person in &coming {
        let (status, told) = ask(&mut client, "/.weir/place", Some(&person.ticket));
        let receipt = &told["receipt"];
        assert_eq!((status, told["state"].as_str()), (200, Some("lobby")), "{told}");
        assert_eq!((receipt["number"].as_u64(), receipt["wave"].as_u64()), (Some(person.number), Some(0)));
    }
    // One who never asks again takes part all the same, as he joined shortly before the opening.
    let (_, before) = ask(&mut client, "/.weir/receipt", Some(&coming[149].ticket));
    assert!(before["drawn"].is_null() && before["commitment"].is_string(), "{before}");
    assert_eq!((origin.requests(), ask(&mut client, "/register", None).0), (0, 503), "not open yet");
    let document = weir.scratch("opening.room/draw-0.jsonl");
    eventually("the draw", || document.exists());
    let ticket = Some(&*coming[149].ticket);
    eventually("its receipts", || ask(&mut client, "/.weir/receipt", ticket).1["drawn"].is_object());
    let places = places(&document);
    assert!(places.len() > PEOPLE && away.iter().all(|person| places.contains_key(&person.number)));
    let entered = let_in(&mut client, &coming, &places);
    assert_eq!((entered, origin.requests()), (coming.len(), coming.len()));
    // And whoever was away comes in when he comes.
    sleep(Duration::from_millis(500));
    assert_eq!(ask(&mut client, "/register", Some(&away[0].ticket)).0, 200);
    let (_, after) = ask(&mut client, "/.weir/receipt", Some(&coming[149].ticket));
    assert_eq!((&after["commitment"], &after["tag"]), (&before["commitment"], &before["tag"]));
    for receipt in [&before, &after] {
        let path = weir.scratch("receipt.json");
        fs::write(&path, receipt.to_string()).unwrap();
        let (code, said) = verify(&document, &path);
        assert_eq!(code, Some(0), "{said}");
        let place = places[&coming[149].number];
        assert!(said.contains(&format!("has place {place} of {}", places.len())), "{said}");
    }
}
