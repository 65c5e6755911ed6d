//! Signals: SIGHUP reads the configuration again; the first SIGTERM or SIGINT drains, the second exits at once.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::RunError;
use super::reload::Reload;
use super::workers::Thread;
use crate::listener::Drain;

/// Exit code after a second signal: 128 + SIGINT, as a shell would report it.
const IMPATIENT: i32 = 130;

/// How often it is checked that the workers are alive.
const LOOK: Duration = Duration::from_millis(50);

/// The signals of the process, and the runtime that waits for them.
#[derive(Debug)]
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on no signal of these does what the kernel would do: SIGHUP would end the process.
    pub(super) fn watch() -> Result<Self, RunError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(RunError::Thread)?;
        let entered = runtime.enter();
        let watch = |kind| signal(kind).map_err(RunError::Thread);
        let (terminate, interrupt) = (watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?);
        let hangup = watch(SignalKind::hangup())?;
        drop(entered);
        Ok(Self { runtime, terminate, interrupt, hangup })
    }

    /// Follows the signals to the end of the workers; an error if a worker ended by itself.
    pub(super) fn supervise(self, drain: &Drain, threads: Vec<Thread>, reload: &Reload) -> Result<(), RunError> {
        let Self { runtime, mut terminate, mut interrupt, mut hangup } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
                    _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
                    () = any_ended(&threads) => tracing::error!("a worker ended by itself: draining"),
                    _ = hangup.recv() => {
                        reload.run();
                        continue;
                    }
                }
                break;
            }
            drain.begin();
            tokio::select! {
                () = all_ended(&threads) => {}
                _ = terminate.recv() => exit_at_once(),
                _ = interrupt.recv() => exit_at_once(),
            }
        });
        threads.into_iter().enumerate().try_for_each(|(number, thread)| match thread.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::error!(number, %error, "worker failed");
                Err(RunError::Worker(number))
            }
            Err(_) => Err(RunError::Worker(number)),
        })?;
        tracing::info!("drained");
        Ok(())
    }
}

fn exit_at_once() {
    tracing::warn!("second signal: exiting at once");
    std::process::exit(IMPATIENT);
}

async fn any_ended(threads: &[Thread]) {
    while !threads.iter().any(Thread::is_finished) {
        tokio::time::sleep(LOOK).await;
    }
}

async fn all_ended(threads: &[Thread]) {
    while !threads.iter().all(Thread::is_finished) {
        tokio::time::sleep(LOOK).await;
    }
}
