//! weir's own law, fed as the gate feeds it.

use std::time::Duration;

use weir::admission::concurrency::costs::Costs;
use weir::admission::concurrency::elastic::Elastic;
use weir::admission::concurrency::meter::{Meter, Outcome};
use weir::admission::concurrency::{Bounds, Occupied};
use weir::clock::Tick;

use super::{End, Law, Seen};

/// weir's adaptive concurrency with its meter.
#[derive(Debug)]
pub(crate) struct Ours {
    meter: Meter,
    costs: Costs,
    law: Elastic,
    limit: u32,
}

impl Default for Ours {
    fn default() -> Self {
        let law = Elastic::new(Bounds::ADAPTIVE, Tick::ZERO);
        Self { meter: Meter::default(), costs: Costs::new(2), limit: law.state().limit, law }
    }
}

impl Law for Ours {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn ended(&mut self, end: End) {
        let outcome = if end.success { Outcome::Success } else { Outcome::Drop };
        self.meter.ended(tick(end.now - end.hold), tick(end.now), self.costs.of(end.kind), outcome);
        if end.success {
            self.costs.observe(end.kind, Duration::from_secs_f64(end.hold.max(0.0)));
        }
    }

    fn tick(&mut self, now: f64, seen: Seen) {
        let occupied = Occupied { in_flight: seen.in_flight, waiting: seen.waiting };
        let decision = self.law.tick(tick(now), &self.meter.read(), occupied);
        self.limit = decision.limit;
        self.meter.begin(decision.leg);
    }
}

fn tick(seconds: f64) -> Tick {
    Tick::ZERO.after(Duration::from_secs_f64(seconds.max(0.0)))
}
