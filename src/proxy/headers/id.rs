//! The id of a request, which ties its answer to the log and to what the upstream says of it.
//!
//! **Invariants**: visible characters only.
//! **Cost**: no allocation until a field is made of it, but for one that was given: it outlives the buffer in which it came.

use http::{HeaderMap, HeaderValue};

use super::X_REQUEST_ID;
use super::values::{visible, write_hexadecimal};
use crate::proxy::detached::detached;

/// Longest request id taken over from a trusted proxy.
const REQUEST_ID_MAX: usize = 128;

/// Id of a request: a trusted proxy's, or 128 random bits in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Id);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Id {
    Given(HeaderValue),
    Made([u8; 32]),
}

impl RequestId {
    /// Takes over the id a trusted proxy gave, if it is one; otherwise makes one of `random`.
    #[must_use]
    pub fn of(headers: &HeaderMap, trusted: bool, random: u128) -> Self {
        let sound = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            (1..=REQUEST_ID_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
        };
        if let Some(given) = trusted.then(|| headers.get(X_REQUEST_ID)).flatten().filter(sound) {
            return Self(Id::Given(detached(given)));
        }
        let mut text = [0; 32];
        write_hexadecimal(&mut text, &random.to_be_bytes());
        Self(Id::Made(text))
    }

    /// As a field value.
    #[must_use]
    pub fn value(&self) -> HeaderValue {
        match &self.0 {
            Id::Given(value) => value.clone(),
            Id::Made(text) => visible(text),
        }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Id::Given(value) => value.to_str().unwrap_or_default(),
            Id::Made(text) => str::from_utf8(text).unwrap_or_default(),
        }
    }
}
