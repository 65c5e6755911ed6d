//! The faults on real sockets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::scenario::FaultKind;
use crate::scenario::fault::NetworkFault;

const fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A proxy in front of a listener of the test.
struct Network {
    listener: TcpListener,
    entrance: SocketAddr,
    clock: Clock,
    _stop: oneshot::Sender<()>,
}

impl Network {
    /// With these faults: from, length, what.
    fn with(faults: &[(u64, u64, NetworkFault)]) -> Self {
        let listener = crate::origin::server::listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a listener");
        let entrance = Port::reserve().expect("a port").address;
        let forward = listener.local_addr().expect("bound");
        let fault = |(from, lasts, kind): &(u64, u64, NetworkFault)| Fault {
            at: at(*from),
            lasts: at(*lasts),
            kind: FaultKind::Network { side: Side::Clients, kind: *kind },
        };
        let faults: Vec<_> = faults.iter().map(fault).collect();
        let (stop, stopped) = oneshot::channel::<()>();
        let clock = Clock::start();
        tokio::spawn(async move {
            let proxied = [Proxied { listen: entrance, forward, side: Side::Clients }];
            relay(&proxied, &faults, clock, 1, async { drop(stopped.await) }).await.expect("it relays");
        });
        Self { listener, entrance, clock, _stop: stop }
    }

    async fn until(&self, millis: u64) {
        sleep(at(millis).saturating_sub(self.clock.now())).await;
    }

    /// Both ends of a connection through the proxy.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = self.client().await;
        let (server, _) = self.listener.accept().await.expect("through the proxy");
        (client, server)
    }

    async fn client(&self) -> TcpStream {
        for _ in 0..100 {
            match TcpStream::connect(self.entrance).await {
                Ok(client) => return client,
                Err(_) => sleep(at(5)).await,
            }
        }
        panic!("the proxy does not listen")
    }
}

/// Bytes that tell their place.
fn bytes(length: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(9);
    (0..length).map(|_| rng.u8(..)).collect()
}

/// Sends `length` bytes and the end one way; answers whether they came as they were sent, and how long that took.
async fn passes(network: &Network, mut from: TcpStream, mut to: TcpStream, length: usize) -> (bool, Duration) {
    let (sent, begun) = (bytes(length), network.clock.now());
    let wanted = sent.clone();
    let sending = tokio::spawn(async move {
        from.write_all(&sent).await.expect("sent");
        from.shutdown().await.expect("ended");
        from
    });
    let mut came = Vec::new();
    to.read_to_end(&mut came).await.expect("all of it");
    drop(sending.await);
    (came == wanted, network.clock.now().saturating_sub(begun))
}

/// Short: 100 bytes there and the same back.
async fn echoes(client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
    let mut there = [0; 100];
    client.write_all(&[7; 100]).await?;
    server.read_exact(&mut there).await?;
    server.write_all(&there).await?;
    client.read_exact(&mut there).await?;
    Ok(())
}

