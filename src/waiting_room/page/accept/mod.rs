//! Page or JSON: content negotiation for the clients that there really are (RFC 9110 §12.5.1).
//!
//! **Invariants**: what a client does not accept it gets only if it accepts neither; a client without a preference gets JSON,
//! since a program must be able to read the answer and a person's browser always says that it wants HTML.
//! **Cost**: one pass over the field, no allocation.

use http::HeaderValue;

use super::weight::ranges;

/// What an answer is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Html,
    /// For programs.
    Json,
}

/// What browsers tell of a request beside `Accept` (W3C Fetch Metadata Request Headers §2.1, §2.2). Scripts cannot set these
/// fields, and a program that forges them gets a page it can read as well.
#[derive(Clone, Copy, Debug, Default)]
pub struct FetchHints<'a> {
    /// `Sec-Fetch-Dest`.
    pub dest: Option<&'a HeaderValue>,
    /// `Sec-Fetch-Mode`.
    pub mode: Option<&'a HeaderValue>,
}

/// How well a format is accepted: by which weight, how exactly it was named (RFC 9110: the most specific range counts), and
/// how early.
#[derive(Clone, Copy, Default)]
struct Standing {
    exactness: u8,
    weight: u16,
    at: usize,
}

impl Standing {
    fn hear(&mut self, heard: Self) {
        if (heard.exactness, heard.weight) > (self.exactness, self.weight) {
            *self = heard;
        }
    }
}

/// Named by its own name.
const NAMED: u8 = 3;
/// Named by its family, `text/*`.
const FAMILY: u8 = 2;
/// Meant by `*/*`.
const ANY: u8 = 1;

impl Format {
    /// The format for a request with these lines of `Accept`. `None` of the hints is what programs and old browsers send.
    #[must_use]
    pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a HeaderValue>, hints: FetchHints<'_>) -> Self {
        match (hints.mode.map(HeaderValue::as_bytes), hints.dest.map(HeaderValue::as_bytes)) {
            // The address line, a link, a form, a frame: somebody will read it.
            (Some(b"navigate"), _) => Self::Html,
            // `fetch` and XHR say for themselves what they want; whoever sends half of the hints is no browser.
            (None, _) | (_, None | Some(b"empty")) => Self::weigh(accept),
            // An image, a style sheet, a script: nobody will read it, and JSON is small.
            (Some(_), Some(_)) => Self::Json,
        }
    }

    fn weigh<'a>(accept: impl IntoIterator<Item = &'a HeaderValue>) -> Self {
        let (mut html, mut json) = (Standing::default(), Standing::default());
        for (at, (range, weight)) in ranges(accept).enumerate() {
            let heard = |exactness| Standing { exactness, weight, at };
            match range {
                b"*/*" => {
                    html.hear(heard(ANY));
                    json.hear(heard(ANY));
                }
                b"text/*" => html.hear(heard(FAMILY)),
                b"application/*" => json.hear(heard(FAMILY)),
                _ if is_html(range) => html.hear(heard(NAMED)),
                _ if is_json(range) => json.hear(heard(NAMED)),
                _ => {}
            }
        }
        // By weight; of equals the one that was named more exactly; then the one named first.
        let html_first = (html.weight, html.exactness, json.at) > (json.weight, json.exactness, html.at);
        if html_first && html.weight > 0 { Self::Html } else { Self::Json }
    }
}

fn is_html(range: &[u8]) -> bool {
    // The last is what WAP 2 telephones call their pages.
    [&b"text/html"[..], b"application/xhtml+xml", b"application/vnd.wap.xhtml+xml"]
        .iter()
        .any(|name| range.eq_ignore_ascii_case(name))
}

fn is_json(range: &[u8]) -> bool {
    range.eq_ignore_ascii_case(b"application/json")
        || range.eq_ignore_ascii_case(b"text/json")
        // RFC 6839 §3.1; application/problem+json among them.
        || range.rsplitn(2, |byte| *byte == b'+').next().is_some_and(|suffix| {
            suffix.len() < range.len() && suffix.eq_ignore_ascii_case(b"json")
        })
}

#[cfg(test)]
mod tests;
