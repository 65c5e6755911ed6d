//! People of every kind, with answers from a script.

use super::jar::Gifts;
use super::*;
use crate::ledger::Word;
use crate::scenario::persona::{Keeps, Protocol, Spread, Waits};

const SECOND: Micros = 1_000_000;

fn seconds(seconds: u64) -> Spread {
    Spread::Fixed(Duration::from_secs(seconds))
}

/// Patient for 100 s and 10 s an answer, thinks 5 s, pauses 2 s, keeps everything, repeats.
fn persona() -> Persona {
    Persona {
        name: "patient".into(),
        share: 1.0,
        patience: seconds(100),
        answer_patience: seconds(10),
        think: seconds(5),
        honours_retry_after: 1.0,
        impatience: seconds(2),
        fastest: 10.0,
        double_click: 0.0,
        tabs: Tabs { probability: 0.0, further: 0 },
        keeps: Keeps { cookie: 1.0, ticket_header: false, key: true },
        waits: Waits::Repeat,
        source: Source::Own,
        protocol: Protocol::Http1,
        upload: None,
        attack: None,
    }
}

/// A person, and what he wants.
struct Play {
    persona: Persona,
    stages: Vec<Stage>,
    visitor: Visitor,
    office: Option<Jar>,
    spent: Spent,
}

impl Play {
    fn new(persona: Persona) -> Self {
        let visitor = Visitor::new(&persona, 7, 0);
        let stage = |goes_on| Stage {
            name: "stage".into(),
            path: "/stage".into(),
            service: 0,
            body: 0,
            entrance: true,
            goes_on,
        };
        Self { persona, stages: vec![stage(1.0), stage(1.0)], visitor, office: None, spent: Spent::default() }
    }

    fn step(&mut self, event: Event<'_>, at: Micros) -> Vec<Action> {
        let mut actions = Vec::new();
        let (persona, office, spent) = (&self.persona, self.office.as_mut(), &mut self.spent);
        let mut scene = Scene { persona, stages: &self.stages, tickets: true, office, spent };
        self.visitor.step(event, at, &mut scene, &mut actions);
        actions
    }

    /// Comes at 0 and sends.
    fn starts(&mut self) -> Request {
        sent(&self.step(Event::Started, 0))
    }

    fn hears(&mut self, slot: Slot, answer: &Answer, at: Micros) -> Vec<Action> {
        self.step(Event::Answer(slot, answer), at)
    }

    /// Hears `answer` at 0, and sends again when he has rested; when that is.
    fn again(&mut self, answer: &Answer) -> (Request, Micros) {
        let slept = self.hears(0, answer, SECOND);
        let [Action::Sleep(slot, until)] = slept[..] else { panic!("{slept:?}") };
        (sent(&self.step(Event::Timer(slot), until)), until)
    }
}

fn sent(actions: &[Action]) -> Request {
    let requests = actions.iter().filter_map(|action| match action {
        Action::Send(request) => Some(request.clone()),
        _ => None,
    });
    let requests: Vec<_> = requests.collect();
    assert_eq!(requests.len(), 1, "{actions:?}");
    requests[0].clone()
}

fn slept_of(actions: &[Action]) -> Vec<(Slot, Micros)> {
    let sleeps = actions.iter().filter_map(|action| match action {
        Action::Sleep(slot, until) => Some((*slot, *until)),
        _ => None,
    });
    sleeps.collect()
}

fn left(actions: &[Action]) -> Option<Outcome> {
    actions.iter().find_map(|action| match action {
        Action::Leave(outcome) => Some(*outcome),
        _ => None,
    })
}

fn says(word: Word, retry_after: Option<u32>) -> Answer {
    Answer { word, retry_after, ..Answer::bare(Kind::Submit, 503) }
}

/// A place with a ticket, to be asked for again after 20 s.
fn place() -> Answer {
    let cookies = vec![("weir_ticket".to_owned(), "T".repeat(52))];
    let gifts = Gifts { ticket: Some("T".repeat(52)), pass: None, cookies };
    Answer { gifts, place: Some(9), ..says(Word::Place, Some(20_000)) }
}

fn done() -> Answer {
    Answer::bare(Kind::Submit, 201)
}

#[test]
fn a_person_who_rests_costs_little() {
    assert!(size_of::<Visitor>() <= 64, "{}", size_of::<Visitor>());
    assert!(size_of::<Jar>() <= 64, "{}", size_of::<Jar>());
}

