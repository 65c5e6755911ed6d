//! Lists of preferences with weights: RFC 9110 §12.4.2 and §5.3.

use http::HeaderValue;

/// The whole of a preference, in thousandths.
pub(super) const FULL: u16 = 1_000;

/// The ranges of all lines of a field, in order, each with its weight in thousandths. What is not text counts as empty.
///
/// Every poll brings such fields of some twenty bytes: for pieces that short a look at each byte is cheaper than a search.
pub(super) fn ranges<'a>(lines: impl IntoIterator<Item = &'a HeaderValue>) -> impl Iterator<Item = (&'a [u8], u16)> {
    let text = |line: &'a HeaderValue| line.to_str().unwrap_or_default().as_bytes();
    lines.into_iter().flat_map(move |line| text(line).split(|byte| *byte == b',')).map(|range| {
        let mut parts = range.split(|byte| *byte == b';');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let weight = parts.find_map(|part| {
            let mut sides = part.splitn(2, |byte| *byte == b'=');
            let (key, value) = (sides.next()?, sides.next()?);
            key.trim_ascii().eq_ignore_ascii_case(b"q").then(|| thousandths(value.trim_ascii()))
        });
        (name, weight.unwrap_or(FULL))
    })
}

/// A weight in thousandths; nonsense weighs nothing. `.8`, which old clients write, is read as meant.
fn thousandths(weight: &[u8]) -> u16 {
    let mut sides = weight.splitn(2, |byte| *byte == b'.');
    let (whole, fraction) = (sides.next().unwrap_or_default(), sides.next().unwrap_or_default());
    let fraction_places = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(3);
    if !fraction.iter().all(u8::is_ascii_digit) || weight.is_empty() {
        return 0;
    }
    let part = fraction_places.fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        b"0" | b"" => part,
        b"1" => FULL,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_as_written() {
        for (weight, expected) in [
            ("1", 1_000),
            ("1.0", 1_000),
            ("1.000", 1_000),
            ("0", 0),
            ("0.0", 0),
            ("0.8", 800),
            ("0.85", 850),
            ("0.001", 1),
            (".2", 200),
            ("0.", 0),
            ("0.9999", 999),
            ("", 0),
            (".", 0),
            ("x", 0),
            ("2", 0),
            ("-1", 0),
            ("0.x", 0),
            ("1e3", 0),
        ] {
            assert_eq!(thousandths(weight.as_bytes()), expected, "{weight}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = [HeaderValue::from_static("id ; Q = 0.5,en;q=0.25"), HeaderValue::from_static("de;level=1;q=0")];
        assert_eq!(ranges(&lines).collect::<Vec<_>>(), [(&b"id"[..], 500), (b"en", 250), (b"de", 0)]);
        let opaque = [HeaderValue::from_bytes(b"\xff,id").unwrap()];
        assert_eq!(ranges(&opaque).collect::<Vec<_>>(), [(&b""[..], 1_000)]);
    }
}
