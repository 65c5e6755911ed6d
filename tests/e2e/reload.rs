//! SIGHUP: servers come and go under load, and nobody notices; a file that is wrong changes nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::client::{Client, get};
use crate::origin::{Latch, Origin};
use crate::weir::{Weir, eventually, one_route};

const RELOADS: usize = 20;
const CLIENTS: usize = 4;
const LAST_RELOAD: &str = "weir_config_last_reload_successful";

/// One route to these servers; a server that joins gets its full share soon.
fn servers(addresses: &[SocketAddr]) -> String {
    let list: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    one_route(addresses[0], 8, "")
        .replace(&format!("[\"{}\"]", addresses[0]), &format!("[{}]", list.join(", ")))
        .replace("concurrency", "slow_start = \"1s\"\nconcurrency")
}

fn series(name: &str, server: SocketAddr) -> String {
    format!("{name}{{server=\"{server}\",upstream=\"u\"}}")
}

/// Clients that ask again and again until told to stop; each answers how often, and fails at anything but 200.
fn crowd(address: SocketAddr, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<usize>> {
    let one = move |stop: Arc<AtomicBool>| {
        let mut client = Client::connect(address);
        let mut asked = 0;
        while !stop.load(Ordering::Relaxed) {
            let answer = client.ask("GET", "/").answer();
            assert_eq!(answer.status, 200, "{}", answer.text());
            asked += 1;
        }
        asked
    };
    (0..CLIENTS).map(|_| Arc::clone(stop)).map(|stop| std::thread::spawn(move || one(stop))).collect()
}

#[test]
fn servers_come_and_go_under_load_and_no_request_fails() {
    let origins = [Origin::echo(), Origin::echo(), Origin::echo()];
    let [first, second, third] = [origins[0].address, origins[1].address, origins[2].address];
    let weir = Weir::start(&servers(&[first]));
    let stop = Arc::new(AtomicBool::new(false));
    let clients = crowd(weir.http, &stop);
    for turn in 0..RELOADS {
        let now = [[first, second], [second, third], [third, first]][turn % 3];
        weir.reload(&servers(&now), "applied");
        let before: Vec<usize> = origins.iter().map(Origin::requests).collect();
        let serves = |number: usize| origins[number].requests() > before[number];
        let used: Vec<usize> = (0..3).filter(|number| now.contains(&origins[*number].address)).collect();
        eventually("who is named serves", || used.iter().all(|number| serves(*number)));
        let metrics = weir.metrics().0;
        for origin in &origins {
            let shown = metrics.contains(&series("weir_server_weight", origin.address));
            assert_eq!(shown, now.contains(&origin.address), "{}:\n{metrics}", origin.address);
        }
        // Who is not named gets nothing any more, and its connections are closed.
        let gone = (0..3).find(|number| !used.contains(number)).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let rest = origins[gone].requests();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(origins[gone].requests(), rest);
    }
    stop.store(true, Ordering::Relaxed);
    let asked: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert_eq!(weir.metrics().requests("all", "admitted"), asked as u64);
    println!("{asked} requests over {RELOADS} reloads");
}

#[test]
fn a_server_that_is_removed_finishes_what_it_has() {
    let latch = Latch::new();
    let (busy, other) = (Origin::latched(&latch), Origin::echo());
    let weir = Weir::start(&servers(&[busy.address]));
    let mut client = Client::connect(weir.http);
    client.ask("GET", "/first");
    weir.wait_for_load("u", 1, 0);
    weir.reload(&servers(&[other.address]), "applied");
    for _ in 0..20 {
        assert_eq!(get(weir.http, "/next").status, 200);
    }
    assert_eq!((busy.requests(), other.requests()), (1, 20));
    latch.let_pass(1);
    assert_eq!(client.answer().text(), "done");
    drop(client);
    weir.wait_for_rest();
}

#[test]
fn a_file_that_is_wrong_or_needs_a_restart_changes_nothing() {
    let (origin, other) = (Origin::echo(), Origin::echo());
    let mut weir = Weir::start(&servers(&[origin.address]));
    assert_eq!(weir.metrics().value(LAST_RELOAD), 1);

    weir.reload(&format!("{}bogus = 1\n", servers(&[other.address])), "invalid");
    assert_eq!(weir.metrics().value(LAST_RELOAD), 0);
    let line = weir.stderr().lines().find(|line| line.contains("bogus")).expect("it says why").to_owned();
    assert!(line.contains("weir.toml:") && line.contains("unknown key"), "{line}");

    // All or nothing.
    let more = servers(&[other.address]).replace("concurrency = 8", "concurrency = 9");
    weir.reload(&format!("{more}[clients]\nidle_timeout = \"60s\"\n"), "needs_restart");
    assert!(weir.stderr().contains("[clients], [[upstream]] `u`"), "{}", weir.stderr());
    assert_eq!(get(weir.http, "/").status, 200);
    assert_eq!((origin.requests(), other.requests()), (1, 0));

    weir.reload(&servers(&[origin.address]), "unchanged");
    assert_eq!(weir.metrics().value(LAST_RELOAD), 1);
    weir.reload(&servers(&[other.address]), "applied");
    assert_eq!(get(weir.http, "/").status, 200);
    assert_eq!((origin.requests(), other.requests()), (1, 1));
    assert!(weir.is_running());
}

#[test]
fn a_first_start_that_made_its_keys_is_reloaded_like_any_other() {
    let origins = [Origin::echo(), Origin::echo()];
    let [first, second] = [origins[0].address, origins[1].address];
    let weir = Weir::start(&crate::rooms::config(first, ""));
    weir.reload(&crate::rooms::config(second, ""), "applied");
    eventually("the other serves", || get(weir.http, "/").status == 200 && origins[1].requests() > 0);
}

/// Trust anchors are a bundle of the whole machine, read anew each time.
#[test]
fn trust_anchors_that_are_as_they_were_need_no_restart() {
    let [first, second] = ["localhost:1", "localhost:2"].map(|server| {
        let config = one_route("127.0.0.1:1".parse().unwrap(), 8, "");
        config.replace("127.0.0.1:1", &format!("https://{server}"))
    });
    let weir = Weir::start(&first);
    weir.reload(&first, "unchanged");
    weir.reload(&second, "applied");
    weir.reload(&second.replace("https://localhost:2", "https://localhost:1\", \"https://localhost:3"), "applied");
}
