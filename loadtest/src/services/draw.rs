//! What becomes of a request, and how much work it is: drawn from the seed and the request's number, so that a run repeats whatever the
//! order in which requests come.
//!
//! **Invariants**: the same seed, service, request and occurrence give the same draw. The work of a request is the same each time it comes;
//! a repetition of one that failed is drawn anew.
//! **Cost**: some tens of nanoseconds.

use crate::ledger::RequestId;
use crate::scenario::ServiceIndex;
use crate::scenario::service::Failures;

/// How a service ends a request by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    Success,
    /// With 500, after its work, and nothing is done.
    BeforeEffect,
    /// With 500 although it is done.
    AfterEffect,
    /// It is done and nobody is told.
    LostReply,
    /// It is done and the answer breaks off.
    CutReply,
    /// Never.
    Hang,
    /// With 503 and a pause, at once.
    Pushback,
}

/// Draws of one run.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    seed: u64,
}

/// Keeps the draws of work apart from those of fates, which count occurrences from 0.
const WORK: u64 = u64::MAX;

impl Draws {
    /// Those of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Work of a request: Gamma of this shape with mean 1; with shape 0, 1.
    #[must_use]
    pub fn work(self, service: ServiceIndex, request: RequestId, shape: u32) -> f64 {
        if shape == 0 {
            return 1.0;
        }
        let mut rng = self.of(service, request, WORK);
        // The sum of so many exponentials; 1 − u is never 0.
        -(0..shape).map(|_| (1.0 - rng.f64()).ln()).sum::<f64>() / f64::from(shape)
    }

    /// How the request ends; `occurrence` counts how often it failed before.
    #[must_use]
    pub fn fate(self, service: ServiceIndex, request: RequestId, occurrence: u32, failures: &Failures) -> Fate {
        let shares = [
            (failures.before_effect, Fate::BeforeEffect),
            (failures.after_effect, Fate::AfterEffect),
            (failures.lost_reply, Fate::LostReply),
            (failures.cut_reply, Fate::CutReply),
            (failures.hang, Fate::Hang),
            (failures.pushback, Fate::Pushback),
        ];
        let mut left = self.of(service, request, occurrence.into()).f64();
        for (share, fate) in shares {
            if left < share {
                return fate;
            }
            left -= share;
        }
        Fate::Success
    }

    fn of(self, service: ServiceIndex, request: RequestId, purpose: u64) -> fastrand::Rng {
        let id = u64::from(request.person) << 32 | u64::from(request.request);
        let mixed = [u64::from(service), id, purpose].into_iter().fold(self.seed, |mixed, part| mix(mixed ^ mix(part)));
        fastrand::Rng::with_seed(mixed)
    }
}

/// The output function of `SplitMix64` (Steele, Lea, Flood 2014): every bit of the result depends on every bit.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURES: Failures = Failures {
        before_effect: 0.05,
        after_effect: 0.1,
        lost_reply: 0.02,
        cut_reply: 0.03,
        hang: 0.01,
        pushback: 0.2,
        pushback_for: std::time::Duration::from_secs(1),
    };

    fn request(person: u32, request: u32) -> RequestId {
        RequestId { person, request }
    }

    #[test]
    fn work_is_gamma_of_its_shape_and_the_same_each_time() {
        let draws = Draws::new(3);
        let work: Vec<f64> = (0..100_000).map(|person| draws.work(0, request(person, 1), 4)).collect();
        let mean = work.iter().sum::<f64>() / 1e5;
        let variance = work.iter().map(|work| (work - mean).powi(2)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.01 && (variance - 0.25).abs() < 0.01, "{mean} {variance}");
        let same = |service, id| draws.work(service, id, 4).to_bits();
        assert_eq!(same(0, request(7, 1)), same(0, request(7, 1)));
        assert!(same(0, request(7, 1)) != same(0, request(7, 2)) && same(0, request(7, 1)) != same(1, request(7, 1)));
        assert!((draws.work(0, request(1, 1), 0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn fates_have_their_shares() {
        let draws = Draws::new(5);
        let fates: Vec<Fate> = (0..100_000).map(|person| draws.fate(1, request(person, 0), 0, &FAILURES)).collect();
        let share = |fate| fates.iter().filter(|found| **found == fate).count() as f64 / 1e5;
        for (fate, wanted) in [
            (Fate::Success, 0.59),
            (Fate::BeforeEffect, 0.05),
            (Fate::AfterEffect, 0.1),
            (Fate::LostReply, 0.02),
            (Fate::CutReply, 0.03),
            (Fate::Hang, 0.01),
            (Fate::Pushback, 0.2),
        ] {
            assert!((share(fate) - wanted).abs() < 0.005, "{fate:?} {}", share(fate));
        }
    }

    #[test]
    fn a_repetition_is_drawn_anew_and_another_seed_is_another_run() {
        let differ = |first: Draws, occurrence| {
            (0..1_000)
                .filter(|person| {
                    Draws::new(1).fate(0, request(*person, 0), 0, &FAILURES)
                        != first.fate(0, request(*person, 0), occurrence, &FAILURES)
                })
                .count()
        };
        assert_eq!(differ(Draws::new(1), 0), 0);
        assert!(differ(Draws::new(1), 1) > 300 && differ(Draws::new(2), 0) > 300);
    }
}
