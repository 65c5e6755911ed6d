//! The ledgers of a simulated run as files, to be checked, traced and compared as those of any run.
//!
//! **Invariants**: nothing of the machine and of the time of day is in them: two runs of one seed write the same bytes.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Context;

use super::setup::{self, Configured};
use crate::coordinator::plan::{Entrance, Machine, Program, RunPlan};
use crate::coordinator::product::Product;
use crate::ledger::{Encoding, Folder, Said, Writer};
use crate::oracle::Ledgers;
use crate::scenario::Scenario;

/// What a run was made of.
#[derive(Clone, Debug)]
pub struct Kept<'a> {
    /// The scenario's file.
    pub scenario: &'a Path,
    /// Of every draw.
    pub seed: u64,
    /// The day is so many times as short.
    pub time_scale: f64,
    /// Fingerprint of the people.
    pub plan_hash: String,
}

/// Writes `ledgers` into `folder`, and what is needed to judge them.
///
/// # Errors
/// Something cannot be written.
pub fn write(
    folder: &Folder,
    scenario: &Scenario,
    kept: &Kept<'_>,
    configured: &Configured,
    ledgers: &Ledgers,
) -> anyhow::Result<()> {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let servers = |(index, service): (usize, &crate::scenario::Service)| {
        (0..service.servers.saturating_add(service.reserve)).map(|server| setup::address(index, server)).collect()
    };
    let plan = RunPlan {
        name: scenario.name.clone(),
        scenario: kept.scenario.to_owned(),
        seed: kept.seed,
        time_scale: kept.time_scale,
        start_ns: 0,
        workers: 1,
        product: Product::Weir,
        entrance: Some(Entrance { address: nowhere, tls: scenario.gateway.tls }),
        admin: None,
        services: scenario.services.iter().enumerate().map(servers).collect(),
        proxied: None,
        gateway: Some(Program { path: "weir, in virtual time".into(), arguments: Vec::new() }),
        plan_hash: kept.plan_hash.clone(),
        machine: Machine::default(),
        versions: BTreeMap::from([("loadtest".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
    };
    plan.write(folder)?;
    std::fs::copy(kept.scenario, folder.scenario()).context("the scenario cannot be copied")?;
    std::fs::write(folder.gateway(), configured.text(scenario, &setup::initial(scenario))?)?;
    records(&folder.told(0), ledgers.told.iter())?;
    records(&folder.served(), ledgers.served.iter().copied())?;
    records(&folder.samples(), ledgers.samples.iter().copied())?;
    said(&folder.said(), &ledgers.said)
}

fn records<R: Encoding>(path: &Path, records: impl Iterator<Item = R>) -> anyhow::Result<()> {
    let mut writer = Writer::open(path)?;
    for record in records {
        writer.append(&record)?;
    }
    Ok(writer.flush()?)
}

fn said(path: &Path, said: &[Said]) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    for line in said {
        writeln!(out, "{}", serde_json::to_string(line)?)?;
    }
    Ok(out.flush()?)
}
