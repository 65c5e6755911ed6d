//! What can go wrong between us and an upstream, told apart by what the caller must answer.
//!
//! **Invariants**: no text in here carries a header value, a path or a body; [`Failure::was_sent`] is false only when
//! the upstream has provably seen nothing of the request.
//! **Not here**: which status a client gets (the proxy decides).

use std::error::Error;
use std::io;
use std::sync::Arc;

/// An error of whatever kind.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why an exchange has no response, or why its response body ends early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No server of the upstream took a connection; nothing was sent.
    #[error("no server of the upstream can be reached")]
    Unreachable(#[source] DialError),
    /// The last server tried did not finish connecting within the connect timeout; nothing was sent.
    #[error("no connection to the upstream within its connect timeout")]
    ConnectTimeout,
    /// The upstream was silent for longer than its response timeout. It may still be working on the request.
    #[error("the upstream was silent for longer than its response timeout")]
    ResponseTimeout,
    /// The caller's own request body failed; here is its error, to be downcast.
    #[error("the request body failed")]
    RequestBody(#[source] BoxError),
    /// The upstream broke the connection or the protocol. It may have acted on the request.
    #[error("the upstream broke the exchange")]
    Broken(#[source] Fault),
}

impl Failure {
    /// Whether a byte of the request may have reached the upstream.
    #[must_use]
    pub const fn was_sent(&self) -> bool {
        !matches!(self, Self::Unreachable(_) | Self::ConnectTimeout)
    }
}

/// What an upstream did wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The connection failed or what came over it is not HTTP.
    #[error("connection or message error")]
    Http(#[source] hyper::Error),
    /// `Transfer-Encoding` other than exactly `chunked`, or together with `Content-Length`: two recipients could see
    /// two different bodies (RFC 9112 §6.1, §6.3).
    #[error("ambiguous framing of the response")]
    Framing,
    /// 101 although no upgrade was asked for (RFC 9110 §15.2.2).
    #[error("the upstream switched protocols unasked")]
    Upgrade,
}

/// Why there is no connection to a server. Cheap to clone: those who wait for one dial share its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DialError {
    /// Not done within the connect timeout.
    #[error("connect timeout")]
    Timeout,
    /// Name resolution or TCP failed.
    #[error("cannot connect")]
    Io(#[source] Arc<io::Error>),
    /// There is no TLS with the server: its certificate is refused, for one.
    #[error("no TLS with the server")]
    Tls(#[source] rustls::Error),
    /// The HTTP/2 preface could not be exchanged.
    #[error("cannot start HTTP/2")]
    Handshake(#[source] Arc<hyper::Error>),
    /// The server does not speak the protocol it is configured for.
    #[error("the server did not agree to HTTP/2")]
    Protocol,
    /// A fresh connection was closed before anything was written to it, or the dial was cut off with its runtime.
    #[error("closed before the request was written")]
    Closed,
    /// The server said that it has not processed the request (RFC 9113 §8.7).
    #[error("the server refused the request unprocessed")]
    Refused,
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Timeout => Self::ConnectTimeout,
            other => Self::Unreachable(other),
        }
    }
}
