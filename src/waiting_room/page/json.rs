//! The same for programs: a state of its own, and a refused request as a problem (RFC 9457). Members whose value is not known are absent.
//!
//! **Cost**: see `object`.

use bytes::Bytes;

use super::language::Language;
use super::object::Object;
use super::view::{AtClose, Closes, Enter, Jump, State, View, Wait, Waiting, whole_seconds};
use super::words::Words;

/// What a state as JSON takes, with room to spare: written without growing.
const ROOM: usize = 1024;

impl Object {
    /// What a program can rely on.
    fn state(&mut self, view: &View<'_>) {
        self.text("state", view.state.as_str());
        self.text("room", view.room);
        if let Some(waiting) = view.state.waiting() {
            self.waiting(waiting, view.state.progress_percent());
        }
        self.other(view);
        if let Some(seconds) = view.poll_seconds() {
            self.value("poll_after_seconds", seconds);
        }
        if let Some(ticket) = view.ticket {
            self.text("ticket", ticket);
        }
        if let Some(number) = view.number {
            self.value("ticket_number", number);
        }
        if let Some(receipt) = view.receipt {
            self.value("receipt", receipt);
        }
        self.text("request_id", view.request_id);
    }

    /// Of somebody in line.
    fn waiting(&mut self, waiting: &Waiting, progress: Option<u64>) {
        self.value("place", waiting.place);
        self.value("ahead", waiting.ahead);
        if let Some(Wait { p50, p90 }) = waiting.wait {
            self.name("eta_seconds");
            self.members(|seconds| {
                seconds.value("p50", whole_seconds(p50));
                seconds.value("p90", whole_seconds(p90));
            });
        }
        if let Some(percent) = progress {
            self.value("progress_percent", percent);
        }
        if let Some(jump) = waiting.jump {
            self.text("reason", reason(jump));
        }
        self.value("beyond_quota", waiting.beyond_quota);
        self.closes(waiting.closes);
    }

    fn closes(&mut self, closes: Option<Closes>) {
        if let Some(Closes { at, then, .. }) = closes {
            self.text("closes", &at.to_string());
            self.text("at_close", at_close(then));
        }
    }

    /// What only the other states have.
    fn other(&mut self, view: &View<'_>) {
        match view.state {
            State::Lobby { opens, closes, drawn } => {
                self.text("opens", &opens.to_string());
                self.value("opens_in_seconds", view.opens_in().map(whole_seconds));
                self.value("drawn", drawn);
                self.closes(closes);
            }
            State::Turn { enter, kept } => {
                if let Some(path) = view.state.enter_path() {
                    self.text("enter", path);
                }
                self.value("send_again", matches!(enter, Enter::SendAgain));
                if let Some(kept) = kept {
                    self.value("turn_kept_seconds", kept.as_secs());
                }
            }
            State::Closed { next, place } | State::Spent { next, place } => {
                if let Some(next) = next {
                    self.text("next_opens", &next.to_string());
                }
                self.text("kept_place", place.as_str());
            }
            State::Waiting(_) | State::Paused(_) | State::Sending | State::Done | State::Unclear => {}
        }
    }

    /// What a page's script puts into its places, and an app may show.
    fn words(&mut self, words: &Words) {
        self.text("title", &words.title);
        self.text("heading", words.heading);
        self.said("message", &words.message);
        self.said("place", &words.place);
        self.said("ahead", &words.ahead);
        self.said("wait", &words.wait);
        self.said("reason", words.reason);
        self.said("notice", words.notice);
        self.said("schedule", &words.schedule);
    }
}

const fn reason(jump: Jump) -> &'static str {
    match jump {
        Jump::ServiceSlower => "service_slower",
        Jump::ServiceFaster => "service_faster",
        Jump::Paused => "paused",
        Jump::Resumed => "resumed",
        Jump::NoShows => "no_shows",
    }
}

const fn at_close(then: AtClose) -> &'static str {
    match then {
        AtClose::Serve => "serve",
        AtClose::Carry => "carry",
        AtClose::End => "end",
    }
}

impl State<'_> {
    /// A problem's `type`; the prefix is that of every other answer (`proxy`).
    const fn problem(&self) -> &'static str {
        match self {
            Self::Lobby { .. } => "urn:weir:problem:not_open_yet",
            Self::Waiting(_) => "urn:weir:problem:waiting",
            Self::Turn { .. } => "urn:weir:problem:your_turn",
            Self::Paused(_) => "urn:weir:problem:paused",
            Self::Closed { .. } => "urn:weir:problem:closed",
            Self::Spent { .. } => "urn:weir:problem:quota_spent",
            Self::Sending => "urn:weir:problem:already_sending",
            Self::Done => "urn:weir:problem:already_done",
            Self::Unclear => "urn:weir:problem:outcome_unknown",
        }
    }
}

/// The state of a ticket, `application/json`.
#[must_use]
pub fn state_json(view: &View<'_>, language: Language) -> Bytes {
    Bytes::from(Object::written(ROOM, |document| {
        document.state(view);
        document.name("words");
        document.members(|words| words.words(&Words::new(view, language)));
    }))
}

/// A refused request, `application/problem+json`, with the status of [`State::status`].
#[must_use]
pub fn problem_json(view: &View<'_>, language: Language) -> Bytes {
    // Every state has a message, so that there is always a detail.
    let Words { heading, message, ahead, wait, reason, notice, schedule, .. } = Words::sentences(view, language);
    Bytes::from(Object::written(ROOM, |problem| {
        problem.text("type", view.state.problem());
        problem.text("title", heading);
        problem.value("status", view.state.status().as_u16());
        problem.sentences("detail", &[&ahead, &wait, reason, notice, &message, &schedule]);
        if let Some(seconds) = view.poll_seconds() {
            // As in every other problem.
            problem.value("retry_after_seconds", seconds);
        }
        problem.state(view);
    }))
}
