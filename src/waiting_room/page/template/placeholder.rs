//! The closed list of what a template can name.

use std::borrow::Cow;

/// How much two names must be alike for "did you mean" (Jaro–Winkler), as in the configuration.
const SIMILAR: f64 = 0.8;

macro_rules! placeholders {
    ($($variant:ident $name:ident $meaning:literal,)+) => {
        /// A name between `{{` and `}}`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Placeholder {
            $(#[doc = $meaning] $variant,)+
        }

        impl Placeholder {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As written in a template.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($name),)+ }
            }

            /// What it stands for.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }

        /// What stands at each placeholder of one page, not escaped.
        #[derive(Clone, Debug, Default)]
        pub struct Values<'a> {
            $(#[doc = $meaning] pub $name: Cow<'a, str>,)+
        }

        impl Values<'_> {
            /// The value of one.
            #[must_use]
            pub fn get(&self, placeholder: Placeholder) -> &str {
                match placeholder { $(Placeholder::$variant => &self.$name,)+ }
            }
        }
    };
}

placeholders! {
    Language language "the language of the words, for `lang`",
    State state "lobby, waiting, turn, paused, closed, spent or unclear",
    Room room "the name of the room",
    Title title "the document's title, with the place",
    Heading heading "what is the case, in a few words",
    Message message "what it means and what to do",
    Place place "the place in line",
    Ahead ahead "how many people are ahead",
    Wait wait "how long until the turn",
    Reason reason "why the estimate moved",
    Notice notice "that the place is beyond what is left",
    Schedule schedule "when it opens or closes, and what becomes of the place",
    Progress progress "how much of the wait is over, 0 to 99",
    ProgressLabel progress_label "the label of the progress bar",
    OpensSeconds opens_seconds "seconds until the opening",
    CountdownLabel countdown_label "the label of the countdown to the opening",
    Ticket ticket "the ticket, for the field `Weir-Ticket` and the form",
    StatusUrl status_url "where a script asks for the state",
    PollSeconds poll_seconds "seconds until a script asks first",
    NextLabel next_label "the label of the countdown to the next look",
    LostLabel lost_label "what a script says when there is no connection",
    RefreshSeconds refresh_seconds "seconds until a page without script goes on",
    RefreshUrl refresh_url "where a page without script goes on",
    Again again "the link to this page, with the ticket",
    AgainLabel again_label "the words of that link",
    Enter enter "the link that leads in, at the person's turn",
    EnterLabel enter_label "the words of that link",
    BackLabel back_label "the words of a button that goes back to the form, where it must be sent again",
    Anew anew "the link to a place for another person",
    AnewLabel anew_label "the words of that link",
    Leave leave "where the form that gives up the place is posted",
    LeaveLabel leave_label "leave the line",
    LeaveWarning leave_warning "what it means to leave",
    LeaveButton leave_button "the words of the button that does it",
    Number number "the ticket's number, for a call centre",
    Reference reference "the id of the request, for the operator",
    Receipt receipt "the receipt of the draw",
    ReceiptLabel receipt_label "the words above it",
}

impl Placeholder {
    /// The placeholder of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|placeholder| placeholder.as_str() == name)
    }
}

/// `; did you mean …`, or nothing.
pub(super) fn similar(name: &str) -> String {
    let likeness = |placeholder: &Placeholder| strsim::jaro_winkler(name, placeholder.as_str());
    Placeholder::ALL
        .iter()
        .filter(|placeholder| likeness(placeholder) >= SIMILAR)
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
        .map(|placeholder| format!("; did you mean `{}`?", placeholder.as_str()))
        .unwrap_or_default()
}
