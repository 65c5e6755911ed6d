//! `[[persona]]` as written: a kind of people that `like` names, and what is different about these.

use std::time::Duration;

use weir::config::explain::Span;
use weir::config::names::name;
use weir::config::reader::{Table, Written};
use weir::config::scalar::{number, text, truth, word};
use weir::config::units::duration;

use super::value::{bytes, millis, rate, secs, share, some_share, spread};
use crate::scenario::persona::{Attack, Keeps, Persona, Protocol, Source, Spread, Tabs, Waits};

/// People on one connection of HTTP/2 unless written: a browser's own connection is one person's, a harness saves sockets.
const STREAMS: u32 = 100;
/// Bytes a second: from what no timeout bears to a local network.
const SPEEDS: std::ops::RangeInclusive<u64> = 1..=1 << 30;

/// One kind of people.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) span: Span,
    pub(super) name: Option<Written<String>>,
    pub(super) share: Option<Written<f64>>,
    pub(super) share_is_written: bool,
    pub(super) persona: Persona,
}

impl Draft {
    pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
        let span = table.span();
        let kinds = KINDS.map(|(word, _)| (word, word));
        let like = table.optional("like", text("a kind of people", |found| word(found, &kinds)));
        let kind = like.as_ref().map_or("patient", |like| like.value);
        let usual = usual(kind);
        // A kind that is written is name enough, right or wrong.
        if !table.has("like") {
            table.require("name");
        }
        let name = table
            .optional("name", text("a name", name))
            .or_else(|| like.map(|like| Written { value: like.value.to_owned(), span: like.span }));
        Self {
            span,
            share: table.optional("share", some_share),
            share_is_written: table.has("share"),
            persona: Persona {
                name: name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
                ..persona(table, usual)
            },
            name,
        }
    }
}

fn persona(table: &mut Table<'_, '_, '_>, usual: Persona) -> Persona {
    Persona {
        patience: spread(table, "patience", "[persona.patience]", usual.patience),
        answer_patience: spread(table, "answer_patience", "[persona.answer_patience]", usual.answer_patience),
        think: spread(table, "think", "[persona.think]", usual.think),
        honours_retry_after: table.or("honours_retry_after", usual.honours_retry_after, share),
        impatience: spread(table, "impatience", "[persona.impatience]", usual.impatience),
        fastest: table.or("fastest", usual.fastest, rate),
        double_click: table.or("double_click", usual.double_click, share),
        tabs: table.table("tabs", "[persona.tabs]", tabs).flatten().unwrap_or(usual.tabs),
        keeps: table
            .table("keeps", "[persona.keeps]", |keeps| Keeps {
                cookie: keeps.or("cookie", usual.keeps.cookie, share),
                ticket_header: keeps.or("ticket_header", usual.keeps.ticket_header, truth),
                key: keeps.or("key", usual.keeps.key, truth),
            })
            .unwrap_or(usual.keeps),
        waits: waits(table, usual.waits),
        source: source(table, usual.source),
        protocol: protocol(table, usual.protocol),
        upload: table.optional("upload", bytes(SPEEDS)).map(|upload| upload.value).or(usual.upload),
        attack: attack(table, usual.attack),
        ..usual
    }
}

fn tabs(table: &mut Table<'_, '_, '_>) -> Option<Tabs> {
    let (probability, further) =
        (table.required("probability", share), table.required("further", number(1..=Tabs::MOST)));
    Some(Tabs { probability: probability?.value, further: further?.value })
}

fn waits(table: &mut Table<'_, '_, '_>, usual: Waits) -> Waits {
    if table.has_table("waits") {
        let hold = |held: &mut Table<'_, '_, '_>| held.required("hold", duration(secs(1)..=secs(3_600)));
        let hold = table.table("waits", "[persona.waits]", hold).flatten();
        return hold.map_or(usual, |hold| Waits::Hold(hold.value));
    }
    let words = [("poll", Waits::Poll), ("repeat", Waits::Repeat)];
    table.or("waits", usual, text("\"poll\", \"repeat\" or { hold = \"20s\" }", |found| word(found, &words)))
}

fn source(table: &mut Table<'_, '_, '_>, usual: Source) -> Source {
    let behind = || number(2..=1_000_000_u32);
    if table.has_table("source") {
        let source = table.table("source", "[persona.source]", |source| {
            if source.has("office") {
                return source.required("office", behind()).map(|people| Source::Office(people.value));
            }
            source.required("shared", behind()).map(|people| Source::Shared(people.value))
        });
        return source.flatten().unwrap_or(usual);
    }
    let words = [("own", Source::Own)];
    table.or("source", usual, text("\"own\", { shared = 5000 } or { office = 50 }", |found| word(found, &words)))
}

