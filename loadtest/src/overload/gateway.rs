//! weir as a scenario needs it: its configuration, and what it says of its limit while it runs.
//!
//! **Invariants**: it is told nothing about the capacity, unless a fixed concurrency is asked for. What it says of itself is
//! used for two comparisons only: its limit against the service's own count, its prediction against the wait that came.
//! **Cost**: the sampler asks for `/metrics` 50 times a second over one connection, about 1 % of a core.

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

/// The client's name, for limits per client.
pub const CLIENT: &str = "loadtest-client";

/// Between two looks at the limit: below the shortest phase of any law worth the name.
const LOOK: Duration = Duration::from_millis(20);

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
    for step in 1..=scenario.crowd.steps {
        line(format_args!("\n[[route]]\npath = \"/step/{step}\"\nmethods = [\"POST\"]\nupstream = \"{UPSTREAM}\""));
        line(format_args!("queue = {{ wait = \"{:.0}ms\", length = 20000 }}", scenario.gateway.queue_wait * 1e3));
        if limit.is_some() {
            line(format_args!("client_limits = [\"per-client\"]"));
        }
        if step == 1 && scenario.crowd.steps > 1 {
            line(format_args!("grants_pass = true"));
        }
    }
    text
}

/// Writes `config` where weir will read it.
pub fn write(config: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("weir.toml");
    std::fs::write(&path, config).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Asks the gateway at `admin` for its limit until dropped; every answer goes to `said`.
pub async fn watch(admin: SocketAddr, clock: Clock, said: &mut Vec<Said>) -> anyhow::Error {
    match look(admin, clock, said).await {
        Ok(never) => never,
        Err(error) => error.context("the gateway's metrics cannot be read"),
    }
}

async fn look(admin: SocketAddr, clock: Clock, said: &mut Vec<Said>) -> anyhow::Result<anyhow::Error> {
    let stream = TcpStream::connect(admin).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let asks = async {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let asked = clock.now();
            let text = metrics(&mut sender, admin).await?;
            let at = asked + clock.now().saturating_sub(asked) / 2;
            said.push(Said {
                at,
                limit: sum(&text, "weir_limit").context("weir_limit is missing")?,
                predicted: sum(&text, "weir_predicted_wait_seconds").unwrap_or(f64::NAN),
            });
        }
    };
    tokio::select! {
        ended = asks => ended,
        ended = connection => { ended?; bail!("the gateway closed its admin connection") }
    }
}

async fn metrics(sender: &mut SendRequest<Empty<Bytes>>, admin: SocketAddr) -> anyhow::Result<String> {
    let request = Request::get("/metrics").header(header::HOST, admin.to_string()).body(Empty::new())?;
    let mut response = sender.send_request(request).await?;
    Ok(String::from_utf8(fetch::read(response.body_mut()).await?)?)
}

/// The sum over all series of one upstream gauge.
fn sum(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        labels.contains(&format!("upstream=\"{UPSTREAM}\"")).then(|| value.parse::<f64>().ok())?
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::catalogue;

    #[test]
    fn gauges_are_summed_over_their_series() {
        let text = "# TYPE weir_limit gauge\nweir_limit{upstream=\"service\"} 64\nweir_limit_low{upstream=\"service\"} 1\n\
                    weir_limit{server=\"a\",upstream=\"service\"} 2.5\nweir_limit{upstream=\"other\"} 9\n";
        assert_eq!(sum(text, "weir_limit"), Some(66.5));
        assert_eq!(sum(text, "weir_queued"), None);
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
