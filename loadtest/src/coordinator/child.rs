//! A process of a run: started, signalled, and never left behind.
//!
//! **Invariants**: a child is killed when its [`Child`] is dropped, and by the kernel when the coordinator dies ([`guard`]); it has a process group of its
//! own, so that an interrupt on the terminal reaches the coordinator alone, which ends its children in order. Everything a child
//! prints goes to a file, but for what is asked for.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{
    Pid, Signal, getpgrp, getppid, kill_process, kill_process_group, set_parent_process_death_signal,
};
use tokio::process::{ChildStdout, Command};
use tokio::time::{sleep, timeout};

use super::plan::Program;

/// Time to finish after SIGTERM: longer than a gateway usually drains.
const GRACE: Duration = Duration::from_secs(45);

/// Between two looks at readiness.
const LOOK: Duration = Duration::from_millis(20);

/// Between two looks of a [`watch`].
const WATCH: Duration = Duration::from_millis(50);

/// Lines of a dead child's log worth showing.
const LAST_LINES: usize = 12;

/// Where a child's standard output goes.
#[derive(Clone, Debug)]
pub enum Output {
    /// Where its standard error goes.
    Log,
    /// Into this file, behind what is there.
    File(PathBuf),
    /// To the coordinator.
    Pipe,
}

/// A running process.
#[derive(Debug)]
pub struct Child {
    /// How reports call it.
    pub name: String,
    process: tokio::process::Child,
    log: PathBuf,
    forks: bool,
}

impl Child {
    /// Starts `program` by the guard of `harness`, this program; its standard error goes to `NAME.log` in `folder`, behind what is there.
    ///
    /// # Errors
    /// It cannot be started, or its log not be written.
    pub fn start(
        harness: &Path,
        program: &Program,
        name: &str,
        folder: &Path,
        output: &Output,
    ) -> anyhow::Result<Self> {
        Self::start_one(harness, program, name, folder, output, false)
    }

    /// The same of a program that may fork: those processes do not outlive it either.
    ///
    /// # Errors
    /// Those of [`Child::start`].
    pub fn start_one(
        harness: &Path,
        program: &Program,
        name: &str,
        folder: &Path,
        output: &Output,
        forks: bool,
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let errors = append(&log)?;
        let output = match output {
            Output::Log => errors.try_clone()?.into(),
            Output::File(path) => append(path)?.into(),
            Output::Pipe => Stdio::piped(),
        };
        let process = Command::new(harness)
            .arg("guard")
            .args(forks.then_some("--forks"))
            .arg(std::process::id().to_string())
            .arg(&program.path)
            .args(&program.arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.path.display()))?;
        Ok(Self { name: name.into(), process, log, forks })
    }

    /// What it prints, if that is asked for; once.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Its number; none when it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.process.id()?).ok()?)
    }

    /// Waits until `looked` says that it is ready; fails if it ends before, or after `patience`.
    ///
    /// # Errors
    /// With its last words.
    pub async fn ready<F: Future<Output = bool>>(
        &mut self,
        patience: Duration,
        looked: impl Fn() -> F,
    ) -> anyhow::Result<()> {
        let look = async {
            while !looked().await {
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            ready = timeout(patience, look) => ready
                .with_context(|| format!("{} is not ready after {} s{}", self.name, patience.as_secs(), last_words(&self.log))),
            status = self.process.wait() => bail!("{} ended at once: {}{}", self.name, status?, last_words(&self.log)),
        }
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// That it ended as `status` says, and its last words.
    #[must_use]
    pub fn obituary(&self, status: ExitStatus) -> String {
        format!("{} ended: {status}{}", self.name, last_words(&self.log))
    }

    /// Sends `signal`, if it still runs.
    ///
    /// # Errors
    /// It may not be signalled.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.pid().map_or(Ok(()), |pid| kill_process(pid, signal).map_err(Into::into))
    }

    /// Asks it to finish, kills it when it does not, and waits for its end.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn stop(self) -> io::Result<ExitStatus> {
        self.stop_by(Signal::TERM).await
    }

    /// The same, asked by `signal`.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn stop_by(mut self, signal: Signal) -> io::Result<ExitStatus> {
        self.signal(signal)?;
        // A stopped process would hear of it only later.
        self.signal(Signal::CONT)?;
        match timeout(GRACE, self.process.wait()).await {
            Ok(ended) => ended,
            Err(_) => self.kill().await,
        }
    }

    /// Kills it and waits for its end.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn kill(mut self) -> io::Result<ExitStatus> {
        match self.pid().filter(|_| self.forks) {
            Some(group) => kill_process_group(group, Signal::KILL)?,
            None => self.process.start_kill()?,
        }
        self.process.wait().await
    }
}

/// Becomes `program`, which the kernel kills when `parent` dies. For the command `loadtest guard PARENT PROGRAM ARGUMENTS`. Of a program that `forks`
/// the kernel kills only the first process: a [`watch`] takes the others.
///
/// # Errors
/// It cannot be started, or `parent` is dead already.
pub fn guard(parent: u32, program: &Program, forks: bool) -> anyhow::Result<Infallible> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("prctl")?;
    // It may have died before that.
    if getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs()) != Some(parent) {
        bail!("the coordinator has gone");
    }
    if forks {
        let harness = std::env::current_exe().context("cannot find this program")?;
        let own = std::process::id().to_string();
        std::process::Command::new(harness).args(["watch", &own]).spawn().context("cannot watch it")?;
    }
    let error = std::process::Command::new(&program.path).args(&program.arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", program.path.display()))
}

/// Waits until `first`, which started this process, is dead, and kills the process group of both. For the command `loadtest watch PID`.
///
/// # Errors
/// It cannot be killed.
pub fn watch(first: u32) -> io::Result<()> {
    while getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs()) == Some(first) {
        std::thread::park_timeout(WATCH);
    }
    Ok(kill_process_group(getpgrp(), Signal::KILL)?)
}

fn append(path: &Path) -> anyhow::Result<File> {
    let file = File::options().create(true).append(true).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

fn last_words(log: &Path) -> String {
    let log = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&log);
    let lines: Vec<_> = text.lines().rev().take(LAST_LINES).collect();
    lines.iter().rev().fold(String::new(), |words, line| words + "\n    " + line)
}
