//! What a service can do is found while it serves, for each server, and kept to.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::client;
use crate::origin::Origin;
use crate::tools::command;
use crate::weir::Weir;

/// Time a service takes for one request while it has no more of them than it can do at once.
const ALONE: Duration = Duration::from_millis(40);

/// A request feels how many others there are so many times while it is served.
const STEPS: u32 = 8;

/// What several services work on at once, now and at most.
#[derive(Default)]
struct Together {
    now: AtomicU32,
    most: AtomicU32,
}

/// A service that does `knee` requests at once in [`ALONE`], and fewer a second with more.
fn service(knee: u32, together: &Arc<Together>) -> Origin {
    let (at_once, together) = (AtomicU32::new(0), Arc::clone(together));
    Origin::start(move |exchange| {
        at_once.fetch_add(1, Ordering::SeqCst);
        together.most.fetch_max(together.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        exchange.work(|| {
            for _ in 0..STEPS {
                let crowd = f64::from(at_once.load(Ordering::SeqCst)) / f64::from(knee);
                std::thread::sleep((ALONE / STEPS).mul_f64(crowd.max(1.0).powi(2)));
            }
        });
        at_once.fetch_sub(1, Ordering::SeqCst);
        together.now.fetch_sub(1, Ordering::SeqCst);
        exchange.respond(200, "", b"done")
    })
}

fn weir(servers: &[&Origin], concurrency: &str) -> Weir {
    let servers: Vec<String> = servers.iter().map(|origin| format!("\"{}\"", origin.address)).collect();
    Weir::start(&format!(
        "[[upstream]]\nname = \"u\"\nservers = [{}]\nconcurrency = {concurrency}\n\
         [[route]]\nname = \"all\"\npath = \"/*\"\nupstream = \"u\"\nqueue = {{ wait = \"1m\", length = 1000 }}\n",
        servers.join(", ")
    ))
}

/// A crowd that never lets the line run dry.
fn crowd(weir: &Weir, seconds: u32) -> Child {
    let url = format!("http://{}/", weir.http);
    let mut wrk = command("wrk", "wrk");
    wrk.args(["-t1", "-c150", &format!("-d{seconds}s"), "--timeout", "60s", &url]);
    wrk.stdout(Stdio::null()).spawn().unwrap()
}

fn capacity(weir: &Weir) -> Value {
    let answer = client::get(weir.admin, "/v1/capacity");
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    serde_json::from_str(&answer.text()).unwrap()
}

#[test]
fn each_server_gets_what_it_can_do() {
    let together = Arc::default();
    let (small, large) = (service(6, &together), service(24, &together));
    let weir = weir(&[&small, &large], "\"adaptive\"");
    let before = capacity(&weir);
    assert_eq!(before["upstreams"][0]["concurrency"], "adaptive");
    assert_eq!(before["upstreams"][0]["limit"], 32, "it begins with the initial limit of each");
    let mut wrk = crowd(&weir, 14);
    std::thread::sleep(Duration::from_secs(8));
    let (from, began) = (small.requests() + large.requests(), std::time::Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let rate = (small.requests() + large.requests() - from) as f64 / began.elapsed().as_secs_f64();
    let after = capacity(&weir);
    wrk.wait().unwrap();
    println!("{rate:.0} a second\n{after:#}");
    let base = |server: usize| after["upstreams"][0]["servers"][server]["law"]["base"].as_u64().unwrap();
    assert!((3..=11).contains(&base(0)), "the small one: {after:#}");
    assert!((14..=40).contains(&base(1)), "the large one: {after:#}");
    let best = (6.0 + 24.0) / ALONE.as_secs_f64();
    assert!(rate > 0.6 * best, "{rate} a second of {best}");
    weir.wait_for_rest();
    // What it learned is kept while nobody comes.
    let idle = capacity(&weir);
    assert_eq!(idle["upstreams"][0]["in_flight"], 0);
    let highest = weir.metrics().value("weir_limit_highest{upstream=\"u\"}");
    let together = together.most.load(Ordering::SeqCst);
    assert!(u64::from(together) <= highest, "{together} in flight, {highest} permitted at most");
}

#[test]
fn bounds_are_kept() {
    let origin = service(100, &Arc::default());
    let weir = weir(&[&origin], "{ min = 3, max = 5 }");
    crowd(&weir, 3).wait().unwrap();
    assert!((4..=5).contains(&origin.most()), "{} at once", origin.most());
    assert_eq!(capacity(&weir)["upstreams"][0]["servers"][0]["law"]["base"], 5);
}
