//! `loadtest people`: a worker of a run, started by `loadtest run`.

use std::path::PathBuf;

use clap::Args;

use super::Verdict;
use crate::coordinator::parts;
use crate::coordinator::plan::RunPlan;
use crate::descriptors;
use crate::ledger::Folder;
use crate::people::slice::Share;
use crate::people::{Assignment, play};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The run's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Which worker of how many, such as 0/2
    #[arg(long, value_name = "I/N", value_parser = share)]
    worker: Share,
}

pub(super) fn command(options: &Options) -> anyhow::Result<Verdict> {
    let folder = Folder::new(&options.folder);
    let plan = RunPlan::read(&folder)?;
    let scenario = parts::read_again(&folder, &plan)?;
    let (population, _) = parts::population(&scenario, plan.seed);
    let assignment = Assignment { scenario, plan, folder, share: options.worker, descriptors: descriptors::raise() };
    let stopped = async {
        // Without signals a worker ends with the run.
        if super::interrupted().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    super::runtime()?.block_on(play(assignment, &population, stopped, std::io::stdout()))?;
    Ok(Verdict::Passed)
}

fn share(text: &str) -> Result<Share, String> {
    let (worker, workers) = text.split_once('/').ok_or("such as 0/2")?;
    let number = |text: &str| text.parse::<usize>().map_err(|error| error.to_string());
    let share = Share { worker: number(worker)?, workers: number(workers)? };
    if share.worker < share.workers { Ok(share) } else { Err("workers count from 0".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_one_of_so_many() {
        assert_eq!(share("1/2"), Ok(Share { worker: 1, workers: 2 }));
        for wrong in ["", "1", "2/2", "a/2", "0/0", "-1/2"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
