//! weir as a scenario needs it: its configuration, and what it says of its limit while it runs.
//!
//! **Invariants**: it is told nothing about the capacity, unless a fixed concurrency is asked for. What it says of itself is
//! used for two comparisons only: its limit against the service's own count, its prediction against the wait that came.
//! **Cost**: the sampler asks for `/v1/capacity` 200 times a second over one connection, some per cent of a core.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::scenario::Scenario;
use crate::clock::Clock;
use crate::fetch;

/// What an upstream's `concurrency` is when nothing else is asked for: the capacity is weir's to find.
pub const CONCURRENCY: &str = "\"adaptive\"";

/// Name of the only upstream.
const UPSTREAM: &str = "service";

/// Name of the only waiting room,
pub(super) const ROOM: &str = "room";

/// ... where its key is,
const ROOM_KEY: &str = "room.key";

/// ... and where its places are.
const ROOM_STATE: &str = "room.state";

/// The client's name, for limits per client.
pub const CLIENT: &str = "loadtest-client";

/// Between two looks at the limit: weir sets it every 10 ms, and none of those shall be missed.
const LOOK: Duration = Duration::from_millis(5);

/// A connection is used for so long: weir ends those of its operators after five minutes.
const RENEWED: Duration = Duration::from_mins(1);

/// What weir said at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Between asking and reading.
    pub at: Duration,
    /// Permits there are, of all servers together.
    pub limit: f64,
    /// How long a newcomer would be held, in seconds.
    pub predicted: f64,
}

/// weir's configuration for `scenario` in front of `servers`.
#[must_use]
pub fn config(
    scenario: &Scenario,
    entrance: SocketAddr,
    admin: SocketAddr,
    servers: &[SocketAddr],
    concurrency: &str,
) -> String {
    let servers: Vec<_> = servers.iter().map(|server| format!("\"{server}\"")).collect();
    let mut text = format!(
        "[[listener]]\naddress = \"{entrance}\"\n\n[admin]\naddress = \"{admin}\"\n\n\
         [clients]\nhttp2_streams = 16384\n\n\
         [[upstream]]\nname = \"{UPSTREAM}\"\nservers = [{}]\nconcurrency = {concurrency}\n\n[log]\naccess = \"off\"\n",
        servers.join(", ")
    );
    let mut line = |written: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        writeln!(text, "{written}").ok();
    };
    let limit = scenario.gateway.per_client;
    if let Some(limit) = limit {
        line(format_args!("\n[[client_limit]]\nname = \"per-client\"\nkey = \"header:{CLIENT}\""));
        line(format_args!("concurrency = {}\nwaiting = {}", limit.concurrency, limit.waiting));
    }
    if scenario.crowd.steps > 1 {
        line(format_args!("\n[pass]\nkey = \"file:pass.key\""));
    }
    if scenario.crowd.waits.is_some() {
        line(format_args!(
            "\n[[waiting_room]]\nname = \"{ROOM}\"\nkey = \"file:{ROOM_KEY}\"\nstate = \"{ROOM_STATE}\""
        ));
    }
    for step in 1..=scenario.crowd.steps {
        line(format_args!("\n[[route]]\npath = \"/step/{step}\"\nmethods = [\"POST\"]\nupstream = \"{UPSTREAM}\""));
        line(format_args!("queue = {{ wait = \"{:.0}ms\", length = 20000 }}", scenario.gateway.queue_wait * 1e3));
        if limit.is_some() {
            line(format_args!("client_limits = [\"per-client\"]"));
        }
        if scenario.crowd.waits.is_some() {
            line(format_args!("waiting_room = \"{ROOM}\""));
        }
        if step == 1 && scenario.crowd.steps > 1 {
            line(format_args!("grants_pass = true"));
        }
    }
    text
}

/// Writes `config` where weir will read it, and takes away what an earlier run left in its waiting room: the key as well, for a key
/// without a journal is a room that was lost.
pub fn write(config: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    for (left, removed) in [
        (ROOM_STATE, std::fs::remove_dir_all(folder.join(ROOM_STATE))),
        (ROOM_KEY, std::fs::remove_file(folder.join(ROOM_KEY))),
    ] {
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {left} from {}", folder.display()));
            }
            _ => {}
        }
    }
    let path = folder.join("weir.toml");
    std::fs::write(&path, config).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Asks the gateway at `admin` for its limit until dropped; every answer goes to `said`.
pub async fn watch(admin: SocketAddr, clock: Clock, said: &mut Vec<Said>) -> anyhow::Error {
    let hear = |asked: Duration, heard: Duration, text: &[u8]| {
        let (limit, predicted) = read(text)?;
        said.push(Said { at: asked + heard.saturating_sub(asked) / 2, limit, predicted });
        Ok(())
    };
    poll(admin, clock, "/v1/capacity", LOOK, hear).await.context("the gateway's capacity cannot be read")
}

/// Asks the gateway at `admin` for `path` each `every` until dropped; `hear` is given when it was asked and when its answer was read.
pub(super) async fn poll(
    admin: SocketAddr,
    clock: Clock,
    path: &str,
    every: Duration,
    mut hear: impl FnMut(Duration, Duration, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Error {
    loop {
        if let Err(error) = look(admin, clock, path, every, &mut hear).await {
            return error;
        }
    }
}

/// Asks over one connection, until it is to be renewed.
async fn look(
    admin: SocketAddr,
    clock: Clock,
    path: &str,
    every: Duration,
    hear: &mut impl FnMut(Duration, Duration, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stream = TcpStream::connect(admin).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let renewed = clock.now() + RENEWED;
    let asks = async {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while clock.now() < renewed {
            ticks.tick().await;
            let asked = clock.now();
            let text = document(&mut sender, admin, path).await?;
            hear(asked, clock.now(), &text)?;
        }
        Ok(())
    };
    tokio::select! {
        ended = asks => ended,
        ended = connection => { ended?; bail!("the gateway closed its admin connection") }
    }
}

async fn document(sender: &mut SendRequest<Empty<Bytes>>, admin: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
    let request = Request::get(path).header(header::HOST, admin.to_string()).body(Empty::new())?;
    let mut response = sender.send_request(request).await?;
    fetch::read(response.body_mut()).await
}

/// The limit of the service, and how long a newcomer would be held.
fn read(text: &[u8]) -> anyhow::Result<(f64, f64)> {
    let document: serde_json::Value = serde_json::from_slice(text)?;
    let upstreams = document["upstreams"].as_array().context("there are no upstreams")?;
    let service = upstreams.iter().find(|upstream| upstream["name"] == UPSTREAM).context("the service is missing")?;
    let limit = service["limit"].as_f64().context("the limit is missing")?;
    Ok((limit, service["predicted_wait_seconds"].as_f64().unwrap_or(f64::NAN)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::catalogue;

    #[test]
    fn the_limit_of_the_service_is_found() {
        let text =
            br#"{"upstreams":[{"name":"other","limit":9},{"name":"service","limit":64,"predicted_wait_seconds":1.5}]}"#;
        assert_eq!(read(text).expect("it is there"), (64.0, 1.5));
        assert!(read(br#"{"upstreams":[]}"#).is_err() && read(b"").is_err());
    }

    #[test]
    fn every_step_of_a_funnel_has_its_route() {
        let funnel = catalogue::all().into_iter().find(|scenario| scenario.name == "funnel").expect("the funnel");
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let text = config(&funnel, address, address, &[address], CONCURRENCY);
        assert_eq!(text.matches("[[route]]").count(), 5, "{text}");
        assert!(text.contains("queue = { wait = \"4000ms\", length = 20000 }"), "{text}");
    }
}
