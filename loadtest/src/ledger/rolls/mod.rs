//! What people were told, by person: each person's requests in a few bytes, as they differ from his last.
//!
//! A day of millions of people is millions of visits that say nearly the same as the one before. A record of its own each, as in a file, would not
//! fit into a machine.
//!
//! **Invariants**: what is put in comes out, to the bit; of one person in the order in which it was put in.
//! **Cost**: 64 bytes a person, and 5 to 15 a request; some 10 ns to write or read one.
//! **Not here**: files (`file`), which keep whole records.

use std::hint::black_box;

use super::told::{byte, take, variant};
use super::{Ending, Kind, NONE, RequestId, Told, Word};

/// Rolls are kept by the person's number up to here; whoever is told of beyond is nobody of any population.
const PEOPLE: u32 = 1 << 23;

/// A roll grows by this part of itself, and by so many bytes at least.
const GROWS: usize = 4;
const LEAST: usize = 24;

/// What everybody was told.
#[derive(Clone, Debug, Default)]
pub struct Rolls {
    people: Vec<Roll>,
    /// Of people beyond [`PEOPLE`], as it is.
    strangers: Vec<Told>,
    count: usize,
}

/// One person's.
#[derive(Clone, Debug, Default)]
struct Roll {
    bytes: Vec<u8>,
    last: Last,
}

/// What the next record is told by.
#[derive(Clone, Copy, Debug)]
struct Last {
    sent: u64,
    request: u32,
    retry_after: u32,
    ahead: u32,
    eta: (u32, u32),
    what: What,
}

/// What stays the same of most requests of a person.
#[derive(Clone, Copy, Debug, PartialEq)]
struct What {
    stage: u8,
    kind: Kind,
    tab: u8,
    ending: Ending,
    word: Word,
    shown: bool,
    status: u16,
}

/// Bits of the first byte of a record: this is as it was, or follows from the rest.
mod same {
    pub(super) const REQUEST: u8 = 1;
    pub(super) const WHAT: u8 = 1 << 1;
    pub(super) const INTENDED: u8 = 1 << 2;
    pub(super) const ENDED: u8 = 1 << 3;
    pub(super) const RETRY: u8 = 1 << 4;
    pub(super) const PLACE: u8 = 1 << 5;
    pub(super) const AHEAD: u8 = 1 << 6;
    pub(super) const ETA: u8 = 1 << 7;
}

impl Default for Last {
    fn default() -> Self {
        let what = What {
            stage: 0,
            kind: Kind::Submit,
            tab: 0,
            ending: Ending::Answered,
            word: Word::Place,
            shown: false,
            status: 503,
        };
        Self { sent: 0, request: u32::MAX, retry_after: NONE, ahead: NONE, eta: (NONE, NONE), what }
    }
}

impl Rolls {
    /// Of so many people, who were told nothing yet.
    #[must_use]
    pub fn new(people: usize) -> Self {
        Self { people: vec![Roll::default(); people.min(PEOPLE as usize)], ..Self::default() }
    }

    /// Puts `told` in.
    pub fn push(&mut self, told: &Told) {
        self.count += 1;
        if told.id.person >= PEOPLE {
            return self.strangers.push(*told);
        }
        let person = told.id.person as usize;
        if person >= self.people.len() {
            self.people.resize_with(person + 1, Roll::default);
        }
        if let Some(roll) = self.people.get_mut(person) {
            roll.push(told);
        }
    }

    /// Puts all of `batch` in. Where each roll ends is read before, of all of them at once: to wait for one memory after the other takes longer than to write.
    pub fn put(&mut self, batch: &[Told]) {
        let rolls = || batch.iter().filter_map(|told| self.people.get(told.id.person as usize));
        let lengths: usize = rolls().map(|roll| roll.bytes.len()).sum();
        let ends = rolls().filter_map(|roll| roll.bytes.last()).fold(0, |sum, byte| sum ^ byte);
        black_box((lengths, ends));
        for told in batch {
            self.push(told);
        }
    }

