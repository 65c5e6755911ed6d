//! One person's story, from all ledgers, in order of time and in plain words.
//!
//! **Cost**: one pass over the ledgers.
//! **Not here**: whether anything of it was wrong (`invariant`).

use std::fmt::Write;

use super::facts::{Run, micros, seconds};
use super::journey::NEVER;
use crate::ledger::{Effect, Ending, Kind, NONE, RequestId, Served, Told, Word};

/// Whose story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Of this person.
    Person(u32),
    /// Of the person who sent this request, which is marked.
    Request(RequestId),
    /// Of the person whose requests bear this hash of an `Idempotency-Key`.
    Key(u64),
}

/// One person's records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Story {
    person: u32,
    marked: Option<RequestId>,
    told: Vec<Told>,
    served: Vec<Served>,
}

impl Story {
    /// The records of `subject` out of ledgers in any order; [`None`] if there are none.
    #[must_use]
    pub fn of(subject: Subject, told: &[Told], served: &[Served]) -> Option<Self> {
        let (person, marked) = match subject {
            Subject::Person(person) => (person, None),
            Subject::Request(id) => (id.person, Some(id)),
            Subject::Key(key) => (served.iter().find(|served| served.key == key)?.id?.person, None),
        };
        let mut story = Self { person, marked, ..Self::default() };
        story.told.extend(told.iter().filter(|told| told.id.person == person));
        story.served.extend(served.iter().filter(|served| served.id.is_some_and(|id| id.person == person)));
        if story.told.is_empty() && story.served.is_empty() { None } else { Some(story) }
    }

    /// Told in plain words, a line an event.
    #[must_use]
    pub fn tell(&self, run: &Run<'_>) -> String {
        let mut lines: Vec<(u64, String)> = Vec::new();
        for told in &self.told {
            lines.push((told.sent, self.asked(run, told)));
            lines.push((told.ended, self.answered(told)));
        }
        for served in &self.served {
            let (stage, service) = (stage(run, served.stage), service(run, served));
            let id = served.id.map_or_else(String::new, |id| format!(" (request {id})"));
            let (server, beside) = (served.server + 1, served.in_flight);
            lines
                .push((served.started, format!("{stage} began at {service}, server {server}, {beside} in flight{id}")));
            lines.push((served.done, format!("{service} {}{id}", done(served))));
        }
        lines.sort_by_key(|(at, _)| *at);
        let mut text = self.introduction(run);
        for (at, line) in lines {
            // Writing to a string does not fail.
            writeln!(text, "{:>11.3} s  {line}", seconds(at)).ok();
        }
        text.push_str(&self.end(run));
        text
    }

    fn introduction(&self, run: &Run<'_>) -> String {
        let Some(person) = run.people.get(self.person as usize) else {
            return format!("Person {} is nobody of this run's population.\n", self.person);
        };
        let persona = run.scenario.personas.get(usize::from(person.persona)).map_or("?", |persona| &persona.name);
        let (comes, leaves) = (seconds(person.arrives), seconds(person.leaves));
        format!(
            "Person {} ({persona}) comes at {comes:.3} s and stays until {leaves:.3} s at the longest.\n",
            self.person
        )
    }

    fn end(&self, run: &Run<'_>) -> String {
        let done = self.told.iter().find(|told| told.is_done() && told.stage == run.last());
        let turn = self.told.iter().filter(|told| told.word == Word::Turn).map(|told| told.ended);
        let turn = turn.chain(self.served.iter().map(|served| served.started)).min().unwrap_or(NEVER);
        let arrived = run.people.get(self.person as usize).map_or(0, |person| person.arrives);
        let mut text = match done {
            Some(done) => format!("Registered, {:.1} s after coming", seconds(done.ended.saturating_sub(arrived))),
            None if run.people.get(self.person as usize).is_some_and(|p| p.leaves <= micros(run.scenario.end())) => {
                "Not registered when patience ended".to_owned()
            }
            None => "Not registered when the run ended".to_owned(),
        };
        let effects = self.served.iter().filter(|it| it.effect == Effect::Duplicate).count();
        if turn != NEVER {
            write!(text, "; the turn came after {:.1} s", seconds(turn.saturating_sub(arrived))).ok();
        }
        write!(text, "; {} requests, {} at services", self.told.len(), self.served.len()).ok();
        if effects > 0 {
            write!(text, "; done {effects} times too often").ok();
        }
        text.push_str(".\n");
        text
    }

