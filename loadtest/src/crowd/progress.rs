//! A bar on a terminal, a line every few seconds elsewhere, both on standard error.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::tally::Account;
use super::{Crowd, Live};
use crate::clock::Clock;

const TICK: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(5);

/// Runs `crowd` on a thread of its own and shows how far it is under `title`. Blocks until the last person has left.
pub fn watch(crowd: Crowd, title: &str) -> anyhow::Result<Account> {
    let people = u64::try_from(crowd.plan.people.len())?;
    let live = Arc::new(Live::default());
    let (done, finished) = sync_channel(1);
    let running = Arc::clone(&live);
    let thread = std::thread::Builder::new().name("crowd".into()).spawn(move || {
        // The watcher waits for exactly this; it cannot have gone.
        drop(done.send(crowd.run(running)));
    })?;
    let mut display = Display::new(title, people);
    let account = loop {
        match finished.recv_timeout(TICK) {
            Ok(account) => break account,
            Err(RecvTimeoutError::Timeout) => display.show(&live),
            Err(RecvTimeoutError::Disconnected) => break Err(anyhow::anyhow!("the crowd's thread panicked")),
        }
    };
    display.clear();
    drop(thread.join());
    account
}

enum Display {
    Bar(ProgressBar),
    Lines { title: String, people: u64, clock: Clock, next: Duration },
}

impl Display {
    fn new(title: &str, people: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { title: title.into(), people, clock: Clock::start(), next: LINE };
        }
        let bar = ProgressBar::new(people).with_prefix(title.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{prefix}  {elapsed:>4}  [{bar:30}] {pos}/{len} left  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self::Bar(bar)
    }

    fn show(&mut self, live: &Live) {
        let [arrived, left, registered] =
            [&live.arrived, &live.left, &live.registered].map(|count| count.load(Ordering::Relaxed));
        match self {
            Self::Bar(bar) => {
                bar.set_position(left);
                bar.set_message(format!("{} present, {registered} registered", arrived.saturating_sub(left)));
            }
            Self::Lines { title, people, clock, next } => {
                let now = clock.now();
                if now >= *next {
                    *next = now + LINE;
                    let (seconds, present) = (now.as_secs(), arrived.saturating_sub(left));
                    eprintln!(
                        "{title}: {seconds} s, {arrived} of {people} came, {present} present, {registered} registered"
                    );
                }
            }
        }
    }

    fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
