//! The pages and documents of every state.

mod html;
mod json;
mod structure;
mod words;

use std::time::Duration;

use super::*;

pub(super) const OPENS: Moment = Moment { unix: Duration::from_hours(493_308), offset_minutes: 420 };

/// The day after, where a quota may be spent first.
pub(super) const CLOSES: Closes = Closes {
    at: Moment { unix: Duration::from_hours(493_332), offset_minutes: 420 },
    then: AtClose::Serve,
    while_left: true,
};

pub(super) const fn waiting() -> Waiting {
    Waiting {
        place: 12_346,
        ahead: 12_345,
        wait: Some(Wait { p50: Duration::from_mins(12), p90: Duration::from_secs(1_070) }),
        waited: Some(Duration::from_mins(4)),
        jump: Some(Jump::ServiceSlower),
        beyond_quota: true,
        closes: Some(Closes { at: OPENS, then: AtClose::Carry, while_left: true }),
    }
}

/// Every state, with all that it can say.
pub(super) fn states() -> Vec<State<'static>> {
    let local = Local::parse("/register?step=1&x=2").unwrap();
    vec![
        State::Lobby { opens: OPENS, closes: Some(CLOSES), drawn: true },
        State::Lobby { opens: OPENS, closes: None, drawn: false },
        State::Waiting(waiting()),
        State::Paused(Waiting { wait: None, jump: None, ..waiting() }),
        State::Turn { enter: Enter::Follow(local), kept: Some(Duration::from_mins(30)) },
        State::Turn { enter: Enter::SendAgain, kept: None },
        State::Turn { enter: Enter::Reopen(local), kept: None },
        State::Turn { enter: Enter::AllowCookies, kept: None },
        State::Closed { next: Some(OPENS), place: KeptPlace::Carried },
        State::Closed { next: None, place: KeptPlace::Ended },
        State::Spent { next: Some(OPENS), place: KeptPlace::None },
        State::Sending,
        State::Done,
        State::Unclear,
    ]
}

pub(super) fn view(state: State<'_>) -> View<'_> {
    View {
        room: "Pembukaan",
        state,
        now: OPENS.unix.saturating_sub(Duration::from_secs(3_672)),
        poll_after: Some(Duration::from_millis(239_100)),
        ticket: Some("AQIDBAUGBwgJ"),
        number: Some(48_213),
        again: Local::parse("/.weir/place?weir_ticket=AQIDBAUGBwgJ").unwrap(),
        status: Local::parse("/.weir/place").unwrap(),
        anew: Local::parse("/register?weir_new"),
        leave: Local::parse("/.weir/leave"),
        receipt: None,
        request_id: "5f0c",
    }
}

pub(super) fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
