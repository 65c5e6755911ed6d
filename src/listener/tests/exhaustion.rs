//! Out of slots, out of descriptors.

use super::*;

#[tokio::test]
async fn beyond_max_connections_clients_wait_in_the_backlog_and_are_served_when_a_slot_is_free() {
    let server = Server::with(limits(), 2, false);
    let (first, _second) = (server.busy(1).await, server.busy(2).await);
    let mut third = server.connect().await;
    third.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut byte = [0; 1];
    assert!(timeout(Duration::from_millis(300), third.peek(&mut byte)).await.is_err(), "served beyond the limit");
    assert_eq!((server.connections.accepted(), server.open()), (2, 2));
    drop(first);
    read_until(&mut third, "hello").await;
    assert_eq!((server.connections.accepted(), server.open()), (3, 2));
}

#[tokio::test]
async fn a_client_that_left_while_it_waited_in_the_backlog_harms_nobody() {
    let server = Server::with(limits(), 1, false);
    let mut first = server.connect().await;
    exchange(&mut first).await;
    for _ in 0..20 {
        let left = std::net::TcpStream::connect(server.address).unwrap();
        socket2::SockRef::from(&left).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let mut last = server.connect().await;
    drop(first);
    exchange(&mut last).await;
}

#[tokio::test]
async fn a_limit_that_falls_waits_for_as_many_to_leave_and_one_that_rises_lets_in() {
    let server = Server::with(limits(), 3, false);
    let mut clients = Vec::new();
    for requests in 1..=3 {
        clients.push(server.busy(requests).await);
    }
    let mut waiting = server.connect().await;
    waiting.write_all(WAIT).await.unwrap();
    let lower = NonZeroUsize::MIN;
    let connections = Arc::clone(&server.connections);
    let falling = tokio::spawn(async move { connections.set_limit(lower).await });
    eventually(|| server.connections.limit() == 1).await;
    // The one that stood first for a slot before the limit fell gets the first.
    clients.clear();
    timeout(LONG, falling).await.expect("the excess never left").unwrap();
    server.held(4).await;
    let mut late = server.connect().await;
    late.write_all(WAIT).await.unwrap();
    let mut byte = [0; 1];
    assert!(timeout(Duration::from_millis(300), late.peek(&mut byte)).await.is_err(), "served beyond the limit");
    assert_eq!(server.open(), 1);

    let set = |limit| server.connections.set_limit(NonZeroUsize::new(limit).unwrap());
    set(3).await;
    server.held(5).await;
    // Given up in the middle it has lowered nothing but the number; told otherwise, it begins where it stood.
    assert!(timeout(Duration::from_millis(50), set(1)).await.is_err());
    set(3).await;
    let _third = server.busy(6).await;
    let mut fourth = server.connect().await;
    fourth.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(timeout(Duration::from_millis(300), fourth.peek(&mut byte)).await.is_err(), "served beyond the limit");
    server.service.release.notify_waiters();
    read_until(&mut waiting, "released").await;
    read_until(&mut late, "released").await;
}

#[tokio::test]
async fn short_of_memory_idle_connections_are_closed_but_not_of_those_who_were_let_in() {
    let server = Server::start(limits());
    let [mut idle, mut inside, mut busy] = [server.connect().await, server.connect().await, server.connect().await];
    exchange(&mut idle).await;
    inside.write_all(b"GET /inside HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut inside, "hello").await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    server.held(1).await;
    server.connections.set_memory_short(true);
    server.drain.nudge().all();
    assert_eq!(read_to_close(&mut idle).await.1, "");
    server.ends_by(Cause::Shed).await;
    exchange(&mut inside).await;
    server.service.release.notify_one();
    let (_, answer) = read_to_close(&mut busy).await;
    assert!(answer.ends_with("released"), "{answer}");
    server.connections.set_memory_short(false);
    exchange(&mut inside).await;
    eventually(|| server.connections.ended(Cause::Shed) == 2).await;
}

/// Descriptors that the starved process may have.
const DESCRIPTORS: u64 = 40;

/// Set in the environment of the starved process.
const STARVED: &str = "WEIR_TEST_STARVED";

/// The limit of descriptors is the whole process's, so the listener runs in a process of its own: this test, again.
#[test]
fn out_of_descriptors_it_waits_without_spinning_and_recovers() {
    if std::env::var_os(STARVED).is_some() {
        serve_starved();
        return;
    }
    let mut process = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "listener::tests::exhaustion::out_of_descriptors_it_waits_without_spinning_and_recovers",
        ])
        .env(STARVED, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(process.stdout.take().unwrap()));
    let address: SocketAddr =
        lines.map_while(Result::ok).find_map(|line| line.strip_prefix("serving ")?.parse().ok()).unwrap();

    let outcome = std::panic::catch_unwind(|| crowd(address, process.id()));
    process.kill().unwrap();
    process.wait().unwrap();
    outcome.unwrap();
}

/// Three times as many clients as descriptors; all are answered once some have left.
fn crowd(address: SocketAddr, process: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..3 * DESCRIPTORS {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            clients.push(socket);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = ticks(process);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(ticks(process) - before < 20, "spins: {} ticks of 10 ms in a second", ticks(process) - before);

        let mut waited = 0;
        for mut socket in clients {
            let mut byte = [0; 1];
            waited += u32::from(timeout(Duration::from_millis(1), socket.peek(&mut byte)).await.is_err());
            read_until(&mut socket, "hello").await;
        }
        assert!(waited > 0, "nobody had to wait: the limit was not reached");
    });
}

/// Processor time that a process has used, in ticks of 10 ms.
fn ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // proc_pid_stat(5): utime and stime are fields 14 and 15; 3 is the first after the name.
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn serve_starved() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = rustix::process::Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    runtime.block_on(async {
        let server = Server::start(limits());
        println!("serving {}", server.address);
        server.running.await.unwrap().unwrap();
    });
}
