//! Descriptors: enough are set aside for servers, whatever the crowd and whatever servers there are; out of them weir survives,
//! does not spin, and serves as soon as there are some.

use std::net::SocketAddr;
use std::time::Duration;

use crate::client::{Client, get};
use crate::origin::{Latch, Origin};
use crate::tools::{command, run};
use crate::weir::{Weir, eventually, one_route};

/// What the process may open, and fewer than are taken from it.
const DESCRIPTORS: u32 = 200;
const CLIENTS: usize = 400;
const OUTAGE: Duration = Duration::from_secs(2);

#[test]
fn running_out_of_descriptors_neither_ends_nor_spins_it() {
    let origin = Origin::echo();
    let mut weir = Weir::start(&one_route(origin.address, 4, ""));
    // Behind its back, so that it is accept that fails and not our own limit that holds.
    take_descriptors(&weir, DESCRIPTORS);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(weir.http)).collect();
    eventually("it runs out", || weir_is_out(&weir));
    let before = cpu_seconds(&weir);
    std::thread::sleep(OUTAGE);
    let spent = cpu_seconds(&weir) - before;
    assert!(weir.is_running());
    assert!(spent < OUTAGE.as_secs_f64() / 4.0, "{spent} s of CPU in {OUTAGE:?}");
    println!("{spent} s of CPU in {OUTAGE:?} without descriptors");

    // The connections that it has are served, at least by the connection to the origin that is opened when there is room.
    clients.drain(..CLIENTS * 3 / 4);
    let mut late = Client::connect(weir.http);
    assert_eq!(late.ask("GET", "/late").answer().status, 200);
    drop((clients, late));
    weir.wait_for_rest();
    assert!(weir.metrics().value("weir_accept_exhausted_total") > 0);
    assert_eq!(get(weir.http, "/after").status, 200);
}

/// Lets the running process have no more than `count`.
fn take_descriptors(weir: &Weir, count: u32) {
    let arguments = [format!("--pid={}", weir.pid()), format!("--nofile={count}")];
    assert!(run("prlimit", "util-linux", &arguments).status.success());
}

/// From the kernel, because the admin socket needs a descriptor too.
fn weir_is_out(weir: &Weir) -> bool {
    let open = std::fs::read_dir(format!("/proc/{}/fd", weir.pid())).unwrap().count();
    open >= usize::try_from(DESCRIPTORS).unwrap() - 1
}

/// User and system time of the process (proc(5): fields 14 and 15 of `stat`, in ticks of 10 ms).
fn cpu_seconds(weir: &Weir) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", weir.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: u32 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u32>().unwrap()).sum();
    f64::from(ticks) / 100.0
}

#[test]
fn beyond_its_own_limit_clients_wait_in_the_kernel() {
    let origin = Origin::echo();
    let config = format!("[clients]\nmax_connections = 10\n{}", one_route(origin.address, 4, ""));
    let weir = Weir::start(&config);
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..30 {
        // At once: whoever says nothing makes room.
        let mut client = Client::connect(weir.http);
        client.ask("GET", "/");
        clients.push(client);
    }
    weir.wait_for("weir_connections{kind=\"http1\"}", 10);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(weir.metrics().sum("weir_connections{"), 10);
    // Whoever leaves makes room: all are served in the end.
    let mut served = 0;
    eventually("everybody is served", || {
        clients.retain_mut(|client| {
            let answered = client.has_something_within(Duration::from_millis(5));
            if answered {
                assert_eq!(client.answer().status, 200);
                served += 1;
            }
            !answered
        });
        clients.is_empty()
    });
    assert_eq!(served, 30);
}

/// What a crowd meets that starts with few descriptors: more than the process itself needs, fewer than the crowd.
const FEW: u32 = 700;

fn start_with(descriptors: u32, config: &str) -> Weir {
    drop(command("prlimit", "util-linux"));
    Weir::start_under(&["prlimit", &format!("--nofile={descriptors}")], config)
}

#[test]
fn a_crowd_leaves_the_descriptors_that_servers_need() {
    const PERMITS: usize = 40;
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let weir = start_with(FEW, &one_route(origin.address, u32::try_from(PERMITS).unwrap(), ""));
    let limit = weir.metrics().value("weir_connections_limit");
    assert!((64..u64::from(FEW) - PERMITS as u64).contains(&limit), "{limit}");
    // Everybody who fits is connected before the first connection to the origin is wanted.
    let mut clients: Vec<Client> = (0..limit).map(|_| Client::connect(weir.http)).collect();
    eventually("all slots are taken", || weir.metrics().sum("weir_connections{") == limit);
    for client in &mut clients {
        client.ask("GET", "/");
    }
    // Whoever comes now asks at once: those who say nothing make room.
    clients.extend((limit..FEW.into()).map(|_| {
        let mut client = Client::connect(weir.http);
        client.ask("GET", "/");
        client
    }));
    weir.wait_for("weir_in_flight{upstream=\"u\"}", PERMITS as u64);
    eventually("each permit has its connection", || origin.requests() == PERMITS);
    latch.let_pass(clients.len());
    let mut served = 0;
    eventually("everybody is served", || {
        clients.retain_mut(|client| {
            let answered = client.has_something_within(Duration::from_millis(1));
            if answered {
                assert_eq!(client.answer().status, 200);
                served += 1;
            }
            !answered
        });
        clients.is_empty()
    });
    assert_eq!(served, usize::try_from(FEW).unwrap());
    assert_eq!(weir.metrics().value("weir_accept_exhausted_total"), 0);
}

/// An upstream that may have up to 100 in flight at each of `servers`.
fn adaptive(servers: &[SocketAddr]) -> String {
    let list: Vec<String> = servers.iter().map(|address| format!("\"{address}\"")).collect();
    one_route(servers[0], 8, "")
        .replace(&format!("[\"{}\"]", servers[0]), &format!("[{}]", list.join(", ")))
        .replace("concurrency = 8", "concurrency = { min = 2, max = 100, initial = 16 }")
}

#[test]
fn servers_that_join_take_descriptors_from_clients_and_too_many_are_refused() {
    let origins = [Origin::echo(), Origin::echo(), Origin::echo(), Origin::echo()];
    let all: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
    let weir = start_with(1200, &adaptive(&all[..1]));
    let limit = || weir.metrics().value("weir_connections_limit");
    let begun = limit();
    assert!(begun < 1200 - 200 - 256, "{begun}");

    // Up to a hundred in flight and as many idle.
    weir.reload(&adaptive(&all[..2]), "applied");
    eventually("clients make room", || limit() + 200 <= begun);
    weir.reload(&adaptive(&all), "does_not_fit");
    assert!(weir.stderr().contains("not reloaded, nothing has changed: its servers need up to 8"), "{}", weir.stderr());
    (0..8).for_each(|_| assert_eq!(get(weir.http, "/").status, 200));
    assert_eq!((origins[2].requests(), origins[3].requests()), (0, 0));

    weir.reload(&adaptive(&all[1..2]), "applied");
    weir.wait_for("weir_connections_limit", begun);
    assert_eq!(get(weir.http, "/").status, 200);
}
