//! Visits that are held until something changes: so many in all, and one a place.
//!
//! **Invariants**: a place holds one visit, whoever has its ticket; another one meanwhile is answered at once, as if it had not asked to be held,
//! and loses nothing by it. What was taken is given back on drop, also when the client has left.
//! **Cost**: two short locks a visit that is held.
//! **Bound**: 16 bytes for each of [`HELD`](super::wicket::HELD) visits.
//! **Not here**: who is held, and until when (`wicket`).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::proxy::upload::{Budget, Reserved};

/// A room by its tag, and a number in it.
type Place = (u32, u64);

/// All visits that are held.
#[derive(Debug)]
pub struct HeldVisits {
    budget: Arc<Budget>,
    places: Mutex<HashSet<Place>>,
}

/// A visit that is held.
#[derive(Debug)]
pub struct Held {
    visits: Arc<HeldVisits>,
    place: Place,
    _budget: Reserved,
}

impl HeldVisits {
    /// At most so many at once.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { budget: Budget::new(most), places: Mutex::default() })
    }

    /// What all that takes a while is taken from.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Holds a visit of `place`, unless one is held already or there are too many.
    pub fn hold(self: &Arc<Self>, place: Place) -> Option<Held> {
        let budget = self.budget.reserve(1)?;
        self.places().insert(place).then(|| Held { visits: Arc::clone(self), place, _budget: budget })
    }

    fn places(&self) -> MutexGuard<'_, HashSet<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.visits.places().remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_holds_one_visit_and_all_of_them_so_many() {
        let visits = HeldVisits::new(3);
        let first = visits.hold((1, 7));
        assert!(first.is_some() && visits.hold((1, 7)).is_none());
        assert_eq!(visits.budget().left(), 2, "nothing was spent on the second");
        let others = [(2, 7), (1, 8)].map(|place| visits.hold(place));
        assert!(others.iter().all(Option::is_some) && visits.hold((1, 9)).is_none());
        drop(first);
        assert!(visits.hold((1, 7)).is_some(), "the next may be held");
        assert!(visits.hold((1, 7)).is_some(), "and the one after it");
    }
}
