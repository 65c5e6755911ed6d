//! The admin socket when the process is out of descriptors. Alone in its file: the limit is the whole process's.

#![expect(clippy::unwrap_used, reason = "a test may panic, and its steps are functions")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use weir::admin::{self, Admin, Readiness};
use weir::telemetry::{Registry, process};

/// Few enough to be taken quickly.
const DESCRIPTORS: u64 = 256;
/// The server is done with a connection it has answered.
const SETTLE: Duration = Duration::from_millis(500);
const OUTAGE: Duration = Duration::from_secs(1);

#[test]
fn running_out_of_descriptors_neither_ends_nor_spins_it() {
    let limit = Rlimit { current: Some(DESCRIPTORS), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let registry = Registry::new();
    process::register(&registry);
    let address = start(registry.clone());
    assert!(livez(address).starts_with("HTTP/1.1 200 "));

    let cpu_before = cpu_seconds(&registry);
    let mut files = Vec::new();
    // Twice, with a pause: the server closes its end of the first question a moment after its answer.
    for pause in [SETTLE, Duration::ZERO] {
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        std::thread::park_timeout(pause);
    }
    files.pop();
    // Takes the last descriptor, so that the server has none for its end.
    let mut client = TcpStream::connect(address).unwrap();
    ask(&mut client);
    client.set_read_timeout(Some(OUTAGE)).unwrap();
    assert!(client.read(&mut [0]).is_err(), "answered without a descriptor");
    drop(files);

    let cpu = cpu_seconds(&registry) - cpu_before;
    assert!(cpu < OUTAGE.as_secs_f64() / 4.0, "{cpu} s of CPU in {OUTAGE:?}");
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(answer(&mut client).starts_with("HTTP/1.1 200 "));
    assert!(livez(address).starts_with("HTTP/1.1 200 "));
}

/// Serves on a thread of its own until the process ends.
fn start(registry: Registry) -> SocketAddr {
    let listener = admin::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || {
        let admin = Admin { registry, ready: || Readiness::READY, gateway: None };
        runtime.block_on(admin::serve(listener, admin, std::future::pending()))
    });
    address
}

fn livez(address: SocketAddr) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    ask(&mut client);
    answer(&mut client)
}

fn ask(client: &mut TcpStream) {
    client.write_all(b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").unwrap();
}

fn answer(client: &mut TcpStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

fn cpu_seconds(registry: &Registry) -> f64 {
    let text = registry.render();
    let value = text.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total ")).unwrap();
    value.parse().unwrap()
}
