//! A reader of HTTP/1 requests of the test's own, by RFC 9112 to the letter: it shares no line with any gateway.

/// What is taken for a line's end, and what is skipped before a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A service that takes nothing but what the grammar says: what a gateway writes must be this clear.
    Strict,
    /// A recipient that tolerates what RFC 9112 allows it to: a bare LF as line end and empty lines before a request (§2.2), a
    /// length repeated with the same value (§6.3), and anything in a chunk extension, which it does not understand anyway (§7.1.1), but
    /// a line end.
    Tolerant,
}

/// A request as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case, values without the white space around them.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// How a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With the last byte.
    Clean,
    /// In the middle of a message.
    Short,
    /// What stands there is no request, or one whose end two readers may see at two places.
    Invalid(&'static str),
}

/// What a stream of bytes says.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) messages: Vec<Message>,
    pub(crate) ending: Ending,
    /// Where what is no complete message begins.
    pub(crate) consumed: usize,
}

/// Why a message could not be read.
enum Stop {
    Short,
    Invalid(&'static str),
}
use Stop::{Invalid, Short};

/// Reads all of `bytes`.
pub(crate) fn read(bytes: &[u8], reader: Reader) -> Reading {
    let mut reading = Reading { messages: Vec::new(), ending: Ending::Clean, consumed: 0 };
    loop {
        let mut rest = Cursor { bytes: &bytes[reading.consumed..], at: 0, reader };
        if reader == Reader::Tolerant {
            while rest.skip(b"\r\n") || rest.skip(b"\n") {}
        }
        if rest.at == rest.bytes.len() {
            reading.consumed += rest.at;
            return reading;
        }
        match rest.message() {
            Ok(message) => {
                reading.messages.push(message);
                reading.consumed += rest.at;
            }
            Err(stop) => {
                reading.ending = match stop {
                    Short => Ending::Short,
                    Invalid(why) => Ending::Invalid(why),
                };
                return reading;
            }
        }
    }
}

impl Message {
    /// The values of the fields of this name.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_slice())
    }

    /// The first of them as text.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        self.values(name).next().map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    reader: Reader,
}

