//! Out of descriptors: weir survives, does not spin, and serves as soon as there are some.

use std::time::Duration;

use crate::client::{Client, get};
use crate::origin::Origin;
use crate::tools::command;
use crate::weir::{Weir, eventually, one_route};

/// What the process may open, and fewer than are taken from it.
const DESCRIPTORS: u32 = 200;
const CLIENTS: usize = 400;
const OUTAGE: Duration = Duration::from_secs(2);

#[test]
fn running_out_of_descriptors_neither_ends_nor_spins_it() {
    let origin = Origin::echo();
    drop(command("prlimit", "util-linux"));
    // More connections than there are descriptors for, so that it is accept that fails and not our own limit that holds.
    let config = format!("[clients]\nmax_connections = 10000\n{}", one_route(origin.address, 4, ""));
    let mut weir = Weir::start_under(&["prlimit", &format!("--nofile={DESCRIPTORS}")], &config);
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
    assert_eq!(get(weir.http, "/after").status, 200);
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
    let mut clients: Vec<Client> = (0..30).map(|_| Client::connect(weir.http)).collect();
    for client in &mut clients {
        client.ask("GET", "/");
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
