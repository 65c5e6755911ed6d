//! A run: the processes of a scenario, from the first port to the last ledger.
//!
//! **Invariants**: no child outlives the run, however it ends: children are ended in order when all is well (people, gateway, services, so that what is on its way
//! still arrives), killed and waited for when it is not, and killed by the kernel if this process dies. A folder holds one run.
//! **Cost**: some per cent of a core, for looking at the gateway ten times a second and at `/proc` once.
//! **Not here**: what people do (`people`), what services do (`services`), judgement (`oracle`).

pub mod certificate;
pub mod child;
pub mod deeds;
pub mod display;
pub mod foreign;
pub mod gateway;
pub mod parts;
pub mod plan;
pub mod prepare;
pub mod product;
pub mod recall;
pub mod resources;
pub mod said;

mod cast;

use std::path::PathBuf;
use std::time::Duration;

use self::cast::Cast;
use self::prepare::Prepared;
use self::product::Front;
use crate::ledger::Folder;
use crate::people::progress::Progress;

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The scenario's file.
    pub scenario: PathBuf,
    /// The gateway; none: people go straight to the services.
    pub gateway: Option<Front>,
    /// Instead of the scenario's seed.
    pub seed: Option<u64>,
    /// Processes that play people; none: as many as they need.
    pub workers: Option<usize>,
    /// The day is so many times as short.
    pub time_scale: f64,
    /// The run's folder; it may have no run yet.
    pub folder: PathBuf,
    /// Time to start everything in, before the first person can come.
    pub lead: Duration,
    /// This program.
    pub harness: PathBuf,
    /// Descriptors a process may have.
    pub descriptors: usize,
}

/// What a run has shown.
#[derive(Clone, Debug)]
pub enum Shown {
    /// It was played to its end; what is to be said of it is in its ledgers.
    Played,
    /// The gateway's process ended when nobody had asked it to: the worst that can be, and reason enough.
    Died(String),
}

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What it has shown.
    pub shown: Shown,
    /// Where its people came to.
    pub progress: Progress,
    /// Where it is written down.
    pub folder: Folder,
}

/// Makes the run that has been `prepared`, unless `interrupted`.
///
/// # Errors
/// It could not be made, or was interrupted; no process of it is left.
pub async fn run(
    settings: &Settings,
    prepared: Prepared,
    interrupted: impl Future<Output = std::io::Result<()>>,
) -> anyhow::Result<Ended> {
    let folder = prepared.folder.clone();
    let mut cast = Cast::new(settings, prepared);
    let played = tokio::select! {
        played = cast.play() => played,
        interrupted = interrupted => Err(interrupted.map_or_else(Into::into, |()| anyhow::anyhow!("interrupted"))),
    };
    let progress = match played {
        Ok(progress) => progress,
        Err(error) => {
            cast.kill().await;
            return match error.downcast::<gateway::Died>() {
                Ok(died) => {
                    died.note(&folder)?;
                    let (shown, progress) = (Shown::Died(died.to_string()), cast.progress());
                    Ok(Ended { shown, progress, folder })
                }
                Err(error) => Err(error),
            };
        }
    };
    Ok(Ended { shown: Shown::Played, progress, folder })
}
