//! What is sent: a grammar of requests that two readers may understand differently, and blind changes of single bytes on top.
//!
//! Every case is drawn from its own number, so one that fails can be had again alone. Behind each stands a plain request that closes
//! the connection: a body that swallows it, or a smuggled request that comes before it, is seen.

mod words;

use fastrand::Rng;

use words::{
    CHUNK_ENDS, CHUNK_EXTENSIONS, CHUNK_SIZES, CODING_NAMES, CODING_SEPARATORS, CODING_VALUES, FIELDS, HOPS, HOSTS,
    LENGTH_NAMES, LENGTH_VALUES, LINE_ENDS, LINE_GAPS, LINE_METHODS, LINE_VERSIONS, TARGETS,
};

/// One connection's worth of bytes.
pub(crate) struct Case {
    pub(crate) number: usize,
    pub(crate) family: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Kinds of cases, and how to draw one.
type Family = (&'static str, fn(&mut Rng, usize) -> Vec<u8>);
const FAMILIES: [Family; 9] = [
    ("pipelines", pipelines),
    ("lengths", lengths),
    ("codings", codings),
    ("both lengths", both),
    ("chunks", chunks),
    ("request lines", request_lines),
    ("targets", targets),
    ("fields", fields),
    ("hosts and hops", hosts),
];

/// So many of a family's cases in this many are changed in single bytes as well.
const CHANGED: usize = 3;
/// And so many of those are counted as a family of their own.
const BLIND: &str = "blind changes";

/// The case of this number.
pub(crate) fn case(number: usize) -> Case {
    let mut rng = Rng::with_seed(0x5EED_0006 + number as u64);
    let (family, draw) = FAMILIES[number % FAMILIES.len()];
    let mut bytes = draw(&mut rng, number);
    let is_changed = (number / FAMILIES.len()) % CHANGED == CHANGED - 1;
    if is_changed {
        for _ in 0..rng.usize(1..=2) {
            change(&mut rng, &mut bytes);
        }
    }
    bytes.extend_from_slice(&plain("GET", &format!("/end{number}"), number, "connection: close\r\n", ""));
    Case { number, family: if is_changed { BLIND } else { family }, bytes }
}

fn one_of<'a>(rng: &mut Rng, list: &[&'a str]) -> &'a str {
    list[rng.usize(..list.len())]
}

fn plain(method: &str, target: &str, number: usize, fields: &str, body: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nx-case: {number}\r\n{fields}\r\n{body}").into_bytes()
}

/// A request hidden in what one reader takes for a body.
fn smuggled(number: usize) -> String {
    format!("GET /smuggled{number} HTTP/1.1\r\nhost: localhost\r\nx-case: {number}\r\n\r\n")
}

fn post(number: usize, fields: &str, body: &str) -> Vec<u8> {
    plain("POST", &format!("/c{number}"), number, fields, body)
}

/// Nothing wrong: several requests in a row, which must all arrive as they are.
fn pipelines(rng: &mut Rng, number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in 0..rng.usize(1..=4) {
        let target = format!("/c{number}/{part}");
        let length = rng.usize(..40);
        let body: String = std::iter::repeat_with(|| rng.alphanumeric()).take(length).collect();
        bytes.extend(match rng.usize(..5) {
            0 => plain("GET", &target, number, "", ""),
            1 => plain("HEAD", &target, number, "accept: */*\r\n", ""),
            2 => plain("PUT", &target, number, &format!("Content-Length: {}\r\n", body.len()), &body),
            3 => {
                let (size, extension) = (body.len(), one_of(rng, &["", ";a", ";a=b", "; a=\"b;c\""]));
                let chunk = if size == 0 { String::new() } else { format!("{size:x}{extension}\r\n{body}\r\n") };
                let trailer = one_of(rng, &["", "x-sum: 1\r\n"]);
                let text = format!("{chunk}0\r\n{trailer}\r\n");
                plain("POST", &target, number, "Transfer-Encoding: chunked\r\n", &text)
            }
            _ => [one_of(rng, &["", "\r\n"]).as_bytes(), &plain("DELETE", &target, number, "", "")].concat(),
        });
    }
    bytes
}

/// One length, or two, written in some way; the body is what one of them covers.
fn lengths(rng: &mut Rng, number: usize) -> Vec<u8> {
    let body = smuggled(number);
    let length = body.len().to_string();
    let one = |rng: &mut Rng, length: &str| {
        let odd_name = rng.u8(..3) == 0;
        let name = if odd_name { one_of(rng, &LENGTH_NAMES) } else { LENGTH_NAMES[0] };
        let value = if odd_name { "{}" } else { one_of(rng, &LENGTH_VALUES) };
        format!("{name}:{}{}\r\n", one_of(rng, &[" ", "", "  ", "\t"]), value.replace("{}", length))
    };
    let first = one(rng, &length);
    let other = one_of(rng, &[&length, "0", "1", "7"]).to_owned();
    let second = if rng.bool() { String::new() } else { one(rng, &other) };
    let fields = if rng.bool() { first + &second } else { second + &first };
    post(number, &fields, &body)
}

/// A field that one reader takes for `Transfer-Encoding: chunked` and another does not.
fn coding(rng: &mut Rng) -> String {
    // Two oddities at once hide each other.
    let (name, value, separator) = match rng.u8(..4) {
        0 => (one_of(rng, &CODING_NAMES), "chunked", ": "),
        1 | 2 => ("Transfer-Encoding", one_of(rng, &CODING_VALUES), ": "),
        _ => ("Transfer-Encoding", "chunked", one_of(rng, &CODING_SEPARATORS)),
    };
    format!("{name}{separator}{value}\r\n")
}