    /// Puts what others were told behind: the first of `others` is numbered as the next of those here.
    pub fn append(&mut self, others: Self) {
        self.count += others.count;
        self.people.extend(others.people);
        self.strangers.extend(others.strangers);
    }

    /// Requests.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the records take.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.people.iter().map(|roll| roll.bytes.capacity()).sum()
    }

    /// What `person` was told.
    pub fn of(&self, person: u32) -> impl Iterator<Item = Told> {
        let roll = self.people.get(person as usize).into_iter().flat_map(move |roll| roll.read(person));
        let strangers = if person < PEOPLE { &[][..] } else { self.strangers.as_slice() };
        roll.chain(strangers.iter().copied().filter(move |told| told.id.person == person))
    }

    /// What was told to `person` and everybody behind him.
    pub fn onwards(&self, person: u32) -> impl Iterator<Item = Told> {
        let known = (0_u32..).zip(&self.people).skip(person as usize);
        known.flat_map(|(person, roll)| roll.read(person)).chain(self.strangers.iter().copied())
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = Told> {
        self.onwards(0)
    }
}

impl PartialEq for Rolls {
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): (&Roll, &Roll)| one.bytes == other.bytes;
        self.count == other.count
            && self.people.len() == other.people.len()
            && self.people.iter().zip(&other.people).all(same)
            && self.strangers == other.strangers
    }
}

impl FromIterator<Told> for Rolls {
    fn from_iter<T: IntoIterator<Item = Told>>(all: T) -> Self {
        let mut rolls = Self::default();
        rolls.extend(all);
        rolls
    }
}

impl From<Vec<Told>> for Rolls {
    fn from(all: Vec<Told>) -> Self {
        all.into_iter().collect()
    }
}

impl Extend<Told> for Rolls {
    fn extend<T: IntoIterator<Item = Told>>(&mut self, all: T) {
        all.into_iter().for_each(|told| self.push(&told));
    }
}

