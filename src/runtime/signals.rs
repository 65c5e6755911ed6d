//! Signals: the first drains, the second exits at once.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::RunError;
use super::workers::Thread;
use crate::listener::Drain;

/// Exit code after a second signal: 128 + SIGINT, as a shell would report it.
const IMPATIENT: i32 = 130;

/// How often it is checked that the workers are alive.
const LOOK: Duration = Duration::from_millis(50);

/// Waits for a signal and then for the workers; an error if a worker ended by itself.
pub(super) fn supervise(drain: &Drain, threads: Vec<Thread>) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Thread)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Thread)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Thread)?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
            _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
            () = any_ended(&threads) => tracing::error!("a worker ended by itself: draining"),
        }
        drain.begin();
        tokio::select! {
            () = all_ended(&threads) => {}
            _ = terminate.recv() => exit_at_once(),
            _ = interrupt.recv() => exit_at_once(),
        }
        Ok::<_, RunError>(())
    })?;
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