#[test]
fn he_goes_through_the_stages_thinks_between_them_and_leaves() {
    let mut play = Play::new(persona());
    let first = play.starts();
    assert_eq!((first.stage, first.kind, first.number, first.same_key), (0, Kind::Submit, 0, true));
    assert_eq!((first.intended, first.deadline, first.anew), (0, 10 * SECOND, false));
    let (second, at) = play.again(&done());
    assert_eq!((second.stage, second.number, at), (1, 1, 6 * SECOND));
    assert!(!play.visitor.is_over());
    assert_eq!(left(&play.hears(0, &done(), 7 * SECOND)), Some(Outcome::Registered));
    assert!(play.visitor.is_over());
}

#[test]
fn some_have_done_what_they_came_for() {
    let mut went_on = 0;
    for seed in 0..1_000 {
        let mut play = Play::new(persona());
        play.visitor = Visitor::new(&play.persona, seed, 0);
        play.stages[0].goes_on = 0.3;
        play.starts();
        match left(&play.hears(0, &done(), SECOND)) {
            None => went_on += 1,
            outcome => assert_eq!(outcome, Some(Outcome::Stopped)),
        }
    }
    assert!((250..350).contains(&went_on), "{went_on}");
}

#[test]
fn he_comes_again_when_told_or_when_he_likes() {
    let told = says(Word::Later, Some(17_000));
    let again = |honours, answer: &Answer| {
        let mut play = Play::new(Persona { honours_retry_after: honours, ..persona() });
        play.starts();
        play.again(answer).1
    };
    assert_eq!(again(1.0, &told), 18 * SECOND);
    assert_eq!(again(0.0, &told), 3 * SECOND, "as impatient as he is");
    assert_eq!(again(1.0, &says(Word::Later, None)), 3 * SECOND);
    assert_eq!(again(1.0, &says(Word::Failed, None)), 3 * SECOND);
    let mut play = Play::new(persona());
    play.starts();
    assert_eq!(slept_of(&play.step(Event::Ended(0, Ending::Cut), SECOND)), [(0, 3 * SECOND)]);
}

#[test]
fn he_honours_as_often_as_is_likely() {
    let mut honoured = 0;
    for seed in 0..1_000 {
        let mut play = Play::new(Persona { honours_retry_after: 0.7, ..persona() });
        play.visitor = Visitor::new(&play.persona, seed, 0);
        play.starts();
        honoured += u32::from(play.again(&says(Word::Later, Some(17_000))).1 == 18 * SECOND);
    }
    assert!((650..750).contains(&honoured), "{honoured}");
}

#[test]
fn nobody_is_faster_than_he_can() {
    let mut play = Play::new(Persona { impatience: seconds(0), fastest: 0.5, ..persona() });
    play.starts();
    // At once, if he could: two seconds after the request before.
    assert_eq!(play.again(&says(Word::Failed, None)).1, 2 * SECOND);
}

#[test]
fn patience_ends_whatever_was_told() {
    let mut play = Play::new(persona());
    play.starts();
    let sleeps = slept_of(&play.hears(0, &says(Word::Later, Some(500_000)), 50 * SECOND));
    assert_eq!(sleeps, [(0, 100 * SECOND)]);
    assert_eq!(left(&play.step(Event::Timer(0), 100 * SECOND)), Some(Outcome::GaveUp));
    let mut play = Play::new(Persona { answer_patience: seconds(1_000), ..persona() });
    assert_eq!(play.starts().deadline, 100 * SECOND);
    let mut play = Play::new(Persona { upload: Some(1_000), ..persona() });
    play.stages[0].body = 20_000;
    assert_eq!(play.starts().deadline, 30 * SECOND, "it takes 20 s to send that");
}

#[test]
fn what_is_final_ends_the_visit() {
    for (answer, outcome) in [
        (says(Word::Over, None), Outcome::ToldNo),
        (Answer::bare(Kind::Submit, 413), Outcome::Refused),
        (Answer::bare(Kind::Submit, 302), Outcome::Refused),
    ] {
        let mut play = Play::new(persona());
        play.starts();
        assert_eq!(left(&play.hears(0, &answer, SECOND)), Some(outcome));
        assert!(play.visitor.is_over());
    }
    let mut play = Play::new(persona());
    play.starts();
    assert_eq!(left(&play.hears(0, &Answer::bare(Kind::Submit, 409), SECOND)), None, "a conflict passes");
}

