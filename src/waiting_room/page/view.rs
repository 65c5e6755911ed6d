//! What there is to say to one person.
//!
//! **Invariants**: a [`Local`] link never leaves this site; shares and counts are of the view, none is guessed.
//! **Not here**: words.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::moment::Moment;
pub use crate::config::plan::AtClose;
pub use crate::waiting_room::eta::Jump;

/// A path of this site, with its query: `/register?step=1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local<'a>(&'a str);

impl<'a> Local<'a> {
    /// The first page of the site.
    pub const ROOT: Self = Self("/");

    /// `None` for what a browser would read as another site (`//host`, `/\host`, a scheme; the white space and control
    /// characters that it would remove first: WHATWG URL, "basic URL parser") and for what is not a path.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut bytes = text.bytes();
        let local = bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'));
        (local && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(Self(text))
    }

    /// The path as it stands in a link, not escaped.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// What there is to say.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The room's name as people shall read it.
    pub room: &'a str,
    /// What is true of the person.
    pub state: State<'a>,
    /// Now, since 1970.
    pub now: Duration,
    /// When to look again; `None` where nothing will change. Told in whole seconds, rounded up.
    pub poll_after: Option<Duration>,
    /// The ticket, for a client that keeps no cookie.
    pub ticket: Option<&'a str>,
    /// The ticket's number, counted from one: what a call centre asks for.
    pub number: Option<u64>,
    /// Where this page is to be had again without cookie and script. It should stay the same from one page to the next: browsers
    /// replace the entry in their history only then.
    pub again: Local<'a>,
    /// Where a script asks for the state as JSON; what it says of the way in must fit this page ([`Enter`]).
    pub status: Local<'a>,
    /// Where another person on the same computer gets a place of his own.
    pub anew: Option<Local<'a>>,
    /// Where the form "leave the line" is posted, with the field `weir_ticket`.
    pub leave: Option<Local<'a>>,
    /// The lottery's receipt.
    pub receipt: Option<&'a Value>,
    /// The id of the request, for whoever asks the operator about it.
    pub request_id: &'a str,
}

/// What is true of the person.
#[derive(Clone, Copy, Debug)]
pub enum State<'a> {
    /// Before the opening.
    Lobby {
        /// The opening.
        opens: Moment,
        /// When the room closes again.
        closes: Option<Closes>,
        /// Whether the order will be drawn by lot; otherwise it is that of arrival.
        drawn: bool,
    },
    /// In line.
    Waiting(Waiting),
    /// May come in.
    Turn {
        /// How.
        enter: Enter<'a>,
        /// How long the turn is kept.
        kept: Option<Duration>,
    },
    /// Nobody is called at present; the place is kept.
    Paused(Waiting),
    /// The wave is over.
    Closed {
        /// The next opening.
        next: Option<Moment>,
        /// What has become of the person's place.
        place: KeptPlace,
    },
    /// All of the quota has been given out.
    Spent {
        /// The next opening.
        next: Option<Moment>,
        /// What has become of the person's place.
        place: KeptPlace,
    },
    /// A request of the person's that counts is with the service.
    Sending,
    /// It counted, and there is nothing more to do.
    Done,
    /// The service failed while the person's request was with it; nobody knows whether it counted.
    Unclear,
}

/// A place in line.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The place, counted from one; it never grows.
    pub place: u64,
    /// People who come before.
    pub ahead: u64,
    /// How long until the turn, where that can be said.
    pub wait: Option<Wait>,
    /// For how long the person has waited.
    pub waited: Option<Duration>,
    /// Why the estimate moved without the person's doing.
    pub jump: Option<Jump>,
    /// If everybody before succeeds, nothing will be left.
    pub beyond_quota: bool,
    /// When the room closes.
    pub closes: Option<Closes>,
}

/// How long until the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// In half of all cases not longer.
    pub p50: Duration,
    /// In nine of ten cases not longer.
    pub p90: Duration,
}

/// The end of a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closes {
    /// When.
    pub at: Moment,
    /// What becomes of those who hold a place then.
    pub then: AtClose,
    /// Whoever is still served after it is so only while something is left of a quota.
    pub while_left: bool,
}

/// What has become of a place after a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptPlace {
    /// There was none.
    None,
    /// It counts in the next wave, without registering again.
    Carried,
    /// It ended.
    Ended,
}

impl KeptPlace {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Carried => "carried",
            Self::Ended => "ended",
        }
    }
}

/// How the person comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enter<'a> {
    /// By a link, which a page follows by itself.
    Follow(Local<'a>),
    /// By sending the form again: only the person's browser still has it.
    SendAgain,
    /// By opening the form anew, by a link that carries the ticket: the browser keeps no cookie that would speak for the form it has.
    Reopen(Local<'a>),
    /// By sending the form again, when cookies are allowed: where the form is to be had is not known.
    AllowCookies,
}

impl State<'_> {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Lobby { .. } => "lobby",
            Self::Waiting(_) => "waiting",
            Self::Turn { .. } => "turn",
            Self::Paused(_) => "paused",
            Self::Closed { .. } => "closed",
            Self::Spent { .. } => "spent",
            Self::Sending => "sending",
            Self::Done => "done",
            Self::Unclear => "unclear",
        }
    }

    /// The status of a refused request. 503 says that the same request may succeed later (RFC 9110 §15.6.4); where it never
    /// will, 403; where an earlier one stands in its way, 409.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Closed { next: None, .. } | Self::Spent { next: None, .. } => StatusCode::FORBIDDEN,
            Self::Sending | Self::Done | Self::Unclear => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The link that leads in.
    pub(super) const fn enter_path(&self) -> Option<&str> {
        match self {
            Self::Turn { enter: Enter::Follow(path) | Enter::Reopen(path), .. } => Some(path.as_str()),
            _ => None,
        }
    }

    /// The place in line.
    pub(super) const fn waiting(&self) -> Option<&Waiting> {
        match self {
            Self::Waiting(waiting) | Self::Paused(waiting) => Some(waiting),
            _ => None,
        }
    }

    /// How much of the way lies behind, in time: what was waited of what the wait will have been. Never complete.
    pub(super) fn progress_percent(&self) -> Option<u64> {
        let Self::Waiting(Waiting { wait: Some(wait), waited: Some(waited), .. }) = self else { return None };
        let whole = waited.saturating_add(wait.p50).as_millis().max(1);
        Some(u64::try_from(waited.as_millis().saturating_mul(100) / whole).unwrap_or(0).min(99))
    }
}

impl View<'_> {
    /// Until the opening.
    pub(super) const fn opens_in(&self) -> Option<Duration> {
        match self.state {
            State::Lobby { opens, .. } => Some(opens.unix.saturating_sub(self.now)),
            _ => None,
        }
    }

    /// [`View::poll_after`] in whole seconds, never too early and never at once.
    #[must_use]
    pub fn poll_seconds(&self) -> Option<u64> {
        self.poll_after.map(|after| whole_seconds(after).max(1))
    }
}

/// Rounded up: whoever is told a moment must not be early.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
