//! The programs a demonstration starts, which never outlive it.
//!
//! **Invariants**: a child is killed when its [`Program`] is dropped; first it is asked (SIGTERM) and given
//! [`GRACE`]. What it prints goes to a file whose end is shown when it dies early.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use http::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::fetch;

/// Time to become ready.
const READY: Duration = Duration::from_secs(10);

/// Time to finish after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// Between two looks at readiness.
const LOOK: Duration = Duration::from_millis(50);

/// Lines of a dead child's log worth showing.
const LAST_LINES: usize = 12;

/// A running child.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `program` with `arguments`; its output goes to `folder/NAME.log`.
    pub fn start(program: &Path, arguments: &[String], name: &str, folder: &Path) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { name: name.into(), child, log })
    }

    /// Waits until `url` answers 200.
    pub async fn ready(&mut self, url: &str) -> anyhow::Result<()> {
        let look = async {
            while !matches!(fetch::get(url).await, Ok((StatusCode::OK, _))) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            looked = tokio::time::timeout(READY, look) => {
                looked.with_context(|| format!("{} is not ready: {url} has not answered 200 in 10 s{}", self.name, self.last_words()))
            }
            status = self.child.wait() => bail!("{} ended at once: {}{}", self.name, status?, self.last_words()),
        }
    }

    /// Ready when the child ends by itself, which during a run it must not.
    pub async fn ended(&mut self) -> anyhow::Error {
        let status = self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        anyhow::anyhow!("{} ended during the run: {status}{}", self.name, self.last_words())
    }

    /// Asks it to finish, and kills it when it does not.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)?;
        }
        if tokio::time::timeout(GRACE, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<_> = text.lines().rev().take(LAST_LINES).collect();
        lines.iter().rev().fold(String::new(), |words, line| words + "\n    " + line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_that_dies_early_is_quoted() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let arguments = ["-c".to_owned(), "echo wrong key; exit 78".to_owned()];
        let mut program = Program::start(Path::new("/bin/sh"), &arguments, "gateway", folder.path()).expect("sh");
        let error = program.ready("http://127.0.0.1:1/readyz").await.expect_err("dead").to_string();
        assert!(error.contains("78") && error.contains("wrong key"), "{error}");
    }

    #[tokio::test]
    async fn a_dropped_child_is_killed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let program =
            Program::start(Path::new("/bin/sleep"), &["60".to_owned()], "sleeper", folder.path()).expect("sleep");
        let pid = Pid::from_raw(i32::try_from(program.child.id().expect("running")).expect("a pid")).expect("a pid");
        drop(program);
        for _ in 0..100 {
            if rustix::process::test_kill_process(pid).is_err() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("still there");
    }
}