    fn asked(&self, run: &Run<'_>, told: &Told) -> String {
        let mark = if self.marked == Some(told.id) { ">> " } else { "" };
        let tab = if told.tab > 0 { format!(", in tab {}", told.tab + 1) } else { String::new() };
        let shown = if told.shown { ", with the ticket of before" } else { "" };
        let what = match told.kind {
            Kind::Submit => format!("asks for {}", stage(run, told.stage)),
            Kind::Poll => "asks for the place in line".to_owned(),
            Kind::Leave => "leaves the line".to_owned(),
            Kind::Forged => format!("asks for {} with a ticket of somebody else's making", stage(run, told.stage)),
        };
        let late = told.sent.saturating_sub(told.intended);
        let late = if late > LATE { format!(", {:.1} ms later than meant", late as f64 / 1e3) } else { String::new() };
        format!("{mark}{what} (request {}{tab}{shown}{late})", told.id)
    }

    fn answered(&self, told: &Told) -> String {
        let mark = if self.marked == Some(told.id) { ">> " } else { "" };
        let after = seconds(told.ended.saturating_sub(told.sent));
        let said = match told.ending {
            Ending::Answered => said(told),
            Ending::BrokenOff => "waits no longer for the answer".to_owned(),
            Ending::Cut => "the connection breaks before the answer is whole".to_owned(),
            Ending::Unreachable => "no connection can be had".to_owned(),
            Ending::Harness => "could not be sent: the harness had no socket".to_owned(),
            Ending::Open => "still has no answer when the run ends".to_owned(),
        };
        format!("{mark}{said} (request {}, after {after:.3} s)", told.id)
    }
}

/// Less is not worth a word, in microseconds.
const LATE: u64 = 5_000;

fn said(told: &Told) -> String {
    let mut text = match told.word {
        Word::Nothing => "is told nothing".to_owned(),
        Word::Done if told.kind == Kind::Leave => "is told that the place is given back".to_owned(),
        Word::Done => "is told that it is done".to_owned(),
        Word::Place if told.place == NONE => "is told to wait in line".to_owned(),
        Word::Place => format!("is told place {}", told.place),
        Word::Turn => "is told that the turn has come".to_owned(),
        Word::Later => "is told to come again later, without a place".to_owned(),
        Word::NotYet => "is told that it is not open yet".to_owned(),
        Word::Over => "is told that it is over".to_owned(),
        Word::Failed => "is told that the service failed".to_owned(),
        Word::Wrong => "is told that the request is wrong".to_owned(),
        Word::Nonsense => "is told something that means nothing".to_owned(),
    };
    // Writing to a string does not fail.
    if told.ahead != NONE {
        write!(text, ", {} ahead", told.ahead).ok();
    }
    if told.eta_p50 != NONE {
        write!(text, ", about {:.0} s", f64::from(told.eta_p50) / 1e3).ok();
    }
    if told.eta_p90 != NONE {
        write!(text, ", at most {:.0} s", f64::from(told.eta_p90) / 1e3).ok();
    }
    if told.retry_after != NONE {
        write!(text, ", and to come again in {:.0} s", f64::from(told.retry_after) / 1e3).ok();
    }
    write!(text, "; status {}", told.status).ok();
    text
}

fn done(served: &Served) -> String {
    let what = match served.effect {
        Effect::Nothing => "did nothing",
        Effect::First => "did it",
        Effect::Duplicate => "did it once more",
        Effect::Recognised => "knew it already",
    };
    let answered = match (served.status, served.heard) {
        (0, _) => "and gave no answer".to_owned(),
        (status, true) => format!("and answered {status}"),
        (status, false) => format!("and answered {status} to nobody"),
    };
    format!("{what} {answered}")
}

fn stage(run: &Run<'_>, stage: u8) -> String {
    run.scenario.stages.get(usize::from(stage)).map_or_else(|| format!("stage {stage}"), |it| it.name.clone())
}

fn service(run: &Run<'_>, served: &Served) -> String {
    let service = run.scenario.services.get(usize::from(served.service));
    service.map_or_else(|| format!("service {}", served.service), |it| it.name.clone())
}
