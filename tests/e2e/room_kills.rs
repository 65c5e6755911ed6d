//! The waiting room and its quota over `kill -9`, over the loss of its state, and against a second process.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::origin::Origin;
use crate::weir::{Weir, eventually, one_route};

const PEOPLE: usize = 200;
const QUOTA: usize = 60;

/// Kills of an ordinary run; more where this variable says so.
const KILLS: u32 = 20;
const KILLS_VARIABLE: &str = "WEIR_TEST_ROOM_KILLS";

/// What weir exits with when it cannot start (`EX_SOFTWARE` of sysexits.h).
const SOFTWARE: i32 = 70;

/// A crowd is done within this, on two busy cores.
const CROWD_PATIENCE: Duration = Duration::from_mins(4);

/// Who was registered, and how often.
#[derive(Default)]
struct Register(Mutex<HashMap<String, u32>>);

impl Register {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A service that registers each key once, and fails before it, after it, or in its answer.
fn failing(register: &Arc<Register>) -> Origin {
    let register = Arc::clone(register);
    let turn = AtomicUsize::new(0);
    Origin::start(move |exchange| {
        exchange.body()?;
        let turn = turn.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        if turn % 10 == 3 {
            return exchange.respond(503, "", b"full");
        }
        let key = exchange.field("idempotency-key").unwrap_or_default().to_owned();
        *register.0.lock().unwrap().entry(key).or_default() += 1;
        match turn % 10 {
            5 => exchange.respond(500, "", b"failed after the effect"),
            7 => Err(std::io::ErrorKind::BrokenPipe.into()),
            _ => exchange.respond(201, "", b"registered"),
        }
    })
}

fn config(origin: &Origin, quota: &str) -> String {
    let route = "methods = [\"POST\"]\nwaiting_room = \"opening\"\n";
    let room = format!(
        "[pass]\nkey = \"file:pass.key\"\nlife = \"1m\"\n[[waiting_room]]\nname = \"opening\"\nkey = \"file:room.key\"\n\
         identity = \"header:idempotency-key\"\n{quota}\n"
    );
    let routes = one_route(origin.address, 8, route);
    format!("{}\n{room}", routes.replacen("concurrency = 8\n", "concurrency = 8\nidempotent = true\n", 1))
}

/// How somebody ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Registered,
    Spent,
}

/// What is known of one person.
#[derive(Default)]
struct Person {
    number: Option<u64>,
    place: Option<u64>,
    end: Option<End>,
}

/// Sends its POST with its key until it is told how it ended. A number once told is its own for good.
fn person(address: std::net::SocketAddr, key: &str, stop: &AtomicBool) -> Person {
    let mut person = Person::default();
    while !stop.load(Ordering::SeqCst) {
        let Some(response) = post(address, key) else {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if let Some(number) = problem["ticket_number"].as_u64() {
            assert_eq!(*person.number.get_or_insert(number), number, "{key} has one number");
        }
        if let Some(place) = problem["place"].as_u64() {
            assert!(place <= *person.place.get_or_insert(place), "{key} was at {:?} and is at {place}", person.place);
            person.place = Some(place);
        }
        match (response.status, response.reason().as_str()) {
            (201, _) => person.end = Some(End::Registered),
            (403, "quota_spent") => person.end = Some(End::Spent),
            _ => {}
        }
        if person.end.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(500 + fastrand::u64(..500)));
    }
    person
}

fn post(address: std::net::SocketAddr, key: &str) -> Option<crate::client::Response> {
    let mut client = Client::try_connect(address).ok()?;
    let request = format!(
        "POST /register HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\nidempotency-key: {key}\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n"
    );
    client.try_send(request).ok()?;
    client.try_answer("POST").ok()
}

#[test]
fn exactly_the_quota_is_registered_over_kills() {
    let kills = std::env::var(KILLS_VARIABLE).ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let register = Arc::new(Register::default());
    let origin = failing(&register);
    let mut weir = Weir::start(&config(&origin, &format!("quota = {QUOTA}")));
    let stop = Arc::new(AtomicBool::new(false));
    let address = weir.http;
    let crowd: Vec<_> = (0..PEOPLE)
        .map(|who| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || person(address, &format!("key-of-{who}"), &stop))
        })
        .collect();
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(fastrand::u64(20..1_000)));
        weir.kill_and_restart(|_| ());
    }
    let began = Instant::now();
    while began.elapsed() < CROWD_PATIENCE && !crowd.iter().all(std::thread::JoinHandle::is_finished) {
        std::thread::sleep(Duration::from_millis(50));
    }
    stop.store(true, Ordering::SeqCst);
    let people: Vec<Person> = crowd.into_iter().map(|person| person.join().unwrap()).collect();
    let ended = |end| people.iter().filter(|person| person.end == Some(end)).count();
    assert_eq!(register.len(), QUOTA, "at the service");
    assert_eq!((ended(End::Registered), ended(End::Spent)), (QUOTA, PEOPLE - QUOTA), "told");
    let mut numbers: Vec<u64> = people.iter().filter_map(|person| person.number).collect();
    let told = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), told, "a number is one person's");
}

#[test]
fn tickets_of_a_lost_state_are_honoured_and_its_quota_waits_for_a_word() {
    let register = Arc::new(Register::default());
    let origin = failing(&register);
    let mut weir = Weir::start(&config(&origin, &format!("quota = {QUOTA}")));
    let first = post(weir.http, "first").unwrap();
    eventually("somebody is registered", || post(weir.http, "first").is_some_and(|answer| answer.status == 201));
    drop(first);
    let before = register.len();
    weir.kill_and_restart(|directory| fs::remove_dir_all(directory.join("opening.room")).unwrap());
    assert!(weir.stderr().contains("its state is not"), "{}", weir.stderr());
    let answers: Vec<_> = (0..20).filter_map(|who| post(weir.http, &format!("new-{who}"))).collect();
    assert!(answers.len() == 20 && answers.iter().all(|answer| answer.status == 503), "{answers:?}");
    assert_eq!(register.len(), before, "of a lost quota nobody is given anything");
}

#[test]
fn a_second_process_says_who_has_the_state() {
    let origin = Origin::echo();
    let weir = Weir::start(&config(&origin, ""));
    let directory = weir.scratch("");
    let other = directory.join("other.toml");
    let text = fs::read_to_string(directory.join("weir.toml")).unwrap();
    let mut own = String::new();
    for line in text.lines().filter(|line| !line.starts_with("access =")) {
        let line = if line.starts_with("address =") {
            format!("address = \"{}\"", crate::weir::free_address())
        } else {
            line.replace("[log]", "[log]\naccess = \"off\"")
        };
        own.push_str(&line);
        own.push('\n');
    }
    fs::write(&other, own).unwrap();
    let (code, said) = run(&other);
    assert_eq!(code, Some(SOFTWARE), "{said}");
    assert!(said.contains("opening.room") && said.contains("in use by another process"), "{said}");
    drop(weir);
}

fn run(config: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    let output = command.arg("--config").arg(config).stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
