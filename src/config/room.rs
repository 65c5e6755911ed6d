//! `[[waiting_room]]` as written, and as built.
//!
//! **Invariants**: of the plan's waves at least one stands for each room, in order, each closed before the next opens; only the
//! last may be without end, only the first without beginning.
//! **Not here**: keys (`secret`), which routes lead into a room (`build::route`), what a page must look like (`waiting_room::page`).

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::bounds::{DEFAULT_ROOM, PLACES, QUOTA, TICKET_LIFE};
use super::explain::{Faults, Span, did_you_mean, meant, quoted};
use super::instant::instant;
use super::names;
use super::plan::{self, AtClose, ClientKey, Identity, Instant, Pace, Wave};
use super::reader::{Complaint, Parsed, Table, Written};
use super::scalar::{number, text, word};
use super::secret::{self, Source};
use super::syntax;
use super::units::{duration, rate};

/// Numbers are remembered in chunks of so many.
const CHUNK: usize = 4_096;

/// Bytes of a page of the operator's own; it is sent to everyone who waits.
const MAX_PAGE: u64 = 64 << 10;

const AT_CLOSE: [(&str, AtClose); 3] = [("serve", AtClose::Serve), ("carry", AtClose::Carry), ("end", AtClose::End)];

const PACES: [(&str, Pace); 2] = [("measured", Pace::Measured), ("paused", Pace::Paused)];

/// `[[waiting_room]]`
#[derive(Debug)]
pub(super) struct Room {
    span: Span,
    pub(super) name: Option<Written<String>>,
    pub(super) key: Option<Written<Source>>,
    old_keys: Vec<Written<Source>>,
    pub(super) identity: Option<Identity>,
    inline: Period,
    waves: Vec<Period>,
    at_close: AtClose,
    pub(super) pace: Pace,
    capacity: usize,
    life: Duration,
    pub(super) state: Option<Written<PathBuf>>,
    page: Option<Written<PathBuf>>,
}

/// `[[waiting_room.wave]]`, or the same keys in `[[waiting_room]]` where there is only one.
#[derive(Debug)]
struct Period {
    span: Span,
    opens: Option<Written<Instant>>,
    closes: Option<Written<Instant>>,
    quota: Option<Written<NonZeroU64>>,
}

impl Room {
    pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            span: table.span(),
            name: table.required("name", text("a name", names::name)),
            key: table.required("key", source),
            old_keys: table.list("old_keys", "keys", source).map_or_else(Vec::new, |list| list.value),
            identity: table
                .optional("identity", text("\"header:NAME\" or \"cookie:NAME\"", identity))
                .map(|written| written.value),
            inline: Period::read(table),
            waves: table.tables("wave", "[[waiting_room.wave]]", Period::read),
            at_close: table.or(
                "at_close",
                DEFAULT_ROOM.at_close,
                text("\"serve\", \"carry\" or \"end\"", |found| word(found, &AT_CLOSE)),
            ),
            pace: table.or("pace", DEFAULT_ROOM.pace, pace),
            capacity: table.or("capacity", DEFAULT_ROOM.capacity, number(PLACES)),
            life: table.or("life", DEFAULT_ROOM.life, duration(TICKET_LIFE)),
            state: table.optional("state", text("a directory", |found| path(found, "a directory"))),
            page: table.optional("page", text("an HTML file", |found| path(found, "an HTML file"))),
        }
    }

    /// With its keys and its page, as far as they are there. Relative paths start at `directory`.
    pub(super) fn build(self, used: bool, directory: &Path, faults: &mut Faults<'_>) -> Option<plan::WaitingRoom> {
        if !used {
            faults.warn(&self.span, "no route leads into this waiting room: write `waiting_room` in a [[route]]");
        }
        let key = self.key.and_then(|key| secret::key("key", &key, directory, faults));
        let known = |key: &Written<Source>| secret::known("old_keys", key, directory, faults);
        let old_keys: Vec<_> = self.old_keys.iter().map(known).collect();
        let page = self.page.map(|page| read_page(&page, directory, faults).ok_or(())).transpose();
        let waves = waves(self.inline, self.waves, faults);
        let name = self.name?.value;
        let state = match self.state {
            Some(state) => usable(&state, directory, faults)?,
            None => directory.join(state_of(&name)),
        };
        Some(plan::WaitingRoom {
            name,
            key: key?,
            old_keys: old_keys.into_iter().collect::<Option<_>>()?,
            identity: self.identity,
            waves: waves?,
            at_close: self.at_close,
            pace: self.pace,
            capacity: self.capacity.next_multiple_of(CHUNK),
            life: self.life,
            state,
            page: page.ok()?,
        })
    }

    /// Where it stands.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Whether any of its waves has a quota.
    pub(super) fn has_quota(&self) -> bool {
        std::iter::once(&self.inline).chain(&self.waves).any(|period| period.quota.is_some())
    }
}

