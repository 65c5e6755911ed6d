//! One pass in many hands: its session has what one person has, and nobody else is worse off for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::origin::Origin;
use crate::weir::{Weir, one_route};

const THIEVES: usize = 50;
const HONEST: usize = 60;
const PHASE: Duration = Duration::from_secs(4);

/// Who is at the step by the stolen pass, and the most there were at once.
#[derive(Default)]
struct Stolen {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// The step does eight at a time, 100 ms each; whoever enters takes it.
fn start(stolen: &Arc<Stolen>) -> (Origin, Weir) {
    let stolen = Arc::clone(stolen);
    let origin = Origin::start(move |exchange| {
        let step = || std::thread::sleep(Duration::from_millis(100));
        match exchange.target() {
            "/step/stolen" => {
                stolen.most.fetch_max(stolen.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                exchange.work(step);
                stolen.now.fetch_sub(1, Ordering::SeqCst);
            }
            "/step" => exchange.work(step),
            _ => {}
        }
        exchange.respond(200, "", b"")
    });
    let address = origin.address;
    let weir = Weir::start(&format!(
        "[pass]\nkey = \"file:pass.key\"\nconcurrency = 2\nwaiting = 4\n[[upstream]]\nname = \"e\"\nservers = [\"{address}\"]\nconcurrency = 64\n\
         [[route]]\nname = \"enter\"\npath = \"/enter\"\nupstream = \"e\"\ngrants_pass = true\n{}",
        one_route(address, 8, "")
    ));
    (origin, weir)
}

fn step(client: &mut Client, target: &str, pass: &str) -> (u16, String) {
    let answer = client.send(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nweir-pass: {pass}\r\n\r\n")).answer();
    (answer.status, answer.reason())
}

/// The honest enter and take the step, again and again for a phase; answers how many steps were taken, none refused, and the
/// mean pace of the funnel in its second half.
fn phase(weir: &Weir) -> (usize, f64) {
    let (steps, end) = (AtomicUsize::new(0), Instant::now() + PHASE);
    let honest = || {
        let mut client = Client::connect(weir.http);
        while Instant::now() < end {
            let entered = client.ask("GET", "/enter").answer();
            match entered.field("weir-pass") {
                Some(pass) => {
                    let pass = pass.to_owned();
                    assert_eq!(step(&mut client, "/step", &pass).0, 200, "in the middle");
                    steps.fetch_add(1, Ordering::SeqCst);
                }
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    };
    let mut paces = Vec::new();
    std::thread::scope(|scope| {
        (0..HONEST).for_each(|_| drop(scope.spawn(honest)));
        std::thread::sleep(PHASE / 2);
        while Instant::now() < end {
            let metrics = weir.metrics();
            let pace = metrics.0.lines().find_map(|line| line.strip_prefix("weir_funnel_pace ")).unwrap();
            paces.push(pace.parse::<f64>().unwrap());
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    (steps.into_inner(), paces.iter().sum::<f64>() / paces.len() as f64)
}

#[test]
fn fifty_clients_with_one_pass_have_what_one_person_has() {
    let stolen = Arc::<Stolen>::default();
    let (origin, weir) = start(&stolen);
    let (before, pace_before) = phase(&weir);
    let pass = Client::connect(weir.http).ask("GET", "/enter").answer().field("weir-pass").unwrap().to_owned();
    let (over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (after, pace_after) = std::thread::scope(|scope| {
        for _ in 0..THIEVES {
            scope.spawn(|| {
                let mut client = Client::connect(weir.http);
                while !over.load(Ordering::SeqCst) {
                    match step(&mut client, "/step/stolen", &pass) {
                        (200, _) => {}
                        (status, reason) => {
                            assert_eq!((status, reason.as_str()), (429, "client_concurrency"));
                            refused.fetch_add(1, Ordering::SeqCst);
                            std::thread::sleep(Duration::from_millis(20));
                        }
                    }
                }
            });
        }
        let after = phase(&weir);
        over.store(true, Ordering::SeqCst);
        after
    });
    let told = format!("{before} steps at {pace_before:.0} a second before, {after} at {pace_after:.0} with thieves");
    println!("{told}; {refused:?} of theirs refused");
    assert!((1..=2).contains(&stolen.most.load(Ordering::SeqCst)), "{}: two slots", stolen.most.load(Ordering::SeqCst));
    assert!(refused.load(Ordering::SeqCst) > THIEVES);
    // Two of eight permits are the thieves', as they would be one person's; what is left is the others'.
    assert!(after as f64 > 0.6 * before as f64, "{told}");
    assert!(pace_after > 0.6 * pace_before, "{told}");
    assert!(origin.most() <= 64 + 8);
    weir.wait_for("weir_sessions_active", 0);
    weir.wait_for("weir_sessions_parked", 0);
}