#[test]
fn what_he_was_given_is_shown_again() {
    let shows = |keeps: Keeps| {
        let mut play = Play::new(Persona { keeps, ..persona() });
        assert!(!play.starts().shown.is_something());
        play.again(&place()).0.shown
    };
    let browser = shows(Keeps { cookie: 1.0, ticket_header: false, key: true });
    assert_eq!((browser.cookie.is_some(), browser.ticket.is_some()), (true, false));
    let app = shows(Keeps { cookie: 0.0, ticket_header: true, key: true });
    assert_eq!((app.cookie.is_some(), app.ticket.is_some()), (false, true));
    assert!(!shows(Keeps { cookie: 0.0, ticket_header: false, key: true }).is_something());
    let mut kept = 0;
    for seed in 0..1_000 {
        let keeps = Keeps { cookie: 0.8, ticket_header: false, key: false };
        let mut play = Play::new(Persona { keeps, ..persona() });
        play.visitor = Visitor::new(&play.persona, seed, 0);
        assert!(!play.starts().same_key);
        kept += u32::from(play.again(&place()).0.shown.is_something());
    }
    assert!((750..850).contains(&kept), "{kept}");
}

#[test]
fn who_polls_asks_for_the_place_and_submits_when_it_is_his_turn() {
    let mut play = Play::new(Persona { waits: Waits::Poll, ..persona() });
    play.starts();
    let (poll, at) = play.again(&place());
    assert_eq!((poll.kind, poll.hold, at), (Kind::Poll, None, 21 * SECOND));
    assert!(poll.shown.cookie.is_some());
    let turn = Answer { status: 200, ..says(Word::Turn, None) };
    let at_once = slept_of(&play.hears(0, &turn, 22 * SECOND));
    assert_eq!(at_once, [(0, 22 * SECOND)], "at once");
    assert_eq!(sent(&play.step(Event::Timer(0), 22 * SECOND)).kind, Kind::Submit);
    // A turn that could not be taken at the moment is taken when told.
    let again = play.hears(0, &says(Word::Turn, Some(3_000)), 23 * SECOND);
    assert_eq!(slept_of(&again), [(0, 26 * SECOND)]);
    assert_eq!(sent(&play.step(Event::Timer(0), 26 * SECOND)).kind, Kind::Submit);
    // No such place: from the beginning.
    play.hears(0, &place(), 27 * SECOND);
    assert_eq!(sent(&play.step(Event::Timer(0), 47 * SECOND)).kind, Kind::Poll);
    play.hears(0, &Answer::bare(Kind::Poll, 404), 48 * SECOND);
    assert_eq!(sent(&play.step(Event::Timer(0), 50 * SECOND)).kind, Kind::Submit);
}

#[test]
fn who_repeats_repeats_the_request() {
    let mut play = Play::new(persona());
    play.starts();
    assert_eq!(play.again(&place()).0.kind, Kind::Submit);
}

#[test]
fn who_has_no_ticket_has_nothing_to_ask_for() {
    let mut play = Play::new(Persona { waits: Waits::Poll, ..persona() });
    play.starts();
    assert_eq!(play.again(&says(Word::Place, Some(20_000))).0.kind, Kind::Submit);
}

#[test]
fn who_can_be_held_says_so_and_waits_longer() {
    let mut play = Play::new(Persona { waits: Waits::Hold(Duration::from_secs(20)), ..persona() });
    play.starts();
    let (poll, at) = play.again(&place());
    assert_eq!((poll.hold, poll.deadline - at), (Some(Duration::from_secs(20)), 30 * SECOND));
}

#[test]
fn an_app_says_that_it_leaves_the_line() {
    let keeps = Keeps { cookie: 1.0, ticket_header: true, key: true };
    let mut play = Play::new(Persona { waits: Waits::Poll, keeps, patience: seconds(15), ..persona() });
    play.starts();
    assert_eq!(slept_of(&play.hears(0, &place(), SECOND)), [(0, 15 * SECOND)]);
    let leave = sent(&play.step(Event::Timer(0), 15 * SECOND));
    assert_eq!((leave.kind, leave.shown.ticket.is_some()), (Kind::Leave, true));
    assert!(!play.visitor.is_over());
    let gone = play.hears(leave.slot, &Answer::bare(Kind::Leave, 204), 16 * SECOND);
    assert_eq!(left(&gone), Some(Outcome::GaveUp));
    assert!(play.visitor.is_over());
}

#[test]
fn tabs_share_one_jar_and_end_when_one_succeeds() {
    let mut play = Play::new(Persona { tabs: Tabs { probability: 1.0, further: 2 }, ..persona() });
    let actions = play.step(Event::Started, 0);
    assert_eq!(slept_of(&actions), [(1, 2 * SECOND), (2, 4 * SECOND)]);
    play.hears(0, &place(), SECOND);
    let second = sent(&play.step(Event::Timer(1), 2 * SECOND));
    assert!(second.shown.cookie.is_some() && second.slot == 1, "what the first tab was given");
    assert_eq!(sent(&play.step(Event::Timer(2), 4 * SECOND)).number, 2);
    // The third is let in, while the second still waits for an answer: that one changes nothing any more.
    assert_eq!(slept_of(&play.hears(2, &done(), 5 * SECOND)), [(2, 10 * SECOND)]);
    assert_eq!(play.hears(1, &done(), 6 * SECOND), []);
    assert_eq!(play.step(Event::Timer(0), 21 * SECOND), [], "the first tab is closed");
    assert_eq!(sent(&play.step(Event::Timer(2), 10 * SECOND)).stage, 1);
}

