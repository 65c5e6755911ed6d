//! `loadtest services` and `loadtest faults`: processes of a run, started by its coordinator.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;

use super::Verdict;
use crate::clock::Clock;
use crate::coordinator::plan::RunPlan;
use crate::faults::{self, Proxied};
use crate::ledger::Folder;
use crate::scenario::{self, Scenario};
use crate::services;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The run's folder, with its plan and scenario
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Options {
    fn read(&self) -> anyhow::Result<(Folder, RunPlan, Scenario)> {
        let folder = Folder::new(&self.folder);
        let plan = RunPlan::read(&folder)?;
        let scenario = scenario::read_copy(&folder.scenario(), &plan.name).map_err(|report| anyhow!("{report}"))?;
        let scenario = scenario::scaled(scenario, plan.time_scale);
        Ok((folder, plan, scenario))
    }
}

pub(super) fn serve(options: &Options) -> anyhow::Result<Verdict> {
    let (folder, plan, scenario) = options.read()?;
    let clock = Clock::since(plan.start_ns);
    let served = services::serve(&scenario, &plan.services, clock, plan.seed, &folder, stopped());
    super::runtime()?.block_on(served).context("the services")?;
    Ok(Verdict::Passed)
}

pub(super) fn relay(options: &Options) -> anyhow::Result<Verdict> {
    let (_, plan, scenario) = options.read()?;
    let (proxied, clock) = (Proxied::of(&plan), Clock::since(plan.start_ns));
    let relayed = faults::relay(&proxied, &scenario.faults, clock, plan.seed, stopped());
    super::runtime()?.block_on(relayed).context("the fault proxy")?;
    Ok(Verdict::Passed)
}

async fn stopped() {
    if let Err(error) = super::interrupted().await {
        eprintln!("loadtest: cannot listen for signals: {error}");
    }
}