/// A coding alone: whoever does not see it sees no body.
fn codings(rng: &mut Rng, number: usize) -> Vec<u8> {
    let mut fields = coding(rng);
    if rng.u8(..3) == 0 {
        fields.push_str(&coding(rng));
    }
    let inner = smuggled(number);
    post(number, &fields, &format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()))
}

/// Both framings, which end at different places.
fn both(rng: &mut Rng, number: usize) -> Vec<u8> {
    let inner = smuggled(number);
    let (body, length) = if rng.bool() {
        let body = format!("0\r\n\r\n{inner}");
        let length = body.len();
        (body, length)
    } else {
        let size = format!("{:x}\r\n", inner.len());
        let length = size.len();
        (format!("{size}{inner}\r\n0\r\n\r\n"), length)
    };
    let length = format!("Content-Length: {length}\r\n");
    let coding = coding(rng);
    let fields = if rng.bool() { length + &coding } else { coding + &length };
    let mut bytes = post(number, &fields, &body);
    if rng.u8(..8) == 0 {
        replace(&mut bytes, b"HTTP/1.1", b"HTTP/1.0");
    }
    bytes
}

/// Chunks whose sizes, extensions and ends are taken differently.
fn chunks(rng: &mut Rng, number: usize) -> Vec<u8> {
    let inner = smuggled(number);
    let size = one_of(rng, &CHUNK_SIZES).replace("{}", &format!("{:x}", inner.len()));
    let (size, extension, after_size, after_data) = match rng.u8(..4) {
        0 => (size, "", "\r\n", "\r\n"),
        1 => (format!("{:x}", inner.len()), one_of(rng, &CHUNK_EXTENSIONS), "\r\n", "\r\n"),
        2 => (format!("{:x}", inner.len()), "", one_of(rng, &CHUNK_ENDS), "\r\n"),
        _ => (format!("{:x}", inner.len()), "", "\r\n", one_of(rng, &CHUNK_ENDS)),
    };
    let last = one_of(
        rng,
        &[
            "0\r\n\r\n",
            "0\r\n\r\n",
            "00\r\n\r\n",
            "0\n\r\n",
            "0\r\n\n",
            "0\r\nx: y\r\n\r\n",
            "0;x\r\n\r\n",
            "0\r\n x\r\n\r\n",
        ],
    );
    post(number, "Transfer-Encoding: chunked\r\n", &format!("{size}{extension}{after_size}{inner}{after_data}{last}"))
}

fn request_lines(rng: &mut Rng, number: usize) -> Vec<u8> {
    let (mut method, mut version, mut gap, mut end) = ("GET", "HTTP/1.1", " ", "\r\n");
    match rng.u8(..4) {
        0 => method = one_of(rng, &LINE_METHODS),
        1 => version = one_of(rng, &LINE_VERSIONS),
        2 => gap = one_of(rng, &LINE_GAPS),
        _ => end = one_of(rng, &LINE_ENDS),
    }
    let before = one_of(rng, &["", "", "", "\r\n", "\n", "\r\n\r\n", " ", "\r"]);
    format!("{before}{method} /c{number}{gap}{version}{end}host: localhost\r\nx-case: {number}\r\n\r\n").into_bytes()
}

fn targets(rng: &mut Rng, number: usize) -> Vec<u8> {
    let target = one_of(rng, &TARGETS).replace("{}", &format!("c{number}"));
    plain(one_of(rng, &["GET", "GET", "OPTIONS", "CONNECT"]), &target, number, "", "")
}

fn fields(rng: &mut Rng, number: usize) -> Vec<u8> {
    let field = one_of(rng, &FIELDS);
    let end = one_of(rng, &["\r\n", "\r\n", "\r\n", "\n", "\r\r\n"]);
    let inner = smuggled(number);
    let length = format!("Content-Length: {}\r\n", inner.len());
    let fields = if rng.bool() { format!("{field}{end}{length}") } else { format!("{length}{field}{end}") };
    post(number, &fields, &inner)
}

/// Hosts, and what belongs to one hop.
fn hosts(rng: &mut Rng, number: usize) -> Vec<u8> {
    let (host, hop) = if rng.bool() { (one_of(rng, &HOSTS), "") } else { (HOSTS[0], one_of(rng, &HOPS)) };
    let inner = smuggled(number);
    let mut text = format!("POST /c{number} HTTP/1.1\r\nx-case: {number}\r\n");
    for line in [host, hop].into_iter().filter(|line| !line.is_empty()) {
        text += line;
        text += "\r\n";
    }
    format!("{text}content-length: {}\r\n\r\n{inner}", inner.len()).into_bytes()
}

/// Changes one byte, or a line.
fn change(rng: &mut Rng, bytes: &mut Vec<u8>) {
    const ODD: &[u8] = b"\0\t\n\r \x0b\x0c,:;/%?#0159aAfFxX+-\"'\\_\x7f\x80\x85\xa0\xad\xff";
    let at = rng.usize(..bytes.len());
    let odd = ODD[rng.usize(..ODD.len())];
    match rng.u8(..5) {
        0 => bytes.insert(at, odd),
        1 => bytes[at] = odd,
        2 => drop(bytes.remove(at)),
        3 => bytes[at] ^= 1 << rng.u8(..8),
        _ => {
            let end = (at + rng.usize(1..24)).min(bytes.len());
            let again = bytes[at..end].to_vec();
            bytes.splice(end..end, again);
        }
    }
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    if let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        bytes[at..at + from.len()].copy_from_slice(to);
    }
}
