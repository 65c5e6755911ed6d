//! The page as it travels: compressed for whoever takes it so (RFC 9110 §8.4, RFC 1952).
//!
//! **Invariants**: whoever does not say that he takes gzip gets the bytes as they are; how long a compressed page is says nothing exact of what is
//! in it.
//! **Cost**: some 13 µs a page, a quarter of what it takes to compress all of it: what is the same on each page was compressed when the template was
//! read. 300 KiB a thread that has sent one: a compressor made anew for each page costs three times as much.
//! **Not here**: JSON, which every poll gets and one packet holds.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use super::weight::ranges;

/// What is said to one person is compressed for him: in half the time of zlib's own compromise, and 75 bytes longer.
const LEVEL: Compression = Compression::fast();

/// Parts of a template that are as long are compressed beforehand: shorter ones compress better with what is beside them.
const READY_LEAST: usize = 1_024;

/// An empty block, and that it is the last (RFC 1951 §3.2.6: one bit, the two of the fixed codes, and seven that end the block).
const END: [u8; 2] = [3, 0];

/// Deflate with an extra field, no time, and no word of the system (RFC 1952 §2.3).
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];

/// The only subfield of the extra field: `we`, which nobody has registered (§2.3.1.1).
const SUBFIELD: [u8; 2] = *b"we";

/// Bytes of nothing at most, by chance: a page repeats its address, which a stranger may choose, beside a ticket; from exact lengths of many pages
/// he could guess it (BREACH, 2013; the remedy is that of "Heal the Breach", 2022).
const PADDING_MAX: u8 = 64;

/// What does not compress takes a little more than it is: five bytes a block (RFC 1951 §3.2.4), and head and tail.
const ROOM: usize = 1_024;

thread_local! {
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(LEVEL, false));
}

/// A page, and which parts of it are compressed already.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    pub(super) page: String,
    /// In their order.
    pub(super) ready: Vec<Ready>,
}

/// A part of a page that is the same on each, compressed: whole blocks that refer to nothing before them, and end at a byte.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    /// Where it begins, and how long it is.
    pub(super) at: usize,
    pub(super) length: usize,
    pub(super) packed: Bytes,
}

/// `page` as whoever asked with `headers` takes it, longer as `chance` says if compressed; and the value of `Content-Encoding`.
#[must_use]
pub fn packed(page: Rendered, headers: &HeaderMap, chance: u8) -> (Bytes, Option<HeaderValue>) {
    let taken = takes_gzip(headers.get_all(ACCEPT_ENCODING));
    let packed = if taken { gzip(&page, chance) } else { None };
    packed.map_or_else(|| (page.page.into(), None), |packed| (packed, Some(HeaderValue::from_static("gzip"))))
}

/// `text`, a part of a template, compressed as well as can be; [`None`] of what is not worth it.
pub(super) fn ready(text: &str) -> Option<Bytes> {
    let mut blocks = Vec::with_capacity(text.len() + ROOM);
    let is_long = text.len() >= READY_LEAST;
    (is_long && add(&mut Compress::new(Compression::best(), false), text.as_bytes(), &mut blocks))
        .then(|| blocks.into())
}

/// Whether a request with these lines of `Accept-Encoding` takes gzip (RFC 9110 §12.5.3). Whoever says nothing is not asked to unpack.
fn takes_gzip<'a>(lines: impl IntoIterator<Item = &'a HeaderValue>) -> bool {
    let mut any = false;
    for (coding, weight) in ranges(lines) {
        match coding {
            b"*" => any = weight > 0,
            _ if [&b"gzip"[..], b"x-gzip"].iter().any(|name| coding.eq_ignore_ascii_case(name)) => return weight > 0,
            _ => {}
        }
    }
    any
}

