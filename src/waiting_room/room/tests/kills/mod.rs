//! A whole room with its journal on a disk, in a process that is killed at random instants. Those who come to it, the service behind it
//! and the operator live on in the parent, and remember what they were told.
//!
//! `wire` is what passes through the pipes, `child` the room, `process` its other end, `service` the truth about registrations.
//! `places` proves that nothing which was acknowledged is lost or given twice, `quota` that exactly the quota is registered.

mod child;
mod client;
mod person;
mod places;
mod process;
mod quota;
mod service;
mod wire;

use super::*;

/// In the environment of a child: the room that it is.
const SCENARIO: &str = "WEIR_ROOM_CHILD";

/// The proofs at their full size, for minutes: see `make long`.
fn is_long() -> bool {
    std::env::var_os("WEIR_LONG").is_some()
}

fn plan_of(scenario: &wire::Scenario) -> WaitingRoom {
    let secret = Secret([7; 32]);
    let key = if scenario.new { Key::New(secret) } else { Key::Known(secret) };
    let instant = |at| plan::Instant { unix: BEGAN + Duration::from_millis(at), offset_minutes: 0 };
    let wave =
        Wave { opens: scenario.opens.map(instant), quota: scenario.quota.and_then(NonZeroU64::new), ..Wave::default() };
    WaitingRoom { capacity: scenario.capacity, ..plan(scenario.state.clone(), vec![wave], key) }
}
