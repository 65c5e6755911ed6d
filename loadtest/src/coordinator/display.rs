//! How far a run is: some lines that change on a terminal, a line every few seconds elsewhere, both on standard error.
//!
//! **Cost**: some microseconds five times a second.
//! **Not here**: what is true of a run (`ledger`): this is what workers and gateway said last.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ledger::Said;
use crate::people::progress::Progress;
use crate::table::count;

/// Between two lines.
const LINE: Duration = Duration::from_secs(5);

/// Rates are those of the last so many showings: two seconds.
const SHOWINGS: usize = 10;

/// Of names of upstreams and rooms, so many are shown.
const SHOWN: usize = 4;

/// Shows progress.
#[derive(Debug)]
pub struct Display {
    people: u64,
    form: Form,
    /// What was shown, the oldest first.
    shown: VecDeque<(Duration, Progress)>,
}

#[derive(Debug)]
enum Form {
    /// On a terminal; its length is that of the run in milliseconds.
    Live(ProgressBar),
    /// Elsewhere: when to show the next.
    Lines(Duration),
}

impl Display {
    /// For so many people, in a run of this length.
    #[must_use]
    pub fn new(people: usize, end: Duration) -> Self {
        let form = if std::io::stderr().is_terminal() { Form::Live(bar(end)) } else { Form::Lines(LINE) };
        Self { people: people as u64, form, shown: VecDeque::with_capacity(SHOWINGS + 1) }
    }

    /// Shows `progress` at `now`, and what the gateway said last.
    pub fn show(&mut self, progress: &Progress, said: Option<&Said>, now: Duration) {
        self.shown.push_back((now, *progress));
        if self.shown.len() > SHOWINGS {
            self.shown.pop_front();
        }
        match &mut self.form {
            Form::Live(bar) => {
                bar.set_position(milliseconds(now));
                bar.set_prefix(format!("{} s", now.as_secs()));
                bar.set_message(live(self.people, &self.shown, said));
            }
            Form::Lines(next) if now >= *next => {
                *next = now + LINE;
                let Progress { arrived, present, registered, requests, .. } = progress;
                let (people, lag) = (self.people, progress.lag_p99 as f64 / 1e3);
                eprintln!(
                    "{} s: {arrived} of {people} came, {present} present, {registered} registered, {requests} requests, \
                     lag p99 {lag:.1} ms",
                    now.as_secs()
                );
            }
            Form::Lines(_) => {}
        }
    }

    /// Shows nothing more.
    pub fn clear(&self) {
        if let Form::Live(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}

fn bar(end: Duration) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(milliseconds(end)), ProgressDrawTarget::stderr());
    let length = format!("{} s", end.as_secs());
    if let Ok(style) =
        ProgressStyle::with_template(&format!("  {{prefix:>6}} [{{bar:50}}] of {length} at most\n{{msg}}"))
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The lines below the bar: who is there, what happens a second, what the gateway says, how the harness is.
fn live(people: u64, shown: &VecDeque<(Duration, Progress)>, said: Option<&Said>) -> String {
    let (Some((since, first)), Some((now, last))) = (shown.front(), shown.back()) else { return String::new() };
    let passed = now.saturating_sub(*since).as_secs_f64();
    let rate = |of: fn(&Progress) -> u64| {
        let grown = of(last).saturating_sub(of(first)) as f64;
        if passed > 0.0 { format!("{:.0}", grown / passed) } else { "–".to_owned() }
    };
    let mut lines = vec![
        format!(
            "  people    {} of {} came, {} present, {} registered, {} gave up",
            count(last.arrived),
            count(people),
            count(last.present),
            count(last.registered),
            count(last.gave_up)
        ),
        format!(
            "  a second  {} arriving, {} registered, {} told to wait, {} refused; {} requests",
            rate(|it| it.arrived),
            rate(|it| it.registered),
            rate(|it| it.told_to_wait),
            rate(|it| it.told_later),
            rate(|it| it.requests)
        ),
    ];
    let said = said.into_iter();
    for (name, upstream) in said.clone().flat_map(|said| said.upstreams.iter().take(SHOWN)) {
        let (limit, in_flight, waiting) = (upstream.limit, upstream.in_flight, upstream.waiting);
        lines.push(format!("  {name}: limit {limit:.0}, {in_flight} in flight, {} held", count(waiting)));
    }
    for (name, room) in said.flat_map(|said| said.rooms.iter().take(SHOWN)) {
        let (serving, issued, waiting) = (count(room.serving), count(room.issued), count(room.waiting));
        lines.push(format!("  room {name}: serving {serving} of {issued} issued, {waiting} wait"));
    }
    let (p99, worst) = (last.lag_p99 as f64 / 1e3, last.lag_max as f64 / 1e3);
    lines.push(format!(
        "  harness   {} requests on their way, lag p99 {p99:.1} ms, latest {worst:.1} ms",
        count(last.in_flight)
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::said::{Room, Upstream};

    #[test]
    fn rates_are_those_of_the_last_showings() {
        let at = |arrived, told_to_wait| Progress { arrived, told_to_wait, ..Progress::default() };
        let mut display = Display::new(80_000, Duration::from_mins(1));
        for showing in 0..20_u64 {
            // 50 a second at first, and then 1,000.
            let arrived = if showing < 10 { showing * 10 } else { 90 + (showing - 9) * 200 };
            display.show(&at(arrived, showing), None, Duration::from_millis(showing * 200));
        }
        let text = live(80_000, &display.shown, None);
        assert!(text.contains("2,090 of 80,000 came") && text.contains("1000 arriving"), "{text}");
        assert!(text.contains("5 told to wait"), "{text}");
    }

    #[test]
    fn what_the_gateway_says_is_shown_and_the_first_showing_has_no_rate() {
        let nik = Upstream { limit: 64.0, in_flight: 63, waiting: 1_200, predicted_wait: 1.0 };
        let opening = Room { issued: 90_000, serving: 40_000, waiting: 50_000, taken: None };
        let said = Said { at: 0, upstreams: [("nik", nik)].into(), rooms: [("opening", opening)].into() };
        let shown = VecDeque::from([(Duration::ZERO, Progress::default())]);
        let text = live(10, &shown, Some(&said));
        assert!(text.contains("nik: limit 64, 63 in flight, 1,200 held"), "{text}");
        assert!(text.contains("room opening: serving 40,000 of 90,000 issued, 50,000 wait"), "{text}");
        assert!(text.contains("– arriving"), "{text}");
    }
}
