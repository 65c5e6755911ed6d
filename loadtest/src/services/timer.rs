//! A timer inside the runtime that is exact to some tens of microseconds: the runtime's own rounds up to a millisecond, which would waste
//! 1 % of a service whose requests take 100 ms.
//!
//! **Cost**: a system call to set it, and one a firing.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timer for one waiting task, which others may set.
#[derive(Debug)]
pub struct Timer {
    fd: AsyncFd<OwnedFd>,
}

/// What sets a timer of no length off; zero would disarm it.
const AT_ONCE: Duration = Duration::from_nanos(1);

impl Timer {
    /// A timer that is not set; for inside a runtime.
    pub fn new() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; the descriptor is owned here and never exchanged, as that one demands"
        )]
        Ok(Self { fd: AsyncFd::new(fd)? })
    }

    /// It goes off once, `wait` from now, instead of whenever it was set for.
    pub fn set(&self, wait: Duration) -> io::Result<()> {
        let wait = wait.max(AT_ONCE);
        let it_value =
            Timespec { tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: wait.subsec_nanos().into() };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
        Ok(())
    }

    /// Ready when it has gone off.
    pub async fn wait(&self) -> io::Result<()> {
        loop {
            let mut ready = self.fd.readable().await?;
            let mut count = [0; 8];
            match rustix::io::read(self.fd.get_ref(), &mut count) {
                Ok(_) => {
                    ready.clear_ready();
                    return Ok(());
                }
                // Set anew between going off and being read.
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn it_goes_off_once_when_it_was_set_for() {
        let (timer, clock) = (Timer::new().expect("a timer"), Clock::start());
        timer.set(Duration::from_mins(10)).expect("set");
        timer.set(Duration::from_millis(20)).expect("set anew");
        timer.wait().await.expect("it goes off");
        assert!(clock.now() >= Duration::from_millis(20));
        timer.set(Duration::ZERO).expect("set");
        timer.wait().await.expect("at once");
        let again = tokio::time::timeout(Duration::from_millis(20), timer.wait()).await;
        assert!(again.is_err(), "once");
    }
}