#[tokio::test]
async fn without_a_fault_megabytes_pass_both_ways_and_ends_are_ends() {
    let network = Network::with(&[]);
    let (client, server) = network.connect().await;
    assert!(passes(&network, client, server, 3_000_000).await.0);
    let (mut client, mut server) = network.connect().await;
    echoes(&mut client, &mut server).await.expect("an echo");
    client.shutdown().await.expect("half");
    assert_eq!(server.read(&mut [0; 10]).await.expect("the end"), 0);
    server.write_all(b"still").await.expect("the other half");
    drop(server);
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.expect("a proper end");
    assert_eq!(rest, "still");
    let (client, mut server) = network.connect().await;
    reset(&client);
    drop(client);
    let error = server.read(&mut [0; 10]).await.expect_err("a reset is passed on");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_delay_is_kept_to_and_bytes_stay_in_order() {
    let network = Network::with(&[(0, 60_000, NetworkFault::Delay { by: at(40), jitter: at(30) })]);
    let (mut client, mut server) = network.connect().await;
    let begun = network.clock.now();
    for _ in 0..5 {
        echoes(&mut client, &mut server).await.expect("an echo");
    }
    let took = network.clock.now().saturating_sub(begun);
    assert!(took >= at(400) && took < at(1_500), "{took:?} for ten ways of 40 to 70 ms");
    let (intact, took) = passes(&network, client, server, 300_000).await;
    assert!(intact && took >= at(40), "{took:?}");
}

#[tokio::test]
async fn a_slow_direction_has_its_rate_and_the_buffer_is_bounded() {
    let network = Network::with(&[(0, 60_000, NetworkFault::Slow(100_000))]);
    let (client, server) = network.connect().await;
    let (intact, took) = passes(&network, client, server, 50_000).await;
    assert!(intact && took >= at(440) && took < at(1_000), "{took:?} for half a second");
    // Nobody reads: the sender fills what the kernel and the proxy hold, and waits.
    let (client, _server) = network.connect().await;
    let mut sent = 0;
    while let Ok(Ok(())) = timeout(at(300), client.writable()).await {
        sent += client.try_write(&[0; 4_096]).unwrap_or(0);
    }
    assert!(sent > BUFFER && sent < 40 << 20, "{sent}");
}

#[tokio::test]
async fn a_share_is_reset_and_so_are_new_ones_while_it_lasts() {
    let network = Network::with(&[(300, 1_700, NetworkFault::Reset(0.5))]);
    let mut connections = Vec::new();
    for _ in 0..40 {
        connections.push(network.connect().await);
    }
    network.until(250).await;
    for (client, server) in &mut connections {
        echoes(client, server).await.expect("before the fault");
    }
    network.until(400).await;
    let mut broken = 0;
    for (client, server) in &mut connections {
        if let Err(error) = echoes(client, server).await {
            let kind = error.kind();
            assert!(matches!(kind, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{error}");
            let other = server.read(&mut [0; 10]).await.map_err(|error| error.kind());
            assert_eq!(other, Err(io::ErrorKind::ConnectionReset), "at both ends");
            broken += 1;
        }
    }
    assert!((8..=32).contains(&broken), "{broken} of 40");
    let mut refused = 0;
    for _ in 0..20 {
        let mut client = network.client().await;
        refused += u32::from(timeout(at(10), client.read(&mut [0; 1])).await.is_ok_and(|read| read.is_err()));
    }
    assert!(refused > 0 && network.clock.now() < at(2_000), "{refused}");
    network.until(2_050).await;
    while timeout(at(20), network.listener.accept()).await.is_ok() {}
    for _ in 0..20 {
        let (mut client, mut server) = network.connect().await;
        echoes(&mut client, &mut server).await.expect("after the fault");
    }
}

#[tokio::test]
async fn a_half_closed_connection_ends_in_one_direction_and_goes_on_in_the_other() {
    let network = Network::with(&[(200, 100, NetworkFault::HalfClose(1.0))]);
    let (mut up, mut down) = (0, 0);
    let mut connections = Vec::new();
    for _ in 0..12 {
        connections.push(network.connect().await);
    }
    network.until(250).await;
    for (client, mut server) in connections {
        let lost_up = timeout(at(50), server.read(&mut [0; 1])).await.is_ok_and(|read| read.is_ok_and(|n| n == 0));
        let (mut from, mut to) = if lost_up { (server, client) } else { (client, server) };
        if !lost_up {
            assert_eq!(from.read(&mut [0; 1]).await.expect("an end"), 0);
        }
        from.write_all(b"on").await.expect("the other direction");
        let mut came = [0; 2];
        to.read_exact(&mut came).await.expect("goes on");
        to.write_all(b"lost").await.expect("nobody says so");
        assert_eq!(&came, b"on");
        (up, down) = if lost_up { (up + 1, down) } else { (up, down + 1) };
    }
    assert!(up > 0 && down > 0, "{up} {down}");
}

#[tokio::test]
async fn a_black_hole_is_silent_and_then_goes_on() {
    let network = Network::with(&[(300, 400, NetworkFault::BlackHole)]);
    let (mut client, mut server) = network.connect().await;
    let (leaver, mut left) = network.connect().await;
    echoes(&mut client, &mut server).await.expect("before");
    network.until(320).await;
    client.write_all(b"hello").await.expect("into the hole");
    drop(leaver);
    let mut new = network.client().await;
    new.write_all(b"new").await.expect("connects all the same");
    let mut came = [0; 5];
    assert!(timeout(at(200), server.read_exact(&mut came)).await.is_err(), "silence");
    assert!(timeout(at(10), left.read(&mut [0; 1])).await.is_err(), "no end either");
    assert!(timeout(at(10), network.listener.accept()).await.is_err(), "and nobody comes");
    assert!(network.clock.now() < at(700));
    server.read_exact(&mut came).await.expect("it goes on");
    assert_eq!(&came, b"hello");
    assert!(network.clock.now() >= at(700), "{:?}", network.clock.now());
    assert_eq!(left.read(&mut [0; 1]).await.expect("the end"), 0);
    let (mut accepted, _) = network.listener.accept().await.expect("who came meanwhile");
    accepted.read_exact(&mut came[..3]).await.expect("and what he said");
    assert_eq!(&came[..3], b"new");
}

#[tokio::test]
async fn who_cannot_be_reached_is_a_reset_and_addresses_of_people_stay_theirs() {
    let network = Network::with(&[]);
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 1, 2, 3], 0))).expect("a loopback address");
    drop(network.client().await);
    drop(network.listener.accept().await);
    let _client = socket.connect(network.entrance).await.expect("the proxy");
    let (_, peer) = network.listener.accept().await.expect("through the proxy");
    assert_eq!(peer.ip(), IpAddr::from([127, 1, 2, 3]));
    let Network { listener, entrance, _stop, .. } = network;
    drop(listener);
    let mut client = TcpStream::connect(entrance).await.expect("the proxy");
    let error = client.read(&mut [0; 1]).await.expect_err("nobody is behind it");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
