use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use http::{Method, Version};
use serde_json::{Value, json};

use super::*;

const BOUND: Duration = Duration::from_secs(10);

fn record() -> AccessRecord {
    AccessRecord {
        at: UNIX_EPOCH + Duration::from_millis(1_775_908_800_042),
        request_id: "0af7651916cd43dd".into(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        tls: true,
        version: Version::HTTP_2,
        method: Method::POST,
        host: Some("example.org".into()),
        path: "/register".into(),
        route: Some("/register".into()),
        verdict: "admit",
        reason: None,
        status: 201,
        server: Some("127.0.0.1:9000".into()),
        waited: Some(Duration::from_millis(250)),
        upstream: Some(Duration::from_micros(12_345)),
        total: Duration::from_micros(262_400),
        bytes_in: 17,
        bytes_out: u64::MAX,
    }
}

fn line_of(record: &AccessRecord) -> String {
    let mut out = Vec::new();
    line::write(&mut out, record).unwrap();
    String::from_utf8(out).unwrap()
}

/// A sink that keeps what it gets, or fails.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<(Vec<u8>, bool)>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Short writes are the worst a working sink may do.
        let taken = bytes.len().min(1000);
        state.0.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that says when it was called and stands still until its test lets it go.
struct Stuck(Sender<()>, Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(()).ok();
        self.1.recv().ok();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_says_everything() {
    let line: Value = serde_json::from_str(&line_of(&record())).unwrap();
    let expected = json!({
        "time": "2026-04-11T12:00:00.042Z", "request_id": "0af7651916cd43dd", "client": "127.0.0.1", "tls": true,
        "http": "2", "method": "POST", "host": "example.org", "path": "/register", "route": "/register",
        "verdict": "admit", "reason": null, "status": 201, "server": "127.0.0.1:9000", "waited_seconds": 0.25,
        "upstream_seconds": 0.012_345, "total_seconds": 0.2624, "bytes_in": 17, "bytes_out": u64::MAX,
    });
    assert_eq!(line, expected);
}

#[test]
fn a_query_is_never_logged() {
    let path = LoggedPath::from("/a?nik=3171&email=a@example.org");
    assert_eq!(path.as_str(), "/a");
}

#[test]
fn what_peers_choose_is_escaped_and_capped() {
    let hostile = "\"\\\n\r\0\u{1b}[2J\u{7f}\u{9b}31m\u{202e}é😀";
    let record = AccessRecord {
        host: Some(hostile.into()),
        path: format!("/{}", "é".repeat(PATH_MAX)).as_str().into(),
        request_id: "x".repeat(10_000).as_str().into(),
        ..record()
    };
    let line = line_of(&record);
    let (body, end) = line.split_at(line.len() - 1);
    assert_eq!(end, "\n");
    assert!(body.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{body}");
    let value: Value = serde_json::from_str(body).unwrap();
    assert_eq!(value["host"], hostile);
    assert_eq!(value["path"].as_str().unwrap().len(), PATH_MAX - 1, "1024 would halve a character");
    assert_eq!(value["request_id"].as_str().unwrap().len(), REQUEST_ID_MAX);
    assert!(line.len() < 10_000);
}

#[test]
fn a_long_method_is_cut_before_it_waits() {
    let sink = Sink::default();
    let log = AccessLog::start(Box::new(sink.clone())).unwrap();
    log.record(AccessRecord { method: Method::from_bytes(&[b'M'; 9000]).unwrap(), ..record() });
    assert!(log.close(BOUND));
    let value: Value = serde_json::from_slice(&sink.0.lock().unwrap().0).unwrap();
    assert_eq!(value["method"], "M".repeat(15));
}

#[test]
fn a_file_is_appended_to_and_everything_is_in_it_after_close() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    for round in 1..=2 {
        let log = AccessLog::open(&plan::AccessLog::File(path.clone())).unwrap();
        assert!(log.is_enabled());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| log.record(record())));
            }
        });
        assert!(log.close(BOUND));
        assert_eq!(log.dropped(), 0);
        log.record(record());
        assert_eq!(log.dropped(), 1, "closed");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), round * 4000);
        assert!(text.lines().all(|line| line == line_of(&record()).trim_end()));
    }
}

#[test]
fn a_line_is_written_without_close_and_the_writer_ends_with_the_log() {
    let sink = Sink::default();
    let log = AccessLog::start(Box::new(sink.clone())).unwrap();
    log.record(record());
    let wait_until = |done: &dyn Fn() -> bool| {
        for _ in 0..1000 {
            if done() {
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        false
    };
    assert!(wait_until(&|| !sink.0.lock().unwrap().0.is_empty()));
    drop(log);
    assert!(wait_until(&|| Arc::strong_count(&sink.0) == 1), "the writer still holds its sink");
}

#[test]
fn a_stuck_sink_blocks_nobody_and_drops_are_counted() {
    let (called, calls) = channel();
    let (release, released) = channel();
    let log = AccessLog::start(Box::new(Stuck(called, released))).unwrap();
    log.record(record());
    calls.recv_timeout(BOUND).unwrap();
    for _ in 0..RING + 7 {
        log.record(record());
    }
    assert_eq!(log.dropped(), 7);
    assert!(!log.close(Duration::from_millis(20)), "the sink still stands");
    drop(release);
    assert!(log.close(BOUND));
}

#[test]
fn a_failing_sink_drops_whole_lines_and_recovers() {
    let sink = Sink::default();
    sink.0.lock().unwrap().1 = true;
    let log = AccessLog::start(Box::new(sink.clone())).unwrap();
    let burst = 1000;
    (0..burst).for_each(|_| log.record(record()));
    while log.dropped() == 0 {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    sink.0.lock().unwrap().1 = false;
    log.record(record());
    assert!(log.close(BOUND));
    let text = String::from_utf8(sink.0.lock().unwrap().0.clone()).unwrap();
    assert!(text.lines().all(|line| line == line_of(&record()).trim_end()), "a torn line");
    assert_eq!(text.lines().count() as u64 + log.dropped(), burst + 1);
}

#[test]
fn a_sink_that_fails_to_the_end_is_told() {
    let sink = Sink::default();
    sink.0.lock().unwrap().1 = true;
    let log = AccessLog::start(Box::new(sink)).unwrap();
    log.record(record());
    assert!(!log.close(BOUND));
    assert!(!log.close(BOUND), "asked again");
}

#[test]
fn the_ring_costs_what_is_said() {
    assert!(RING * size_of::<AccessRecord>() <= 4 << 20, "{} B a record", size_of::<AccessRecord>());
}

#[test]
fn off_is_nothing() {
    let log = AccessLog::open(&plan::AccessLog::Off).unwrap();
    assert!(!log.is_enabled());
    log.record(record());
    assert_eq!(log.dropped(), 0);
    assert!(log.close(Duration::ZERO));
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    let path = tempfile::tempdir().unwrap().path().join("gone/access.log");
    assert!(AccessLog::open(&plan::AccessLog::File(path)).is_err());
}
