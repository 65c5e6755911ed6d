//! The crowd's connections: HTTP/2 with prior knowledge, every request a stream, opened again when they break.
//!
//! **Invariants**: a bounded number of sockets whatever the crowd; who loses patience resets the stream. Nothing is queued
//! here unseen: the gateway is asked to allow far more streams than a run has people waiting.
//! **Cost**: about 24 µs of CPU and 10 KiB a request while it waits.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, COOKIE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE};
use http::uri::Authority;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::gateway::CLIENT;
use super::room::Told;
use super::server::ATTEMPT;
use crate::crowd::answer::retry_after;
use crate::crowd::attempt::read_away;
use crate::fetch;

/// Connections: enough that both workers of a gateway get their share, by the kernel's hash.
const LANES: usize = 24;

/// Streams before the gateway has said how many it allows.
const STREAMS: usize = 16_384;

/// Where the gateway puts its pass.
const PASS: HeaderName = HeaderName::from_static("weir-pass");

/// The name of the pass as a cookie.
const PASS_COOKIE: &str = "weir_pass=";

/// Where the gateway puts the ticket of a place.
const TICKET: HeaderName = HeaderName::from_static("weir-ticket");

/// Where it says what has become of a place.
const PLACE: &str = "/.weir/place";

/// How long a client would wait for an answer (RFC 7240 §4.3).
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Connections of a crowd.
#[derive(Debug)]
pub struct Wire {
    target: SocketAddr,
    authority: Authority,
    lanes: Vec<Mutex<Option<SendRequest<Full<Bytes>>>>>,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Which connection.
    pub lane: u32,
    /// Number of the attempt.
    pub attempt: u32,
    /// Step of the registration, from 1.
    pub step: u8,
    /// The client's name.
    pub client: u32,
    /// What the gateway gave at an earlier step.
    pub pass: &'a Pass,
    /// The ticket of a place that it gave.
    pub ticket: Option<&'a HeaderValue>,
}

/// A pass as it was given, to be shown at every later step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    header: Option<HeaderValue>,
    cookie: Option<HeaderValue>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its Retry-After.
    pub retry_after: Option<Duration>,
    /// Its pass.
    pub pass: Pass,
    /// The ticket of a place,
    pub ticket: Option<HeaderValue>,
    /// ... and what is told of it.
    pub told: Option<Told>,
}

impl Wire {
    /// Opens every connection.
    pub async fn open(target: SocketAddr) -> anyhow::Result<Self> {
        let authority = Authority::try_from(target.to_string())?;
        let mut lanes = Vec::new();
        for _ in 0..LANES {
            lanes.push(Mutex::new(Some(dial(target).await?)));
        }
        Ok(Self { target, authority, lanes })
    }

    /// Sends `call` and reads the whole answer; none if the connection broke. Dropping it resets the stream.
    pub async fn call(&self, call: Call<'_>) -> Option<Reply> {
        let mut sender = self.sender(call.lane).await?;
        let response = sender.send_request(self.request(call)?).await.ok()?;
        let (head, mut body) = response.into_parts();
        let ticket = head.headers.get(TICKET).cloned();
        let told = if ticket.is_some() {
            Told::read(&fetch::read(&mut body).await.ok()?)
        } else {
            read_away(body).await.ok()?;
            None
        };
        let wait = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = wait.and_then(|value| retry_after(value, SystemTime::now()));
        Some(Reply { status: head.status, retry_after, pass: Pass::of(&head.headers), ticket, told })
    }

    /// Asks after the place of `ticket`, to be held for at most `hold` until the turn has come; none if there is no such place, or the
    /// connection broke.
    pub(super) async fn ask(&self, lane: u32, ticket: &HeaderValue, hold: Option<Duration>) -> Option<Told> {
        let mut sender = self.sender(lane).await?;
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = self.uri(PLACE)?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(TICKET, ticket.clone());
        if let Some(hold) = hold {
            headers.insert(PREFER, HeaderValue::from_str(&format!("wait={}", hold.as_secs())).ok()?);
        }
        let mut response = sender.send_request(request).await.ok()?;
        Told::read(&fetch::read(response.body_mut()).await.ok()?)
    }

    fn uri(&self, path: &str) -> Option<Uri> {
        Uri::builder().scheme("http").authority(self.authority.clone()).path_and_query(path).build().ok()
    }

    fn request(&self, call: Call<'_>) -> Option<Request<Full<Bytes>>> {
        let body = br#"{"nik":"0000000000000000","email":"nobody@example.org","batch":1}"#;
        let mut request = Request::new(Full::new(Bytes::from_static(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri(&format!("/step/{}", call.step))?;
        let headers = request.headers_mut();
        headers.insert(ATTEMPT, HeaderValue::from(call.attempt));
        headers.insert(CLIENT, HeaderValue::from(call.client));
        if let Some(pass) = &call.pass.header {
            headers.insert(PASS, pass.clone());
        }
        if let Some(cookie) = &call.pass.cookie {
            headers.insert(COOKIE, cookie.clone());
        }
        if let Some(ticket) = call.ticket {
            headers.insert(TICKET, ticket.clone());
        }
        Some(request)
    }

    async fn sender(&self, lane: u32) -> Option<SendRequest<Full<Bytes>>> {
        let lane = self.lanes.get(lane as usize % self.lanes.len())?;
        let open = |sender: &SendRequest<_>| !sender.is_closed();
        let held = lane.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(open);
        if held.is_some() {
            return held;
        }
        let fresh = dial(self.target).await.ok()?;
        *lane.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
        Some(fresh)
    }
}

impl Pass {
    /// What `fields` of an answer bring.
    fn of(fields: &HeaderMap) -> Self {
        let cookies = fields.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
        let cookie = cookies.rev().find(|cookie| cookie.starts_with(PASS_COOKIE));
        let pair = cookie.and_then(|cookie| HeaderValue::from_str(cookie.split(';').next()?).ok());
        Self { header: fields.get(PASS).cloned(), cookie: pair }
    }

    /// With what `newer` has brought.
    pub fn update(&mut self, newer: Self) {
        self.header = newer.header.or_else(|| self.header.take());
        self.cookie = newer.cookie.or_else(|| self.cookie.take());
    }
}

async fn dial(target: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_max_send_streams(STREAMS)
        .max_concurrent_reset_streams(STREAMS)
        .handshake(TokioIo::new(stream))
        .await?;
    // Its end shows at the senders.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_kept_as_given_and_replaced_by_a_newer_one() {
        let mut fields = HeaderMap::new();
        fields.append(SET_COOKIE, HeaderValue::from_static("other=1"));
        fields.append(SET_COOKIE, HeaderValue::from_static("weir_pass=abc; HttpOnly; SameSite=Lax"));
        fields.insert(PASS, HeaderValue::from_static("abc"));
        let mut pass = Pass::of(&fields);
        let (header, cookie) = (HeaderValue::from_static("abc"), HeaderValue::from_static("weir_pass=abc"));
        assert_eq!(pass, Pass { header: Some(header), cookie: Some(cookie.clone()) });
        pass.update(Pass::of(&HeaderMap::new()));
        assert_eq!(pass.cookie, Some(cookie));
        pass.update(Pass { header: Some(HeaderValue::from_static("def")), cookie: None });
        assert_eq!(pass.header, Some(HeaderValue::from_static("def")));
    }
}
