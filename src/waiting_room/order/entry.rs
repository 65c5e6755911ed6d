//! What is remembered of one number: four bytes.
//!
//! From the top: three bits of state, one *counted*, two of the wave, 26 of a time in units of four seconds since the
//! generation began (8.5 years). While he waits the time is when he is to ask again, afterwards when he was admitted or last seen.
//!
//! **Invariants**: zero is a number of which nothing was heard yet; whoever was heard of is not zero, because no time is; a person who is done or
//! gone stays that.

use std::time::Duration;

/// Seconds in a unit of time.
const UNIT: u64 = 4;

const TIME_BITS: u32 = 26;
const TIME_MAX: u32 = (1 << TIME_BITS) - 1;
const WAVE_SHIFT: u32 = TIME_BITS;
const WAVE_MASK: u32 = 0b11;
const COUNTED: u32 = 1 << 28;
const STATE_SHIFT: u32 = 29;

/// Waiting, but nothing was heard of him while his number was fresh: he keeps his place and nobody waits for him.
const ABSENT: u32 = 6 << STATE_SHIFT;

/// What has become of whoever holds a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// He waits for his turn, or his turn has come and he has not been admitted yet.
    Waiting,
    /// Inside: he holds a reservation where there is a quota.
    Admitted,
    /// His counting request is at the upstream.
    Sending,
    /// It was, and what became of it is not known.
    Ambiguous,
    /// It succeeded.
    Done,
    /// He left, or his passage ended unused.
    Gone,
}

impl State {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 6] = [Self::Waiting, Self::Admitted, Self::Sending, Self::Ambiguous, Self::Done, Self::Gone];

    /// Whether `next` may follow. [`State::Admitted`] after [`State::Waiting`] is what [`super::Order::redeem`] alone decides.
    #[must_use]
    pub const fn leads_to(self, next: Self) -> bool {
        use State::{Admitted, Ambiguous, Done, Gone, Sending, Waiting};
        match self {
            Waiting => matches!(next, Gone),
            Admitted => matches!(next, Waiting | Sending | Gone),
            Sending => matches!(next, Waiting | Admitted | Ambiguous | Done),
            Ambiguous => matches!(next, Waiting | Sending | Done | Gone),
            Done | Gone => false,
        }
    }

    const fn code(self) -> u32 {
        (self as u32) << STATE_SHIFT
    }
}

/// The four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(pub(super) u32);

impl Entry {
    /// Of a number of which nothing was heard yet.
    pub(super) const UNHEARD: Self = Self(0);

    /// The same, when it is too late to be counted.
    pub(super) const ABSENT: Self = Self(ABSENT);

    /// The first return: in time, or not.
    pub(super) const fn waiting(counted: bool, due: Unit) -> Self {
        Self(if counted { COUNTED | due.0 } else { due.0 })
    }

    pub(super) fn state(self) -> State {
        // What has another code waits.
        State::ALL.get((self.0 >> STATE_SHIFT) as usize).copied().unwrap_or(State::Waiting)
    }

    /// Whether he has never come back.
    pub(super) fn is_unheard(self) -> bool {
        self == Self::UNHEARD || self == Self::ABSENT
    }

    pub(super) const fn is_counted(self) -> bool {
        self.0 & COUNTED != 0
    }

    pub(super) const fn wave(self) -> u8 {
        (self.0 >> WAVE_SHIFT & WAVE_MASK) as u8
    }

    pub(super) const fn time(self) -> Unit {
        Unit(self.0 & TIME_MAX)
    }

    pub(super) const fn at(self, time: Unit) -> Self {
        Self(self.0 & !TIME_MAX | time.0)
    }

    pub(super) const fn in_state(self, state: State) -> Self {
        Self(self.0 & !(0b111 << STATE_SHIFT) | state.code())
    }

    /// Of the wave `wave` modulo 4.
    pub(super) const fn of_wave(self, wave: u8) -> Self {
        Self(self.0 & !(WAVE_MASK << WAVE_SHIFT) | (wave as u32 & WAVE_MASK) << WAVE_SHIFT)
    }
}

/// A time in units of four seconds since the generation began, rounded down, so that whoever comes when he was told is not early; the
/// first unit is taken for the second, so that none is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unit(pub(super) u32);

impl Unit {
    /// Of `unix`, a time since 1970; saturates at the generation's beginning, and 8.5 years later.
    pub(super) fn of(unix: Duration, generation: u32) -> Self {
        let units = unix.as_secs().saturating_sub(u64::from(generation)) / UNIT;
        Self(u32::try_from(units).unwrap_or(TIME_MAX).clamp(1, TIME_MAX))
    }

    /// The beginning of the unit as a time since 1970.
    pub(super) fn unix(self, generation: u32) -> Duration {
        Duration::from_secs(u64::from(generation) + u64::from(self.0) * UNIT)
    }

    /// Whether `span` has passed since, at `now`.
    pub(super) fn is_older(self, span: Duration, now: Self) -> bool {
        u64::from(now.0.saturating_sub(self.0)) * UNIT >= span.as_secs().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_kept_beside_the_others() {
        for state in State::ALL {
            for (wave, time) in [(0, 0), (3, TIME_MAX), (2, 1), (1, 0x155_5555)] {
                for counted in [false, true] {
                    let entry = Entry::waiting(counted, Unit(7)).of_wave(wave + 4).in_state(state).at(Unit(time));
                    let read = (entry.state(), entry.wave(), entry.time(), entry.is_counted());
                    assert_eq!(read, (state, wave, Unit(time), counted));
                    assert_eq!(entry.in_state(State::Waiting).in_state(state), entry);
                }
            }
        }
        assert_eq!((Entry::ABSENT.state(), Entry::ABSENT.is_counted()), (State::Waiting, false));
        assert!(!Entry::waiting(false, Unit::of(Duration::ZERO, 0)).is_unheard());
    }

    #[test]
    fn times_round_down_and_saturate() {
        let unit = |secs| Unit::of(Duration::from_secs(secs), 1_000);
        assert_eq!([unit(0), unit(1_003), unit(1_004), unit(u64::MAX)], [Unit(1), Unit(1), Unit(1), Unit(TIME_MAX)]);
        assert_eq!(unit(1_007).unix(1_000), Duration::from_secs(1_004));
        assert!(unit(1_004).is_older(Duration::from_secs(8), unit(1_012)));
        assert!(!unit(1_004).is_older(Duration::from_secs(9), unit(1_012)));
    }

    #[test]
    fn done_and_gone_are_final() {
        for next in State::ALL {
            assert!(!State::Done.leads_to(next) && !State::Gone.leads_to(next));
            assert!(!State::Waiting.leads_to(next) || next == State::Gone, "only redemption lets in");
        }
    }
}