impl Roll {
    fn push(&mut self, told: &Told) {
        let last = self.last;
        let next = Last {
            sent: told.sent,
            request: told.id.request,
            retry_after: told.retry_after,
            ahead: told.ahead,
            eta: (told.eta_p50, told.eta_p90),
            what: What {
                stage: told.stage,
                kind: told.kind,
                tab: told.tab,
                ending: told.ending,
                word: told.word,
                shown: told.shown,
                status: told.status,
            },
        };
        let flags = [
            (same::REQUEST, next.request == last.request.wrapping_add(1)),
            (same::WHAT, next.what == last.what),
            (same::INTENDED, told.intended == told.sent),
            (same::ENDED, told.ended == told.sent),
            (same::RETRY, next.retry_after == last.retry_after),
            (same::PLACE, told.place == place(told.ahead)),
            (same::AHEAD, next.ahead == last.ahead),
            (same::ETA, next.eta == last.eta),
        ];
        let head = flags.iter().fold(0, |head, (bit, is)| if *is { head | bit } else { head });
        let mut record = Record::default();
        record.byte(head);
        record.unless(head, same::REQUEST, next.request.into(), 0);
        if head & same::WHAT == 0 {
            next.what.write(&mut record);
        }
        record.change(next.sent, last.sent);
        record.unless(head, same::INTENDED, told.intended, told.sent);
        record.unless(head, same::ENDED, told.ended, told.sent);
        record.unless(head, same::RETRY, next.retry_after.into(), last.retry_after.into());
        record.unless(head, same::AHEAD, next.ahead.into(), last.ahead.into());
        record.unless(head, same::PLACE, told.place.into(), 0);
        record.unless(head, same::ETA, next.eta.0.into(), last.eta.0.into());
        record.unless(head, same::ETA, next.eta.1.into(), last.eta.1.into());
        self.last = next;
        let bytes = record.bytes();
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            self.bytes.reserve_exact(bytes.len().max(self.bytes.len() / GROWS).max(LEAST));
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn read(&self, person: u32) -> impl Iterator<Item = Told> {
        let (mut bytes, mut last) = (self.bytes.as_slice(), Last::default());
        std::iter::from_fn(move || last.read(person, &mut bytes))
    }
}

impl Last {
    /// The next record of `bytes`; this is the last one then.
    fn read(&mut self, person: u32, bytes: &mut &[u8]) -> Option<Told> {
        let head = byte(bytes)?;
        let is = |bit: u8| head & bit != 0;
        self.request = if is(same::REQUEST) { self.request.wrapping_add(1) } else { short(changed(bytes, 0)?) };
        if !is(same::WHAT) {
            self.what = What::read(bytes)?;
        }
        self.sent = changed(bytes, self.sent)?;
        let intended = if is(same::INTENDED) { self.sent } else { changed(bytes, self.sent)? };
        let ended = if is(same::ENDED) { self.sent } else { changed(bytes, self.sent)? };
        if !is(same::RETRY) {
            self.retry_after = short(changed(bytes, self.retry_after.into())?);
        }
        if !is(same::AHEAD) {
            self.ahead = short(changed(bytes, self.ahead.into())?);
        }
        let place = if is(same::PLACE) { place(self.ahead) } else { short(changed(bytes, 0)?) };
        if !is(same::ETA) {
            let p50 = short(changed(bytes, self.eta.0.into())?);
            self.eta = (p50, short(changed(bytes, self.eta.1.into())?));
        }
        let What { stage, kind, tab, ending, word, shown, status } = self.what;
        Some(Told {
            id: RequestId { person, request: self.request },
            stage,
            kind,
            tab,
            ending,
            word,
            shown,
            status,
            intended,
            sent: self.sent,
            ended,
            retry_after: self.retry_after,
            place,
            ahead: self.ahead,
            eta_p50: self.eta.0,
            eta_p90: self.eta.1,
        })
    }
}

impl What {
    fn write(self, record: &mut Record) {
        let [low, high] = self.status.to_le_bytes();
        let fields = [self.stage, self.kind as u8, self.tab, self.ending as u8, self.word as u8, u8::from(self.shown)];
        fields.into_iter().chain([low, high]).for_each(|field| record.byte(field));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            stage: byte(bytes)?,
            kind: variant(bytes, &Kind::ALL)?,
            tab: byte(bytes)?,
            ending: variant(bytes, &Ending::ALL)?,
            word: variant(bytes, &Word::ALL)?,
            shown: byte(bytes)? != 0,
            status: take(bytes).map(u16::from_le_bytes)?,
        })
    }
}

/// The place of somebody who has so many ahead of him.
const fn place(ahead: u32) -> u32 {
    if ahead == NONE { NONE } else { ahead.wrapping_add(1) }
}

#[inline]
fn short(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(NONE)
}

/// The longest record: a head, eight bytes of what it is, and nine numbers of ten bytes each at most.
const LONGEST: usize = 1 + 8 + 9 * 10;

/// A record that is being written.
#[derive(Debug)]
struct Record {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Default for Record {
    fn default() -> Self {
        Self { bytes: [0; LONGEST], length: 0 }
    }
}

impl Record {
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            (*place, self.length) = (byte, self.length + 1);
        }
    }

    /// How `value` differs from `from`, seven bits a byte, the lowest first (LEB128, zigzag).
    fn change(&mut self, value: u64, from: u64) {
        let change = value.wrapping_sub(from).cast_signed();
        let mut left = (change << 1 ^ change >> 63).cast_unsigned();
        while left >= 0x80 {
            let [low, ..] = left.to_le_bytes();
            self.byte(low | 0x80);
            left >>= 7;
        }
        self.byte(left.to_le_bytes()[0]);
    }

    fn unless(&mut self, head: u8, bit: u8, value: u64, from: u64) {
        if head & bit == 0 {
            self.change(value, from);
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What [`Record::change`] wrote.
#[inline]
fn changed(bytes: &mut &[u8], from: u64) -> Option<u64> {
    let (mut change, mut shift) = (0_u64, 0_u32);
    loop {
        let next = byte(bytes)?;
        change |= u64::from(next & 0x7f).checked_shl(shift)?;
        if next & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    Some(from.wrapping_add(change >> 1 ^ (change & 1).wrapping_neg()))
}

#[cfg(test)]
mod tests;
