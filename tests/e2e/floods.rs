//! HTTP/2 attacked frame by frame: the connection ends, memory is bounded, and whoever is beside it is served.

use std::io;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::frames::{CONTINUATION, DATA, Frames, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame};
use crate::origin::Origin;
use crate::weir::{PATIENCE, Weir, one_route};

/// More than any of the bounds lets through.
const FRAMES: usize = 400_000;
/// A connection that takes so much of a flood has no bound that counts.
const MOST: usize = 16 << 20;
/// How much larger weir may be after a flood.
const GROWTH: u64 = 48 << 20;
/// An honest answer on a machine that does other things as well; `make attack` measures.
const PROMPT: Duration = Duration::from_secs(1);

fn start() -> (Origin, Weir) {
    let origin = Origin::start(|exchange| {
        exchange.body()?;
        let length = match exchange.target() {
            "/large" => 60 << 10,
            // One part, which h2 would keep without anybody's clock.
            "/part" => 4 << 10,
            _ => 5,
        };
        exchange.respond(200, "", &vec![b'x'; length])
    });
    let clients = "[clients]\nbody_timeout = \"2s\"\nidle_timeout = \"5s\"\n";
    let weir = Weir::start(&format!(
        "{clients}{}",
        one_route(origin.address, 1000, "queue = { wait = \"1h\", length = 20000 }")
    ));
    (origin, weir)
}

/// A request head as a block of literals (RFC 7541 §6.2.2).
fn head(path: &str) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [&[0][..], &text(name), &text(value)].concat()).collect()
}

/// Sends the frames that `flood` makes of a number until the other side ends it; how many bytes it took.
fn pour(frames: &mut Frames, flood: impl Fn(u32) -> Vec<u8>) -> io::Result<usize> {
    let mut poured = 0;
    for number in 0..u32::try_from(FRAMES / 100).unwrap() {
        let bytes: Vec<u8> = (0..100).flat_map(|step| flood(number * 100 + step)).collect();
        if frames.try_send(&bytes).is_err() {
            return Ok(poured);
        }
        poured += bytes.len();
        if poured > MOST {
            break;
        }
    }
    Err(io::Error::other(format!("it took {poured} bytes")))
}