#[test]
fn a_double_click_is_the_same_again_within_300_ms() {
    let mut play = Play::new(Persona { double_click: 1.0, ..persona() });
    let actions = play.step(Event::Started, 0);
    let first = sent(&actions);
    let [(slot, at)] = slept_of(&actions)[..] else { panic!("{actions:?}") };
    assert!(slot != 0 && at <= 300_000, "{actions:?}");
    let actions = play.step(Event::Timer(slot), at);
    let second = sent(&actions);
    assert_eq!((second.number, second.same_key, second.stage), (first.number + 1, true, 0));
    assert!(slept_of(&actions).is_empty(), "nobody clicks a third time");
    // A refusal of the second changes nothing; its success would.
    assert_eq!(play.hears(slot, &says(Word::Later, Some(1_000)), SECOND), []);
    assert_eq!(slept_of(&play.hears(0, &done(), SECOND)), [(0, 6 * SECOND)]);
}

#[test]
fn people_at_an_office_ask_for_places_of_their_own_at_one_browser() {
    let office = Persona { source: Source::Office(5), ..persona() };
    let mut play = Play::new(office.clone());
    let mut browser = Jar::default();
    let gifts = Gifts { ticket: None, pass: None, cookies: vec![("weir_ticket".into(), "other".into())] };
    browser.keep_cookies(&gifts);
    play.office = Some(browser);
    let first = play.starts();
    assert!(first.anew && first.shown.cookie.as_deref() == Some("weir_ticket=other"), "{first:?}");
    let (second, _) = play.again(&place());
    assert!(!second.anew && second.shown.ticket == Some("T".repeat(52)), "{second:?}");
    assert_eq!(second.shown.cookie, Some(format!("weir_ticket={}", "T".repeat(52))), "the browser has the newest");
}

#[test]
fn a_forger_shows_what_nobody_gave() {
    let mut play = Play::new(Persona { attack: Some(Attack::Forge), ..persona() });
    let first = play.starts();
    assert!(first.kind == Kind::Forged && first.shown.is_something() && !first.same_key);
    let (second, _) = play.again(&place());
    assert!(second.kind == Kind::Forged && second.shown.ticket != Some("T".repeat(52)));
    assert_eq!(left(&play.hears(0, &done(), 30 * SECOND)), Some(Outcome::Registered), "one success is enough");
}

#[test]
fn tickets_of_those_who_are_done_are_replayed() {
    let mut play = Play::new(Persona { attack: Some(Attack::Replay), ..persona() });
    let actions = play.step(Event::Started, 0);
    assert_eq!(slept_of(&actions), [(0, 2 * SECOND)], "nobody is done yet");
    let mut other = Play::new(persona());
    other.starts();
    other.again(&place());
    other.hears(0, &done(), 21 * SECOND);
    other.step(Event::Timer(0), 26 * SECOND);
    assert_eq!(left(&other.hears(0, &done(), 27 * SECOND)), Some(Outcome::Registered));
    play.spent = std::mem::take(&mut other.spent);
    let replayed = sent(&play.step(Event::Timer(0), 30 * SECOND));
    assert_eq!((replayed.kind, replayed.shown.ticket), (Kind::Forged, Some("T".repeat(52))));
}

#[test]
fn a_flood_says_nothing() {
    let mut play = Play::new(Persona { attack: Some(Attack::Flood { connections: 9 }), ..persona() });
    let actions = play.step(Event::Started, 0);
    assert_eq!(actions, [Action::Flood { connections: 9, until: 100 * SECOND }, Action::Sleep(0, 100 * SECOND)]);
    assert_eq!(left(&play.step(Event::Timer(0), 100 * SECOND)), Some(Outcome::GaveUp));
}

#[test]
fn one_seed_one_person() {
    let run = || {
        let spread = Spread::Lognormal(Duration::from_secs(3), 0.8);
        let mut play = Play::new(Persona { impatience: spread, honours_retry_after: 0.5, ..persona() });
        play.starts();
        (0..20).map(|_| play.again(&says(Word::Later, Some(900))).1).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
