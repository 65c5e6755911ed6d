//! The order between the classes of requests.
//!
//! **Invariants**: a higher class goes first, but each lower one keeps a floor of the grants as long as somebody of it waits,
//! so that nobody starves; within a class it is first come, first served.
//! **Not here**: what the classes are (`config::plan`), how a request gets its class (`proxy`).

use crate::config::plan::Class;

/// Of so many grants…
const CYCLE: u64 = 100;
/// …one in twenty goes to newcomers first: 5 % (notes on overload control §2.2).
const NEW_EVERY: u64 = 20;
/// One in twenty, half a turn apart, to those who return.
const RETURNING_AT: u64 = 10;
/// One in a hundred to bulk.
const BULK_AT: u64 = 55;

/// Share of the grants that is `class`'s whenever somebody of it waits, whatever the others want.
pub(in crate::admission) const fn floor(class: Class) -> f64 {
    match class {
        Class::Exempt | Class::InProgress => 1.0,
        Class::Returning | Class::New => 1.0 / NEW_EVERY as f64,
        Class::Bulk => 1.0 / CYCLE as f64,
    }
}

/// The order in which classes are asked at the `grant`-th grant.
pub(in crate::admission) const fn order(grant: u64) -> [Class; Class::COUNT] {
    use Class::{Bulk, Exempt, InProgress, New, Returning};
    match (grant % CYCLE, grant % NEW_EVERY) {
        (BULK_AT, _) => [Exempt, Bulk, InProgress, Returning, New],
        (_, 0) => [Exempt, New, InProgress, Returning, Bulk],
        (_, RETURNING_AT) => [Exempt, Returning, InProgress, New, Bulk],
        _ => Class::ALL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_place_and_its_floor() {
        for (position, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), position);
        }
        let first = |class| (0..CYCLE).filter(|grant| order(*grant)[1] == class).count();
        assert_eq!(first(Class::New), 5);
        assert_eq!(first(Class::Returning), 5);
        assert_eq!(first(Class::Bulk), 1);
        for grant in 0..CYCLE {
            let mut order = order(grant);
            assert_eq!(order[0], Class::Exempt);
            order.sort();
            assert_eq!(order, Class::ALL, "grant {grant} forgets somebody");
        }
    }
}
