//! What an admission controller promises, and whether it was kept.

mod admission;
mod closing;
mod conservation;
mod duplicate;
mod forged;
mod lost;
mod order;
mod phantom;
mod place;
mod quota;
mod silence;

use super::abreast;
use super::evidence::Evidence;
use super::finding::{Finding, Invariant};

pub(super) use self::admission::over_limit;
pub(super) use self::conservation::{Total, between, crowd, there, totals};

/// Looks for what broke each of [`Invariant::ALL`], in that order.
pub(super) fn all(evidence: &Evidence<'_>) -> Vec<Finding> {
    let find = |invariant: &Invariant| match invariant {
        Invariant::Lost => lost::find(evidence),
        Invariant::Duplicate => duplicate::find(evidence),
        Invariant::Phantom => phantom::find(evidence),
        Invariant::OverAdmission => admission::find(evidence),
        Invariant::Quota => quota::find(evidence),
        Invariant::Order => order::find(evidence),
        Invariant::PlaceKept => place::find(evidence),
        Invariant::WorkConservation => conservation::find(evidence),
        Invariant::Silence => silence::find(evidence),
        Invariant::Forged => forged::find(evidence),
        Invariant::Closing => closing::find(evidence),
    };
    abreast::each(&Invariant::ALL, find)
}
