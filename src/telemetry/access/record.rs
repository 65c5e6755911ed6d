//! What is known about one request when it has been answered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, Version};
use serde::Serialize;

/// Bytes kept of a host: the longest name of DNS (RFC 1035 §2.3.4) and a port.
pub const HOST_MAX: usize = 261;
/// Bytes kept of a path.
pub const PATH_MAX: usize = 1024;
/// Bytes kept of a request id: a UUID has 36, a `traceparent` 55.
pub const REQUEST_ID_MAX: usize = 128;
/// Bytes kept of a method: what [`Method`] holds without memory of its own; the longest registered one
/// (`UPDATEREDIRECTREF`) has 17 and is the only one to lose a letter.
const METHOD_MAX: usize = 15;

/// One request, as it is logged. It owns its text, so that it does not keep a connection's buffer alive.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    /// When the request arrived.
    pub at: SystemTime,
    /// The id that was forwarded and answered.
    pub request_id: Capped<REQUEST_ID_MAX>,
    /// The client, behind trusted proxies.
    pub client: IpAddr,
    /// Whether the client's connection was TLS.
    pub tls: bool,
    /// Version of HTTP the client spoke.
    pub version: Version,
    /// Method.
    pub method: Method,
    /// Host asked for; [`None`] if the request named none.
    pub host: Option<Capped<HOST_MAX>>,
    /// Path, without the query.
    pub path: LoggedPath,
    /// Name of the route; [`None`] if none took the request.
    pub route: Option<Arc<str>>,
    /// What admission decided.
    pub verdict: &'static str,
    /// Why, from the closed list of reasons; [`None`] where nothing was refused.
    pub reason: Option<&'static str>,
    /// Status of the answer.
    pub status: u16,
    /// Upstream server that was asked; [`None`] if none was.
    pub server: Option<Arc<str>>,
    /// Time in the queue.
    pub waited: Option<Duration>,
    /// Time from the request sent upstream to the end of its answer.
    pub upstream: Option<Duration>,
    /// Time from the request's arrival to the end of its answer.
    pub total: Duration,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

impl AccessRecord {
    /// An extension method may be as long as a request head and would hold that memory while it waits: cut it.
    pub(super) fn cap_method(&mut self) {
        if self.method.as_str().len() > METHOD_MAX {
            let kept = self.method.as_str().as_bytes().get(..METHOD_MAX).and_then(|kept| Method::from_bytes(kept).ok());
            self.method = kept.unwrap_or_default();
        }
    }
}

/// Text of at most `MAX` bytes; what was longer is cut at a character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capped<const MAX: usize>(Box<str>);

impl<const MAX: usize> Capped<MAX> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> From<&str> for Capped<MAX> {
    fn from(text: &str) -> Self {
        let mut end = MAX.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(text.get(..end).unwrap_or_default().into())
    }
}

/// The path of a request target: cut at the query, which may hold personal data, and at [`PATH_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoggedPath(Capped<PATH_MAX>);

impl LoggedPath {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<&str> for LoggedPath {
    fn from(target: &str) -> Self {
        Self(target.split(['?', '#']).next().unwrap_or_default().into())
    }
}