/// Asks again and again on a connection of its own until `flood` is over; the longest it waited.
fn beside(weir: &Weir, flood: impl FnOnce() + Send) -> Duration {
    let mut honest = Client::connect(weir.http);
    let mut longest = Duration::ZERO;
    std::thread::scope(|scope| {
        let flooding = scope.spawn(flood);
        loop {
            let asked = Instant::now();
            assert_eq!(honest.ask("GET", "/honest").answer().status, 200);
            longest = longest.max(asked.elapsed());
            if flooding.is_finished() {
                flooding.join().unwrap();
                return longest;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    })
}

/// The bytes of a flood, by the number of the frame.
type Flood = Box<dyn Fn(u32) -> Vec<u8> + Send + Sync>;

/// The name of each flood, with what it begins, and its frames.
fn floods() -> Vec<(&'static str, &'static [u8], Flood)> {
    let odd = |number: u32| 2 * number + 1;
    let request = |stream: u32, flags: u8| frame(HEADERS, flags, stream, &head("/flood"));
    vec![
        ("SETTINGS", b"", Box::new(move |_| frame(SETTINGS, 0, 0, &[]))),
        ("large SETTINGS", b"", Box::new(move |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100].repeat(100)))),
        ("PING", b"", Box::new(move |_| frame(PING, 0, 0, &[7; 8]))),
        ("PRIORITY", b"", Box::new(move |number| frame(PRIORITY, 0, odd(number), &[0, 0, 0, 0, 16]))),
        ("WINDOW_UPDATE", b"", Box::new(move |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        ("unknown frames", b"", Box::new(move |_| frame(0x42, 0, 0, &[]))),
        ("empty DATA", b"POST", Box::new(move |_| frame(DATA, 0, 1, &[]))),
        ("padded empty DATA", b"POST", Box::new(move |_| frame(DATA, 8, 1, &[3, 0, 0, 0]))),
        ("DATA of a byte", b"POST", Box::new(move |_| frame(DATA, 0, 1, b"x"))),
        ("empty HEADERS", b"", Box::new(move |number| frame(HEADERS, 5, odd(number), &[]))),
        ("HEADERS of trailers", b"POST", Box::new(move |_| frame(HEADERS, 4, 1, &[]))),
        (
            "rapid reset",
            b"",
            Box::new(move |number| {
                [request(odd(number), 5), frame(RST_STREAM, 0, odd(number), &[0, 0, 0, 8])].concat()
            }),
        ),
        (
            "made you reset: a window of 0",
            b"",
            Box::new(move |number| [request(odd(number), 5), frame(WINDOW_UPDATE, 0, odd(number), &[0; 4])].concat()),
        ),
        (
            "made you reset: a window too large",
            b"",
            Box::new(move |number| {
                [request(odd(number), 5), frame(WINDOW_UPDATE, 0, odd(number), &[0x7f, 255, 255, 255])].concat()
            }),
        ),
        (
            "made you reset: DATA after the end",
            b"",
            Box::new(move |number| [request(odd(number), 5), frame(DATA, 0, odd(number), &[7; 100])].concat()),
        ),
        (
            "made you reset: PRIORITY of itself",
            b"",
            Box::new(move |number| {
                let itself = odd(number).to_be_bytes();
                [request(odd(number), 5), frame(PRIORITY, 0, odd(number), &[&itself[..], &[0]].concat())].concat()
            }),
        ),
        ("CONTINUATION", b"HEAD", Box::new(move |_| frame(CONTINUATION, 0, 1, &[0; 16]))),
        ("empty CONTINUATION", b"HEAD", Box::new(move |_| frame(CONTINUATION, 0, 1, &[]))),
        ("more streams than allowed", b"", Box::new(move |number| request(odd(number), 4))),
    ]
}

#[test]
fn each_flood_of_frames_ends_its_connection_and_harms_nobody() {
    let (_origin, weir) = start();
    let floods = floods();
    let before = weir.resident_memory();
    for (name, begin, flood) in &floods {
        let longest = beside(&weir, || {
            let mut frames = Frames::connect(weir.http);
            match *begin {
                b"POST" => drop(frames.ask("POST", "/flood", &[], false)),
                b"HEAD" => frames.send(HEADERS, 0, 1, &head("/flood")),
                _ => {}
            }
            let poured = pour(&mut frames, flood).unwrap_or_else(|error| panic!("{name}: {error}"));
            println!("{name}: ended after {poured} bytes");
        });
        assert!(longest < PROMPT, "{name}: an honest client waited {longest:?}");
    }
    let grown = weir.resident_memory().saturating_sub(before);
    println!("grown by {} KiB", grown >> 10);
    assert!(grown < GROWTH, "grown by {grown} bytes");
    let metrics = weir.metrics();
    let ended = |cause: &str| metrics.value(&format!("weir_connections_ended_total{{cause=\"{cause}\"}}"));
    println!("flooded {}, malformed {}, broken {}", ended("flooded"), ended("malformed"), ended("broken"));
    assert!(ended("flooded") >= 8);
    weir.wait_for_rest();
}

#[test]
fn a_bomb_of_indexed_fields_is_refused_without_being_unpacked() {
    let (origin, weir) = start();
    let before = weir.resident_memory();
    for _ in 0..20 {
        let mut frames = Frames::connect(weir.http);
        // Into the table (RFC 7541 §6.2.1), and then a byte for each time: 4 KB become 60 MB of fields.
        let name = [&[0x40, 1, b'a', 0x7f][..], &[0x81, 0x1e], &[b'v'; 4_000]].concat();
        let block = [&head("/bomb")[..], &name, &[0xbe].repeat(12_000)].concat();
        assert!(block.len() <= 16 << 10);
        frames.send(HEADERS, 5, 1, &block);
        // A refusal, a reset or the end: no request.
        if let Ok(answer) = frames.next() {
            assert!(answer.kind != HEADERS || answer.payload.first() != Some(&0x88), "{answer:?}");
        }
    }
    assert_eq!(origin.requests(), 0);
    let grown = weir.resident_memory().saturating_sub(before);
    assert!(grown < GROWTH, "grown by {grown} bytes");
}

#[test]
fn cookies_beyond_header_size_are_refused() {
    let (origin, weir) = start();
    let crumb = "c".repeat(100);
    let large = format!("GET / HTTP/1.1\r\nhost: localhost\r\ncookie: {}\r\n\r\n", crumb.repeat(170));
    assert_eq!(Client::connect(weir.http).send(large).answer().status, 431);
    // In crumbs (RFC 9113 §8.2.3) that fit one by one.
    let mut frames = Frames::connect(weir.http);
    let crumbs: Vec<(&str, &str)> = (0..140).map(|_| ("cookie", crumb.as_str())).collect();
    frames.ask("GET", "/", &crumbs, true);
    assert!(frames.next().is_ok_and(|answer| answer.payload.first() != Some(&0x88)));
    assert_eq!(origin.requests(), 0);
}

#[test]
fn windows_opened_by_a_byte_hold_neither_memory_nor_streams_for_ever() {
    const CONNECTIONS: usize = 8;
    const STREAMS: usize = 100;
    let (_origin, weir) = start();
    let before = weir.resident_memory();
    let mut stalled: Vec<Frames> = (0..CONNECTIONS)
        .map(|_| {
            let mut frames = Frames::without_window(weir.http);
            for _ in 0..STREAMS {
                let stream = frames.ask("GET", "/part", &[], true);
                frames.widen(stream, 1);
            }
            frames
        })
        .collect();
    let longest = beside(&weir, || {
        for frames in &mut stalled {
            let mut resets = 0;
            while resets < STREAMS {
                let frame = frames.next().unwrap();
                resets += usize::from(frame.kind == RST_STREAM);
            }
        }
    });
    // Behind all of theirs at once.
    assert!(longest < PROMPT * 5, "an honest client waited {longest:?}");
    let held = weir.resident_memory().saturating_sub(before);
    println!("{} KiB more after {} streams were stalled", held >> 10, CONNECTIONS * STREAMS);
    weir.wait_for("weir_response_ahead_bytes", 0);
    drop(stalled);
    weir.wait_for_rest();
}

#[test]
fn an_answer_that_is_taken_a_little_at_a_time_comes_whole() {
    let (_origin, weir) = start();
    let mut frames = Frames::without_window(weir.http);
    let stream = frames.ask("GET", "/large", &[], true);
    assert_eq!(frames.next().unwrap().kind, HEADERS);
    let (mut taken, asked) = (0, Instant::now());
    loop {
        // Exactly as much as there is, by and by, for longer than `body_timeout`: the end needs no window.
        if taken % 6144 == 0 && taken < 60 << 10 {
            std::thread::sleep(Duration::from_millis(300));
            frames.widen(stream, 6144);
        }
        let frame = frames.next().unwrap();
        assert_eq!((frame.kind, frame.stream), (DATA, stream), "{frame:?}");
        taken += frame.payload.len();
        if frame.flags & 1 == 1 {
            break;
        }
    }
    assert_eq!(taken, 60 << 10);
    assert!(asked.elapsed() > Duration::from_secs(2) && asked.elapsed() < PATIENCE);
}
