//! What the waiting person reads: a page for people, JSON for programs, from one [`View`].
//!
//! A page is a template that an operator can replace ([`Template`]), filled with words in the person's language ([`Language`]).
//! Its script asks for the same state as JSON at the told times only and puts the words that came into their places, so all
//! wording, plurals and dates are made here and once. Without script the page is loaded anew at the told time.
//!
//! **Invariants**: every value is escaped, in whatever template; a link leads to this site ([`Local`]); what the policy
//! ([`Page::content_security_policy`]) allows is what the template holds inline, and nothing from elsewhere; nothing is
//! said of a place that is not in the view.
//! **Cost**: a page is 8 KiB copied and a dozen short texts made; a state as JSON the texts and one KiB written. No lock.
//! **Not here**: what is true of a person (`order`, `eta`, `quota`, `wave`); sockets, status lines, cookies (`proxy`).

pub mod accept;
pub mod coding;
mod json;
pub mod language;
mod moment;
mod object;
mod policy;
pub mod template;
pub mod view;
mod weight;
mod words;

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;

pub use self::accept::{FetchHints, Format};
pub use self::coding::Rendered;
pub use self::json::{problem_json, state_json};
pub use self::language::Language;
pub use self::moment::Moment;
pub(crate) use self::object::Object;
pub(crate) use self::policy::base64;
pub use self::template::{Template, TemplateError};
pub use self::view::{AtClose, Closes, Enter, Jump, KeptPlace, Local, State, View, Wait, Waiting};

use self::template::Values;
use self::words::{Labels, Words};

/// Without script, the page of somebody whose turn has come goes on to the service by itself after so many seconds: long enough
/// to read a sentence, short enough not to waste the turn.
const ENTER_AFTER_SECONDS: u64 = 3;

/// The same where he has to know first why he cannot go back to the page he came from.
const REOPEN_AFTER_SECONDS: u64 = 12;

/// The page of a room: a template and the security policy that fits it.
#[derive(Debug)]
pub struct Page {
    template: Template,
    policy: HeaderValue,
}

impl Default for Page {
    /// The page that weir brings along.
    fn default() -> Self {
        Self::new(Template::default())
    }
}

impl Page {
    /// A page from a template, its own or an operator's.
    #[must_use]
    pub fn new(template: Template) -> Self {
        let policy = policy::content_security_policy(&template);
        Self { template, policy }
    }

    /// The value of `Content-Security-Policy` for this page: only its own inline script and style, by their hashes; requests only
    /// to this site (CSP Level 3).
    #[must_use]
    pub const fn content_security_policy(&self) -> &HeaderValue {
        &self.policy
    }

    /// The page, `text/html; charset=utf-8`.
    #[must_use]
    pub fn html(&self, view: &View<'_>, language: Language) -> Bytes {
        self.rendered(view, language).page.into()
    }

    /// The same, to be sent compressed to whoever takes it so ([`coding::packed`]).
    #[must_use]
    pub fn rendered(&self, view: &View<'_>, language: Language) -> Rendered {
        let words = Words::new(view, language);
        self.template.render(&values(view, language, &words))
    }
}

/// What stands at each placeholder. Empty means that there is nothing to say, and its section is left out.
fn values<'a>(view: &'a View<'_>, language: Language, words: &'a Words) -> Values<'a> {
    let labels: &'static Labels = language.labels();
    let enter = view.state.enter_path();
    let poll = match view.state {
        State::Turn { enter: Enter::Reopen(_), .. } => view.poll_seconds().max(Some(REOPEN_AFTER_SECONDS)),
        _ => view.poll_seconds(),
    };
    let (refresh_seconds, refresh_url) = match (enter, poll) {
        // Whoever was called and sent back for the moment was told for how long.
        (Some(path), poll) => (Some(poll.unwrap_or_default().max(ENTER_AFTER_SECONDS)), path),
        (None, poll) => (poll, view.again.as_str()),
    };
    let numeral = |number: Option<u64>| Cow::Owned(number.map(|number| number.to_string()).unwrap_or_default());
    let label = |text: &'static str, wanted: bool| Cow::Borrowed(if wanted { text } else { "" });
    let local = |path: Option<Local<'a>>| Cow::Borrowed(path.map_or("", |path| path.as_str()));
    let progress = view.state.progress_percent();
    Values {
        language: Cow::Borrowed(language.tag()),
        state: Cow::Borrowed(view.state.as_str()),
        room: Cow::Borrowed(view.room),
        title: Cow::Borrowed(&words.title),
        heading: Cow::Borrowed(words.heading),
        message: Cow::Borrowed(&words.message),
        place: Cow::Borrowed(&words.place),
        ahead: Cow::Borrowed(&words.ahead),
        wait: Cow::Borrowed(&words.wait),
        reason: Cow::Borrowed(words.reason),
        notice: Cow::Borrowed(words.notice),
        schedule: Cow::Borrowed(&words.schedule),
        progress: numeral(progress),
        progress_label: label(labels.progress, progress.is_some()),
        opens_seconds: numeral(view.opens_in().map(|left| left.as_secs())),
        countdown_label: Cow::Borrowed(labels.countdown),
        ticket: Cow::Borrowed(view.ticket.unwrap_or_default()),
        status_url: Cow::Borrowed(view.status.as_str()),
        poll_seconds: numeral(poll),
        next_label: Cow::Borrowed(labels.next_look),
        lost_label: Cow::Borrowed(labels.lost),
        refresh_seconds: numeral(refresh_seconds),
        refresh_url: Cow::Borrowed(refresh_url),
        again: Cow::Borrowed(view.again.as_str()),
        again_label: Cow::Borrowed(labels.again),
        enter: Cow::Borrowed(enter.unwrap_or_default()),
        enter_label: Cow::Borrowed(labels.enter),
        back_label: label(labels.back, matches!(view.state, State::Turn { enter: Enter::SendAgain, .. })),
        anew: local(view.anew),
        anew_label: Cow::Borrowed(labels.anew),
        leave: local(view.leave),
        leave_label: Cow::Borrowed(labels.leave),
        leave_warning: Cow::Borrowed(labels.leave_warning),
        leave_button: Cow::Borrowed(labels.leave_button),
        number: Cow::Owned(
            view.number.map(|number| format!("{} {}", labels.number, language.numeral(number))).unwrap_or_default(),
        ),
        reference: Cow::Owned(format!("{} {}", labels.reference, view.request_id)),
        receipt: Cow::Owned(view.receipt.map(ToString::to_string).unwrap_or_default()),
        receipt_label: Cow::Borrowed(labels.receipt),
    }
}

#[cfg(test)]
mod tests;