impl Period {
    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            span: table.span(),
            opens: table.optional("opens", instant),
            closes: table.optional("closes", instant),
            quota: table.optional("quota", quota),
        }
    }

    fn is_written(&self) -> bool {
        self.opens.is_some() || self.closes.is_some() || self.quota.is_some()
    }

    fn wave(&self) -> Wave {
        let value = |written: &Option<Written<Instant>>| written.as_ref().map(|written| written.value);
        Wave {
            opens: value(&self.opens),
            closes: value(&self.closes),
            quota: self.quota.as_ref().map(|quota| quota.value),
        }
    }
}

/// The waves in order.
fn waves(inline: Period, written: Vec<Period>, faults: &mut Faults<'_>) -> Option<Vec<Wave>> {
    if inline.is_written() && !written.is_empty() {
        let message = "`opens`, `closes` and `quota` stand in [[waiting_room]] and in [[waiting_room.wave]]".to_owned();
        faults.add(&inline.span, message, Some("leave one of them out".to_owned()), None);
        return None;
    }
    let periods = if written.is_empty() { vec![inline] } else { written };
    let mut sound = true;
    let mut complain = |span: &Span, message: &str, label: &str| {
        faults.add(span, message.to_owned(), Some(label.to_owned()), None);
        sound = false;
    };
    for period in &periods {
        if let (Some(opens), Some(closes)) = (&period.opens, &period.closes)
            && closes.value.unix <= opens.value.unix
        {
            complain(&closes.span, "`closes` is not after `opens`", "this wave is never open");
        }
    }
    for (earlier, later) in periods.iter().zip(periods.iter().skip(1)) {
        let Some(opens) = &later.opens else {
            complain(&later.span, "only the first wave may have no `opens`", "write when this wave opens");
            continue;
        };
        let ended = earlier.closes.as_ref().map_or_else(
            // A wave that only a quota ends may be over by then, or not.
            || {
                earlier.quota.is_some()
                    && earlier.opens.as_ref().is_none_or(|began| began.value.unix < opens.value.unix)
            },
            |closes| closes.value.unix <= opens.value.unix,
        );
        if !ended {
            complain(&opens.span, "a wave opens before the one above it has ended", "waves stand in order");
        }
    }
    sound.then(|| periods.iter().map(Period::wave).collect())
}

fn source(value: &DeValue<'_>) -> Parsed<Source> {
    text("\"file:PATH\" or \"env:NAME\"", secret::source)(value)
}

fn identity(text: &str) -> Parsed<Identity> {
    match syntax::client_key(text)? {
        ClientKey::Header(name) => Ok(Identity::Header(name)),
        ClientKey::Cookie(name) => Ok(Identity::Cookie(name)),
        ClientKey::Address => Err(Complaint::text("\"header:NAME\" or \"cookie:NAME\"", text)
            .hint("an address may stand for thousands of people")),
    }
}

fn pace(value: &DeValue<'_>) -> Parsed<Pace> {
    let DeValue::String(found) = value else {
        return Err(Complaint::value("\"measured\", \"paused\" or a rate such as \"500/m\"", value));
    };
    if found.starts_with(|first: char| first.is_ascii_digit()) {
        return rate(value).map(Pace::Fixed);
    }
    let known = PACES.iter().find(|(known, _)| known == found).map(|(_, pace)| *pace);
    known.ok_or_else(|| {
        let complaint = Complaint::text("\"measured\", \"paused\" or a rate such as \"500/m\"", found);
        match meant(found, PACES.map(|(known, _)| known)) {
            Some(known) => complaint.hint(did_you_mean(&quoted(known))),
            None => complaint,
        }
    })
}

fn quota(value: &DeValue<'_>) -> Parsed<NonZeroU64> {
    let read = number(QUOTA)(value)?;
    NonZeroU64::new(read).ok_or_else(|| Complaint::value("at least one", value))
}

fn path(text: &str, wanted: &str) -> Parsed<PathBuf> {
    if text.is_empty() || text.contains('\0') { Err(Complaint::text(wanted, text)) } else { Ok(PathBuf::from(text)) }
}

/// The directory of a room's journal, unless it is written.
pub(super) fn state_of(name: &str) -> String {
    format!("{name}.room")
}

/// The directory of a journal: there, or one that can be made.
fn usable(state: &Written<PathBuf>, directory: &Path, faults: &mut Faults<'_>) -> Option<PathBuf> {
    let path = directory.join(&state.value);
    let sound = if path.exists() { path.is_dir() } else { secret::parent(&path).is_dir() };
    if !sound {
        let message = format!("`state` is not a directory, nor in one that exists: {}", path.display());
        faults.add(&state.span, message, None, None);
    }
    sound.then_some(path)
}

fn read_page(page: &Written<PathBuf>, directory: &Path, faults: &mut Faults<'_>) -> Option<Arc<str>> {
    let path = directory.join(&page.value);
    let read = super::build::read_bounded(&path, MAX_PAGE)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned()));
    match read {
        Ok(text) => Some(text.into()),
        Err(why) => {
            faults.add(&page.span, format!("`page` cannot be read ({why}): {}", path.display()), None, None);
            None
        }
    }
}