impl<'a> Cursor<'a> {
    fn skip(&mut self, what: &[u8]) -> bool {
        let is_there = self.bytes[self.at..].starts_with(what);
        if is_there {
            self.at += what.len();
        }
        is_there
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Stop> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length)).ok_or(Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(Short)?;
        self.at = end;
        Ok(taken)
    }

    /// A line without its end.
    fn line(&mut self, is_tolerant: bool) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(Short)?;
        self.at += end + 1;
        let line = match rest[..end].strip_suffix(b"\r") {
            Some(line) => line,
            None if is_tolerant => &rest[..end],
            None => return Err(Invalid("bare LF")),
        };
        if line.contains(&b'\r') { Err(Invalid("bare CR")) } else { Ok(line) }
    }

    fn message(&mut self) -> Result<Message, Stop> {
        let is_tolerant = self.reader == Reader::Tolerant;
        let line = self.line(is_tolerant)?;
        let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let [method, target, version] = parts.as_slice() else { return Err(Invalid("request line")) };
        if !is_token(method) {
            return Err(Invalid("method"));
        }
        if target.is_empty() || !target.iter().all(|byte| (0x21..=0x7e).contains(byte)) {
            return Err(Invalid("target"));
        }
        let is_old = match *version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Invalid("version")),
        };
        let fields = self.fields(is_tolerant)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut message = Message { method: text(method), target: text(target), fields, body: Vec::new() };
        message.body = self.body(&message, is_old)?;
        Ok(message)
    }

    fn fields(&mut self, is_tolerant: bool) -> Result<Vec<(String, Vec<u8>)>, Stop> {
        let mut fields = Vec::new();
        loop {
            let line = self.line(is_tolerant)?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|byte| *byte == b':').ok_or(Invalid("field without colon"))?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if !is_token(name) {
                return Err(Invalid("field name"));
            }
            if value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
                return Err(Invalid("field value"));
            }
            fields.push((String::from_utf8_lossy(name).to_ascii_lowercase(), trimmed(value).to_vec()));
        }
    }

    fn body(&mut self, message: &Message, is_old: bool) -> Result<Vec<u8>, Stop> {
        let codings: Vec<_> = message.values("transfer-encoding").collect();
        let lengths: Vec<_> = message
            .values("content-length")
            .flat_map(|value| value.split(|byte| *byte == b',').map(trimmed).collect::<Vec<_>>())
            .collect();
        if let [coding] = codings.as_slice() {
            return match (coding.eq_ignore_ascii_case(b"chunked"), lengths.is_empty(), is_old) {
                (true, true, false) => self.chunks(),
                (_, false, _) => Err(Invalid("both lengths")),
                _ => Err(Invalid("transfer coding")),
            };
        }
        if !codings.is_empty() {
            return Err(Invalid("several transfer codings"));
        }
        let Some(first) = lengths.first() else { return Ok(Vec::new()) };
        if lengths.iter().any(|length| length != first) || (self.reader == Reader::Strict && lengths.len() > 1) {
            return Err(Invalid("several lengths"));
        }
        if first.is_empty() || !first.iter().all(u8::is_ascii_digit) {
            return Err(Invalid("length"));
        }
        let length = std::str::from_utf8(first).ok().and_then(|digits| digits.parse::<u64>().ok());
        Ok(self.take(length.ok_or(Invalid("length beyond 64 bits"))?)?.to_vec())
    }

    fn chunks(&mut self) -> Result<Vec<u8>, Stop> {
        let mut body = Vec::new();
        loop {
            let line = self.line(false)?;
            let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            let (size, extension) = line.split_at(digits);
            let size = std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
            let size = size.ok_or(Invalid("chunk size"))?;
            let is_extension = trimmed(extension).first().is_none_or(|first| *first == b';');
            let has_control = extension.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f);
            if !is_extension || (has_control && self.reader == Reader::Strict) {
                return Err(Invalid("chunk extension"));
            }
            if size == 0 {
                self.fields(false)?;
                return Ok(body);
            }
            body.extend_from_slice(self.take(size)?);
            if self.take(2)? != b"\r\n" {
                return Err(Invalid("chunk end"));
            }
        }
    }
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Every body that some reader may see behind the head at the beginning of `bytes`: by each length that stands there, and by chunks.
pub(crate) fn bodies(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = vec![Vec::new()];
    for blank in [&b"\r\n\r\n"[..], b"\n\n", b"\n\r\n"] {
        let Some(end) = bytes.windows(blank.len()).position(|window| window == blank) else { continue };
        let (head, rest) = (&bytes[..end], &bytes[end + blank.len()..]);
        let numbers = head.split(|byte| !byte.is_ascii_digit()).filter_map(|digits| std::str::from_utf8(digits).ok());
        bodies.extend(numbers.filter_map(|digits| rest.get(..digits.parse().ok()?)).map(<[u8]>::to_vec));
        bodies.extend(loose_chunks(rest));
    }
    bodies
}

/// Chunks as the most careless reader takes them: as far as they go.
fn loose_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = trimmed(&rest[..end]).iter().copied().take_while(u8::is_ascii_hexdigit).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&line).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        rest = rest.get(end + 1..)?;
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?;
        rest = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")).unwrap_or(rest);
    }
}

#[test]
fn it_reads_what_it_should() {
    let whole = |text: &str, reader| {
        let reading = read(text.as_bytes(), reader);
        (reading.messages.into_iter().map(|message| message.body).collect::<Vec<_>>(), reading.ending)
    };
    let chunked =
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nt: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    assert_eq!(whole(chunked, Reader::Strict), (vec![b"abc".to_vec(), vec![]], Ending::Clean));
    let bare = "\nGET / HTTP/1.1\nContent-Length: 2\nContent-Length: 2\n\nab";
    assert_eq!(whole(bare, Reader::Tolerant), (vec![b"ab".to_vec()], Ending::Clean));
    assert_eq!(whole(bare, Reader::Strict).1, Ending::Invalid("bare LF"));
    let both = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n";
    assert_eq!(whole(both, Reader::Tolerant).1, Ending::Invalid("both lengths"));
    assert!(bodies(both.as_bytes()).contains(&b"0\r\n\r\n".to_vec()));
    assert_eq!(whole("GET / HTTP/1.1\r\nA: b\r\n", Reader::Strict).1, Ending::Short);
}
