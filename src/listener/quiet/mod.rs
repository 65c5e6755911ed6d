//! Connections without a request in flight: who is to go first when there is room for nobody else.
//!
//! **Law**: when all connections are taken and somebody waits to be accepted, one of them is closed for him: of those that have never sent
//! a request (silent, in the handshake, in the first head) the one that was accepted first; if there is none, of those between two
//! requests, or in a later head, the one whose last answer is longest ago; those of people with a pass last. So those who ask for nothing
//! share what the others leave; and as long as a newcomer asks before as many as there may be silent ones have come after him,
//! he is served. Clocks alone would not do: what is freed a second is no more than the limit divided by the shortest time that a
//! handshake over a slow network needs.
//!
//! **Invariants**: nobody is told twice, nobody within [`GRACE`], and nobody with a request in flight, but for one that begins at the same
//! instant: that is answered. There are no more entries than connections.
//! **Cost**: 28 bytes a connection, and a short lock when one is opened and at its end, for the logarithm of how many there are; nothing a
//! request: what requests have changed is looked up when somebody has to go.
//! **Not here**: when it is asked (`accept`); how they end (`connection`, `lifetime`).

mod order;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::activity::{Activity, Rank};
use super::connections::Slot;
use crate::clock::saturating_nanos;
use order::{Order, RANK_SHIFT, Seated, Turn};

/// Nobody is told to go sooner: a round trip of a slow network, in which whoever was just accepted is heard, and whoever was just
/// answered asks again. Otherwise a crowd of honest newcomers beside connections that are all busy would do nothing but displace each
/// other. It bounds what a flood can have of us: the limit four times a second. Whoever was told has as long to be gone.
pub(super) const GRACE: Duration = Duration::from_millis(250);

/// Entries looked at in one call: those of connections that have been busy meanwhile are put where they belong, 0.3 µs each.
const LOOKS: u64 = 256;

/// Open connections, by who would have to go first.
#[derive(Debug)]
pub(super) struct Quiet {
    began: Instant,
    /// By rank, and nanoseconds from `began` to the end of the last request, as it was when a connection was last looked at; it only ever
    /// becomes later.
    open: Mutex<Order<Weak<Activity>>>,
}

/// Where a connection stands in the order. Written under the lock of [`Quiet`] only.
#[derive(Debug)]
pub(super) struct Seat(AtomicU64);

impl Seat {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(order::Seat::NONE.to_bits()))
    }

    /// It stands nowhere any more; where it stood.
    fn vacate(&self) -> order::Seat {
        order::Seat::from_bits(self.0.swap(order::Seat::NONE.to_bits(), Ordering::Relaxed))
    }
}

impl Seated for Weak<Activity> {
    type Told = Arc<Activity>;

    fn tell(&self, seat: order::Seat) -> Option<Arc<Activity>> {
        let activity = self.upgrade()?;
        activity.slot().seat.0.store(seat.to_bits(), Ordering::Relaxed);
        Some(activity)
    }
}

impl Quiet {
    pub(super) fn new(began: Instant) -> Self {
        Self { began, open: Mutex::new(Order::new()) }
    }

    /// A connection was opened.
    pub(super) fn enter(&self, activity: &Arc<Activity>) {
        let turn = self.turn_of(activity, activity.opened());
        let mut open = self.lock();
        let seat = open.enter(turn, Arc::downgrade(activity));
        activity.slot().seat.0.store(seat.to_bits(), Ordering::Relaxed);
    }

    /// It cannot be told any more: it is ending, or has become a tunnel. The second time does nothing.
    pub(super) fn leave(&self, slot: &Slot) {
        let mut open = self.lock();
        let left = open.leave(slot.seat.vacate());
        drop(open);
        drop(left);
    }

    /// Tells up to `count` connections to go, in their order.
    pub(super) fn dismiss(&self, count: usize, now: Instant) {
        let (mut told, mut looks) = (0, 0);
        for rank in Rank::ALL {
            while told < count && looks < LOOKS {
                looks += 1;
                match self.look(rank, now) {
                    Look::Told => told += 1,
                    Look::Moved => {}
                    Look::Nobody => break,
                }
            }
        }
    }

    /// Looks at the first of `rank`.
    fn look(&self, rank: Rank, now: Instant) -> Look {
        let mut open = self.lock();
        let Some((seat, turn, activity)) = open.first(rank as u64) else { return Look::Nobody };
        let activity = activity.upgrade();
        // Of whoever is about to leave there is no more to know than that.
        let fresh = activity.as_deref().map_or(turn, |activity| self.turn_of(activity, now));
        let is_late = self.turn(rank, now).saturating_sub(turn) >= saturating_nanos(GRACE);
        let mut left = None;
        let look = match &activity {
            None => {
                left = Some(open.leave(seat));
                Look::Moved
            }
            Some(_) if fresh != turn => {
                open.shift(seat, fresh);
                Look::Moved
            }
            Some(_) if !is_late => Look::Nobody,
            Some(activity) => {
                left = Some(open.leave(activity.slot().seat.vacate()));
                activity.dismiss();
                Look::Told
            }
        };
        // Whoever drops the last of a connection has it leave, which takes the lock.
        drop(open);
        drop((left, activity));
        look
    }

