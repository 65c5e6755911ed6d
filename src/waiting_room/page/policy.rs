//! `Content-Security-Policy` (CSP Level 3) for a template: its inline script and style by their hashes, and this site.

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderValue;

use super::template::{Raw, Template};

/// Allowed besides: requests to this site, forms to this site, images that are in the page; framing by this site only.
const REST: &str = "img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// The policy.
///
/// `'unsafe-inline'` beside a hash is ignored by every browser that knows hashes (CSP Level 2, Chrome 40 of 2015); it is there
/// for the older ones, whose script would otherwise not run although it is not switched off, so that neither it nor `<noscript>`
/// would ever look again (CSP Level 3 §6.7.3.2, "allow all inline behavior").
pub(super) fn content_security_policy(template: &Template) -> HeaderValue {
    let script = sources(template, Raw::Script);
    let style = sources(template, Raw::Style);
    let policy = format!("default-src 'none'; script-src {script}; style-src {style}; {REST}");
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

fn sources(template: &Template, kind: Raw) -> String {
    let hashes: Vec<_> = template
        .inline(kind)
        .map(|text| format!("'sha256-{}'", base64(digest(&SHA256, text.as_bytes()).as_ref())))
        .collect();
    if hashes.is_empty() { "'none'".to_owned() } else { format!("{} 'unsafe-inline'", hashes.join(" ")) }
}

/// Base 64 with padding: RFC 4648 §4.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) as usize & 63;
            text.push(if place <= chunk.len() { char::from(ALPHABET[sextet]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    #[test]
    fn what_stands_inline_is_allowed_by_its_hash() {
        let text = "<h1>x</h1><style>a{}</style><SCRIPT>alert('Hello, world.');</SCRIPT>\r\n<script>\r\n</script>";
        let template = Template::parse_unchecked(text);
        let policy = content_security_policy(&template);
        let policy = policy.to_str().unwrap();
        // The example of CSP Level 2 §5.1.1.
        assert!(policy.contains("'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"), "{policy}");
        // A browser has turned the line's end into one line feed before it hashes (WHATWG HTML §13.2.3.5): `printf '\n'`.
        assert!(policy.contains("'sha256-AbpHGcgLb+kRsJGnwFEktk7uzpZOCcBY74+YBdrKVGs='"), "{policy}");
        assert!(policy.contains("style-src 'sha256-") && policy.starts_with("default-src 'none'; "));
    }

    #[test]
    fn a_page_without_script_allows_none() {
        let policy = content_security_policy(&Template::parse_unchecked("<h1>x</h1>"));
        assert!(policy.to_str().unwrap().contains("script-src 'none'; style-src 'none'"));
    }
}
