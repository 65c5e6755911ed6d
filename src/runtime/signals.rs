//! Signals: SIGHUP reads the configuration again; the first SIGTERM or SIGINT drains, the second exits at once.

use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::RunError;
use super::reload::Reload;
use super::workers::Thread;
use crate::listener::Drain;

/// Exit code after a second signal: 128 + SIGINT, as a shell would report it.
const IMPATIENT: i32 = 130;

/// How often it is checked that the threads are alive.
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

    /// Follows the signals to the end of the workers; an error if a worker, or the `admin` thread, ended by itself: without it no limit moves
    /// and no server is checked.
    pub(super) fn supervise(
        self,
        drain: &Drain,
        threads: Vec<Thread>,
        admin: &JoinHandle<()>,
        reload: &Reload,
    ) -> Result<(), RunError> {
        let Self { runtime, mut terminate, mut interrupt, mut hangup } = self;
        let mut verdict = Ok(());
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
                    _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
                    () = any_ended(&threads) => tracing::error!("a worker ended by itself: draining"),
                    () = ended(admin) => {
                        tracing::error!("the admin thread ended by itself: draining");
                        verdict = Err(RunError::Chores);
                    }
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
        verdict?;
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

async fn ended(thread: &JoinHandle<()>) {
    while !thread.is_finished() {
        tokio::time::sleep(LOOK).await;
    }
}

async fn all_ended(threads: &[Thread]) {
    while !threads.iter().all(Thread::is_finished) {
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::super::descriptors::Descriptors;
    use super::super::presented::Presented;
    use super::*;
    use crate::admin::Admin;
    use crate::clock::Clock;
    use crate::config;
    use crate::listener;
    use crate::proxy::gateway::Gateway;
    use crate::telemetry::{AccessLog, Registry};

    const FILE: &str = "[[listener]]\naddress = \"127.0.0.1:1\"\n[[upstream]]\nname = \"u\"\nservers = [\"127.0.0.1:1\"]\n\
                        [[route]]\npath = \"/*\"\nupstream = \"u\"\n[log]\naccess = \"off\"\n";

    #[test]
    fn a_chore_that_panics_ends_the_process() {
        let plan = config::parse(FILE, Path::new("weir.toml")).unwrap().plan;
        let registry = Registry::new();
        let access_log = AccessLog::open(&plan.log.access).unwrap();
        let gateway = Gateway::new(plan, Clock::machine(), access_log, &registry).unwrap();
        let descriptors = Descriptors::raise(std::num::NonZeroUsize::MIN);
        let reload = Reload::new(PathBuf::new(), &gateway, &Presented::by(&[], &[]), descriptors, &registry);
        let (drain, draining) = listener::drain();
        let ready = super::super::ready(draining.clone());
        let worker = std::thread::spawn(move || {
            Builder::new_current_thread().build()?.block_on(draining.begun());
            Ok(())
        });
        let signals = Signals::watch().unwrap();
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        let operators: super::super::Operators = Admin { registry, ready, gateway: Some(Arc::clone(&gateway)) };
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let admin = super::super::start_admin(socket, operators, stopped, async { panic!("a chore") }).unwrap();
        let ended = signals.supervise(&drain, vec![worker], &admin, &reload);
        assert!(matches!(ended, Err(RunError::Chores)), "{ended:?}");
        assert!(admin.join().is_err());
    }
}
