//! What people were told: one record for each request, written when it has ended.

use super::{Encoding, NONE, RequestId};

/// One request of one person, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// Which.
    pub id: RequestId,
    /// The stage the person was at.
    pub stage: u8,
    /// What was asked.
    pub kind: Kind,
    /// Which of the person's tabs asked.
    pub tab: u8,
    /// How it ended.
    pub ending: Ending,
    /// What the answer said.
    pub word: Word,
    /// Whether a ticket, cookie or pass of an earlier answer was shown.
    pub shown: bool,
    /// Status of the answer; 0: there was none.
    pub status: u16,
    /// When it was meant to be sent.
    pub intended: u64,
    /// When it was.
    pub sent: u64,
    /// When it ended.
    pub ended: u64,
    /// When to come again, in milliseconds; [`NONE`] if nothing was said.
    pub retry_after: u32,
    /// The place that was told; [`NONE`] if none was.
    pub place: u32,
    /// How many are ahead; [`NONE`] if not told.
    pub ahead: u32,
    /// The wait told, median, in milliseconds; [`NONE`] if not told.
    pub eta_p50: u32,
    /// The wait told, 90th percentile, in milliseconds; [`NONE`] if not told.
    pub eta_p90: u32,
}

/// What a request asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The stage itself.
    Submit,
    /// The place in line.
    Poll,
    /// To leave the line.
    Leave,
    /// Something that is not allowed: a forged or foreign ticket with a stage.
    Forged,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a whole answer.
    Answered,
    /// The person broke it off.
    BrokenOff,
    /// The connection broke before the answer was whole.
    Cut,
    /// No connection could be had: refused or reset.
    Unreachable,
    /// The harness could not: no descriptor, no port. Makes a run invalid.
    Harness,
    /// It had not ended when the run did.
    Open,
}

/// What an answer said, in the words of the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nothing: there was no whole answer.
    Nothing,
    /// The stage is done: 200, 201, 202.
    Done,
    /// A place in line.
    Place,
    /// It is your turn.
    Turn,
    /// Come again later, with no place: 429 and 503.
    Later,
    /// Not open yet.
    NotYet,
    /// Nothing is left: quota spent or closed.
    Over,
    /// The service failed: 500, 502, 504.
    Failed,
    /// The request was refused as wrong: other 4xx.
    Wrong,
    /// None of these.
    Nonsense,
}

impl Encoding for Told {
    const NAME: &'static [u8; 8] = b"told   1";
    const LENGTH: usize = 72;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.id.person.to_le_bytes());
        out.extend(self.id.request.to_le_bytes());
        out.extend([self.stage, self.kind as u8, self.tab, self.ending as u8, self.word as u8, u8::from(self.shown)]);
        out.extend(self.status.to_le_bytes());
        for time in [self.intended, self.sent, self.ended] {
            out.extend(time.to_le_bytes());
        }
        for field in [self.retry_after, self.place, self.ahead, self.eta_p50, self.eta_p90] {
            out.extend(field.to_le_bytes());
        }
        out.extend([0; 12]);
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        Some(Self {
            id: RequestId {
                person: take(bytes).map(u32::from_le_bytes)?,
                request: take(bytes).map(u32::from_le_bytes)?,
            },
            stage: byte(bytes)?,
            kind: variant(bytes, &Kind::ALL)?,
            tab: byte(bytes)?,
            ending: variant(bytes, &Ending::ALL)?,
            word: variant(bytes, &Word::ALL)?,
            shown: byte(bytes)? != 0,
            status: take(bytes).map(u16::from_le_bytes)?,
            intended: take(bytes).map(u64::from_le_bytes)?,
            sent: take(bytes).map(u64::from_le_bytes)?,
            ended: take(bytes).map(u64::from_le_bytes)?,
            retry_after: take(bytes).map(u32::from_le_bytes)?,
            place: take(bytes).map(u32::from_le_bytes)?,
            ahead: take(bytes).map(u32::from_le_bytes)?,
            eta_p50: take(bytes).map(u32::from_le_bytes)?,
            eta_p90: take(bytes).map(u32::from_le_bytes)?,
        })
    }
}

impl Kind {
    /// In the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Submit, Self::Poll, Self::Leave, Self::Forged];
}

impl Ending {
    /// In the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Answered, Self::BrokenOff, Self::Cut, Self::Unreachable, Self::Harness, Self::Open];
}

impl Word {
    /// In the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Nothing,
        Self::Done,
        Self::Place,
        Self::Turn,
        Self::Later,
        Self::NotYet,
        Self::Over,
        Self::Failed,
        Self::Wrong,
        Self::Nonsense,
    ];
}

impl Told {
    /// A request that is on its way: nothing was told yet.
    #[must_use]
    pub const fn sent(id: RequestId, stage: u8, kind: Kind, intended: u64, sent: u64) -> Self {
        Self {
            id,
            stage,
            kind,
            tab: 0,
            ending: Ending::Open,
            word: Word::Nothing,
            shown: false,
            status: 0,
            intended,
            sent,
            ended: sent,
            retry_after: NONE,
            place: NONE,
            ahead: NONE,
            eta_p50: NONE,
            eta_p90: NONE,
        }
    }

    /// Whether the answer said that the stage is done. That a place was given back is "done" too, and no registration.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.word, Word::Done) && matches!(self.kind, Kind::Submit | Kind::Forged)
    }
}

/// The next `N` bytes.
#[inline]
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*field)
}

#[inline]
pub(super) fn byte(bytes: &mut &[u8]) -> Option<u8> {
    take::<1>(bytes).map(|[byte]| byte)
}

/// One of `all`, which stand in the order of their numbers.
#[inline]
pub(super) fn variant<T: Copy>(bytes: &mut &[u8], all: &[T]) -> Option<T> {
    all.get(usize::from(byte(bytes)?)).copied()
}