/// `page` compressed, and made longer as `chance` says; [`None`] if it cannot be.
pub(super) fn gzip(page: &Rendered, chance: u8) -> Option<Bytes> {
    let (text, padding) = (page.page.as_bytes(), chance % PADDING_MAX);
    let mut packed = Vec::with_capacity(text.len() + text.len() / 64 + ROOM);
    packed.extend_from_slice(&HEAD);
    // Identifier, its length and what it is; before that the length of all.
    packed.extend_from_slice(&(u16::from(padding) + 4).to_le_bytes());
    packed.extend_from_slice(&SUBFIELD);
    packed.extend_from_slice(&u16::from(padding).to_le_bytes());
    packed.resize(packed.len() + usize::from(padding), 0);
    COMPRESS.with_borrow_mut(|compress| {
        let mut told = 0;
        for part in &page.ready {
            add(compress, text.get(told..part.at)?, &mut packed).then_some(())?;
            packed.extend_from_slice(&part.packed);
            told = part.at + part.length;
        }
        add(compress, text.get(told..)?, &mut packed).then_some(())
    })?;
    packed.extend_from_slice(&END);
    let mut sum = Crc::new();
    sum.update(text);
    packed.extend_from_slice(&sum.sum().to_le_bytes());
    packed.extend_from_slice(&sum.amount().to_le_bytes());
    Some(Bytes::from(packed))
}

/// Adds `text` to `packed` in whole blocks that refer to nothing before them and end at a byte; whether it could.
fn add(compress: &mut Compress, text: &[u8], packed: &mut Vec<u8>) -> bool {
    if text.is_empty() {
        return true;
    }
    packed.reserve(text.len() + text.len() / 64 + ROOM);
    compress.reset();
    let done = compress.compress_vec(text, packed, FlushCompress::Sync);
    // With room left nothing is held back (zlib.h, `Z_SYNC_FLUSH`).
    matches!(done, Ok(Status::Ok)) && compress.total_in() == text.len() as u64 && packed.len() < packed.capacity()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn only_whoever_says_so_gets_it_compressed() {
        for (said, takes) in [
            (&["gzip, deflate, br, zstd"][..], true),
            (&["br", "x-gzip"], true),
            (&["GZIP;q=0.5"], true),
            (&["*"], true),
            (&["*, gzip;q=0"], false),
            (&["gzip;q=0, *"], false),
            (&["*;q=0"], false),
            (&["br, deflate"], false),
            (&["identity"], false),
            (&[""], false),
            (&[], false),
        ] {
            let lines: Vec<_> = said.iter().map(|line| HeaderValue::from_static(line)).collect();
            assert_eq!(takes_gzip(&lines), takes, "{said:?}");
        }
    }

    #[test]
    fn it_is_the_same_page_and_its_length_moves_by_chance() {
        let page = whole("A place for everyone. ".repeat(400));
        let lengths: std::collections::HashSet<_> = (0..=u8::MAX)
            .map(|chance| {
                let packed = gzip(&page, chance).unwrap();
                assert_eq!(unpacked(&packed), page.page);
                packed.len()
            })
            .collect();
        assert_eq!(lengths.len(), usize::from(PADDING_MAX), "{lengths:?}");
    }

    #[test]
    fn what_was_ready_stands_where_it_was() {
        let (style, script) =
            ("p{margin:.6em 0}\n".repeat(90), "function at(n){return b.getAttribute(n)}\n".repeat(60));
        for texts in [
            &["<style>", &style, "</style>Anda dalam antrean<script>", &script, "</script>"][..],
            &[&style, &script],
            &[&style, "", &style],
            &["short"],
            &[],
        ] {
            let mut page = Rendered::default();
            for text in texts {
                let (at, length) = (page.page.len(), text.len());
                page.page.push_str(text);
                page.ready.extend(ready(text).map(|packed| Ready { at, length, packed }));
            }
            assert_eq!(page.ready.len(), texts.iter().filter(|text| text.len() >= READY_LEAST).count());
            assert_eq!(unpacked(&gzip(&page, 7).unwrap()), page.page, "{texts:?}");
        }
        assert!(ready(&style).unwrap().len() < 100);
    }

    #[test]
    fn whatever_does_not_compress_fits_all_the_same() {
        let mut chance = fastrand::Rng::with_seed(1);
        for length in [0, 1, 8_192, 300_000] {
            let page = whole((0..length).map(|_| chance.char('\u{80}'..='\u{10ffff}')).collect());
            assert_eq!(unpacked(&gzip(&page, 255).unwrap()), page.page);
        }
    }

    fn whole(page: String) -> Rendered {
        Rendered { page, ready: Vec::new() }
    }

    fn unpacked(packed: &[u8]) -> String {
        let mut found = String::new();
        GzDecoder::new(packed).read_to_string(&mut found).unwrap();
        found
    }
}
