//! RFC 9113 and RFC 7541 section by section, in the manner of h2spec: a client that breaks one rule is told by the error the RFC names, and
//! one that does something unusual is served.

mod cases;

use std::io;

use crate::frames::{DATA, Frames, GOAWAY, HEADERS, RST_STREAM};
use crate::origin::Origin;
use crate::weir::{Weir, one_route};

/// What must come of it.
#[derive(Clone, Copy, Debug)]
enum Must {
    /// GOAWAY with one of these codes, or the end of the connection.
    Close(&'static [u32]),
    /// `RST_STREAM` with one of these codes, or what [`Must::Close`] takes: a recipient may always treat it as worse (RFC 9113 §5.4.2).
    Reset(&'static [u32]),
    /// Nothing: the next request is served.
    Serve,
}

/// One rule of the RFC.
struct Rule {
    section: &'static str,
    name: &'static str,
    act: fn(&mut Frames) -> io::Result<()>,
    must: Must,
}

/// What came of it.
#[derive(Debug)]
enum Came {
    Closed,
    GoneAway(u32),
    Reset(u32),
    Answered,
}

fn code(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The first thing of note. The request that is asked last ends with `last`.
fn outcome(frames: &mut Frames, last: u32) -> Came {
    loop {
        let Ok(frame) = frames.next() else { return Came::Closed };
        match frame.kind {
            GOAWAY => return Came::GoneAway(code(frame.payload.get(4..).unwrap_or_default())),
            RST_STREAM => return Came::Reset(code(&frame.payload)),
            HEADERS | DATA if frame.stream == last => return Came::Answered,
            _ => {}
        }
    }
}

/// Far from the streams of the rules.
const LAST: u32 = 4_001;

fn complaint(weir: &Weir, rule: &Rule) -> Option<String> {
    let mut frames = Frames::connect(weir.http);
    // Whoever is closed upon in the middle of his act has his answer.
    let acted = (rule.act)(&mut frames);
    frames.skip_to(LAST);
    let asked = acted.and_then(|()| frames.try_ask("/last"));
    let came = outcome(&mut frames, LAST);
    let is_right = match (rule.must, &came) {
        (Must::Close(_) | Must::Reset(_), Came::Closed) => true,
        (Must::Close(codes) | Must::Reset(codes), Came::GoneAway(code)) | (Must::Reset(codes), Came::Reset(code)) => {
            codes.contains(code)
        }
        (Must::Serve, Came::Answered) => asked.is_ok(),
        _ => false,
    };
    (!is_right).then(|| format!("{} {}: {came:?} instead of {:?}", rule.section, rule.name, rule.must))
}

#[test]
fn every_rule_of_the_rfc_is_kept() {
    let origin = Origin::echo();
    let weir = Weir::start(&one_route(origin.address, 16, ""));
    let rules = cases::rules();
    println!("{} rules", rules.len());
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let weir = &weir;
        let asked: Vec<_> = rules.iter().map(|rule| scope.spawn(move || complaint(weir, rule))).collect();
        asked.into_iter().filter_map(|asked| asked.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rules.len(), wrong.join("\n"));
    weir.wait_for_rest();
    assert_eq!(weir.metrics().value("weir_connections_ended_total{cause=\"panicked\"}"), 0);
}

/// The preface, before there is a connection to speak of.
#[test]
fn what_is_no_preface_opens_nothing() {
    let origin = Origin::echo();
    let weir = Weir::start(&one_route(origin.address, 16, ""));
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (name, bytes) in [
        ("another preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX".to_vec()),
        ("no SETTINGS after it", [&preface[..], &crate::frames::frame(6, 0, 0, &[0; 8])].concat()),
        ("the preface twice", [&preface[..], &crate::frames::frame(4, 0, 0, &[]), &preface[..]].concat()),
    ] {
        let mut frames = Frames::instead_of_preface(weir.http, &bytes);
        // Frames of HTTP/2, or an answer of HTTP/1, and then the end.
        let came = std::iter::from_fn(|| frames.next().ok()).take(8).all(|frame| frame.kind != HEADERS);
        assert!(came, "{name}");
    }
    assert_eq!(origin.requests(), 0);
}
