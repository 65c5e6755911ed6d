//! Which language a person reads: `Accept-Language` (RFC 9110 §12.5.4).

use http::HeaderValue;

use super::weight::{FULL, ranges};

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// Bahasa Indonesia.
    Indonesian,
    /// English.
    English,
}

impl Language {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Indonesian, Self::English];

    /// The language that the lines of `Accept-Language` weigh most; of equals the first; `otherwise` if neither is named.
    ///
    /// `in` is what Java and old Androids still write for `id`; whoever reads Malay, Javanese or Sundanese, which telephones
    /// sold in Indonesia offer, reads Indonesian before English.
    #[must_use]
    pub fn negotiate<'a>(lines: impl IntoIterator<Item = &'a HeaderValue>, otherwise: Self) -> Self {
        let mut best = (otherwise, 0);
        for (range, weight) in ranges(lines) {
            let primary = range.split(|byte| *byte == b'-').next().unwrap_or_default();
            let language = if [b"id", b"in", b"ms", b"jv", b"su"].iter().any(|code| primary.eq_ignore_ascii_case(*code))
            {
                Self::Indonesian
            } else if primary.eq_ignore_ascii_case(b"en") {
                Self::English
            } else if primary == b"*" {
                otherwise
            } else {
                continue;
            };
            if weight == FULL {
                // Nothing after it can weigh more, and nothing before it did.
                return language;
            }
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }

    /// The tag for `lang` and `Content-Language` (BCP 47).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Indonesian => "id",
            Self::English => "en",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_language_that_is_spoken_here_wins() {
        use Language::{English, Indonesian};
        for (accepted, expected) in [
            ("", Indonesian),
            ("id", Indonesian),
            ("ID-id", Indonesian),
            ("id-ID,id;q=0.9,en-US;q=0.8,en;q=0.7", Indonesian),
            ("in-ID, en;q=0.8", Indonesian),
            ("ms-MY,en;q=0.8", Indonesian),
            ("jv,en-US;q=0.9", Indonesian),
            ("su-ID", Indonesian),
            ("en", English),
            ("en-GB", English),
            ("en-US,en;q=0.9,id;q=0.8", English),
            ("en-US,en;q=0.5,id;q=0.8", English),
            ("en;q=0.5,id;q=0.8", Indonesian),
            ("de-DE,de;q=0.9,en;q=0.8", English),
            ("zh-CN,zh;q=0.9", Indonesian),
            ("*", Indonesian),
            ("ja,*;q=0.5", Indonesian),
            ("en;q=0.4,*;q=0.5", Indonesian),
            ("id;q=0,en;q=0.1", English),
            ("id;q=0", Indonesian),
            ("en;q=0", Indonesian),
            ("en;q=nonsense, id;q=0.1", Indonesian),
            ("en, id", English),
            ("id, en", Indonesian),
            ("english", Indonesian),
            ("i", Indonesian),
            (",,;;,en", English),
        ] {
            let line = HeaderValue::from_str(accepted).unwrap();
            assert_eq!(Language::negotiate([&line], Indonesian), expected, "{accepted}");
        }
        let nobody: [&HeaderValue; 0] = [];
        assert_eq!(Language::negotiate(nobody, English), English);
        assert_eq!(Language::negotiate([&HeaderValue::from_static("fr")], English), English);
        let two = [HeaderValue::from_static("en;q=0.3"), HeaderValue::from_static("id;q=0.4")];
        assert_eq!(Language::negotiate(&two, English), Indonesian);
    }
}
