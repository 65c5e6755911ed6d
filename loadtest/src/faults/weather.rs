//! What the network is like on one side at each instant, and which connections it breaks.
//!
//! **Invariants**: a pure function of time, seed and the connection's number. Overlapping delays add up; of several rates the slowest holds.
//! **Cost**: O(faults) a look.

use std::time::Duration;

use crate::scenario::fault::{NetworkFault, Side};
use crate::scenario::{Fault, FaultKind};
use crate::services::draw::mix;

/// The faults of one side of the gateway.
#[derive(Clone, Debug)]
pub struct Weather {
    faults: Vec<Mine>,
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mine {
    at: Duration,
    until: Duration,
    kind: NetworkFault,
}

/// What a chunk of bytes meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// At least so late,
    pub delay: Duration,
    /// and up to so much more.
    pub jitter: Duration,
    /// Bytes a second in each direction; none: as many as there are.
    pub rate: Option<u64>,
    /// Nothing comes through.
    pub black: bool,
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From who connected.
    Up,
    /// To who connected.
    Down,
}

/// What becomes of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lot {
    /// When it is reset.
    pub reset: Option<Duration>,
    /// When it loses a direction, and which.
    pub half_close: Option<(Duration, Direction)>,
}

impl Weather {
    /// What befalls this side.
    #[must_use]
    pub fn of(faults: &[Fault], side: Side, seed: u64) -> Self {
        let faults = faults.iter().filter_map(|fault| match fault.kind {
            FaultKind::Network { side: where_to, kind } if where_to == side => {
                Some(Mine { at: fault.at, until: fault.at.saturating_add(fault.lasts), kind })
            }
            _ => None,
        });
        Self { faults: faults.collect(), seed }
    }

    /// What bytes meet at this instant.
    #[must_use]
    pub fn at(&self, at: Duration) -> Conditions {
        let now = self.faults.iter().filter(|fault| fault.at <= at && at < fault.until);
        now.fold(Conditions::default(), |conditions, fault| match fault.kind {
            NetworkFault::Delay { by, jitter } => {
                let (delay, jitter) = (conditions.delay + by, conditions.jitter + jitter);
                Conditions { delay, jitter, ..conditions }
            }
            NetworkFault::Slow(rate) => {
                // A rate of nothing would be a black hole under another name.
                let rate = rate.max(1).min(conditions.rate.unwrap_or(u64::MAX));
                Conditions { rate: Some(rate), ..conditions }
            }
            NetworkFault::BlackHole => Conditions { black: true, ..conditions },
            NetworkFault::Reset(_) | NetworkFault::HalfClose(_) => conditions,
        })
    }

    /// When the conditions change next after this instant.
    #[must_use]
    pub fn changes(&self, after: Duration) -> Option<Duration> {
        self.faults.iter().flat_map(|fault| [fault.at, fault.until]).filter(|edge| *edge > after).min()
    }

    /// What becomes of the connection of this number, accepted then.
    #[must_use]
    pub fn lot(&self, connection: u64, accepted: Duration) -> Lot {
        let mut lot = Lot::default();
        for (index, fault) in self.faults.iter().enumerate() {
            // Who comes later does not meet it.
            if accepted >= fault.until && accepted > fault.at {
                continue;
            }
            let at = fault.at.max(accepted);
            let mut rng = draws(self.seed, connection, index);
            match fault.kind {
                NetworkFault::Reset(share) if rng.f64() < share => {
                    lot.reset = Some(lot.reset.map_or(at, |earlier| earlier.min(at)));
                }
                NetworkFault::HalfClose(share) if rng.f64() < share => {
                    let direction = if rng.bool() { Direction::Up } else { Direction::Down };
                    let earlier = lot.half_close.filter(|(earlier, _)| *earlier <= at);
                    lot.half_close = earlier.or(Some((at, direction)));
                }
                _ => {}
            }
        }
        lot
    }

    /// For the jitter of one direction of one connection.
    #[must_use]
    pub fn draws(&self, connection: u64, direction: Direction) -> fastrand::Rng {
        draws(self.seed, connection, self.faults.len() + direction as usize)
    }
}

fn draws(seed: u64, connection: u64, purpose: usize) -> fastrand::Rng {
    let parts = [connection, purpose as u64];
    fastrand::Rng::with_seed(parts.into_iter().fold(seed, |mixed, part| mix(mixed ^ mix(part))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn weather(faults: &[(u64, u64, NetworkFault)]) -> Weather {
        let fault = |(from, lasts, kind): &(u64, u64, NetworkFault)| Fault {
            at: at(*from),
            lasts: at(*lasts),
            kind: FaultKind::Network { side: Side::Services, kind: *kind },
        };
        Weather::of(&faults.iter().map(fault).collect::<Vec<_>>(), Side::Services, 1)
    }

    #[test]
    fn delays_add_up_and_the_slowest_rate_holds() {
        let weather = weather(&[
            (1_000, 2_000, NetworkFault::Delay { by: at(50), jitter: at(10) }),
            (2_000, 2_000, NetworkFault::Delay { by: at(20), jitter: at(0) }),
            (2_500, 100, NetworkFault::Slow(1_000)),
            (2_500, 50, NetworkFault::Slow(100)),
            (5_000, 1_000, NetworkFault::BlackHole),
        ]);
        assert_eq!(weather.at(at(999)), Conditions::default());
        assert_eq!((weather.at(at(2_000)).delay, weather.at(at(2_000)).jitter), (at(70), at(10)));
        assert_eq!((weather.at(at(2_500)).rate, weather.at(at(2_550)).rate), (Some(100), Some(1_000)));
        assert!(weather.at(at(5_000)).black && !weather.at(at(6_000)).black);
        assert_eq!((weather.changes(at(0)), weather.changes(at(2_500))), (Some(at(1_000)), Some(at(2_550))));
        assert_eq!(weather.changes(at(6_000)), None);
        assert_eq!(Weather::of(&[], Side::Clients, 1).changes(at(0)), None);
    }

    #[test]
    fn a_share_of_the_connections_is_hit_those_there_at_once_and_new_ones_as_they_come() {
        let weather = weather(&[(1_000, 500, NetworkFault::Reset(0.3)), (3_000, 0, NetworkFault::HalfClose(0.5))]);
        let lots = |accepted| (0..10_000).map(move |connection| (connection, accepted));
        let hit = |accepted| lots(accepted).filter(|(n, at)| weather.lot(*n, *at).reset.is_some()).count();
        assert!((2_800..3_200).contains(&hit(at(0))) && (2_800..3_200).contains(&hit(at(1_200))));
        assert_eq!(hit(at(1_500)), 0);
        let when = |accepted| lots(accepted).find_map(|(n, at)| weather.lot(n, at).reset);
        assert_eq!((when(at(0)), when(at(1_200))), (Some(at(1_000)), Some(at(1_200))));
        let halves: Vec<_> = lots(at(2_000)).filter_map(|(n, at)| weather.lot(n, at).half_close).collect();
        let up = halves.iter().filter(|(when, direction)| *when == at(3_000) && *direction == Direction::Up).count();
        assert!((4_700..5_300).contains(&halves.len()) && (2_200..2_800).contains(&up), "{} {up}", halves.len());
        assert_eq!(weather.lot(7, at(3_001)), Lot::default());
    }
}
