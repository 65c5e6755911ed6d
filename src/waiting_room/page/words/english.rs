//! English.

use std::fmt::{self, Display, Formatter};

use super::super::moment::{Civil, Moment};
use super::super::view::{AtClose, Closes, Enter, Jump, KeptPlace, State};
use super::span::Span;
use super::{Labels, Phrases, grouped, named};

pub(super) struct English;

const LABELS: Labels = Labels {
    progress: "How much of the wait is over",
    countdown: "Opens in",
    next_look: "Next check in",
    lost: "No connection just now. Your place is kept; this page keeps trying.",
    again: "Check now (you may save this link to come back to your place)",
    enter: "Go in now",
    back: "Back to the form",
    anew: "Another person on this computer (new tab)",
    leave: "Leave the line",
    leave_warning: "Your place will go to the next person. You cannot get it back.",
    leave_button: "Yes, give up my place",
    number: "Ticket",
    reference: "Reference",
    receipt: "Receipt of the draw",
};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// One is singular, everything else is not (CLDR plural rules for `en`, integers).
struct Counted(u64, &'static str, &'static str);

impl Display for Counted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(number, one, more) = *self;
        if number == 1 { write!(f, "1 {one}") } else { write!(f, "{} {more}", grouped(number, b',')) }
    }
}

/// A duration in words.
struct Said(Span);

impl Display for Said {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let minute = |number| Counted(number, "minute", "minutes");
        let hour = |number| Counted(number, "hour", "hours");
        let day = |number| Counted(number, "day", "days");
        match self.0 {
            Span::Moments => f.write_str("less than a minute"),
            Span::Minutes(minutes) => minute(minutes).fmt(f),
            Span::Hours { hours, minutes: 0 } => hour(hours).fmt(f),
            Span::Hours { hours, minutes } => write!(f, "{} {}", hour(hours), minute(minutes)),
            Span::Days { days, hours: 0 } => day(days).fmt(f),
            Span::Days { days, hours } => write!(f, "{} {}", day(days), hour(hours)),
        }
    }
}

impl Phrases for English {
    fn labels(&self) -> &'static Labels {
        &LABELS
    }

    fn numeral(&self, number: u64) -> String {
        grouped(number, b',').to_string()
    }

    fn moment(&self, moment: Moment) -> String {
        let Civil { year, month, day, weekday, hour, minute } = moment.civil();
        let (weekday, month) = (named(WEEKDAYS, weekday), named(MONTHS, month.saturating_sub(1)));
        format!("{weekday} {day} {month} {year}, {hour:02}:{minute:02} {}", moment.zone())
    }

    fn heading(&self, state: &State<'_>) -> &'static str {
        match state {
            State::Lobby { .. } => "Not open yet",
            State::Waiting(_) => "You are in line",
            State::Turn { .. } => "It is your turn",
            State::Paused(_) => "The line is paused",
            State::Closed { .. } => "Closed",
            State::Spent { .. } => "All places are taken",
            State::Sending => "What you sent is being worked on",
            State::Done => "You have registered",
            State::Unclear => "We do not know whether it arrived",
        }
    }

    fn message(&self, state: &State<'_>) -> &'static str {
        match state {
            State::Lobby { drawn: true, .. } => {
                "You are registered for the opening. At the opening the order is drawn by lot: everyone who is here by then \
                 has the same chance, whoever came first. You may close this page and come back."
            }
            State::Lobby { drawn: false, .. } => {
                "You have a place for the opening, in the order in which people came. You may close this page and come back: \
                 your place is kept."
            }
            State::Waiting(_) => {
                "There is nothing to do: this page renews itself. You may close it and come back: your place is kept."
            }
            State::Turn { enter: Enter::Follow(_), .. } => "You can go in now.",
            State::Turn { enter: Enter::SendAgain, .. } => {
                "Go back to your form and send it once more; this time it goes through."
            }
            State::Turn { enter: Enter::Reopen(_), .. } => {
                "Your browser keeps no cookies, so a form sent from the old page is not recognised. Open it by this link and fill it \
                 in once more; then it goes through."
            }
            State::Turn { enter: Enter::AllowCookies, .. } => {
                "Your browser keeps no cookies, so your form would not be recognised. Allow cookies for this site and load this page \
                 again; then go back to your form and send it once more."
            }
            State::Paused(_) => {
                "Nobody is being let in at the moment. Your place is kept; when the line moves again, this page does too."
            }
            State::Closed { .. } => "This opening is over.",
            State::Spent { .. } => "Everything there was to give out this time has been given out.",
            State::Sending => "The service has it. Do not send it again: this page shows when it is done.",
            State::Done => "What you sent has been accepted. There is nothing more to do.",
            State::Unclear => {
                "The service failed while it was working on what you sent. It may have been received all the same. Do not \
                 send it again yet: look for a confirmation first. If none comes, ask the service and give the reference \
                 below. What was set aside for you stays set aside."
            }
        }
    }

    fn place(&self, place: u64) -> String {
        format!("Place {}", grouped(place, b','))
    }

    fn title(&self, place: u64) -> String {
        grouped(place, b',').to_string()
    }

    fn ahead(&self, ahead: u64) -> String {
        match ahead {
            0 => "You are next.".to_owned(),
            1 => "1 person is ahead of you.".to_owned(),
            _ => format!("{} people are ahead of you.", grouped(ahead, b',')),
        }
    }

    fn wait(&self, p50: Span, p90: Span) -> String {
        let (half, most) = (Said(p50), Said(p90));
        match (p50, p90) {
            (_, Span::Moments) => format!("Your turn comes in {most}."),
            (Span::Moments, _) => {
                format!("Your turn comes in {half}. For 9 people in 10 it takes no longer than {most}.")
            }
            _ => format!("Your turn comes in about {half}. For 9 people in 10 it takes no longer than {most}."),
        }
    }

    fn jump(&self, jump: Jump) -> &'static str {
        match jump {
            Jump::ServiceSlower => {
                "The wait has become longer because the service has become slower. Your place is the same."
            }
            Jump::ServiceFaster => "The wait has become shorter because the service has become faster.",
            Jump::Paused => "The wait has become longer because the line was paused. Your place is the same.",
            Jump::Resumed => "The line is moving again.",
            Jump::NoShows => "The wait has become shorter because people ahead of you did not come.",
        }
    }

    fn beyond_quota(&self) -> &'static str {
        "At present your place is beyond what is left: if everyone ahead of you succeeds, nothing will be left at your turn. \
         You may wait in case some do not."
    }

    fn kept(&self, span: Span) -> String {
        format!("Your turn is kept for {}.", Said(span))
    }

    fn opens(&self, opens: Moment, left: Span) -> String {
        format!("Opens {}, in {}.", self.moment(opens), Said(left))
    }

    fn closes(&self, Closes { at, then, while_left }: Closes) -> String {
        let then = match then {
            AtClose::Serve if while_left => "Whoever is in line by then is still let in, as long as places are left.",
            AtClose::Serve => "Whoever is in line by then is still let in.",
            AtClose::Carry => {
                "If your turn has not come by then, your place counts at the next opening; you need not register again."
            }
            AtClose::End => "Places in line end then.",
        };
        format!("Closes {}. {then}", self.moment(at))
    }

    fn next(&self, next: Moment) -> String {
        format!("Next opening: {}.", self.moment(next))
    }

    fn kept_place(&self, place: KeptPlace) -> &'static str {
        match place {
            KeptPlace::None => "",
            KeptPlace::Carried => "Your place is kept for the next opening; you need not register again.",
            KeptPlace::Ended => "Your place in line has ended with it.",
        }
    }
}
