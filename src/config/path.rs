//! The path of a request: one spelling for each, and what routes compare.
//!
//! **Invariants**: a normal path has percent encodings of unreserved characters decoded and hexadecimal in capitals; it is free of
//! dot segments, empty segments, encoded slashes and semicolons, backslashes and control bytes, and stays so without the
//! parameters of its segments. A last segment may be empty: a trailing slash.
//! **Cost**: no allocation for a path without `%` and `;`.
//! **Not here**: host and query of a request, and routes (`proxy`).

use std::borrow::Cow;

/// `path` normalised, or why it could be read in two ways (RFC 3986 §6.2.2).
pub fn normal_path(path: &str) -> Result<Cow<'_, str>, &'static str> {
    if is_plain(path) {
        return Ok(Cow::Borrowed(path));
    }
    if !path.starts_with('/') {
        return Err("is not a path");
    }
    let normal = decoded(path)?;
    if normal.bytes().any(|byte| !(0x21..=0x7e).contains(&byte) || byte == b'\\') {
        return Err("contains a character that does not belong into a path");
    }
    // The first piece is the nothing before the leading slash; the last may be empty, for a trailing slash.
    let mut segments = normal.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        // Servlet containers drop the parameters first: to them `/..;/` is `/../`.
        match without_parameter(segment) {
            "." | ".." => return Err("contains a dot segment"),
            "" if segments.peek().is_some() => return Err("contains an empty segment"),
            _ => {}
        }
    }
    Ok(normal)
}

/// Nothing to decode, no parameter, and no segment that is empty or begins with a dot: nearly every path, seen in one pass.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    let fits = |byte: u8| {
        let begins = std::mem::replace(&mut before, byte) == b'/';
        let odd = matches!(byte, b'%' | b';' | b'\\') || (begins && matches!(byte, b'/' | b'.'));
        (0x21..=0x7e).contains(&byte) && !odd
    };
    path.starts_with('/') && path.bytes().all(fits)
}

/// A normal path without the `;parameters` of its segments (RFC 3986 §3.3): what servlet containers serve it as, such as
/// `/register` for `/register;jsessionid=1`.
#[must_use]
pub fn without_parameters(path: &str) -> Cow<'_, str> {
    if !path.contains(';') {
        return Cow::Borrowed(path);
    }
    Cow::Owned(path.split('/').map(without_parameter).collect::<Vec<_>>().join("/"))
}

fn without_parameter(segment: &str) -> &str {
    segment.split_once(';').map_or(segment, |(bare, _)| bare)
}

/// Decodes what needs no encoding (RFC 3986 §6.2.2.2) and writes the rest in capitals (§6.2.2.1).
fn decoded(path: &str) -> Result<Cow<'_, str>, &'static str> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((plain, encoded)) = rest.split_once('%') {
        normal.push_str(plain);
        let digits = encoded.get(..2).ok_or("ends in the middle of an encoding")?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err("contains a broken encoding");
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| "contains a broken encoding")?;
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => normal.push(char::from(byte)),
            b'/' | b'\\' => return Err("contains an encoded slash"),
            // Some decode it before they look for parameters, others after.
            b';' => return Err("contains an encoded semicolon"),
            0x00..=0x1f | 0x7f => return Err("contains an encoded control character"),
            _ => {
                normal.push('%');
                normal.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = encoded.get(2..).unwrap_or_default();
    }
    normal.push_str(rest);
    Ok(Cow::Owned(normal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_no_part_of_what_is_routed() {
        for (path, bare) in [
            ("/a/b", "/a/b"),
            ("/register;x=1", "/register"),
            ("/register;", "/register"),
            ("/a;b;c=d/e;f", "/a/e"),
            ("/a/;x", "/a/"),
            ("/;x", "/"),
        ] {
            assert_eq!(normal_path(path).as_deref(), Ok(path));
            assert_eq!(without_parameters(path), bare, "{path}");
        }
    }

    #[test]
    fn paths_are_normalised_or_refused() {
        for (path, normal) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/%72egister", "/register"),
            ("/a%3ab", "/a%3Ab"),
            ("/%7Euser/%C3%a9", "/~user/%C3%A9"),
            ("/a;b=c/d:e@f", "/a;b=c/d:e@f"),
            ("/...", "/..."),
        ] {
            assert_eq!(normal_path(path).as_deref(), Ok(normal), "{path}");
        }
        for path in [
            "*",
            "",
            "a",
            "//",
            "/a//b",
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/%2e%2e/b",
            "/a/%2E",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/%00",
            "/%0d%0a",
            "/%",
            "/%2",
            "/%zz",
            "/%+1",
            "/é",
            "/a b",
            "/..;/b",
            "/a/..;x=1/b",
            "/a/%2e%2e;/b",
            "/.;x",
            "/a/;x/b",
            "/a%3bx",
            "/\u{7f}",
        ] {
            assert!(normal_path(path).is_err(), "{path}");
        }
    }
}
