//! `loadtest origin`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{Service, Verdict};
use crate::origin::{Origin, service::Bounds};
use crate::{descriptors, origin};

/// Descriptors kept for the listener, the ledger and the runtime.
const SPARE_DESCRIPTORS: usize = 64;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where to listen: HTTP/1.1, and HTTP/2 with prior knowledge
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    #[command(flatten)]
    service: Service,
    /// Recognise a key that is known instead of signing the person up again
    #[arg(long)]
    idempotent: bool,
    /// Append one JSON object for each completed request to this file
    #[arg(long, value_name = "PATH")]
    ledger: Option<PathBuf>,
    /// Seed of the work each request needs (uniform, 0.5 to 1.5 of the mean)
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Refuse with 503 beyond this many requests in flight (about 300 bytes each)
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    max_in_flight: usize,
    /// Refuse with 503 beyond this many distinct keys (about 100 bytes each)
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    max_keys: usize,
}

pub(super) fn command(options: Options) -> anyhow::Result<Verdict> {
    let origin = Origin {
        listen: options.listen,
        curve: options.service.curve(),
        bounds: Bounds { in_flight: options.max_in_flight, keys: options.max_keys },
        max_connections: descriptors::raise().saturating_sub(SPARE_DESCRIPTORS).max(1),
        seed: options.seed,
        idempotent: options.idempotent,
        ledger: options.ledger,
    };
    let ready = |address| eprintln!("registration service on http://{address}, account at /ledger/summary");
    let stop = async {
        if let Err(error) = super::interrupted().await {
            eprintln!("loadtest: cannot listen for signals: {error}");
        }
    };
    let account = super::runtime()?.block_on(origin::run(origin, ready, stop))?;
    println!("{}", serde_json::to_string_pretty(&account)?);
    Ok(Verdict::Passed)
}
