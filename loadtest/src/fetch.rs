//! One small GET, for readiness and the service's account.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longest answer read.
const SIZE: usize = 1 << 20;

/// Longest wait for the whole answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches `http://host:port/path` over a connection of its own.
pub async fn get(url: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    tokio::time::timeout(TIMEOUT, fetch(url)).await.with_context(|| format!("no answer from {url}"))?
}

async fn fetch(url: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
    let authority = uri.authority().with_context(|| format!("{url} has no host"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(header::HOST, authority.as_str()).body(Empty::<Bytes>::new())?;
    let answer = async {
        let mut response = sender.send_request(request).await?;
        let text = read(response.body_mut()).await.with_context(|| format!("from {url}"))?;
        Ok((response.status(), text))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = connection => { ended?; answer.await }
    }
}

/// The whole of a small answer.
pub async fn read(body: &mut Incoming) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(frame?.data_ref().map_or(&[], |data| data));
        if text.len() > SIZE {
            bail!("an answer of more than 1 MiB");
        }
    }
    Ok(text)
}
