//! The page as it travels: compressed for whoever takes it so (RFC 9110 §8.4, RFC 1952).
//!
//! **Invariants**: whoever does not say that he takes gzip gets the bytes as they are; how long a compressed page is says nothing exact of what is
//! in it.
//! **Cost**: some 50 µs a page, and 300 KiB a thread that has sent one: a compressor made anew for each page costs three times as much.
//! **Not here**: JSON, which every poll gets and one packet holds.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use super::weight::ranges;

/// Zlib's own compromise between time and bytes.
const LEVEL: Compression = Compression::new(6);

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

/// `page` as whoever asked with `headers` takes it, longer as `chance` says if compressed; and the value of `Content-Encoding`.
#[must_use]
pub fn packed(page: Bytes, headers: &HeaderMap, chance: u8) -> (Bytes, Option<HeaderValue>) {
    let taken = takes_gzip(headers.get_all(ACCEPT_ENCODING));
    let packed = if taken { gzip(&page, chance) } else { None };
    packed.map_or((page, None), |packed| (packed, Some(HeaderValue::from_static("gzip"))))
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
pub(super) fn gzip(page: &[u8], chance: u8) -> Option<Bytes> {
    let padding = chance % PADDING_MAX;
    let mut packed = Vec::with_capacity(page.len() + page.len() / 64 + ROOM);
    packed.extend_from_slice(&HEAD);
    // Identifier, its length and what it is; before that the length of all.
    packed.extend_from_slice(&(u16::from(padding) + 4).to_le_bytes());
    packed.extend_from_slice(&SUBFIELD);
    packed.extend_from_slice(&u16::from(padding).to_le_bytes());
    packed.resize(packed.len() + usize::from(padding), 0);
    let ended = COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        compress.compress_vec(page, &mut packed, FlushCompress::Finish)
    });
    let mut sum = Crc::new();
    sum.update(page);
    packed.extend_from_slice(&sum.sum().to_le_bytes());
    packed.extend_from_slice(&sum.amount().to_le_bytes());
    matches!(ended, Ok(Status::StreamEnd)).then(|| Bytes::from(packed))
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
        let page = "A place for everyone. ".repeat(400);
        let lengths: std::collections::HashSet<_> = (0..=u8::MAX)
            .map(|chance| {
                let packed = gzip(page.as_bytes(), chance).unwrap();
                let mut found = String::new();
                GzDecoder::new(&*packed).read_to_string(&mut found).unwrap();
                assert_eq!(found, page);
                packed.len()
            })
            .collect();
        assert_eq!(lengths.len(), usize::from(PADDING_MAX), "{lengths:?}");
    }

    #[test]
    fn whatever_does_not_compress_fits_all_the_same() {
        let mut chance = fastrand::Rng::with_seed(1);
        for length in [0, 1, 8_192, 300_000] {
            let page: Vec<u8> = (0..length).map(|_| chance.u8(..)).collect();
            let mut found = Vec::new();
            GzDecoder::new(&*gzip(&page, 255).unwrap()).read_to_end(&mut found).unwrap();
            assert_eq!(found, page);
        }
    }
}
