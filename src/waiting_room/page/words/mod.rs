//! The words of an answer, in the person's language.
//!
//! **Invariants**: each fact of the view is said in a sentence of its own, and what is not known is not said; a number has its
//! plural; durations are rounded as finely as an estimate deserves, an upper bound always up.
//! **Not here**: what the words are put into (`template`, `json`).

mod english;
mod indonesian;
mod span;

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};

use super::language::Language;
use super::moment::Moment;
use super::view::{Closes, Jump, KeptPlace, State, View, Wait, Waiting};
use span::Span;

/// What stands on the page whatever the person's state, or beside a thing that is there or not.
#[derive(Debug)]
pub(super) struct Labels {
    pub(super) progress: &'static str,
    pub(super) countdown: &'static str,
    pub(super) next_look: &'static str,
    pub(super) lost: &'static str,
    pub(super) again: &'static str,
    pub(super) enter: &'static str,
    pub(super) back: &'static str,
    pub(super) anew: &'static str,
    pub(super) leave: &'static str,
    pub(super) leave_warning: &'static str,
    pub(super) leave_button: &'static str,
    pub(super) number: &'static str,
    pub(super) reference: &'static str,
    pub(super) receipt: &'static str,
}

/// What a language has to say; one more language is one more of these.
trait Phrases: Sync {
    fn labels(&self) -> &'static Labels;
    /// A count, its thousands apart.
    fn numeral(&self, number: u64) -> String;
    fn moment(&self, moment: Moment) -> String;
    fn heading(&self, state: &State<'_>) -> &'static str;
    /// What it means and what to do.
    fn message(&self, state: &State<'_>) -> &'static str;
    fn place(&self, place: u64) -> String;
    /// The place, before the heading, where there is little room.
    fn title(&self, place: u64) -> String;
    fn ahead(&self, ahead: u64) -> String;
    fn wait(&self, p50: Span, p90: Span) -> String;
    fn jump(&self, jump: Jump) -> &'static str;
    fn beyond_quota(&self) -> &'static str;
    fn kept(&self, span: Span) -> String;
    fn opens(&self, opens: Moment, left: Span) -> String;
    fn closes(&self, closes: Closes) -> String;
    fn next(&self, next: Moment) -> String;
    fn kept_place(&self, place: KeptPlace) -> &'static str;
}

fn phrases(language: Language) -> &'static dyn Phrases {
    match language {
        Language::Indonesian => &indonesian::Indonesian,
        Language::English => &english::English,
    }
}

impl Language {
    pub(super) fn labels(self) -> &'static Labels {
        phrases(self).labels()
    }

    pub(super) fn numeral(self, number: u64) -> String {
        phrases(self).numeral(number)
    }
}

/// The words that change from one look to the next. Empty means that there is nothing to say.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) title: String,
    pub(super) heading: &'static str,
    pub(super) message: Cow<'static, str>,
    pub(super) place: String,
    pub(super) ahead: String,
    pub(super) wait: String,
    pub(super) reason: &'static str,
    pub(super) notice: &'static str,
    pub(super) schedule: String,
}

impl Words {
    pub(super) fn new(view: &View<'_>, language: Language) -> Self {
        let words = Self::sentences(view, language);
        let (say, heading, room) = (phrases(language), words.heading, view.room);
        match view.state.waiting() {
            Some(Waiting { place, .. }) => {
                let (title, place) = (format!("{} · {heading} · {room}", say.title(*place)), say.place(*place));
                Self { title, place, ..words }
            }
            None => Self { title: format!("{heading} · {room}"), ..words },
        }
    }

    /// All but the title and the place, which stand apart.
    pub(super) fn sentences(view: &View<'_>, language: Language) -> Self {
        let say = phrases(language);
        let (heading, message) = (say.heading(&view.state), Cow::Borrowed(say.message(&view.state)));
        let mut words = Self { heading, message, ..Self::default() };
        match &view.state {
            State::Lobby { opens, closes, .. } => {
                let opens = say.opens(*opens, Span::exact(view.opens_in().unwrap_or_default()));
                let closes = closes.map(|closes| say.closes(closes)).unwrap_or_default();
                words.schedule = sentences(Cow::Owned(opens), &closes).into_owned();
            }
            State::Waiting(waiting) | State::Paused(waiting) => words.of_place(waiting, say),
            State::Turn { kept, .. } => {
                if let Some(kept) = kept {
                    words.message = sentences(words.message, &say.kept(Span::lower(*kept)));
                }
            }
            State::Closed { next, place } | State::Spent { next, place } => {
                words.message = sentences(words.message, say.kept_place(*place));
                words.schedule = next.map(|next| say.next(next)).unwrap_or_default();
            }
            State::Sending | State::Done | State::Unclear => {}
        }
        words
    }

    fn of_place(&mut self, waiting: &Waiting, say: &dyn Phrases) {
        self.ahead = say.ahead(waiting.ahead);
        if let Some(Wait { p50, p90 }) = waiting.wait {
            self.wait = say.wait(Span::near(p50), Span::upper(p90));
        }
        self.reason = waiting.jump.map_or("", |jump| say.jump(jump));
        self.notice = if waiting.beyond_quota { say.beyond_quota() } else { "" };
        self.schedule = waiting.closes.map(|closes| say.closes(closes)).unwrap_or_default();
    }
}

fn sentences(first: Cow<'static, str>, second: &str) -> Cow<'static, str> {
    if second.is_empty() { first } else { Cow::Owned(format!("{first} {second}")) }
}

/// A count with `mark` between its thousands.
fn grouped(number: u64, mark: u8) -> Grouped {
    Grouped { number, mark }
}

/// See [`grouped`].
struct Grouped {
    number: u64,
    mark: u8,
}

/// Characters of the largest count: twenty digits and six marks.
const COUNT: usize = 26;

/// Each poll says two, so it is written as a whole and not digit by digit through the formatter.
impl Display for Grouped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (mut text, mut rest, mut at) = ([0; COUNT], self.number, COUNT);
        for digit in 0.. {
            if digit > 0 && rest == 0 {
                break;
            }
            let marks = usize::from(digit > 0 && digit % 3 == 0);
            let [.., low] = (rest % 10).to_be_bytes();
            at = at.saturating_sub(1 + marks);
            for (place, byte) in text.iter_mut().skip(at).zip([b'0' + low, self.mark]).take(1 + marks) {
                *place = byte;
            }
            rest /= 10;
        }
        let digits = text.get(at..).and_then(|digits| str::from_utf8(digits).ok());
        f.write_str(digits.unwrap_or_default())
    }
}

/// The name at `index`, counted from zero.
fn named<const N: usize>(names: [&'static str; N], index: u64) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or_default()
}
