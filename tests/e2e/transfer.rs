//! 100 MiB either way: the same bytes at both ends, and memory that does not notice.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufWriter, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::client::Client;
use crate::origin::Origin;
use crate::tools::curl;
use crate::weir::{Weir, eventually, one_route};

const SIZE: u64 = 100 << 20;
const PART: usize = 64 << 10;
/// Memory may grow by this while bodies pass: buffers, and what the allocator keeps.
const GROWTH: u64 = 32 << 20;

/// Bytes that no shift, loss or repetition leaves the same: the state of a linear congruential generator (Knuth).
struct Noise(u64);

impl Noise {
    fn part(&mut self) -> Vec<u8> {
        let mut part = Vec::with_capacity(PART);
        while part.len() < PART {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            part.extend_from_slice(&self.0.to_be_bytes());
        }
        part
    }
}

fn parts() -> impl Iterator<Item = Vec<u8>> {
    let mut noise = Noise(7);
    std::iter::repeat_with(move || noise.part()).take(usize::try_from(SIZE).unwrap() / PART)
}

/// Length and hash of a stream of bytes, however it is cut.
#[derive(Default)]
struct Digest(u64, DefaultHasher);

impl Digest {
    fn take(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
        self.1.write(bytes);
    }

    fn value(&self) -> (u64, u64) {
        (self.0, self.1.finish())
    }

    fn expected() -> (u64, u64) {
        let mut digest = Self::default();
        parts().for_each(|part| digest.take(&part));
        digest.value()
    }

    fn of(mut from: impl Read) -> (u64, u64) {
        let (mut digest, mut buffer) = (Self::default(), vec![0; PART]);
        loop {
            match from.read(&mut buffer).unwrap() {
                0 => return digest.value(),
                read => digest.take(&buffer[..read]),
            }
        }
    }
}

/// Takes uploads and keeps their digest; sends the same bytes for anything else, and counts what was taken from it.
fn origin(digest: &Arc<Mutex<(u64, u64)>>, sent: &Arc<AtomicU64>) -> Origin {
    let (kept, sent) = (Arc::clone(digest), Arc::clone(sent));
    Origin::start(move |exchange| {
        if exchange.method() == "PUT" {
            let mut digest = Digest::default();
            exchange.each_part(|part| digest.take(part))?;
            *kept.lock().unwrap() = digest.value();
            return exchange.respond(200, "", b"");
        }
        exchange.raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n").as_bytes())?;
        for part in parts() {
            exchange.raw(&part)?;
            sent.fetch_add(part.len() as u64, Ordering::SeqCst);
        }
        Ok(())
    })
}

fn setup(digest: &Arc<Mutex<(u64, u64)>>, sent: &Arc<AtomicU64>) -> (Origin, Weir) {
    let origin = origin(digest, sent);
    let config = one_route(origin.address, 4, "body_size = \"200MiB\"");
    let weir = Weir::start(&format!("[clients]\nbody_timeout = \"60s\"\n{config}"));
    (origin, weir)
}

/// How much more memory weir had at most during `work` than before.
fn growth(weir: &Weir, work: impl FnOnce()) -> u64 {
    let before = weir.resident_memory();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut most = before;
            while !done.load(Ordering::SeqCst) {
                most = most.max(weir.resident_memory());
                std::thread::sleep(Duration::from_millis(10));
            }
            most
        });
        // Also when the work fails: a scope waits for its threads.
        let finished = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::SeqCst);
        let most = sampler.join().unwrap();
        if let Err(panic) = finished {
            std::panic::resume_unwind(panic);
        }
        most - before
    })
}

