//! What reached the service, held against what was sent.

use super::grammar::Case;
use super::recorder::Heard;
use super::reference::{Ending, Message, Reader, bodies, read};

/// What a gateway made of a case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// All that is clear in it arrived, and nothing else.
    Exact,
    /// Some of it, or nothing: the rest was refused.
    Refused,
    /// Beyond that a request that two readers may understand differently, in one of its readings, and nothing after it.
    Tolerated,
    /// The same, and what followed it as well.
    WentOn,
    /// Bytes that the service cannot read, for what they contain: it has to close.
    Relayed(String),
    /// Something arrived that nobody sent, or twice, or with another body.
    Desync(String),
}

/// Outcomes as columns of a table, and what they are called there.
pub(crate) const COLUMNS: [&str; 6] = ["exact", "refused", "tolerated", "went on", "relayed", "DESYNC"];

impl Outcome {
    /// Its column.
    pub(crate) fn column(&self) -> usize {
        match self {
            Self::Exact => 0,
            Self::Refused => 1,
            Self::Tolerated => 2,
            Self::WentOn => 3,
            Self::Relayed(_) => 4,
            Self::Desync(_) => 5,
        }
    }
}

/// Judges what was `heard` of `case`.
pub(crate) fn judge(case: &Case, heard: &[Heard]) -> Outcome {
    let sent = read(&case.bytes, Reader::Tolerant);
    let mut clear = sent.messages.iter();
    let (mut arrived, mut behind) = (0, Vec::new());
    for heard in heard {
        let message = match heard {
            Heard::Message(message) => message,
            Heard::Cut => continue,
            Heard::Garbage(why, bytes) => return Outcome::Relayed(format!("{why}: {}", bytes.escape_ascii())),
        };
        // Each request at most once and in order; those that were refused are passed over.
        let mut rest = clear.clone();
        if behind.is_empty() && rest.by_ref().any(|sent| is_same(sent, message)) {
            clear = rest;
            arrived += 1;
        } else {
            behind.push(message);
        }
    }
    let Some((first, others)) = behind.split_first() else {
        let is_all = arrived == sent.messages.len() && sent.ending == Ending::Clean;
        return if is_all { Outcome::Exact } else { Outcome::Refused };
    };
    if !matches!(sent.ending, Ending::Invalid(_)) {
        return Outcome::Desync(format!("{} {} was not sent", first.method, first.target));
    }
    // What is ambiguous: it may arrive in one of its readings.
    let unclear = &case.bytes[sent.consumed..];
    let marker = path_of(&first.target);
    let begins =
        unclear.split(|byte| *byte == b'\n').take(3).any(|line| contains(&lower(line), &lower(marker.as_bytes())));
    if !begins || !bodies(unclear).contains(&first.body) {
        return Outcome::Desync(format!("{} {} with {} bytes", first.method, first.target, first.body.len()));
    }
    let Some(next) = others.first() else { return Outcome::Tolerated };
    if others.iter().any(|message| message.target.contains("smuggled")) {
        return Outcome::Desync(format!("{} behind {}", next.target, first.target));
    }
    Outcome::WentOn
}

/// Whether `arrived` is `sent`, but for what a gateway may write differently: the form of the target, the letters of its path.
fn is_same(sent: &Message, arrived: &Message) -> bool {
    let (ours, theirs) = (decoded(path_of(&sent.target)), decoded(path_of(&arrived.target)));
    // nginx and HAProxy forward `http://host` as `/`.
    let is_target = ours == theirs || (ours.is_empty() && theirs == b"/");
    sent.method == arrived.method && is_target && sent.body == arrived.body
}

/// Origin form without fragment.
fn path_of(target: &str) -> &str {
    let target = target.split('#').next().unwrap_or_default();
    match target.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?']).map_or("", |at| rest.get(at..).unwrap_or_default()),
        None => target,
    }
}

fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, others @ ..] = rest {
        let digits = others.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        (bytes, rest) = match (first, digits) {
            (b'%', Some(byte)) => ([bytes, vec![byte]].concat(), &others[2..]),
            _ => ([bytes, vec![*first]].concat(), others),
        };
    }
    bytes
}

fn lower(bytes: &[u8]) -> Vec<u8> {
    decoded(&String::from_utf8_lossy(bytes)).to_ascii_lowercase()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_smuggled_request_is_seen() {
    let message = |target: &str, body: &str| {
        let fields = Vec::new();
        Heard::Message(Message {
            method: "POST".to_owned(),
            target: target.to_owned(),
            fields,
            body: body.as_bytes().to_vec(),
        })
    };
    let case = |bytes: &str| Case { number: 1, family: "", bytes: bytes.as_bytes().to_vec() };
    let clear = case("POST /c1 HTTP/1.1\r\ncontent-length: 2\r\n\r\nabPOST /end1 HTTP/1.1\r\n\r\n");
    let (first, last) = (message("/c1", "ab"), message("/end1", ""));
    assert_eq!(judge(&clear, &[first.clone(), last.clone()]), Outcome::Exact);
    assert_eq!(judge(&clear, std::slice::from_ref(&last)), Outcome::Refused);
    let is_desync = |case: &Case, heard: &[Heard]| matches!(judge(case, heard), Outcome::Desync(_));
    assert!(is_desync(&clear, &[first.clone(), first.clone()]), "twice");
    assert!(is_desync(&clear, &[message("/c1", "a")]), "another body");
    assert!(is_desync(&clear, &[last, first]), "out of order");
    let unclear = case(
        "POST /c1 HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nPOST /smuggled1 HTTP/1.1\r\n\r\n",
    );
    let by_length = message("/c1", "0\r\n\r\n");
    assert_eq!(judge(&unclear, std::slice::from_ref(&by_length)), Outcome::Tolerated);
    assert!(is_desync(&unclear, &[by_length, message("/smuggled1", "")]));
    assert!(is_desync(&unclear, &[message("/smuggled1", "")]));
}