fn protocol(table: &mut Table<'_, '_, '_>, usual: Protocol) -> Protocol {
    if table.has_table("protocol") {
        let people = |protocol: &mut Table<'_, '_, '_>| protocol.required("http2", number(1..=10_000));
        let people = table.table("protocol", "[persona.protocol]", people).flatten();
        return people.map_or(usual, |people| Protocol::Http2 { people: people.value });
    }
    let words = [("http1", Protocol::Http1), ("http2", Protocol::Http2 { people: STREAMS })];
    table.or("protocol", usual, text("\"http1\", \"http2\" or { http2 = 250 }", |found| word(found, &words)))
}

fn attack(table: &mut Table<'_, '_, '_>, usual: Option<Attack>) -> Option<Attack> {
    if table.has_table("attack") {
        let attack = table.table("attack", "[persona.attack]", |attack| {
            if attack.has("slow_head") {
                return attack.required("slow_head", bytes(SPEEDS)).map(|rate| Attack::SlowHead { rate: rate.value });
            }
            if attack.has("slow_body") {
                return attack.required("slow_body", bytes(SPEEDS)).map(|rate| Attack::SlowBody { rate: rate.value });
            }
            let connections = attack.required("flood", number(1..=10_000));
            connections.map(|connections| Attack::Flood { connections: connections.value })
        });
        return attack.flatten().or(usual);
    }
    let words = [("none", None), ("forge", Some(Attack::Forge)), ("replay", Some(Attack::Replay))];
    let wanted =
        "\"none\", \"forge\", \"replay\", { flood = 10 }, { slow_head = \"10B/s\" } or { slow_body = \"10B/s\" }";
    table.or("attack", usual, text(wanted, |found| word(found, &words)))
}

/// How people are who are nothing but patient: they stay half an hour or so, wait for an answer as long as browsers do, come back
/// when they are told to, and keep what they are given.
fn patient() -> Persona {
    Persona {
        name: String::new(),
        share: 1.0,
        patience: Spread::Lognormal(secs(1_800), 0.5),
        answer_patience: Spread::Even(secs(20), secs(60)),
        think: Spread::Lognormal(secs(20), 0.6),
        honours_retry_after: 1.0,
        impatience: Spread::Even(secs(2), secs(6)),
        fastest: 2.0,
        double_click: 0.0,
        tabs: Tabs { probability: 0.0, further: 0 },
        keeps: Keeps { cookie: 1.0, ticket_header: false, key: true },
        waits: Waits::Poll,
        source: Source::Own,
        protocol: Protocol::Http1,
        upload: None,
        attack: None,
    }
}

/// What makes one kind of people of patient ones.
type Kind = fn(Persona) -> Persona;

/// The words of `like`, and what each is.
pub(super) const KINDS: [(&str, Kind); 9] = [
    ("patient", |patient| patient),
    // Presses F5 when nothing moves, in half of the cases before the time is up.
    ("refresher", |patient| Persona {
        answer_patience: Spread::Even(secs(3), secs(10)),
        honours_retry_after: 0.5,
        impatience: Spread::Even(secs(2), secs(5)),
        waits: Waits::Repeat,
        ..patient
    }),
    ("double_clicker", |patient| Persona { double_click: 0.5, ..patient }),
    ("tabs", |patient| Persona { tabs: Tabs { probability: 1.0, further: 2 }, ..patient }),
    // A program: no thought, no pause, no cookie, and no end.
    ("retry_bot", |patient| Persona {
        patience: Spread::Fixed(secs(7_200)),
        answer_patience: Spread::Fixed(secs(5)),
        think: Spread::Fixed(Duration::ZERO),
        honours_retry_after: 0.0,
        impatience: Spread::Even(millis(100), millis(300)),
        fastest: 5.0,
        keeps: Keeps { cookie: 0.0, ..patient.keeps },
        waits: Waits::Repeat,
        ..patient
    }),
    // A telephone: thousands of people come from the carrier's one address, an app keeps the ticket, the uplink is slow.
    ("carrier_phone", |patient| Persona {
        keeps: Keeps { ticket_header: true, ..patient.keeps },
        source: Source::Shared(5_000),
        upload: Some(256 << 10),
        ..patient
    }),
    // A village's registration office: a clerk and a computer, one after the other.
    ("office", |patient| Persona { patience: Spread::Fixed(secs(7_200)), source: Source::Office(50), ..patient }),
    ("forger", |patient| Persona { attack: Some(Attack::Forge), ..patient }),
    ("slow_sender", |patient| Persona { attack: Some(Attack::SlowBody { rate: 100 }), ..patient }),
];

/// People of the kind `word`.
pub(super) fn usual(word: &str) -> Persona {
    let kind = KINDS.iter().find(|(known, _)| *known == word);
    kind.map_or_else(patient, |(_, kind)| kind(patient()))
}

/// The only kind of people where none is written.
pub(super) fn only() -> Persona {
    Persona { name: "patient".to_owned(), ..patient() }
}