#[test]
fn large_bodies_pass_unchanged_at_flat_memory() {
    let (digest, sent) = (Arc::default(), Arc::default());
    let (_origin, weir) = setup(&digest, &sent);
    let (up, down) = (weir.scratch("up"), weir.scratch("down"));
    let mut file = BufWriter::new(File::create(&up).unwrap());
    parts().for_each(|part| file.write_all(&part).unwrap());
    file.into_inner().unwrap().sync_all().unwrap();
    let expected = Digest::expected();
    let certificate = weir.certificate().to_str().unwrap().to_owned();
    for (way, base) in [
        ("--http1.1", format!("http://{}", weir.http)),
        ("--http2-prior-knowledge", format!("http://{}", weir.http)),
        ("--http2", format!("https://{}", weir.https)),
    ] {
        let common = [way, "--cacert", &certificate, "--fail"];
        let url = format!("{base}/large");
        let grown = growth(&weir, || {
            curl(&[&common[..], &["-T", up.to_str().unwrap(), "-o", "/dev/null", &url]].concat());
        });
        println!("{way} {base}: memory grew by {} KiB during the upload", grown >> 10);
        assert!(grown < GROWTH, "{way}: {grown} bytes for an upload");
        assert_eq!(*digest.lock().unwrap(), expected, "{way}: the origin got something else");
        let grown = growth(&weir, || {
            curl(&[&common[..], &["-o", down.to_str().unwrap(), &url]].concat());
        });
        println!("{way} {base}: memory grew by {} KiB during the download", grown >> 10);
        assert!(grown < GROWTH, "{way}: {grown} bytes for a download");
        assert_eq!(Digest::of(File::open(&down).unwrap()), expected, "{way}: the client got something else");
    }
}

#[test]
fn a_slow_reader_holds_the_origin_back() {
    let (digest, sent) = (Arc::default(), Arc::<AtomicU64>::default());
    let (_origin, weir) = setup(&digest, &sent);
    let mut client = Client::connect(weir.http);
    let grown = growth(&weir, || {
        client.ask("GET", "/large");
        assert_eq!(client.head().unwrap().0, 200);
        // The kernel's buffers fill up, and then nothing moves.
        let mut last = u64::MAX;
        eventually("the origin is held back", || {
            std::thread::sleep(Duration::from_secs(1));
            std::mem::replace(&mut last, sent.load(Ordering::SeqCst)) == last
        });
        assert!(last < SIZE / 2, "{last} bytes were taken from the origin for a client that reads nothing");
        println!("{} KiB stand between an origin and a client that does not read", last >> 10);
        let mut digest = Digest::default();
        while digest.0 < SIZE {
            digest.take(&client.bytes(1 << 20).unwrap());
        }
        assert_eq!(digest.value(), Digest::expected());
    });
    println!("memory grew by {} KiB with a slow reader", grown >> 10);
    assert!(grown < GROWTH, "{grown} bytes");
    drop(client);
    weir.wait_for_rest();
}

#[test]
fn a_slow_origin_holds_the_sender_back() {
    let latch = crate::origin::Latch::new();
    let opened = Arc::clone(&latch);
    let origin = Origin::start(move |exchange| {
        opened.pass();
        let mut digest = Digest::default();
        exchange.each_part(|part| digest.take(part))?;
        let (length, hash) = digest.value();
        exchange.respond(200, "", format!("{length} {hash}").as_bytes())
    });
    let weir = Weir::start(&one_route(origin.address, 4, "body_size = \"200MiB\""));
    let (length, hash) = Digest::expected();
    let sent = AtomicU64::new(0);
    let grown = growth(&weir, || {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut last = u64::MAX;
                eventually("the sender is held back", || {
                    std::thread::sleep(Duration::from_secs(1));
                    std::mem::replace(&mut last, sent.load(Ordering::SeqCst)) == last
                });
                latch.let_pass(1);
                assert!(last < SIZE / 2, "{last} bytes were taken for an origin that reads nothing");
            });
            let mut client = Client::connect(weir.http);
            client.send(format!("PUT /large HTTP/1.1\r\nhost: localhost\r\ncontent-length: {SIZE}\r\n\r\n"));
            for part in parts() {
                client.send(&part);
                sent.fetch_add(part.len() as u64, Ordering::SeqCst);
            }
            assert_eq!(client.answer().text(), format!("{length} {hash}"));
        });
    });
    println!("memory grew by {} KiB with a slow origin", grown >> 10);
    assert!(grown < GROWTH, "{grown} bytes");
    weir.wait_for_rest();
}
