//! One attempt of one person: a connection of their own, `POST /register`, the answer, and away.
//!
//! **Invariants**: dropping the future closes the connection, which is what an impatient person does. Nothing read is held
//! beyond [`ANSWER_SIZE`].
//! **Cost**: one socket and about 20 KiB while it waits.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use http::uri::Authority;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

use super::answer::{Answer, retry_after};
use crate::origin::server::{ATTEMPT, IDEMPOTENCY_KEY};

/// Longest answer read; a waiting room's page is far below.
const ANSWER_SIZE: usize = 256 * 1024;

/// hyper's smallest read buffer: a person reads one small answer.
const READ_BUFFER: usize = 8 * 1024;

/// Where people go.
#[derive(Clone, Debug)]
pub struct Target {
    address: SocketAddr,
    host: HeaderValue,
    own_addresses: bool,
}

impl Target {
    /// Resolves `authority`.
    ///
    /// On the loopback every person gets a source address of their own out of 127/8 where the machine lets us: people at
    /// home have one too, a gateway's limits per address see what they would see, and ports do not run out.
    pub async fn resolve(authority: &Authority) -> anyhow::Result<Self> {
        let port = authority.port_u16().unwrap_or(80);
        let name = authority.host().trim_matches(['[', ']']).to_owned();
        let found = tokio::net::lookup_host((name, port)).await;
        let address = found.with_context(|| format!("cannot resolve {authority}"))?.next();
        let address = address.with_context(|| format!("{authority} resolves to nothing"))?;
        let own_addresses = address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) && bind(source(0)).is_ok();
        Ok(Self { address, host: HeaderValue::from_str(authority.as_str())?, own_addresses })
    }

    /// The address people connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn connect(&self, person: u32) -> io::Result<TcpStream> {
        let socket = match self.address {
            SocketAddr::V4(_) if self.own_addresses => bind(source(person))?,
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_nodelay(true)?;
        socket.connect(self.address).await
    }

    fn request(&self, key: &HeaderValue, attempt: u32) -> Request<Full<Bytes>> {
        // NIK and e-mail of nobody: the shape and size of a sign-up.
        let body = br#"{"nik":"0000000000000000","email":"nobody@example.org","batch":1}"#;
        let mut request = Request::new(Full::new(Bytes::from_static(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/register");
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(IDEMPOTENCY_KEY, key.clone());
        headers.insert(ATTEMPT, HeaderValue::from(attempt));
        request
    }
}

/// A socket bound to `address` and any port.
fn bind(address: Ipv4Addr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((address, 0)))?;
    Ok(socket)
}

/// 127.1.0.1 and upwards, one address a person; they repeat after 16,000,000.
fn source(person: u32) -> Ipv4Addr {
    const FIRST: u32 = u32::from_be_bytes([127, 1, 0, 1]);
    Ipv4Addr::from(FIRST + person % 16_000_000)
}

/// Sends one sign-up and reads the whole answer. Never [`Answer::Silence`]: how long to wait is the caller's affair.
pub async fn attempt(target: &Target, person: u32, key: &HeaderValue, number: u32) -> Answer {
    let stream = match target.connect(person).await {
        Ok(stream) => stream,
        Err(error) => return unreachable_target(&error),
    };
    match exchange(stream, target.request(key, number)).await {
        Ok(response) => {
            let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = wait.and_then(|value| retry_after(value, SystemTime::now()));
            Answer::Response { status: response.status(), retry_after }
        }
        Err(_) => Answer::Disconnected,
    }
}

/// `EMFILE`, `ENFILE` and `EADDRNOTAVAIL`, `EADDRINUSE` are this machine's shortage; anything else is the target's answer.
fn unreachable_target(error: &io::Error) -> Answer {
    let descriptors = matches!(error.raw_os_error(), Some(23 | 24));
    let addresses = matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse);
    if descriptors || addresses { Answer::HarnessTrouble } else { Answer::Disconnected }
}

async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> anyhow::Result<Response<()>> {
    let handshake = http1::Builder::new().max_buf_size(READ_BUFFER).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await?;
    let mut connection = std::pin::pin!(connection);
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        read_away(body).await?;
        Ok(Response::from_parts(head, ()))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The connection ended: what it delivered before is still to be read.
        ended = &mut connection => { ended?; answer.await }
    }
}

/// Reads an answer to its end and keeps nothing of it; at most 256 KiB.
pub(crate) async fn read_away(mut body: Incoming) -> anyhow::Result<()> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
        if length > ANSWER_SIZE {
            bail!("an answer of more than 256 KiB");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_an_address() {
        assert_eq!(source(0), Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!(source(28_499), Ipv4Addr::new(127, 1, 111, 84));
        assert!(source(u32::MAX).is_loopback() && source(15_999_999).is_loopback());
    }

    #[test]
    fn shortage_here_is_not_the_targets_fault() {
        for code in [23, 24, 98, 99] {
            assert_eq!(unreachable_target(&io::Error::from_raw_os_error(code)), Answer::HarnessTrouble);
        }
        assert_eq!(unreachable_target(&io::ErrorKind::ConnectionRefused.into()), Answer::Disconnected);
    }

    #[tokio::test]
    async fn targets_resolve() {
        let target = Target::resolve(&Authority::from_static("127.0.0.1:8080")).await.expect("a target");
        assert_eq!(target.address(), SocketAddr::from(([127, 0, 0, 1], 8080)));
        let target = Target::resolve(&Authority::from_static("[::1]:8080")).await.expect("a target");
        assert_eq!(target.address(), SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 8080)));
    }
}
