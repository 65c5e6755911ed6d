//! What the services did: one record for each request that reached one, and what there was capacity for.

use super::told::{byte, take, variant};
use super::{Encoding, RequestId};

/// A request as a service saw it; written when it has ended there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Served {
    /// Which; none: it had no number, so no person of ours sent it.
    pub id: Option<RequestId>,
    /// Which service,
    pub service: u8,
    /// which of its servers.
    pub server: u8,
    /// What it changed.
    pub effect: Effect,
    /// Status of the answer; 0: none was given.
    pub status: u16,
    /// Whether the caller was still there when the answer was ready, and was given all of it.
    pub heard: bool,
    /// The stage, by its path; 255: none of the scenario's.
    pub stage: u8,
    /// Requests in flight at this server with it, when it began.
    pub in_flight: u32,
    /// When it was complete here.
    pub started: u64,
    /// When its effect happened, or it ended without one.
    pub done: u64,
    /// Its work, mean 1.
    pub work: f32,
    /// [`key_hash`] of its `Idempotency-Key`; 0: it had none.
    pub key: u64,
}

/// What a request changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// The first of this key at this stage.
    First,
    /// A further one of the same key and stage: somebody is registered twice.
    Duplicate,
    /// Nothing, because the key was known.
    Recognised,
}

/// The state of one server at one instant, each 50 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// When.
    pub at: u64,
    /// Which service,
    pub service: u8,
    /// which of its servers.
    pub server: u8,
    /// Requests in flight.
    pub in_flight: u32,
    /// Work done since the start, in mean requests.
    pub work: f64,
    /// Work there was capacity for since the start.
    pub capacity: f64,
}

/// How an `Idempotency-Key` stands in the ledger: FNV-1a of 64 bits (Fowler, Noll, Vo 1991), never 0.
#[must_use]
pub fn key_hash(key: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    key.iter().fold(0xcbf2_9ce4_8422_2325, step).max(1)
}

impl Encoding for Served {
    const NAME: &'static [u8; 8] = b"served 1";
    const LENGTH: usize = 48;

    fn write(&self, out: &mut Vec<u8>) {
        let id = self.id.unwrap_or(RequestId { person: u32::MAX, request: u32::MAX });
        out.extend(id.person.to_le_bytes());
        out.extend(id.request.to_le_bytes());
        out.extend([self.service, self.server, self.effect as u8, u8::from(self.heard)]);
        out.extend(self.status.to_le_bytes());
        out.extend([self.stage, 0]);
        out.extend(self.in_flight.to_le_bytes());
        out.extend(self.work.to_le_bytes());
        for field in [self.started, self.done, self.key] {
            out.extend(field.to_le_bytes());
        }
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let id =
            RequestId { person: take(bytes).map(u32::from_le_bytes)?, request: take(bytes).map(u32::from_le_bytes)? };
        let (service, server) = (byte(bytes)?, byte(bytes)?);
        let effect = variant(bytes, &[Effect::Nothing, Effect::First, Effect::Duplicate, Effect::Recognised])?;
        let heard = byte(bytes)? != 0;
        let status = take(bytes).map(u16::from_le_bytes)?;
        let [stage, _] = take(bytes)?;
        Some(Self {
            id: (id.person != u32::MAX).then_some(id),
            service,
            server,
            effect,
            heard,
            status,
            stage,
            in_flight: take(bytes).map(u32::from_le_bytes)?,
            work: take(bytes).map(f32::from_le_bytes)?,
            started: take(bytes).map(u64::from_le_bytes)?,
            done: take(bytes).map(u64::from_le_bytes)?,
            key: take(bytes).map(u64::from_le_bytes)?,
        })
    }
}

impl Encoding for Sample {
    const NAME: &'static [u8; 8] = b"sample 1";
    const LENGTH: usize = 32;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.at.to_le_bytes());
        out.extend([self.service, self.server, 0, 0]);
        out.extend(self.in_flight.to_le_bytes());
        out.extend(self.work.to_le_bytes());
        out.extend(self.capacity.to_le_bytes());
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let at = take(bytes).map(u64::from_le_bytes)?;
        let [service, server, _, _] = take(bytes)?;
        Some(Self {
            at,
            service,
            server,
            in_flight: take(bytes).map(u32::from_le_bytes)?,
            work: take(bytes).map(f64::from_le_bytes)?,
            capacity: take(bytes).map(f64::from_le_bytes)?,
        })
    }
}