    /// Where `activity` stands at `now`: with a request in flight, behind whoever is quiet.
    fn turn_of(&self, activity: &Activity, now: Instant) -> Turn {
        self.turn(activity.rank(), activity.quiet_since().unwrap_or(now))
    }

    fn turn(&self, rank: Rank, since: Instant) -> Turn {
        let time = saturating_nanos(since.saturating_duration_since(self.began)) & ((1 << RANK_SHIFT) - 1);
        (rank as u64) << RANK_SHIFT | time
    }

    fn lock(&self) -> MutexGuard<'_, Order<Weak<Activity>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look at the first came to.
enum Look {
    /// It was told to go.
    Told,
    /// It is somewhere else now; there is another first.
    Moved,
    /// Nobody of this rank is quiet for long enough.
    Nobody,
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::listener::Addresses;
    use crate::listener::connections::{Connections, Roll};
    use crate::listener::tests::clients;

    /// A table of connections that is full, and whoever is in it.
    fn full<const SIZE: usize>() -> (Arc<Connections>, [Arc<Activity>; SIZE]) {
        let size = NonZeroUsize::new(SIZE).unwrap();
        let connections = Connections::new(size, Addresses::of(&clients()), NonZeroUsize::MIN);
        let open = std::array::from_fn(|_| {
            let permit = Arc::clone(connections.slots()).try_acquire_owned().unwrap();
            Activity::new(Slot::take(&connections, &Arc::<Roll>::default(), permit))
        });
        (connections, open)
    }

    /// Who has been told.
    fn told(open: &[Arc<Activity>]) -> Vec<usize> {
        (0..open.len()).filter(|index| open[*index].is_dismissed()).collect()
    }

    #[test]
    fn nobody_goes_within_the_grace_and_then_the_oldest() {
        let (connections, open) = full::<3>();
        let quiet = &connections.quiet;
        quiet.dismiss(3, open[0].opened() + GRACE - Duration::from_nanos(1));
        assert!(told(&open).is_empty());
        quiet.dismiss(1, open[2].opened() + GRACE);
        assert_eq!(told(&open), [0]);
        quiet.dismiss(1, open[2].opened() + GRACE);
        assert_eq!(told(&open), [0, 1]);
    }

    #[test]
    fn the_silent_go_first_then_the_idle_by_age_then_people_with_a_pass_and_the_busy_stay() {
        let (connections, open) = full::<6>();
        let [inside, idle, busy, idler, silent, _late] = &open;
        let request = inside.begin_request();
        request.note_inside();
        drop(request);
        drop(idle.begin_request());
        let working = busy.begin_request();
        drop(idler.begin_request());
        // Its last answer came after that of the other.
        drop(idle.begin_request());
        let now = Instant::now() + GRACE;
        let quiet = &connections.quiet;
        for expected in [vec![4], vec![4, 5], vec![3, 4, 5], vec![1, 3, 4, 5], vec![0, 1, 3, 4, 5]] {
            quiet.dismiss(1, now);
            assert_eq!(told(&open), expected);
        }
        quiet.dismiss(9, now);
        assert!(!busy.is_dismissed() && silent.is_dismissed());
        // When it has been quiet for long enough, it goes too.
        drop(working);
        quiet.dismiss(9, now);
        assert!(!busy.is_dismissed());
        quiet.dismiss(9, Instant::now() + GRACE);
        assert!(busy.is_dismissed());
    }

    #[test]
    fn whoever_has_ended_is_not_kept() {
        let (connections, open) = full::<4>();
        connections.quiet.leave(open[1].slot());
        connections.quiet.leave(open[1].slot());
        assert_eq!(connections.quiet.lock().len(), 3);
        connections.quiet.dismiss(9, Instant::now() + GRACE);
        assert_eq!((told(&open), connections.quiet.lock().len()), (vec![0, 2, 3], 0));
        drop(open);
        let (connections, open) = full::<4>();
        drop(open);
        assert_eq!(connections.quiet.lock().len(), 0);
    }

    #[test]
    fn no_call_looks_at_everybody() {
        // Two more than are looked at.
        let (connections, open) = full::<258>();
        let working: Vec<_> = open.iter().skip(1).map(Activity::begin_request).collect();
        drop(open[0].begin_request());
        let later = Instant::now() + GRACE;
        connections.quiet.dismiss(1, later);
        assert!(told(&open).is_empty());
        connections.quiet.dismiss(1, later);
        assert_eq!(told(&open), [0]);
        drop(working);
    }
}
