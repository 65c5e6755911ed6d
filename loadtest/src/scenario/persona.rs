//! Kinds of people: how patient they are, what they do while they wait, and what they come with.
//!
//! **Not here**: the next step of one of them (`visitor`), which is the same under real sockets and in virtual time.

use std::time::Duration;

/// A kind of people.
#[derive(Clone, Debug, PartialEq)]
pub struct Persona {
    /// How reports call it: `patient`, `refresher`.
    pub name: String,
    /// Share of all people, above 0.
    pub share: f64,
    /// How long they stay, from their arrival, until they give up for good.
    pub patience: Spread,
    /// How long they wait for one answer, once their body is sent, before they break off.
    pub answer_patience: Spread,
    /// Between the success of a stage and the next: filling the form.
    pub think: Spread,
    /// Who is told to come back at an instant does so with this probability, drawn each time; otherwise after [`Persona::impatience`].
    pub honours_retry_after: f64,
    /// Pause of those who were told nothing, or do not care for what they were told.
    pub impatience: Spread,
    /// Most requests a second of one of them, whatever else is said.
    pub fastest: f64,
    /// With this probability an action is sent a second time within 300 ms, with the same key: a double click.
    pub double_click: f64,
    /// With this probability a person opens this many further tabs.
    pub tabs: Tabs,
    /// What becomes of a cookie or ticket between two visits.
    pub keeps: Keeps,
    /// How they wait for their turn.
    pub waits: Waits,
    /// Where they come from.
    pub source: Source,
    /// What they speak.
    pub protocol: Protocol,
    /// How fast they send a body; none: as fast as it goes. Bytes a second.
    pub upload: Option<u64>,
    /// What they try that is not allowed.
    pub attack: Option<Attack>,
}

/// A length of time, drawn for each person or each time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Always this.
    Fixed(Duration),
    /// Evenly between the two.
    Even(Duration, Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Lognormal with this median and this σ of the logarithm.
    Lognormal(Duration, f64),
}

/// Further tabs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tabs {
    /// With this probability,
    pub probability: f64,
    /// so many, at most [`Tabs::MOST`].
    pub further: u8,
}

impl Tabs {
    /// More further tabs one person does not open.
    pub const MOST: u8 = 5;
}

/// What becomes of what a person was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keeps {
    /// The cookie is still there at the next visit, with this probability.
    pub cookie: f64,
    /// The ticket is shown in the header `Weir-Ticket` as an app does, beside or instead of the cookie.
    pub ticket_header: bool,
    /// The `Idempotency-Key` of the sign-up is the same each time.
    pub key: bool,
}

/// How people wait for their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Repeat the request itself when told to.
    Repeat,
    /// Ask for the place (`GET /.weir/place`) when told to, and send the request when it is their turn.
    Poll,
    /// As before, and let the gateway hold each visit this long (`Prefer: wait`).
    Hold(Duration),
}

/// Where people come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An address of their own.
    Own,
    /// So many people behind one address: a carrier's NAT.
    Shared(u32),
    /// So many people at one address and one computer, one after the other, who ask for a fresh place each.
    Office(u32),
}

/// What people speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, a connection of their own, closed while they think or wait long.
    Http1,
    /// HTTP/2; a connection is shared by so many people.
    Http2 {
        /// Streams of people on one connection.
        people: u32,
    },
}

/// What is not allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Attack {
    /// Shows tickets and passes of its own making: forged, of another room, out of date.
    Forge,
    /// Shows tickets of other people that were in and done.
    Replay,
    /// Opens connections and says nothing, so many a person.
    Flood {
        /// Connections.
        connections: u32,
    },
    /// Sends its head at so many bytes a second.
    SlowHead {
        /// Bytes a second.
        rate: u64,
    },
    /// Sends its body at so many bytes a second.
    SlowBody {
        /// Bytes a second.
        rate: u64,
    },
}
